"""One port for SSH, connectors' links and the web, told apart by the first bytes.

A client that sends a TLS ClientHello goes to the connectors' listener if it offers one of the
link's protocols by ALPN, and to the web otherwise.  A client that sends an HTTP request in plain
text is told the portal's address.  An authority that checks a name (ACME) gets its answer while an
order is under way.  Every other client is an SSH client, also one that waits silently for
the server's identification, for :data:`SILENCE_SECONDS`.

A listener for the web alone is a front, too, without SSH and connectors.

The factory gets a connection with all its bytes and doesn't notice the front.  Afterwards the front
isn't involved any more, so a byte costs the same as without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from tunnelcloud.domain.addresses import Network, read_networks
from tunnelcloud.link.tls import JOIN_ALPN, LINK_ALPN
from tunnelcloud.net.behind_balancer import hand_over, is_balancer
from tunnelcloud.net.connection_capacity import Crowd
from tunnelcloud.net.proxy_protocol import Address, BadProxyHeader, ProxyHeader
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pod.acme.challenges import ALPN as CHALLENGE_ALPN
from tunnelcloud.pod.acme.challenges import Answers
from tunnelcloud.pod.client_hello import NoHello, offered_protocols
from tunnelcloud.pod.plain_http import plain_http

SILENCE_SECONDS = 1.0
"""After so many seconds of silence a client counts as an SSH client."""

DECIDE_SECONDS = 10.0
"""How many seconds a client may take to send enough to recognise its protocol."""

MAX_UNDECIDED = 512
"""How many connections may wait until their protocol is known."""

_TLS_HANDSHAKE = b"\x16"
_HTTP_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ")
_LONGEST_METHOD = max(map(len, _HTTP_METHODS))


@define(eq=False)
class Front(Factory):
    """The factory that listens on the one port.

    :ivar ssh: gets SSH clients; None refuses them.
    :ivar connectors: gets connectors, and speaks TLS itself; None refuses them.
    :ivar web: gets browsers and API clients, after a wrapper has spoken TLS; None if the pod has
        no certificate for the web.
    :ivar portal: the portal's address, told to clients that speak plain HTTP.
    :ivar balancers: networks whose PROXY headers are believed.
    :ivar room: how many connections may wait until their protocol is known, or for an answer of the
        front itself: no other listener counts those.
    :ivar answers: those to an authority's challenges; None where certificates come otherwise.
    """

    ssh: IProtocolFactory | None
    connectors: IProtocolFactory | None
    web: IProtocolFactory | None
    portal: str
    clock: IReactorTime
    balancers: Iterable[str] = ()
    room: int = MAX_UNDECIDED
    answers: Answers | None = None
    noisy = False
    crowd: Crowd[_Arrival | _Own] = field(init=False)

    networks: tuple[Network, ...] = field(init=False)
    spreading: Spreading = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.spreading = Spreading(self.clock)
        self.crowd = Crowd(self.room, _end)
        self.networks = read_networks(self.balancers)

    def doStart(self) -> None:
        """Start the factories behind it: no port of their own may do so."""
        for factory in (self.ssh, self.connectors, self.web):
            if factory is not None:
                factory.doStart()

    def doStop(self) -> None:
        """Stop the factories behind it."""
        for factory in (self.ssh, self.connectors, self.web):
            if factory is not None:
                factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> _Arrival | None:
        """Take a connection, unless there is no room."""
        return _Arrival(self, addr) if self.crowd.admits(addr) else None

    def factory_for(self, received: bytes) -> IProtocolFactory | None:
        """Choose the factory for a client by its first bytes; None while that isn't certain.

        :raise NoHello: none of them takes it.
        """
        if received[:1] == _TLS_HANDSHAKE:
            offered = offered_protocols(received)
            if offered is None:
                return None
            return self._for_tls(offered)
        if received.startswith(_HTTP_METHODS):
            return _Counted(self.crowd, plain_http(self.portal, self.answers, self.clock))
        begun = len(received) < _LONGEST_METHOD
        if begun and any(method.startswith(received) for method in _HTTP_METHODS):
            return None
        return _there(self.ssh, "SSH clients have another port")

    def _for_tls(self, offered: tuple[bytes, ...]) -> IProtocolFactory:
        if LINK_ALPN in offered or JOIN_ALPN in offered:
            return _there(self.connectors, "connectors have another port")
        if CHALLENGE_ALPN in offered:
            if not self.answers:
                raise NoHello("no order is under way")
            return _Counted(self.crowd, self.answers.tls(self.clock))
        return _there(self.web, "there is no certificate for the web")


def _there(factory: IProtocolFactory | None, otherwise: str) -> IProtocolFactory:
    if factory is None:
        raise NoHello(otherwise)
    return factory


def _end(one: _Arrival | _Own) -> None:
    one.turn_away()


class _Counted(WrappingFactory):
    """A factory whose connections stay in the front's crowd until they are over."""

    noisy = False

    def __init__(self, crowd: Crowd[_Arrival | _Own], factory: IProtocolFactory) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        self.crowd = crowd
        self.protocol = _Own


class _Own(ProtocolWrapper):
    """A connection that the front answers itself."""

    factory: _Counted

    def makeConnection(self, transport: Any) -> None:
        """Count it: its place as an arrival was just given up."""
        self.factory.crowd.enter(self, transport.getPeer())
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop counting it."""
        self.factory.crowd.leave(self)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def turn_away(self) -> None:
        """End the connection: others need its place."""
        self.abortConnection()


class _Arrival(Protocol):
    """A connection whose protocol isn't known yet."""

    transport: Any  # a TCP transport; no interface says all that is used of it
    _timer: IDelayedCall

    def __init__(self, front: Front, address: IAddress | None) -> None:
        self._front = front
        self._address = address
        self._received = b""
        self._header = ProxyHeader() if is_balancer(address, front.networks) else None
        self._client: Address | None = None
        self._spoke = False
        self._is_decided = False
        self._is_over = False

    def connectionMade(self) -> None:
        self._front.crowd.enter(self, self._address)
        self._timer = self._front.clock.callLater(SILENCE_SECONDS, self._is_silent)

    def dataReceived(self, data: bytes) -> None:
        self._spoke = True
        try:
            if self._header is not None:
                rest = self._header.feed(data)
                if rest is None:
                    return
                self._client, self._header = self._header.address, None
                if self._client is not None:  # its place is no longer one of its balancer's
                    self._front.crowd.enter(self, self._client.host)
                data = rest
            self._received += data
            if self._is_decided:
                return
            factory = self._front.factory_for(self._received) if self._received else None
        except (NoHello, BadProxyHeader):
            self.turn_away()
            return
        if factory is not None:
            self._decided(factory)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leave()

    def turn_away(self) -> None:
        """End the connection: no factory takes it, or others need its place."""
        self._leave()
        self.transport.abortConnection()

    def _is_silent(self) -> None:
        undecided = self._received or (self._spoke and self._header is not None)
        if undecided or self._front.ssh is None:
            rest = DECIDE_SECONDS - SILENCE_SECONDS
            self._timer = self._front.clock.callLater(rest, self.turn_away)
        else:
            self._decided(self._front.ssh)

    def _decided(self, factory: IProtocolFactory) -> None:
        """Hand it over, in a turn of the reactor that isn't full: to begin TLS takes a while."""
        self._is_decided = True
        self._front.spreading.run(partial(self._hand_over, factory))

    def _hand_over(self, factory: IProtocolFactory) -> bool:
        """Hand it over, if it is still there: a step."""
        if self._is_over:
            return False
        self._leave()
        try:
            hand_over(self.transport, factory, self._client, self._received)
        except Exception:
            self.transport.abortConnection()  # as the reactor does, in whose turn this isn't
            raise
        return False

    def _leave(self) -> None:
        self._is_over = True
        self._front.crowd.leave(self)
        if self._timer.active():
            self._timer.cancel()
