"""Delivers a spool's lines to an outlet: one batch at a time, repeated until it is accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field, frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.net.interfaces import ILookUpReactor
from tunnelcloud.sinks.interfaces import Outlet
from tunnelcloud.sinks.spool import Spool

BATCH = 256
BATCH_BYTES = 256 * 1024
PATIENCE = 30.0
"""Seconds after which a batch that wasn't taken is sent again."""
LONGEST_DELAY = 60.0
"""Seconds between two tries at most; half as much more or less by chance."""

_log = Logger()


@frozen
class SinkReport:
    """The state of a sink.

    :ivar waiting_bytes: what is on disk and nobody has taken yet.
    :ivar delivered: events since the start.
    :ivar dropped: events since the start that are lost to this sink; the store has them.
    :ivar failures: tries since the start that failed.
    """

    name: str
    waiting_bytes: int
    limit_bytes: int
    delivered: int
    dropped: int
    failures: int


@define(eq=False)
class Delivery:
    """Takes lines from a spool to an outlet, in the reactor's thread.

    :ivar carries: what the lines are, for the log.
    """

    name: str
    spool: Spool
    outlet: Outlet
    reactor: ILookUpReactor
    random: Callable[[], float]
    carries: str = "the audit"
    _delivered: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _in_a_row: int = field(default=0, init=False)
    _woken: bool = field(default=False, init=False)
    _running: bool = field(default=False, init=False)
    _sending: Deferred[None] | None = field(default=None, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin with what is there."""
        self._running = True
        self._turn()

    def stop(self) -> None:
        """Send no more; what wasn't taken waits for the next start."""
        self._running = False
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._sending is not None:
            self._sending.cancel()
        self.outlet.reopen()
        self.spool.close()

    def add(self, lines: Sequence[bytes]) -> None:
        """Add lines to the spool; from any thread."""
        self.spool.append(lines)
        if self._running and not self._woken:
            self._woken = True
            self.reactor.callFromThread(self._wake)

    def report(self) -> SinkReport:
        """Return the state of this sink."""
        spool = self.spool
        return SinkReport(
            self.name, spool.size, spool.limit, self._delivered, spool.dropped, self._failures
        )

    def _wake(self) -> None:
        self._woken = False
        if self._call is None:
            self._turn()

    def _turn(self) -> None:
        self._call = None
        if not self._running or self._sending is not None:
            return
        lines = self.spool.first(BATCH, BATCH_BYTES)
        if not lines:
            return
        sending = maybeDeferred(self.outlet.send, lines)
        self._sending = sending
        sending.addTimeout(PATIENCE, self.reactor)
        sending.addCallbacks(self._sent, self._failed, callbackArgs=(len(lines),))
        sending.addErrback(lambda failure: _log.failure("{name} is stuck", failure, name=self.name))

    def _sent(self, _: None, count: int) -> None:
        self._sending = None
        self.spool.taken()
        self._delivered += count
        if self._in_a_row:
            _log.info("{name} takes {what} again", name=self.name, what=self.carries)
        self._in_a_row = 0
        if self._running:
            self._call = self.reactor.callLater(0, self._turn)

    def _failed(self, failure: Failure) -> None:
        self._sending = None
        if not self._running:
            return
        self._failures += 1
        self._in_a_row += 1
        if self._in_a_row == 1:
            slow = failure.check(defer.TimeoutError, defer.CancelledError)
            why = f"no answer within {PATIENCE:.0f} s" if slow else failure.getErrorMessage()
            _log.warn(
                "{name} doesn't take {what}, which waits: {why}",
                name=self.name,
                what=self.carries,
                why=why,
            )
        self.outlet.reopen()
        delay = min(LONGEST_DELAY, 2.0 ** min(self._in_a_row - 1, 10))
        self._call = self.reactor.callLater(delay * (0.5 + self.random()), self._turn)
