"""The door that connectors come to: TLS first, then by ALPN to joining or to a link.

Whoever offers neither is dropped after the handshake, whoever dawdles after a deadline, and only
so many may stand in the door at once.
"""

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.link.joining import JoinServer
from tunnelcloud.link.protocol import LinkProtocol
from tunnelcloud.link.tls import JOIN_ALPN, LINK_ALPN, PodTLS
from tunnelcloud.link.transport import LinkTransport, LinkTransportFactory
from tunnelcloud.net.crowds import Crowd

DOOR_TIMEOUT = 20.0
"""Seconds for the handshake, and for joining all in all."""

MAX_IN_DOOR = 256
"""How many connections may be neither dropped nor a link yet."""


def connector_listener(
    tls: PodTLS,
    make_link: Callable[[], LinkProtocol],
    make_join_server: Callable[[], JoinServer],
    clock: IReactorTime,
    room: int = MAX_IN_DOOR,
) -> IProtocolFactory:
    """Make the factory to listen with for connectors.

    :param room: how many connections may be no link yet.
    """
    return _Listener(tls, _Door(make_link, make_join_server, clock, room), clock)


class _Listener(LinkTransportFactory):
    """Turns away who doesn't find room in the door, before TLS costs anything."""

    def __init__(self, tls: PodTLS, door: "_Door", clock: IReactorTime) -> None:
        super().__init__(tls, False, door, clock)
        self._door = door

    def buildProtocol(  # type: ignore[override]  # a factory may say None
        self, addr: IAddress | None
    ) -> TLSMemoryBIOProtocol | None:
        return super().buildProtocol(addr) if self._door.crowd.admits(addr) else None


@define(eq=False)
class _Door(Factory):
    make_link: Callable[[], LinkProtocol]
    make_join_server: Callable[[], JoinServer]
    clock: IReactorTime
    room: int
    crowd: Crowd["_Visitor"] = field(init=False)
    noisy = False

    def __attrs_post_init__(self) -> None:
        self.crowd = Crowd(self.room, _Visitor.turn_away)

    def buildProtocol(self, addr: IAddress | None) -> "_Visitor":
        return _Visitor(self, addr)


@implementer(IHandshakeListener)
class _Visitor(Protocol):
    """Stands in for the protocol of a connection until ALPN has named it."""

    transport: LinkTransport
    _timer: IDelayedCall

    def __init__(self, door: _Door, address: IAddress | None) -> None:
        self._door = door
        self._address = address
        self._inner: JoinServer | None = None

    def connectionMade(self) -> None:
        self._door.crowd.enter(self, self._address)
        self._timer = self._door.clock.callLater(DOOR_TIMEOUT, self.transport.abortConnection)

    def handshakeCompleted(self) -> None:
        protocol = self.transport.negotiatedProtocol
        if protocol == LINK_ALPN:
            self.leave()
            link = self._door.make_link()
            # The link takes this one's place: no call in between for every read.
            self.transport.wrappedProtocol = link
            link.makeConnection(self.transport)  # type: ignore[no-untyped-call]
            link.handshakeCompleted()
        elif protocol == JOIN_ALPN:
            self._inner = self._door.make_join_server()
            self._inner.makeConnection(self.transport)  # type: ignore[no-untyped-call]
        else:
            self.transport.abortConnection()  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.leave()
        if self._inner is not None:
            self._inner.connectionLost(reason)

    def leave(self) -> None:
        """Stand in the door no longer."""
        self._door.crowd.leave(self)
        if self._timer.active():
            self._timer.cancel()

    def turn_away(self) -> None:
        """Make room for another."""
        self.leave()
        self.transport.abortConnection()  # type: ignore[no-untyped-call]
