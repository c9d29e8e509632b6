"""Ports that several processes of one user listen on: the kernel divides connections among them."""

from __future__ import annotations

import socket
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.tcp import Port
from twisted.protocols.tls import TLSMemoryBIOFactory


class _SharedPort(Port):
    def createInternetSocket(self) -> socket.socket:
        """Let other processes of the same user bind the port, too (socket(7), SO_REUSEPORT)."""
        made: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made


@frozen
class PortSharer:
    """A reactor whose TCP ports are shared; all else is the reactor's own."""

    _reactor: Any

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> Port:
        """Listen as ``IReactorTCP.listenTCP`` does."""
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
    ) -> Port:
        """Listen as ``IReactorSSL.listenSSL`` does."""
        encrypting = TLSMemoryBIOFactory(contextFactory, False, factory)
        return self.listenTCP(port, encrypting, backlog, interface)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
