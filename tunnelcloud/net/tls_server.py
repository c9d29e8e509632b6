"""The server's end of TLS, whose handshakes take turns.

A handshake costs the pod one or two milliseconds of the reactor's thread, and a stranger nothing:
a recorded ClientHello will do.  All that have come in one turn of the reactor would be worked off
in it, however many there are.  So one is taken at a time, and networks take turns.

A ClientHello may have 128 KiB, and some of what it may list costs more than its length to read.
So a handshake has at most ``LONGEST_HANDSHAKE`` bytes.

A read with many small records costs as much: one that has more of them than ``most_records`` waits
for the same turns, and is taken a few kilobytes at a time.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from tunnelcloud.domain.addresses import party_of
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.tls_records import RecordCounter

MOST_RECORDS = 16
"""How many records a stranger's read may have without waiting for a turn: browsers send one or two
for each request."""

TAKEN_AT_ONCE = 4 * 1024
"""How many bytes are taken in a turn: as 180 records of one byte each they cost two
milliseconds."""

LONGEST_HANDSHAKE = 20 * 1024
"""How many bytes of a client a handshake may have: those of browsers and of our connectors have
about two thousand."""

_log = Logger()


class TurnTakingTLS(TLSMemoryBIOProtocol):
    """TLS between a socket and a protocol; each step of its handshake waits for a turn.

    A factory without ``turns`` makes clients, or servers of a peer who isn't a stranger.

    :ivar most_records: how many records a read may have without waiting for a turn.
    """

    most_records = MOST_RECORDS

    transport: Any  # a TCP transport; no interface says all that is used of it
    _turns: HandshakeQueue | None = None
    _held = b""
    _shaken = 0  # how many bytes the handshake has had

    def makeConnection(self, transport: Any) -> None:
        """Begin to wait for the client."""
        self._turns = getattr(self.factory, "turns", None)
        if self._turns is not None:
            self._party = party_of(getattr(transport.getPeer(), "host", ""))
            self._records = RecordCounter()
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        """Take what came; during the handshake, and if it has many records, in turns."""
        if self._turns is None:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
            return
        has_many = self._records.count(data) > self.most_records
        if self._held:
            self._held += data
            self.transport.pauseProducing()  # the protocol may have gone on reading
        elif has_many or not self._handshakeDone:
            self._held = bytes(data)
            self.transport.pauseProducing()
            self._turns.ask(self._party, self._go_on)
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def _go_on(self) -> None:
        assert self._turns is not None, "only a server with turns waits for one"
        data, self._held = self._held[:TAKEN_AT_ONCE], self._held[TAKEN_AT_ONCE:]
        if not self._held:
            self.transport.resumeProducing()
        if not self._handshakeDone:
            self._shaken += len(data)
            if self._shaken > LONGEST_HANDSHAKE:
                self._held = b""
                self.transport.abortConnection()
                return
        try:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
        except Exception:
            # After a read the reactor would see to it; this may be another call of the reactor.
            _log.failure("a connection failed in its turn")
            self._held = b""
            self.transport.abortConnection()
            return
        if self._held:
            self._turns.ask(self._party, self._go_on)

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
