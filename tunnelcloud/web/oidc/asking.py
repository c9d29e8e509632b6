"""Requests to a provider; without an answer people read what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from tunnelcloud.net.fetching import Fetch, Fetched, FetchFailed
from tunnelcloud.web.oidc.faults import ProviderFault


async def ask(
    fetch: Fetch, method: str, address: str, headers: Mapping[str, str], body: bytes | None = None
) -> Fetched:
    """Ask a provider.

    :raise ProviderFault: it can't be reached.
    """
    try:
        return await fetch(method, address, headers, body)
    except FetchFailed as error:
        raise ProviderFault(
            "unreachable",
            f"The provider can't be reached at {address}: {error}.",
            "Try again in a while. If it stays so, tell an administrator of TunnelCloud.",
        ) from None
