"""The pod as the API and the pages see it: what is open now, and how to end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.key_rotation import KeyUse
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net.source_limits import ShutOut
from tunnelcloud.pod.byte_rates import Rates
from tunnelcloud.pod.dns_check import DNSCheck
from tunnelcloud.pod.known_hosts import KnownHosts
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.lost_connectors import LostConnectors
from tunnelcloud.pod.penalties import SharedPenalties
from tunnelcloud.pod.router import TunnelRoute
from tunnelcloud.pod.session_information import TOO_MANY_CHECKS
from tunnelcloud.pod.shared_keys import SharedKeys
from tunnelcloud.pod.target_checks import TargetChecks
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.interfaces import (
    Authority,
    CertificateState,
    ConnectorHealth,
    ILivePod,
    LastCheck,
    LiveChannel,
    LiveSession,
    PublicHostKey,
    Usage,
    Warned,
)


@implementer(ILivePod)
@frozen(eq=False)
class LivePod:
    """Answers for one pod.

    :ivar request_end: asks the pod that has a session or a channel to end it: kind, id, reason.
    :ivar ssh_addresses: where clients reach the pods, besides ``ssh_public_address``.
    :ivar ending: says which certificates end soon.
    :ivar names: the names and addresses of tunnels that clients connect to.
    :ivar certificate: returns the state of the web's certificate, if it comes by ACME.
    """

    pod_id: str
    started_at: datetime
    ssh_public_address: PublicAddress
    connectors_public_address: PublicAddress
    shared_keys: SharedKeys
    sessions: LiveSessions
    links: Links
    lost: LostConnectors
    checks: TargetChecks
    rates: Rates
    request_end: Callable[[str, str, str], Deferred[bool]]
    presence: Callable[[str], tuple[int, int]]
    ssh_addresses: Callable[[], Sequence[PublicAddress]]
    names: Callable[[], Sequence[str]]
    dns_check: DNSCheck
    penalties: SharedPenalties
    ending: Callable[[], Sequence[Warned]]
    certificate: Callable[[], CertificateState | None] = lambda: None
    _known_hosts: KnownHosts = field(factory=KnownHosts, init=False)

    def live_session(self, session_id: str) -> LiveSession | None:
        """Show a session that is open on this pod."""
        live = self.sessions.get(session_id)
        if live is None:
            return None
        totals = live.carried.totals()
        return LiveSession(session_id, *totals, *self.rates.of(session_id, totals))

    def live_channels(self, session_id: str) -> Sequence[LiveChannel]:
        """Show the channels of a session that is open on this pod."""
        live = self.sessions.get(session_id)
        routes = () if live is None else live.routes
        return [self._channel(route) for route in routes if route.record is not None]

    def _channel(self, route: TunnelRoute) -> LiveChannel:
        assert route.record is not None
        traffic = route.bytes_to_target, route.bytes_from_target
        return LiveChannel(
            route.record.id,
            *traffic,
            route.connector_id,
            *self.rates.of(route.record.id, traffic),
        )

    def usage(self, user_id: str) -> Usage:
        """Count what a user has open."""
        return Usage(*self.sessions.usage(user_id))

    def end_session(self, session_id: str, reason: str) -> Deferred[bool]:
        """End a session, on whichever pod it is."""
        return self.request_end("session", session_id, reason)

    def end_channel(self, channel_id: str, reason: str) -> Deferred[bool]:
        """End one channel."""
        return self.request_end("channel", channel_id, reason)

    def attached_connectors(self) -> frozenset[str]:
        """Give the ids of the connectors that are attached to this pod."""
        return self.links.connector_ids()

    def connector_health(self, connector_id: str) -> ConnectorHealth | None:
        """Return the state of a connector that is attached to this pod."""
        health = self.links.health(connector_id)
        if health is None:
            return None
        trip = None if health.round_trip is None else health.round_trip * 1000
        return ConnectorHealth(trip, health.channels, health.version, health.way)

    def pods_of(self, connector_id: str) -> tuple[int, int]:
        """Tell to how many pods a connector has links, and how many pods there are."""
        attached, pods = self.presence(connector_id)
        here = self.links.health(connector_id) is not None
        return max(attached, int(here)), pods

    def cloned_connectors(self) -> Mapping[str, datetime]:
        """Tell when this pod last turned a second process of connectors away."""
        return self.lost.clones

    def lost_connectors(self) -> Mapping[str, datetime]:
        """Tell when this pod lost the last link of connectors."""
        return self.lost.recent()

    def check_tunnel(self, tunnel: Tunnel, port: int, whose: str) -> Deferred[Sequence[DoctorStep]]:
        """Check every hop from this pod to a tunnel's target, within a share of the checks."""
        return Deferred.fromCoroutine(self._check(tunnel, port, whose))

    async def _check(self, tunnel: Tunnel, port: int, whose: str) -> Sequence[DoctorStep]:
        if not self.sessions.begin_check(whose):
            return [DoctorStep("turn", False, 0.0, TOO_MANY_CHECKS)]
        try:
            return await self.checks.check(tunnel, port)
        finally:
            self.sessions.end_check(whose)

    def last_check(self, tunnel_id: str) -> LastCheck | None:
        """Return this pod's last check of a tunnel."""
        return self.checks.last(tunnel_id)

    def target_faults(self, tunnel_id: str) -> Mapping[int, str]:
        """Return the faults that this pod's last checks of a tunnel's ports found."""
        return self.checks.faults(tunnel_id)

    def failing_targets(self) -> Mapping[str, str]:
        """Return the faults of targets whose last check failed."""
        return self.checks.failing()

    def target_certificates(self) -> Mapping[str, datetime]:
        """Tell when targets' certificates end."""
        return self.checks.certificates()

    def external_address_warning(self, name: str) -> Deferred[str | None]:
        """Say why clients that connect to a host name wouldn't reach a pod."""
        return self.dns_check.warning(name)

    def authorities(self) -> Sequence[Authority]:
        """Return the pods' CAs, the one that signed their certificates first."""
        found = self.shared_keys.authorities
        uses = {KeyUse.CURRENT: found.serving, KeyUse.NEW: found.new}
        return [
            Authority(one.pin.hex(), one.certificate.not_valid_after_utc, use)
            for use, one in uses.items()
            if one is not None
        ]

    def shut_out(self, most: int) -> Sequence[ShutOut]:
        """List the sources that may not connect by SSH for now."""
        return self.penalties.shut_out(most)

    def let_in(self, transaction: Transaction, source: str) -> None:
        """Have all pods let a source connect again."""
        self.penalties.lift(transaction, source)

    def web_certificate(self) -> CertificateState | None:
        """Return the state of the web's certificate."""
        return self.certificate()

    def known_hosts_lines(self) -> Sequence[str]:
        """Give the lines for ``known_hosts``, of every name clients connect to."""
        addresses = [self.ssh_public_address, *self.ssh_addresses()]
        keys = [key.public_key for key in self.shared_keys.host_keys.all]
        return self._known_hosts.lines(addresses, self.names(), keys)

    def host_keys(self) -> Sequence[PublicHostKey]:
        """Give the host keys that clients are told, the current ones first."""
        return [
            PublicHostKey(key.public_key, key.fingerprint, use)
            for use, keys in zip(KeyUse, self.shared_keys.host_keys.uses, strict=True)
            for key in keys
        ]

    def join_token(self, secret: bytes) -> JoinToken:
        """Make a join token of a secret, this pod's address for connectors, and its CA's digest."""
        return JoinToken(
            self.connectors_public_address, self.shared_keys.authorities.serving.pin, secret
        )
