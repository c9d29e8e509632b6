"""Writes the records of sessions and channels to the store.

A beginning is written at once, since no byte flows before.  Nobody waits for an end: ends are
gathered for a moment, and many share a transaction.  The audit has one event for a channel that is
over soon, with the time it was opened, and two for others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.domain.entities import Channel, Session
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.user_limits import Limits
from tunnelcloud.pod.interfaces import IRecords
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.store import channels, sessions
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable, Trouble
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.user_limits import open_channel

GATHER_SECONDS = 0.2
RETRY_SECONDS = 1.0
STAYS_SECONDS = 1.0
"""After so many seconds the audit gets an event for a channel that is still open."""

FINISH_SECONDS = 10.0
"""How many seconds a pod that ends tries to write the gathered ends."""

REFUSALS_OF_ALL = 3000
"""How many refused destinations a minute are written one by one."""

AT_ONCE = 100
"""How many ends one transaction writes: logins wait meanwhile."""

ASIDE = 10
"""How many ends that can't be written are put aside; if there are more, the database is at
fault."""

ASIDE_SECONDS = 30.0
"""Seconds after which they are tried again."""

_log = Logger()

_End = Callable[[Transaction], object]


@frozen
class _Unsaid:
    """A channel without an audit event so far.

    :ivar due: when the event is to be written, unless the channel is over by then.
    """

    due: float
    say: _End


@implementer(IRecords)
class Records:
    """Writes to the store."""

    def __init__(self, store: AsyncStore, clock: IReactorTime) -> None:
        self._store = store
        self._refusals = Refusals(store, clock, REFUSALS_OF_ALL)
        self._clock = clock
        self._ends: list[_End] = []
        self._call: IDelayedCall | None = None
        self._turns = DeferredLock()
        self._unsaid: dict[str, _Unsaid] = {}
        self._saying: IDelayedCall | None = None

    def channel_opened(
        self,
        session: Session,
        tunnel: Tunnel,
        destination: str,
        port: int,
        limits: Limits | None = None,
    ) -> Deferred[Channel]:
        """Record that a channel was allowed, before the first byte flows."""
        written = self._store.write(
            open_channel, session, tunnel, limits, destination=destination, port=port
        )
        return written.addCallback(self._note_open, session, tunnel)

    def _note_open(self, channel: Channel, session: Session, tunnel: Tunnel) -> Channel:
        due = self._clock.seconds() + STAYS_SECONDS
        say = partial(channels.say_opened, session=session, tunnel=tunnel, channel=channel)
        self._unsaid[channel.id] = _Unsaid(due, say)
        if self._saying is None:
            self._saying = self._clock.callLater(STAYS_SECONDS, self._say_opened)
        return channel

    def _say_opened(self) -> None:
        """Write the audit events of channels that are still open; they are kept in the order of
        opening."""
        self._saying = None
        now = self._clock.seconds()
        for channel_id, unsaid in list(self._unsaid.items()):
            if unsaid.due > now:
                self._saying = self._clock.callLater(unsaid.due - now, self._say_opened)
                break
            del self._unsaid[channel_id]
            self._gather(unsaid.say, at_once=False)

    def channel_refused(
        self, session: Session, tunnel: Tunnel | None, destination: str, port: int, reason: str
    ) -> Deferred[None]:
        """Record that a destination was refused; above a rate for each user they are counted."""
        whose = session.user_id
        written = self._refusals.has_room(whose)
        event = channels.session_event("channel.refused", session, tunnel)
        self._refusals.note(event, whose, written)
        if not written:
            return succeed(None)
        return self._store.write(
            channels.refuse, session, tunnel, destination=destination, port=port, reason=reason
        )

    def channel_closed(
        self,
        channel: Channel,
        connector_id: str | None,
        reason: str,
        bytes_to_target: int,
        bytes_from_target: int,
        *,
        acknowledged: bool = False,
        at_once: bool = False,
    ) -> None:
        """Record that a channel is over, or never came to be."""
        self._unsaid.pop(channel.id, None)
        self._gather(
            partial(
                channels.close,
                channel_id=channel.id,
                reason=reason,
                bytes_to_target=bytes_to_target,
                bytes_from_target=bytes_from_target,
                acknowledged=acknowledged,
                connector_id=connector_id,
            ),
            at_once,
        )

    def session_ended(
        self,
        session: Session,
        reason: str,
        bytes_to_target: int,
        bytes_from_target: int,
        *,
        at_once: bool = False,
    ) -> None:
        """Record that a session is over."""
        traffic = (bytes_to_target, bytes_from_target)
        self._gather(
            partial(sessions.end, session_id=session.id, reason=reason, traffic=traffic), at_once
        )

    @property
    def waiting(self) -> int:
        """How many ends the store hasn't taken yet."""
        return len(self._ends)

    def finish(self) -> Deferred[None]:
        """Write the gathered ends; fires when that is done, or the store was away for too long."""
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        deadline = self._clock.seconds() + FINISH_SECONDS
        if self._saying is not None:
            self._saying.cancel()
            self._saying = None
        while True:
            if self._call is not None:
                self._call.cancel()
            await self._write()
            if not self._ends or self._clock.seconds() >= deadline:
                break
            await deferLater(self._clock, RETRY_SECONDS)
        if self._ends:
            _log.error("{count} ends are lost: the database was away", count=len(self._ends))

    def _gather(self, end: _End, at_once: bool) -> None:
        self._ends.append(end)
        self._write_in(0 if at_once else GATHER_SECONDS)
        if at_once and self._call is not None:
            self._call.reset(0)

    def _write_in(self, seconds: float) -> None:
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._write)

    def _write(self) -> Deferred[None]:
        self._call = None
        # One after the other: a session's end comes after its channels'.
        return self._turns.run(lambda: Deferred.fromCoroutine(self._write_gathered()))

    async def _write_gathered(self) -> None:
        alone = 0
        aside: list[_End] = []
        while batch := self._ends[: 1 if alone else AT_ONCE]:
            try:
                await self._store.write(_write_all, batch)
            except StoreUnavailable as error:
                unforeseen = error.trouble is Trouble.OTHER
                if unforeseen and len(batch) > 1:
                    # One that can't be written must not hold up the others.
                    alone = len(batch)
                    continue
                if unforeseen and alone and len(aside) < ASIDE:
                    aside.append(self._ends.pop(0))
                    alone -= 1
                    continue
                OUTAGES.tell(Failure(error), "ends can't be recorded yet")
                self._write_in(RETRY_SECONDS)
                break
            except Exception:
                if len(batch) > 1:
                    # One that can't be written must not roll the others back.
                    alone = len(batch)
                    continue
                _log.failure("an end can't be recorded")
            del self._ends[: len(batch)]
            alone = max(0, alone - 1)
        if aside:
            self._ends += aside
            self._write_in(ASIDE_SECONDS)


def _write_all(transaction: Transaction, ends: Sequence[_End]) -> None:
    for end in ends:
        end(transaction)
