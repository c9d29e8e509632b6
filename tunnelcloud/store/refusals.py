"""Refusals of strangers in the audit: each one, up to a rate; beyond it they are counted.

Nobody has to prove who they are to be refused, so nobody may make the pod write without end.
"""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Transaction

EACH_OF_A_SOURCE = 20
EACH_OF_ALL = 300
"""So many of a minute are written one by one; the rest of the minute is one event."""

SECONDS = 60.0
_MOST_SOURCES = 1000
_log = Logger()


@define
class _Unwritten:
    count: int = 0
    source_ip: str | None = None


@define(eq=False)
class Refusals:
    """Writes refused sign-ins, refused join tokens, and whatever else a stranger can cause.

    :ivar store: as nobody: who is refused has no name yet.
    """

    store: AsyncStore
    clock: IReactorTime
    _written: dict[str, int] = field(factory=dict)
    _unwritten: dict[tuple[str, str], _Unwritten] = field(factory=dict)
    _total: int = 0
    _running: bool = False

    async def record(self, event: AuditEvent) -> None:
        """Write an event, or count it."""
        source = source_group(event.source_ip or "")
        if not self._running:
            self._running = True
            self.clock.callLater(SECONDS, self._minute_is_over)
        written = self._written.get(source, 0)
        if written < EACH_OF_A_SOURCE and self._total < EACH_OF_ALL:
            self._written[source] = written + 1
            self._total += 1
            await self.store.write(_audit, event)
            return
        if (event.event, source) not in self._unwritten and len(self._unwritten) >= _MOST_SOURCES:
            source = ""  # of many sources, only the number is kept
        unwritten = self._unwritten.setdefault((event.event, source), _Unwritten())
        unwritten.count += 1
        unwritten.source_ip = event.source_ip if source else None

    def _minute_is_over(self) -> None:
        sums = [
            AuditEvent(
                name,
                source_ip=one.source_ip,
                data={"reason": "more within a minute than are written", "count": one.count},
            )
            for (name, _), one in self._unwritten.items()
        ]
        self._running, self._total = False, 0
        self._written.clear()
        self._unwritten.clear()
        if sums:
            writing = self.store.write(_audit, *sums)
            writing.addErrback(lambda failure: _log.failure("refusals were not written", failure))


def _audit(transaction: Transaction, *events: AuditEvent) -> None:
    for event in events:
        transaction.audit(event)
