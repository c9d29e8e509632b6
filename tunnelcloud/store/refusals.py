"""Refusals in the audit: each one, up to a rate; beyond it they are counted.

Nobody has to prove who they are to be refused, and a user may ask again and again for what they may
not have: neither may make the pod write without end.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, evolve, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import OutcomeUnknown, StoreUnavailable
from tunnelcloud.store.transaction import Transaction

EACH_OF_A_SOURCE = 20
EACH_OF_ALL = 300
"""How many refusals a minute are written one by one; the rest of the minute is one event."""

SUMMED_UP = "more within a minute than are written"

SECONDS = 60.0
_MOST_SOURCES = 1000
_log = Logger()


@define
class _Unwritten:
    event: AuditEvent
    count: int = 0


@define(eq=False)
class Refusals:
    """Writes refused logins, sign-ins, join tokens and destinations.

    :ivar store: as nobody: who is refused may have no name yet.
    :ivar each_of_all: how many of a minute are written one by one, whosever they are.
    """

    store: AsyncStore
    clock: IReactorTime
    each_of_all: int = EACH_OF_ALL
    _written: dict[str, int] = field(factory=dict)
    _unwritten: dict[tuple[str, str], _Unwritten] = field(factory=dict)
    _total: int = 0
    _running: bool = False

    async def record(self, event: AuditEvent) -> None:
        """Write an event, or count it."""
        source = source_group(event.source_ip or "")
        written = self.has_room(source)
        self.note(event, source, written)
        if written:
            await self.store.aside().write(_audit, event)

    def has_room(self, group: str) -> bool:
        """Tell whether one more of a group is to be written; say by ``note`` what came of it."""
        return self._written.get(group, 0) < EACH_OF_A_SOURCE and self._total < self.each_of_all

    def note(self, event: AuditEvent, group: str, written: bool, count: int = 1) -> None:
        """Count an event that somebody wrote, or some that are to be summed up."""
        if not self._running:
            self._running = True
            self.clock.callLater(SECONDS, self._minute_is_over)
        if written:
            self._written[group] = self._written.get(group, 0) + 1
            self._total += 1
            return
        if (event.event, group) not in self._unwritten and len(self._unwritten) >= _MOST_SOURCES:
            group = ""  # of many sources, only the number is kept
            event = AuditEvent(event.event, pod_id=event.pod_id)
        unwritten = self._unwritten.setdefault((event.event, group), _Unwritten(event))
        unwritten.count += count

    def _minute_is_over(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        self._running, self._total = False, 0
        self._written.clear()
        if unwritten:
            sums = [
                evolve(one.event, data={"reason": SUMMED_UP, "count": one.count})
                for one in unwritten.values()
            ]
            self.store.write(_audit, *sums).addErrback(self._not_written, unwritten)

    def _not_written(
        self, failure: Failure, unwritten: Mapping[tuple[str, str], _Unwritten]
    ) -> None:
        """Add sums that the database didn't take to those of the minute that has begun."""
        if not failure.check(StoreUnavailable):
            _log.failure("refusals were not written", failure)
            return
        why = failure.getErrorMessage()
        _log.warn("refusals can't be written now: {why}", why=why)
        if failure.check(OutcomeUnknown):
            return  # most likely they are written: no refusal is counted twice
        for (_, group), one in unwritten.items():
            self.note(one.event, group, written=False, count=one.count)


def _audit(transaction: Transaction, *events: AuditEvent) -> None:
    for event in events:
        transaction.audit(event)
