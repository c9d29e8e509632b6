"""The audit to a syslog server over TLS (RFC 5425): messages with their length before them.

Syslog has no answer.  Messages count as taken when the server's system has acknowledged the last
byte of them: what is lost with a connection is sent again, and may then be there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.net.sockets import unacknowledged
from tunnelcloud.sinks.interfaces import DeliveryFailed

LOOK_SECONDS = 0.02
"""Seconds between two looks at what the server's system has acknowledged."""


def frame(message: bytes) -> bytes:
    """Put a message's length before it (RFC 6587, 3.4.1)."""
    return b"%d %b" % (len(message), message)


def _unsent(transport: Any) -> int:
    """Count the bytes of a TLS connection that the other system hasn't acknowledged."""
    return unacknowledged(getattr(transport, "transport", transport)) or 0


@implementer(IHandshakeListener)
class _Connection(Protocol):
    """One connection: it is ready after its handshake, and reports its end once."""

    def __init__(self, clock: IReactorTime, unsent: Callable[[Any], int]) -> None:
        self._clock = clock
        self._unsent = unsent
        self._call: IDelayedCall | None = None
        self.waiting: Deferred[None] | None = None
        self._data = b""
        self._ready = False
        self.over = False

    def send(self, data: bytes) -> Deferred[None]:
        waiting: Deferred[None] = Deferred(lambda _: self.abort())
        self.waiting, self._data = waiting, data
        if self._ready:
            self._begin()
        return waiting

    def handshakeCompleted(self) -> None:
        """Send what came before the connection could take it."""
        self._ready = True
        if self._data:
            self._begin()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the sender that what it gave may not have arrived."""
        self.over = True
        if self._call is not None and self._call.active():
            self._call.cancel()
        waiting, self.waiting = self.waiting, None
        if waiting is not None and not waiting.called:
            why = f"the connection was lost: {reason.getErrorMessage()}"
            waiting.errback(DeliveryFailed(why))

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None and not self.over:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def _begin(self) -> None:
        assert self.transport is not None
        data, self._data = self._data, b""
        self.transport.write(data)
        # TLS gathers what is written until the reactor's next turn: no look counts it before.
        self._call = self._clock.callLater(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if self._unsent(self.transport):
            self._call = self._clock.callLater(LOOK_SECONDS, self._look)
            return
        waiting, self.waiting = self.waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)


@define(eq=False)
class SyslogOutlet:
    """Sends messages over one connection, which is made when there is something to send.

    :ivar where: the server's address, for messages.
    """

    where: str
    endpoint: IStreamClientEndpoint
    clock: IReactorTime
    unsent: Callable[[Any], int] = _unsent
    _connection: _Connection | None = field(default=None, init=False)

    def send(self, lines: Sequence[bytes]) -> Deferred[None]:
        """Send all messages, and fire once the server's system has them."""
        data = b"".join(map(frame, lines))
        if self._connection is not None and not self._connection.over:
            return self._connection.send(data)
        factory = Factory.forProtocol(lambda: _Connection(self.clock, self.unsent))
        connecting: Deferred[_Connection] = self.endpoint.connect(factory)  # type: ignore[assignment]
        return connecting.addCallbacks(self._connected, self._not_connected, callbackArgs=(data,))

    def reopen(self) -> None:
        """End the connection; the next messages get a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def _connected(self, connection: _Connection, data: bytes) -> Deferred[None]:
        self._connection = connection
        return connection.send(data)

    def _not_connected(self, failure: Failure) -> Failure:
        why = f"{self.where} can't be reached: {failure.getErrorMessage()}"
        return Failure(DeliveryFailed(why))
