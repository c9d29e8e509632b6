"""The server's end of TLS, whose handshakes take turns.

A handshake costs the pod one or two milliseconds of the reactor's thread, and a stranger nothing:
a recorded ClientHello will do.  All that have come in one turn of the reactor would be worked off
in it, however many there are.  So one is taken at a time, and networks take turns.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from tunnelcloud.domain.addresses import party_of
from tunnelcloud.net.handshake_queue import HandshakeQueue

_log = Logger()


class TurnTakingTLS(TLSMemoryBIOProtocol):
    """TLS between a socket and a protocol; each step of its handshake waits for a turn.

    A factory without ``turns`` makes clients, or servers of a peer who isn't a stranger.
    """

    transport: Any  # a TCP transport; no interface says all that is used of it
    _turns: HandshakeQueue | None = None
    _held = b""

    def makeConnection(self, transport: Any) -> None:
        """Begin to wait for the client."""
        self._turns = getattr(self.factory, "turns", None)
        if self._turns is not None:
            self._party = party_of(getattr(transport.getPeer(), "host", ""))
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        """Take what came; during the handshake, in a turn."""
        if self._turns is None:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
        elif self._held:
            self._held += data
        else:
            self._held = bytes(data)
            self.transport.pauseProducing()
            self._turns.ask(self._party, self._go_on)

    def _go_on(self) -> None:
        data, self._held = self._held, b""
        self.transport.resumeProducing()
        try:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
        except Exception:
            # After a read the reactor would see to it; this may be another call of the reactor.
            _log.failure("a connection failed in its turn")
            self.transport.abortConnection()
            return
        if self._handshakeDone:
            self._turns = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Wait for no turn."""
        if self._held and self._turns is not None:
            self._turns.forget(self._go_on)
            self._held = b""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]


class TurnTakingTLSFactory(TLSMemoryBIOFactory):
    """Puts the server's end of TLS before a factory; its handshakes take turns.

    :ivar turns: when they are computed; shared by factories whose clients are strangers.
    """

    protocol = TurnTakingTLS

    def __init__(self, creator: Any, wrapped: Any, clock: Any, turns: HandshakeQueue) -> None:
        """
        :param creator: makes the connections of TLS, an ``IOpenSSLServerConnectionCreator``.
        :param wrapped: the factory whose protocols get and send clear text.
        :param clock: the reactor.
        """
        super().__init__(creator, False, wrapped, clock)
        self.turns = turns
