"""Requests to a provider; without an answer people read what is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tunnelcloud.net.fetching import Fetch, Fetched, FetchFailed
from tunnelcloud.web.oidc.faults import ProviderFault

_Answer = TypeVar("_Answer")


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


class Once(Generic[_Answer]):
    """Asks once for all who wait.  Whoever waits no longer ends nothing for the others."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Deferred[_Answer]]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Give the answer to what is being asked, or ask.

        :param key: the same for the same question.
        """
        mine: Deferred[_Answer] = Deferred(lambda _: None)
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(mine)
            return await mine
        self._waiting[key] = [mine]

        async def work() -> _Answer:
            return await ask()

        Deferred.fromCoroutine(work()).addBoth(self._answered, key)
        return await mine

    def _answered(self, answer: _Answer | Failure, key: Hashable) -> None:
        for one in self._waiting.pop(key):
            if not one.called:
                one.callback(answer)
