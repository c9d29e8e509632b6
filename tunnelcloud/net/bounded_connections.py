"""Connections to servers elsewhere, with a limit on the bytes that a server may send.

Parsers of answers limit the length of a line or a body, but not the number of lines.  So all bytes
of a connection are counted, below TLS.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from tunnelcloud.net.sockets import read_in_small_parts

CONNECT_SECONDS = 10
"""How long a server may take until a connection is there."""


class SaidTooMuch(Exception):
    """A server sent more bytes than it may."""


class _Counting(ProtocolWrapper):
    """Counts the bytes of a server, and closes the connection above the limit."""

    factory: _CountingFactory
    _left = 0
    _too_much = False

    def connectionMade(self) -> None:
        """Begin to count."""
        read_in_small_parts(self.transport)
        self._left = self.factory.most
        super().connectionMade()  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes on up to the limit."""
        self._left -= len(data)
        if self._left >= 0:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
        elif not self._too_much:
            self._too_much = True
            self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say why."""
        if self._too_much:
            reason = Failure(SaidTooMuch(f"it said more than {self.factory.most} bytes"))
        super().connectionLost(reason)  # type: ignore[no-untyped-call]


class _CountingFactory(WrappingFactory):
    protocol = _Counting
    noisy = False

    def __init__(self, factory: IProtocolFactory, most: int) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        self.most = most


@implementer(IStreamClientEndpoint)
@frozen
class Bounded:
    """An endpoint whose servers may send a limited number of bytes on each connection.

    :ivar endpoint: connects, by plain TCP.
    """

    endpoint: IStreamClientEndpoint
    most: int

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fire with the factory's own protocol."""
        connecting: Deferred[Any] = self.endpoint.connect(
            _CountingFactory(protocolFactory, self.most)
        )
        return connecting.addCallback(lambda made: made.wrappedProtocol)


@implementer(IStreamClientEndpoint)
@frozen
class _Quiet:
    """An endpoint that doesn't log each start and stop of a factory, as Twisted's agent has it."""

    endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect."""
        protocolFactory.noisy = False
        connecting: Deferred[IProtocol] = self.endpoint.connect(protocolFactory)
        return connecting


def bounded_way(reactor: Any, host: str, port: int, most: int, tls: Any = None) -> Any:
    """Make an endpoint for a server.

    :param most: bytes that it may send on a connection.
    :param tls: makes TLS connections; None for plain text.
    """
    there = Bounded(HostnameEndpoint(reactor, host, port, timeout=CONNECT_SECONDS), most)
    return _Quiet(there if tls is None else wrapClientTLS(tls, there))


class OneConnection(HTTPConnectionPool):
    """Makes a connection for each request, after it has ended the one before.

    A server may never end its answer, and TLS waits until the server agrees to close. Without this,
    such connections would use up the pod's descriptors.
    """

    _last: Any = None

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor, persistent=False)  # type: ignore[no-untyped-call]

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        """Connect."""
        self.hang_up()
        return super().getConnection(key, endpoint).addCallback(self._keep)

    def hang_up(self) -> None:
        """End the connection at once, if it isn't over."""
        last, self._last = self._last, None
        if last is not None and last.state != "CONNECTION_LOST":
            last.transport.abortConnection()

    def _keep(self, connection: Any) -> Any:
        self._last = connection
        return connection


@implementer(IAgentEndpointFactory)
@frozen
class _Ways:
    reactor: Any
    policy: IPolicyForHTTPS
    most: int

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        if uri.scheme not in (b"http", b"https"):
            raise ValueError(f"{uri.scheme!r} is no scheme that is known here")
        host = uri.host.decode("ascii")
        tls = None
        if uri.scheme == b"https":
            tls = self.policy.creatorForNetloc(uri.host, uri.port)
        return bounded_way(self.reactor, host, uri.port, self.most, tls)  # type: ignore[no-any-return]


def bounded_agent(
    reactor: Any, policy: IPolicyForHTTPS, most: int, pool: HTTPConnectionPool | None = None
) -> Agent:
    """Make an HTTP and HTTPS agent that follows no redirects.

    :param policy: which certificates are trusted.
    :param most: bytes that a server may send on a connection.
    """
    ways = _Ways(reactor, policy, most)
    return Agent.usingEndpointFactory(reactor, ways, pool)  # type: ignore[no-any-return]
