"""How ports are bound: alone or beside other processes, and with turns for TLS.

Twisted accepts a hundred connections and more of a port in one turn of the reactor.  Strangers who
come all at once would hold up everybody else, so a port accepts a few in each turn.  What ended at
one time has its end in a few turns likewise.
"""

from __future__ import annotations

import socket
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.tcp import Port

from tunnelcloud.net.ended_connections import EndingServer
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.net.tls_server import TurnTakingTLSFactory

ACCEPTS_A_TURN = 16
"""How many connections a port accepts in one turn of the reactor: at most about four
milliseconds."""


class _PatientPort(Port):
    transport = EndingServer
    endings: Spreading

    def doRead(self) -> None:
        """Accept a few of the connections that wait; the others are accepted in later turns."""
        self.numberAccepts = min(self.numberAccepts, ACCEPTS_A_TURN)
        super().doRead()  # type: ignore[no-untyped-call]


class _SharedPort(_PatientPort):
    def createInternetSocket(self) -> socket.socket:
        """Let other processes of the same user bind the port, too (socket(7), SO_REUSEPORT)."""
        made: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made


BACKLOG = 1024
"""How many connections the kernel keeps until the reactor takes them.  Twisted's 50 are filled by
one stranger between two turns, and whoever comes then tries again a second later."""


@frozen
class Binder:
    """A reactor for endpoint descriptions; all but what is said here is the reactor's own.

    :ivar is_shared: whether other processes of the same user may bind the ports, too: the kernel
        divides connections among them.
    :ivar turns: in which the handshakes of TLS are computed.
    :ivar endings: spreads the ends of connections over turns of the reactor.
    """

    _reactor: Any
    is_shared: bool
    turns: HandshakeQueue
    endings: Spreading

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> Any:
        """Listen as ``IReactorTCP.listenTCP`` does, but with ``BACKLOG`` at least."""
        kind = _SharedPort if self.is_shared else _PatientPort
        waiting = max(backlog, BACKLOG)
        listening = kind(port, factory, waiting, interface, self._reactor)
        listening.endings = self.endings
        listening.startListening()
        return listening

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> Any:
        """Listen as ``IReactorSocket.adoptStreamPort`` does, on a socket that systemd holds."""
        kind: Any = _PatientPort  # Twisted's method has no types
        adopted = kind._fromListeningDescriptor(
            self._reactor, fileDescriptor, addressFamily, factory
        )
        adopted.endings = self.endings
        adopted.startListening()
        return adopted

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> Any:
        """Listen as ``IReactorSSL.listenSSL`` does."""
        encrypting = TurnTakingTLSFactory(contextFactory, factory, self._reactor, self.turns)
        return self.listenTCP(port, encrypting, backlog, interface)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
