"""The pod's sockets: bound before anything else, and served once the pod is built.

A port that is taken stops the start before the state directory is touched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import Factory
from zope.interface import implementer

from tunnelcloud.daemon import CannotServe, listen, port_number
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.port_binding import Binder
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.settings.listening import host_of

WEB_TLS = "web.tls"
"""The web's listeners that use the pod's own certificate."""


@implementer(IProtocolNegotiationFactory)
@define(eq=False)
class _Switchboard(Factory):
    """Passes connections to a factory that is made later; until then it refuses them.

    TLS asks the factory that it wraps which protocols to offer (ALPN); the inner factory answers
    that too.
    """

    inner: IProtocolFactory | None = None
    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
        assert addr is not None
        return None if self.inner is None else self.inner.buildProtocol(addr)

    def acceptableProtocols(self) -> list[bytes]:
        """Return the protocols for clients of an ``ssl:`` endpoint; none if the factory names
        none."""
        negotiating = IProtocolNegotiationFactory(self.inner, None)
        return [] if negotiating is None else list(negotiating.acceptableProtocols())

    def doStart(self) -> None:
        """The inner factory is started when it comes."""

    def doStop(self) -> None:
        if self.inner is not None:
            self.inner.doStop()


@define(eq=False)
class Listeners:
    """The listening sockets, by the section of the settings that names them."""

    _ports: dict[str, list[IListeningPort]] = field(factory=dict, init=False)
    _switchboards: dict[str, _Switchboard] = field(factory=dict, init=False)

    @classmethod
    def bind(
        cls,
        reactor: Any,
        sections: Mapping[str, Sequence[str]],
        shared: Collection[str] = frozenset(),
    ) -> Listeners:
        """Listen on each section's endpoint descriptions.

        :param shared: the sections whose ports other pods of this machine may listen on, too.
        :raise CannotServe: one can't be bound; the others are closed.
        """
        listeners, turns, endings = cls(), HandshakeQueue(reactor), Spreading(reactor)
        for section, descriptions in sections.items():
            board = listeners._switchboards[section] = _Switchboard()
            binder: Any = Binder(reactor, section in shared, turns, endings)
            ports = listeners._ports.setdefault(section, [])
            for description in descriptions:
                try:
                    setting = "web.listen" if section == WEB_TLS else f"{section}.listen"
                    ports.append(listen(binder, setting, description, board))
                except CannotServe:
                    listeners.close()
                    raise
        return listeners

    def port(self, section: str) -> int:
        """Return the port of a section's first listener, or of the front."""
        return port_number(self._first(section))

    def local_address(self, section: str) -> str:
        """Say where this machine reaches that listener, as host and port."""
        address = self._first(section).getHost()
        assert isinstance(address, IPv4Address | IPv6Address)
        return f"{host_of(address.host)}:{address.port}"

    def _first(self, section: str) -> IListeningPort:
        own = self._ports[section] + (self._ports.get(WEB_TLS, []) if section == "web" else [])
        return (own or self._ports["front"])[0]

    def serve(self, section: str, factory: IProtocolFactory) -> None:
        """Begin to answer on a section's sockets."""
        factory.doStart()
        self._switchboards[section].inner = factory

    def close(self) -> Deferred[Any]:
        """Stop accepting on all of them."""
        ports = [port for section in self._ports.values() for port in section]
        self._ports.clear()
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])
