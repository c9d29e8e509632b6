"""Connections that a balancer passes on: they begin with a PROXY header.

The module knows neither TLS nor SSH.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tunnelcloud.domain.addresses import Network, is_within
from tunnelcloud.net.proxy_protocol import Address, BadProxyHeader, ProxyHeader

HEADER_SECONDS = 5.0
"""How long a balancer may take for its header."""


def is_balancer(address: IAddress | None, balancers: Sequence[Network]) -> bool:
    """Tell whether PROXY headers from an address are believed."""
    host = address.host if isinstance(address, IPv4Address | IPv6Address) else ""
    return is_within(host, balancers)


def hand_over(
    transport: Any, factory: IProtocolFactory, client: Address | None, received: bytes
) -> None:
    """Give a connection to a factory, as if the client had connected to it.

    :param transport: the TCP transport; no interface says all that is used of it.
    :param client: the client that a balancer names; None if the other end is the client.
    :param received: bytes that have arrived for the factory's protocol.
    """
    if client is not None:
        kind = IPv6Address if ":" in client.host else IPv4Address
        peer = kind("TCP", client.host, client.port)
        transport.getPeer = lambda: peer
    protocol = factory.buildProtocol(transport.getPeer())
    if protocol is None:
        transport.abortConnection()
        return
    transport.protocol = protocol
    protocol.makeConnection(transport)
    if received and not transport.disconnecting:
        protocol.dataReceived(received)


class BehindBalancers(Factory):
    """Reads the PROXY headers of balancers; all other connections go to the factory at once.

    :param factory: whose connections they are.
    """

    noisy = False

    def __init__(
        self, factory: IProtocolFactory, balancers: Sequence[Network], clock: IReactorTime
    ) -> None:
        self.factory = factory
        self.clock = clock
        self._balancers = balancers

    def doStart(self) -> None:
        """Start the factory behind it."""
        self.factory.doStart()

    def doStop(self) -> None:
        """Stop the factory behind it."""
        self.factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
        """Take a connection."""
        if not is_balancer(addr, self._balancers):
            return self.factory.buildProtocol(addr)  # type: ignore[arg-type]
        return _Announced(self)


class _Announced(Protocol):
    """A connection of a balancer, until its client is known."""

    transport: Any
    _timer: IDelayedCall

    def __init__(self, owner: BehindBalancers) -> None:
        self._owner = owner
        self._header = ProxyHeader()

    def connectionMade(self) -> None:
        self._timer = self._owner.clock.callLater(HEADER_SECONDS, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        try:
            rest = self._header.feed(data)
        except BadProxyHeader:
            self.transport.abortConnection()
            return
        if rest is not None:
            self._timer.cancel()
            hand_over(self.transport, self._owner.factory, self._header.address, rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer.active():
            self._timer.cancel()
