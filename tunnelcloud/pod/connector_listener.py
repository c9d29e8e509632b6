"""The listener for connectors: TLS first, then joining or a link, chosen by ALPN.

A connection that offers neither is dropped after the handshake, a slow one after a deadline, and
the number of connections that are no link yet is limited.  Flood control is the SSH front door's:
the number of waiting connections is limited for a source and the networks around it, and offences
(unknown join tokens, copied or revoked certificates, no connector's certificate, a failed
handshake) add penalties, which keep a source out for a time.  A good certificate or join token
takes some of them off.
"""

from collections.abc import Callable

from attrs import define, field
from OpenSSL import SSL
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

from tunnelcloud.domain.addresses import canonical_address
from tunnelcloud.domain.join_tokens import JoinProblem
from tunnelcloud.link.join_messages import JoinAnswer, JoinGranted
from tunnelcloud.link.joining import JoinServer
from tunnelcloud.link.protocol import LinkProtocol
from tunnelcloud.link.tls import JOIN_ALPN, LINK_ALPN, PodTLS
from tunnelcloud.link.transport import LinkTransport, LinkTransportFactory
from tunnelcloud.net.connection_capacity import Crowd
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.interfaces import IFloodControl
from tunnelcloud.net.source_limits import ABANDONED, REFUSED_LOGIN, FloodLimits

DOOR_TIMEOUT = 20.0
"""Seconds for the handshake, and for joining all in all."""

MAX_IN_DOOR = 512
"""How many connections may wait until they are a link."""

HANDSHAKE_PAUSE = 1.0
"""How many times as long as a handshake took the pod does other things before the next.  After a
restart a thousand links come back: each takes 7 ms in all, and logins go on meanwhile."""

RECORDS_OF_A_LINK = 1024
"""How many records a link's read may have without waiting for a turn: many small messages may have
gathered while the pod was busy."""

_OFFENCES = JoinProblem.UNKNOWN, JoinProblem.BAD_REQUEST, JoinProblem.REVOKED


def connector_listener(
    tls: PodTLS,
    make_link: Callable[[], LinkProtocol],
    make_join_server: Callable[[], JoinServer],
    clock: IReactorTime,
    flood: IFloodControl,
    room: int = MAX_IN_DOOR,
) -> IProtocolFactory:
    """Make the factory to listen with for connectors.

    :param flood: decides which connections may start; it doesn't count links.
    :param room: how many connections may be no link yet.
    """
    return _Listener(tls, _Door(make_link, make_join_server, clock, flood, room), clock)


def door_limits(room: int) -> FloodLimits:
    """Return the flood limits for a room: a quarter of it for one source, none dropped at
    random."""
    return FloodLimits(start=room, full=room, per_source=max(room // 4, 1))


class _Listener(LinkTransportFactory):
    """Refuses connections that find no room, before TLS costs anything."""

    def __init__(self, tls: PodTLS, door: "_Door", clock: IReactorTime) -> None:
        super().__init__(tls, False, door, clock)
        self.turns = HandshakeQueue(clock, HANDSHAKE_PAUSE)
        self._door = door

    def buildProtocol(  # type: ignore[override]  # a factory may say None
        self, addr: IAddress | None
    ) -> TLSMemoryBIOProtocol | None:
        flood, source = self._door.flood, _source(addr)
        if flood.connection_made(source):
            return None
        if not self._door.crowd.admits(addr):
            flood.connection_lost(source)
            return None
        return super().buildProtocol(addr)


def _source(address: IAddress | None) -> str:
    return canonical_address(str(getattr(address, "host", "")))


@define(eq=False)
class _Door(Factory):
    make_link: Callable[[], LinkProtocol]
    make_join_server: Callable[[], JoinServer]
    clock: IReactorTime
    flood: IFloodControl
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
        self._source = _source(address)
        self._counted = True
        self._shook_hands = False
        self._inner: JoinServer | None = None

    def connectionMade(self) -> None:
        self._door.crowd.enter(self, self._address)
        self._timer = self._door.clock.callLater(DOOR_TIMEOUT, self._too_slow)

    def handshakeCompleted(self) -> None:
        self._shook_hands = True
        protocol = self.transport.negotiatedProtocol
        if protocol == LINK_ALPN:
            link = self._door.make_link()
            # The link takes this protocol's place, which saves a call for every read.
            self.transport.wrappedProtocol = link
            link.makeConnection(self.transport)  # type: ignore[no-untyped-call]
            link.handshakeCompleted()
            if not link.over:
                self.transport.most_records = RECORDS_OF_A_LINK
            self._judge(not link.over)
            self.leave()
        elif protocol == JOIN_ALPN:
            self._inner = self._door.make_join_server()
            self._inner.answered = self._answered
            self._inner.makeConnection(self.transport)  # type: ignore[no-untyped-call]
        else:
            self._door.flood.offended(self._source, ABANDONED)
            self.transport.abortConnection()  # type: ignore[no-untyped-call]

    def _answered(self, answer: JoinAnswer) -> None:
        """Add a penalty for a refused token or certificate, unless it has only expired."""
        if isinstance(answer, JoinGranted):
            self._judge(True)
        elif answer.problem in _OFFENCES:
            self._judge(False)

    def _judge(self, is_good: bool) -> None:
        if not is_good:
            self._door.flood.offended(self._source, REFUSED_LOGIN)
        elif self._counted:
            self._counted = False
            self._door.flood.authenticated(self._source)

    def _too_slow(self) -> None:
        self._door.flood.offended(self._source, ABANDONED)
        self.transport.abortConnection()  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.leave()
        if not self._shook_hands and reason.check(SSL.Error):
            self._door.flood.offended(self._source, ABANDONED)
        if self._inner is not None:
            self._inner.connectionLost(reason)

    def leave(self) -> None:
        """Give the place up: the connection is a link now, or over."""
        self._door.crowd.leave(self)
        if self._counted:
            self._counted = False
            self._door.flood.connection_lost(self._source)
        if self._timer.active():
            self._timer.cancel()

    def turn_away(self) -> None:
        """Make room for another."""
        self.leave()
        self.transport.abortConnection()  # type: ignore[no-untyped-call]
