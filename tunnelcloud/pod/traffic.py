"""What open sessions and channels have carried so far, and by which connectors.

It is written down now and then: other pods show it, and it is what the records keep of a pod that
was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tunnelcloud.store import sessions
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable

NOTE_SECONDS = 15.0

_log = Logger()

_Counts = Mapping[str, tuple[int, int]]


@define(eq=False)
class TrafficNotes:
    """Writes byte counts.

    :ivar of_sessions: gives those of open sessions as of now, by their ids.
    :ivar of_channels: gives those of open channels.
    :ivar carriers: gives the ids of the connectors that carry open channels.
    """

    store: AsyncStore
    of_sessions: Callable[[], _Counts]
    of_channels: Callable[[], _Counts]
    carriers: Callable[[], Mapping[str, str]]
    _written: tuple[_Counts, _Counts] = field(factory=lambda: ({}, {}), init=False)
    _carriers: Mapping[str, str] = field(factory=dict, init=False)

    def write(self) -> Deferred[None]:
        """Write down what changed since the last time; fires when that is done, or can't be."""
        return Deferred.fromCoroutine(self._write())

    async def _write(self) -> None:
        counts = (self.of_sessions(), self.of_channels())
        of_sessions, of_channels = map(_changed, counts, self._written)
        carriers = self.carriers()
        moved = dict(carriers.items() - self._carriers.items())
        if of_sessions or of_channels or moved:
            try:
                await self.store.write(sessions.sync_traffic, of_sessions, of_channels, moved)
            except StoreUnavailable as error:
                _log.warn("traffic can't be written down now: {why}", why=error)
                return
        self._written, self._carriers = counts, carriers


def _changed(now: _Counts, before: _Counts) -> _Counts:
    return {one: count for one, count in now.items() if count != before.get(one, (0, 0))}
