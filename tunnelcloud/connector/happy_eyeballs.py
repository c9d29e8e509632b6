"""Happy eyeballs (RFC 8305): connects to whichever of several addresses answers first.

Knows addresses, ports and a reactor; whether an address may be connected to was decided before.
"""

import errno
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from tunnelcloud.connector.interfaces import IConnectorReactor
from tunnelcloud.domain.addresses import Address
from tunnelcloud.domain.dial_failures import DialError, DialFailure

ATTEMPT_DELAY = 0.25
"""Seconds before the next address is tried beside the last (RFC 8305, section 5)."""

_BY_ERRNO = {
    errno.ECONNREFUSED: DialFailure.REFUSED,
    errno.ECONNRESET: DialFailure.REFUSED,
    errno.ETIMEDOUT: DialFailure.TIMED_OUT,
    errno.EHOSTUNREACH: DialFailure.UNREACHABLE,
    errno.ENETUNREACH: DialFailure.UNREACHABLE,
    errno.EADDRNOTAVAIL: DialFailure.UNREACHABLE,
    errno.EAFNOSUPPORT: DialFailure.UNREACHABLE,
    errno.EACCES: DialFailure.UNREACHABLE,
    errno.EPERM: DialFailure.UNREACHABLE,
    errno.EMFILE: DialFailure.LIMIT,
    errno.ENFILE: DialFailure.LIMIT,
    errno.ENOBUFS: DialFailure.LIMIT,
}
_MOST_TELLING = (
    DialFailure.LIMIT,
    DialFailure.REFUSED,
    DialFailure.TIMED_OUT,
    DialFailure.UNREACHABLE,
    DialFailure.FAILED,
)


class Race:
    """One connection to the first of several addresses that answers.

    :ivar finished: fires with the winner's protocol when it is about to be connected, or fails
        with ``DialError``.  Cancelling it gives up.

    :param addresses: the preferred first.
    :param build_protocol: called once, for the winner.
    :param lost: called when the winner's connection is over.
    """

    def __init__(
        self,
        reactor: IConnectorReactor,
        addresses: Sequence[Address],
        port: int,
        timeout: float,
        build_protocol: Callable[[], Protocol],
        lost: Callable[[], None],
    ) -> None:
        self.finished: Deferred[Protocol] = Deferred(lambda _: self._end())
        self._reactor = reactor
        self._left = deque(interleaved(addresses))
        self._port = port
        self._build_protocol = build_protocol
        self._lost = lost
        self._running: set[_Attempt] = set()
        self._failures: set[DialFailure] = set()
        self._ended = False
        self._next: IDelayedCall | None = None
        self._deadline = reactor.callLater(timeout, self._timed_out)

    def start(self) -> "Deferred[Protocol]":
        """Try the first address."""
        self._try_next()
        return self.finished

    def _try_next(self) -> None:
        self._cancel_next()
        address = self._left.popleft()
        attempt = _Attempt(self)
        self._running.add(attempt)
        # The deadline is the race's own; the reactor's would only come before it.
        attempt.connector = self._reactor.connectTCP(
            str(address),
            self._port,
            attempt,
            timeout=None,  # type: ignore[arg-type]
        )
        if self._left and not self._ended:
            self._next = self._reactor.callLater(ATTEMPT_DELAY, self._try_next)

    def won(self, winner: "_Attempt") -> Protocol | None:
        """Take the first connection that is made; None refuses a later one."""
        if self._ended:
            return None
        self._running.discard(winner)
        winner.won = True
        self._end()
        protocol = self._build_protocol()
        self.finished.callback(protocol)
        return protocol

    def attempt_failed(self, attempt: "_Attempt", reason: Failure) -> None:
        """Try the next address at once, or give up after the last."""
        self._running.discard(attempt)
        if self._ended:
            return
        self._failures.add(dial_failure_of(reason))
        if self._left:
            self._try_next()
        elif not self._running:
            self._fail()

    def winner_lost(self) -> None:
        """The winner's connection is over."""
        self._lost()

    def _timed_out(self) -> None:
        self._failures.add(DialFailure.TIMED_OUT)
        self._fail()

    def _fail(self) -> None:
        self._end()
        failure = next(each for each in _MOST_TELLING if each in self._failures)
        self.finished.errback(DialError(failure))

    def _end(self) -> None:
        self._ended = True
        self._cancel_next()
        if self._deadline.active():
            self._deadline.cancel()
        running, self._running = self._running, set()
        for attempt in running:
            if attempt.connector is not None:
                attempt.connector.disconnect()

    def _cancel_next(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None


class _Attempt(ClientFactory):
    """One address of a race."""

    noisy = False
    connector: IConnector | None = None
    won = False

    def __init__(self, race: Race) -> None:
        self._race = race

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        return self._race.won(self)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._race.attempt_failed(self, reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        if self.won:
            self._race.winner_lost()


def interleaved(addresses: Sequence[Address]) -> Sequence[Address]:
    """Let the two families take turns, beginning with that of the first (RFC 8305, section 4)."""
    first = [each for each in addresses if each.version == addresses[0].version]
    others = [each for each in addresses if each.version != addresses[0].version]
    return [each for each in chain(*zip_longest(first, others)) if each is not None]


def dial_failure_of(reason: Failure) -> DialFailure:
    """Return the failure for a connection that couldn't be made."""
    if reason.check(error.TimeoutError):
        return DialFailure.TIMED_OUT
    number = reason.value.osError if isinstance(reason.value, error.ConnectError) else None
    return _BY_ERRNO.get(number or 0, DialFailure.FAILED)
