"""Builds the parts of a pod that serve browsers and API clients: the site, and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred

from tunnelcloud import __version__
from tunnelcloud.domain.addresses import read_networks
from tunnelcloud.net.fetch_on_demand import fetch_by_network
from tunnelcloud.pod.byte_rates import Rates
from tunnelcloud.pod.cluster import Cluster
from tunnelcloud.pod.connector_side import ConnectorSide
from tunnelcloud.pod.dns_check import DNSCheck
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.live_pod import LivePod
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.lost_connectors import LostConnectors
from tunnelcloud.pod.preparation import Foundation
from tunnelcloud.pod.shared_keys import SharedKeys
from tunnelcloud.pod.ssh_side import SshSide
from tunnelcloud.pod.target_checks import TargetChecks
from tunnelcloud.pod.web_tls import WebTLS
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.tree import make_site


class WebSide:
    """A pod's side towards browsers and API clients.

    :ivar live: the pod as the API and the pages see it.
    :ivar site: makes the protocols of connections.
    """

    def __init__(
        self,
        reactor: Any,
        foundation: Foundation,
        *,
        url: str,
        store: AsyncStore,
        cluster: Cluster,
        ssh: SshSide,
        connectors: ConnectorSide,
        sessions: LiveSessions,
        links: Links,
        lost: LostConnectors,
        checks: TargetChecks,
        rates: Rates,
        keys: SharedKeys,
        tls: WebTLS,
        room: int,
        ready_checks: Mapping[str, Callable[[], str | None]],
        metrics: Callable[[], tuple[str, bytes]],
        token_lifetime: Callable[[], int],
        now: Callable[[], datetime],
    ) -> None:
        """
        :param url: where people reach the site, without a slash at the end.
        :param room: how many connections the site may have.
        :param ready_checks: by name, what says why the pod isn't ready; None if it is.
        :param metrics: returns the content type and the text of ``/metrics``.
        :param token_lifetime: returns the seconds for which one-time tokens are good.
        """
        settings = foundation.settings
        self._cluster = cluster
        self._own_host = foundation.ssh_address.host
        self.live = LivePod(
            pod_id=foundation.seat.pod_id,
            started_at=now(),
            ssh_public_address=foundation.ssh_address,
            connectors_public_address=foundation.connectors_address,
            shared_keys=keys,
            ending=connectors.ending.warnings,
            sessions=sessions,
            links=links,
            lost=lost,
            checks=checks,
            rates=rates,
            request_end=cluster.request_end,
            presence=cluster.presence,
            ssh_addresses=cluster.ssh_addresses,
            names=cluster.external_addresses,
            dns_check=DNSCheck.by_system(reactor, self._ssh_hosts),
            certificate=tls.state,
            penalties=ssh.penalties,
        )
        self._context = ApiContext(
            store=store,
            live=self.live,
            web_url=url,
            clock=reactor,
            sealer=foundation.sealer,
            fetch=fetch_by_network(reactor),
            browser_login=settings.ssh.browser_login,
            token_lifetime=token_lifetime,
            tell_time=now,
        )
        self.site = make_site(
            self._context,
            version=__version__,
            metrics=None if settings.has_metrics_apart else metrics,
            ready_checks=ready_checks,
            proxies=read_networks(settings.web.trusted_proxies),
            room=room,
            warning=tls.outline,
            challenge_answer=None if tls.answers is None else tls.answers.of,
        )

    def changed(self, change: Change | Resync) -> None:
        """Take a notice from the change feed."""
        self._context.tell(change)

    def share_failures(self) -> Deferred[None]:
        """Tell the other pods whose sign-ins failed here."""
        return self._context.shared_attempts.send()

    def _ssh_hosts(self) -> list[str]:
        others = (address.host for address in self._cluster.ssh_addresses())
        return [self._own_host, *others]
