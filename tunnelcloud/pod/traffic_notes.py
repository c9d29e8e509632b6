"""What open sessions and channels have carried so far, and by which connectors.

It is written down now and then: other pods show it, and it is what the records keep of a pod that
was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tunnelcloud.pod.byte_rates import Counts
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.store import sessions
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.sessions import Traffic

NOTE_SECONDS = 15.0


@define(eq=False)
class TrafficNotes:
    """Writes byte counts.

    :ivar count: counts those of all that is open.
    """

    store: AsyncStore
    count: Callable[[], Deferred[Counts]]
    _written: Counts = field(factory=Counts, init=False)

    def write(self) -> Deferred[None]:
        """Write down what changed since the last time; fires when that is done, or can't be."""
        return Deferred.fromCoroutine(self._write())

    async def _write(self) -> None:
        counts = await self.count()
        of_sessions = _changed(counts.of_sessions, self._written.of_sessions)
        of_channels = _changed(counts.of_channels, self._written.of_channels)
        moved = dict(counts.carriers.items() - self._written.carriers.items())
        if of_sessions or of_channels or moved:
            try:
                await self.store.write(sessions.sync_traffic, of_sessions, of_channels, moved)
            except StoreUnavailable:
                OUTAGES.tell(Failure(), "traffic can't be written down now")
                return
        self._written = counts


def _changed(now: Mapping[str, Traffic], before: Mapping[str, Traffic]) -> dict[str, Traffic]:
    return {one: count for one, count in now.items() if count != before.get(one, (0, 0))}
