"""What asks over the network, with an HTTP client that is loaded when it is used first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunnelcloud.net.fetching import Fetch, Fetched


def fetch_by_network(reactor: Any) -> Fetch:
    """Give what asks over the network; the HTTP client is loaded when it is used first."""
    made: list[Fetch] = []

    async def fetch(
        method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> Fetched:
        if not made:
            from tunnelcloud.net.http_fetch import HttpFetch

            made.append(HttpFetch(reactor))
        return await made[0](method, address, headers, body)

    return fetch
