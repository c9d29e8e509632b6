"""Builds the parts of a pod that know what users have open, and end what isn't allowed any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from tunnelcloud.domain.entities import Session, UserView
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import Decision
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pod.change_feed_outage import LIMIT_SECONDS, BlindLimit
from tunnelcloud.pod.cluster import Cluster
from tunnelcloud.pod.connector_side import ConnectorSide
from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.enforcement import SWEEP_SECONDS, Enforcement
from tunnelcloud.pod.expired_keys import EXPIRED_KEYS_SECONDS, ExpiredKeys
from tunnelcloud.pod.held_channels import HeldChannels, ask_for_channel
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.live_session import LiveSession
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.path_check import Doctor
from tunnelcloud.pod.preparation import Foundation
from tunnelcloud.pod.records import Records
from tunnelcloud.pod.session_dependencies import Surroundings
from tunnelcloud.pod.target_checks import TargetChecks
from tunnelcloud.pod.tunnel_descriptions import describe
from tunnelcloud.pod.user_shares import Shares
from tunnelcloud.pod.user_views import Views
from tunnelcloud.pod.work_in_turns import Turns
from tunnelcloud.ssh.interfaces import DoctorStep, TunnelRow
from tunnelcloud.store import approvals
from tunnelcloud.store.asynchronous import AsyncStore


class SessionParts:
    """The sessions of a pod, the channels that wait for an approval, and what ends both.

    :ivar held: the channels that wait.
    :ivar sessions: the sessions that are open.
    :ivar enforcement: ends sessions and channels that aren't allowed any more.
    """

    def __init__(
        self,
        reactor: Any,
        foundation: Foundation,
        *,
        store: AsyncStore,
        cluster: Cluster,
        connectors: ConnectorSide,
        links: Links,
        records: Records,
        views: Views,
        doctor: Doctor,
        checks: TargetChecks,
        counters: Counters,
        spreading: Spreading,
        feed_down_for: Callable[[], float],
        web_url: Callable[[], str],
        max_sessions: int,
        now: Callable[[], datetime],
    ) -> None:
        """
        :param feed_down_for: returns for how many seconds changes may have been missed.
        :param web_url: returns where people reach the portal, without a slash at the end.
        :param max_sessions: how many sessions this pod may have open.
        """
        settings = foundation.settings
        self._foundation = foundation
        self._links = links
        self._views = views
        self._doctor = doctor
        self._checks = checks
        self.held = HeldChannels(
            lambda held: store.write(ask_for_channel, held),
            lambda ids: store.read(approvals.answers, ids),
            reactor,
            lambda: f"{web_url()}/requests",
        )
        self.sessions = LiveSessions(
            Surroundings(
                refuses=cluster.refusal,
                links=links,
                records=records,
                views=views,
                clock=reactor,
                now=now,
                describe=self._describe,
                doctor=self._examine,
                turns=Turns(reactor),
                spread=spreading.run,
                address=lambda: foundation.ssh_address,
                held=self.held,
                patience=settings.connectors.unread_timeout,
                counters=counters,
            ),
            Shares(**settings.shares.model_dump()),
            max_sessions=max_sessions,
        )
        self.enforcement = Enforcement(
            self.sessions,
            views,
            reactor,
            Turns(reactor),  # what ends doesn't wait for what is shown
            end_requests=cluster.end_requests,
            good_keys=cluster.good_keys,
            reconcile=cluster.reconcile,
            review_links=connectors.attendant.review,
            longest_unread=settings.database.max_blind,
        )
        self._expired_keys = ExpiredKeys(store, self.enforcement.keys_expired)
        self._blind_limit = BlindLimit(
            feed_down_for, settings.database.max_blind, self.sessions.end_all
        )

    def works(self) -> dict[str, tuple[Callable[[], object], float]]:
        """Give the periodic work, each with the seconds between two runs."""
        return {
            "sweep": (self.enforcement.sweep, SWEEP_SECONDS),
            "blind limit": (self._blind_limit.check, LIMIT_SECONDS),
            "expired keys": (self._expired_keys.look, EXPIRED_KEYS_SECONDS),
        }

    def _describe(
        self, view: UserView, session: Session, tunnel: Tunnel, decision: Decision
    ) -> TunnelRow:
        attached = self._links.pick(tunnel.site_id) is not None
        seen = self._checks.faults(tunnel.id)
        address = self._foundation.ssh_address
        return describe(view, session, tunnel, address, attached, decision, seen)

    async def _examine(self, live: LiveSession, tunnel: Tunnel) -> AsyncIterator[DoctorStep]:
        view = await self._views.get(live.session.user_id)
        port = tunnel.target_ports[0].first
        async for step in self._doctor.check(tunnel, port, live.decide_tunnel(view, tunnel, port)):
            yield step
