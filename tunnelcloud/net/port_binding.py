"""How ports are bound: alone or beside other processes, and with turns for TLS."""

from __future__ import annotations

import socket
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.tcp import Port

from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.tls_server import TurnTakingTLSFactory


class _SharedPort(Port):
    def createInternetSocket(self) -> socket.socket:
        """Let other processes of the same user bind the port, too (socket(7), SO_REUSEPORT)."""
        made: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made


@frozen
class Binder:
    """A reactor for endpoint descriptions; all but what is said here is the reactor's own.

    :ivar is_shared: whether other processes of the same user may bind the ports, too: the kernel
        divides connections among them.
    :ivar turns: in which the handshakes of TLS are computed.
    """

    _reactor: Any
    is_shared: bool
    turns: HandshakeQueue

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> Any:
        """Listen as ``IReactorTCP.listenTCP`` does."""
        if not self.is_shared:
            return self._reactor.listenTCP(port, factory, backlog, interface)
        shared = _SharedPort(port, factory, backlog, interface, self._reactor)
        shared.startListening()
        return shared

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
