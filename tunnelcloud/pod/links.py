"""The links that connectors hold to this pod, and the choice of one for a channel.

What holds: a link is here only after its connector was found to be active; a connector that is
deleted or drains isn't picked again.  This module knows neither TLS nor the store.
"""

from collections.abc import Iterable
from datetime import datetime

from attrs import define, field, frozen
from twisted.logger import Logger
from zope.interface import Interface, implementer

from tunnelcloud.channels.multiplexer import Multiplexer
from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.link.protocol import LinkProtocol
from tunnelcloud.net.escaping import escape
from tunnelcloud.pod.interfaces import IAttachedLink, ILinks

_DOUBTFUL = 1.5
_WAY_SHOWN = 200
"""After so many pings without an answer a link isn't picked while there is another."""

_log = Logger()


class ILinksListener(Interface):
    """Hears when connectors attach to this pod and leave it."""

    def connector_attached(connector: Connector, version: str) -> None:
        """The first link of a connector came up."""

    def connector_detached(connector: Connector, reason: str) -> None:
        """The last link of a connector went."""

    def connector_cloned(connector: Connector, reason: str) -> None:
        """Two processes are live with one connector's identity; one was turned away."""


@implementer(IAttachedLink)
@define(eq=False)
class AttachedLink:
    """One link, of one connector, that channels may be opened on."""

    protocol: LinkProtocol
    connector: Connector
    key_fingerprint: str
    """The fingerprint of the key in the connector's certificate."""
    attached_at: datetime
    picked: int = 0

    @property
    def connector_id(self) -> str:
        """The connector's id."""
        return self.connector.id

    @property
    def multiplexer(self) -> Multiplexer:
        """Opens channels to the connector."""
        return self.protocol.multiplexer

    @property
    def load(self) -> int:
        """The number of channels, pending ones included."""
        return self.protocol.channel_count

    @property
    def silence(self) -> float:
        """See ``IAttachedLink.silence``."""
        return self.protocol.liveness.silence

    def probe(self) -> None:
        """See ``IAttachedLink.probe``."""
        self.protocol.liveness.probe()

    @property
    def instance(self) -> str:
        """Which process of the connector holds this; empty if it doesn't say."""
        return self.protocol.peer.instance if self.protocol.peer is not None else ""

    @property
    def way(self) -> str:
        """See ``IAttachedLink.way``."""
        return escape(self.protocol.peer.way if self.protocol.peer is not None else "", _WAY_SHOWN)

    @property
    def responsive(self) -> bool:
        """Whether the connector has sent something recently."""
        return self.silence < _DOUBTFUL * self.protocol.liveness.ping_interval


@frozen
class ConnectorHealth:
    """The state of a connector that is attached to this pod."""

    connector: Connector
    version: str
    links: int
    channels: int
    draining: bool
    responsive: bool
    round_trip: float | None
    """Seconds, of the quickest link; None before the first answer."""
    attached_at: datetime
    way: str
    """How the connector says it reaches this pod."""


@implementer(ILinks)
@define(eq=False)
class Links:
    """The registry of links attached to this pod."""

    _by_protocol: dict[LinkProtocol, AttachedLink] = field(factory=dict, init=False)
    _by_connector: dict[str, list[AttachedLink]] = field(factory=dict, init=False)
    _by_site: dict[str, dict[str, list[AttachedLink]]] = field(factory=dict, init=False)
    _listeners: list[ILinksListener] = field(factory=list, init=False)
    _picks: int = field(default=0, init=False)

    def listen(self, listener: ILinksListener) -> None:
        """Tell ``listener`` of connectors from now on."""
        self._listeners.append(listener)

    def attach(self, link: AttachedLink) -> None:
        """Take a link whose connector was found to be active."""
        self._by_protocol[link.protocol] = link
        links = self._by_connector.setdefault(link.connector_id, [])
        links.append(link)
        self._by_site.setdefault(link.connector.site_id, {})[link.connector_id] = links
        if len(links) == 1:
            version = _version(link)
            _log.info("connector {name} attached", name=link.connector.name, version=version)
            for listener in self._listeners:
                listener.connector_attached(link.connector, version)

    def remove(self, protocol: LinkProtocol, reason: str) -> None:
        """Forget a link that is over."""
        link = self._by_protocol.pop(protocol, None)
        if link is None:
            return
        links = self._by_connector[link.connector_id]
        links.remove(link)
        if links:
            return
        del self._by_connector[link.connector_id]
        site = self._by_site[link.connector.site_id]
        del site[link.connector_id]
        if not site:
            del self._by_site[link.connector.site_id]
        _log.info("connector {name} detached: {reason}", name=link.connector.name, reason=reason)
        for listener in self._listeners:
            listener.connector_detached(link.connector, reason)

    def find(self, protocol: LinkProtocol) -> AttachedLink | None:
        """Return a link's entry; None unless it is attached."""
        return self._by_protocol.get(protocol)

    def pick(self, site_id: str, exclude: frozenset[str] = frozenset()) -> AttachedLink | None:
        """Choose the least loaded healthy link of a site; see ``ILinks.pick``.

        The connector with the fewest channels comes first, then its link with the fewest, then
        whichever was picked longest ago.  Links that are silent are a last resort.
        """
        best: tuple[tuple[bool, int, int, int], AttachedLink] | None = None
        for connector_id, links in self._by_site.get(site_id, {}).items():
            if connector_id in exclude:
                continue
            load = sum(link.load for link in links)
            for link in links:
                if link.protocol.ready:
                    rank = (not link.responsive, load, link.load, link.picked)
                    if best is None or rank < best[0]:
                        best = (rank, link)
        if best is None:
            return None
        self._picks += 1
        best[1].picked = self._picks
        return best[1]

    @property
    def attached(self) -> Iterable[AttachedLink]:
        """All links."""
        return tuple(self._by_protocol.values())

    def connector_ids(self) -> frozenset[str]:
        """Give the ids of the connectors that have links here."""
        return frozenset(self._by_connector)

    def of_connector(self, connector_id: str) -> tuple[AttachedLink, ...]:
        """All links of a connector."""
        return tuple(self._by_connector.get(connector_id, ()))

    def rivals(self, connector_id: str, instance: str) -> Iterable[AttachedLink]:
        """Return the links that other processes hold with the same connector's identity.

        A link that drains is about to end, and isn't a rival of the process that takes its place.
        """
        return tuple(
            link
            for link in self.of_connector(connector_id)
            if link.instance and instance and link.instance != instance
            if not link.protocol.peer_drains
        )

    def health(self, connector_id: str) -> ConnectorHealth | None:
        """Return the state of a connector; None unless it is attached here.

        May be called in any thread.
        """
        links = self.of_connector(connector_id)
        if not links:
            return None
        trips = [trip for link in links if (trip := link.protocol.liveness.round_trip) is not None]
        return ConnectorHealth(
            connector=links[0].connector,
            version=_version(links[0]),
            links=len(links),
            channels=sum(link.load for link in links),
            draining=not any(link.protocol.ready for link in links),
            responsive=any(link.responsive for link in links),
            round_trip=min(trips, default=None),
            attached_at=min(link.attached_at for link in links),
            way=links[0].way,
        )

    def cloned(self, connector: Connector, reason: str) -> None:
        """Tell the listeners that a second process with a connector's identity was turned away."""
        _log.error("connector {name}: {reason}", name=connector.name, reason=reason)
        for listener in self._listeners:
            listener.connector_cloned(connector, reason)

    def drain(self) -> None:
        """Tell all connectors that this pod takes no new channels; links end with their last."""
        for link in self.attached:
            link.protocol.drain()


def _version(link: AttachedLink) -> str:
    return link.protocol.peer.software if link.protocol.peer is not None else ""
