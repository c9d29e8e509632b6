"""Builds the parts of a pod that serve connectors: listener, joining, and links."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from tunnelcloud import __version__
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.domain.addresses import Network, read_networks
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.joining import JoinServer
from tunnelcloud.link.protocol import End, LinkProtocol
from tunnelcloud.link.requests import Hello
from tunnelcloud.link.tls import PodTLS
from tunnelcloud.net.behind_balancer import BehindBalancers
from tunnelcloud.net.message_scheduling import SharedTurn
from tunnelcloud.net.source_limits import FloodControl
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pod.certificate_expiry import Ending
from tunnelcloud.pod.connector_certificates import Joining
from tunnelcloud.pod.connector_listener import connector_listener, door_limits
from tunnelcloud.pod.link_owner import Attendant
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.preparation import Foundation
from tunnelcloud.pod.shared_keys import SharedKeys
from tunnelcloud.pod.stored_connectors import Registrar
from tunnelcloud.settings import ConnectorsSettings, SSHSettings


def spared_networks(section: SSHSettings | ConnectorsSettings) -> tuple[Network, ...]:
    """Return the networks without penalties: those in the settings, and the balancers."""
    return read_networks([*section.exempt_networks, *section.proxy_protocol_from])


class ConnectorSide:
    """A pod's side towards connectors.

    :ivar attendant: answers what connectors ask over their links.
    :ivar ending: warns of certificates that end soon.
    :ivar flood: limits how often a source may connect.
    :ivar listener: makes the protocols of connections, whose sources are known.
    :ivar factory: the same, behind the balancers that are set.
    """

    def __init__(
        self,
        reactor: Any,
        foundation: Foundation,
        *,
        links: Links,
        registrar: Registrar,
        pods: Callable[[], Sequence[PublicAddress]],
        budget: CreditBudget,
        room: int,
        now: Callable[[], datetime],
        keys: SharedKeys,
        turn: SharedTurn,
        spreading: Spreading,
    ) -> None:
        settings = foundation.settings.connectors
        self._turn = turn
        self._spreading = spreading
        self._reactor = reactor
        self._foundation = foundation
        self._budget = budget
        self._keys = keys
        self._links = links
        self._joining = Joining(
            authorities=lambda: keys.authorities,
            registry=registrar,
            lifetime=timedelta(seconds=settings.certificate_lifetime),
            pods=pods,
            now=now,
            grace=timedelta(seconds=settings.renewal_grace),
        )
        self.attendant = Attendant(
            links=links,
            registry=registrar,
            joining=self._joining,
            pods=pods,
            now=now,
            max_links=settings.links_per_connector,
            clock=reactor,
        )
        keys.listen(self.attendant.authorities_changed)
        self._tls = PodTLS(lambda: keys.authorities, now)
        self.ending = Ending(
            registrar.store, keys, lambda: self._tls.ends_at, self._joining.lifetime, now
        )
        self.flood = FloodControl(
            reactor,
            random.SystemRandom().random,
            door_limits(room),
            exempt=spared_networks(settings),
        )
        self.listener = connector_listener(
            self._tls,
            self._make_link,
            self._make_join_server,
            reactor,
            self.flood,
            room,
        )
        balancers = read_networks(settings.proxy_protocol_from)
        self.factory = BehindBalancers(self.listener, balancers, reactor)

    def certificate_ends(self) -> dict[str, datetime]:
        """Tell when certificates end: the CA's, this pod's, and the first of those attached."""
        authority = self._keys.authorities.all[0].certificate.not_valid_after_utc
        ends = {"authority": authority, "pod": self._tls.ends_at}
        attached = (one.connector.certificate_expires_at for one in self._links.attached)
        first = min((end for end in attached if end is not None), default=None)
        return ends if first is None else {**ends, "connector": first}

    def _make_link(self) -> LinkProtocol:
        settings = self._foundation.settings
        return LinkProtocol(
            End.POD,
            Hello(settings.name, __version__),
            self.attendant,
            self._reactor,
            account=self._budget.account(),
            handlers=self.attendant.handlers,
            longest_silence=settings.connectors.longest_silence,
            turn=self._turn,
            spreading=self._spreading,
        )

    def _make_join_server(self) -> JoinServer:
        return JoinServer(self._joining.answer)
