"""The pod's services, joined: front door, links, web, cluster; started and stopped in order."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.application.service import Service
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from tunnelcloud import __version__, daemon
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.domain.addresses import Network, read_networks
from tunnelcloud.domain.entities import Session, Tunnel, UserView
from tunnelcloud.link.joining import JoinServer
from tunnelcloud.link.protocol import End, LinkProtocol
from tunnelcloud.link.requests import Hello
from tunnelcloud.link.tls import PodTLS
from tunnelcloud.net.flood import FloodControl
from tunnelcloud.net.proxied import BehindBalancers
from tunnelcloud.net.resolver import ThreadedResolver
from tunnelcloud.pod.access import Access, Realm
from tunnelcloud.pod.attendant import Attendant
from tunnelcloud.pod.blind_limit import LIMIT_SECONDS, BlindLimit
from tunnelcloud.pod.bound_ports import Listeners
from tunnelcloud.pod.checks import LOOK_SECONDS, TargetChecks
from tunnelcloud.pod.cluster import BEAT_SECONDS, DEAF_SECONDS, Cluster
from tunnelcloud.pod.connector_certificates import Joining
from tunnelcloud.pod.connector_door import connector_listener, door_limits
from tunnelcloud.pod.counters import DELAY_SECONDS, Counters
from tunnelcloud.pod.describe import describe
from tunnelcloud.pod.descriptors import divide, raise_limit
from tunnelcloud.pod.dns_check import DNSCheck
from tunnelcloud.pod.doctor import Doctor
from tunnelcloud.pod.enforcement import SWEEP_SECONDS, Enforcement
from tunnelcloud.pod.foundation import Foundation
from tunnelcloud.pod.front import Front
from tunnelcloud.pod.health import Health
from tunnelcloud.pod.held import HeldChannels, ask_for_channel
from tunnelcloud.pod.housekeeping import KEEP_HOUSE_SECONDS, Housekeeping
from tunnelcloud.pod.keyring import KeyRing, find_key
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.live import LivePod
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.lost_connectors import LostConnectors
from tunnelcloud.pod.metrics import Measured, metrics_registry
from tunnelcloud.pod.rates import SAMPLE_SECONDS, Rates
from tunnelcloud.pod.records import Records
from tunnelcloud.pod.registrar import Registrar
from tunnelcloud.pod.reloading import Reloading, takers
from tunnelcloud.pod.sessions import SHUTDOWN_REASON, LiveSession
from tunnelcloud.pod.shares import Shares
from tunnelcloud.pod.supervision import Supervisor
from tunnelcloud.pod.surroundings import Surroundings
from tunnelcloud.pod.traffic import NOTE_SECONDS, TrafficNotes
from tunnelcloud.pod.turns import Turns
from tunnelcloud.pod.views import Views
from tunnelcloud.pod.web_certificate import CHECK_SECONDS, WebCertificate
from tunnelcloud.settings import ConnectorsSettings, PodSettings, SSHSettings
from tunnelcloud.ssh.checkers import KeyChecker, TokenChecker
from tunnelcloud.ssh.factory import FrontDoorFactory
from tunnelcloud.ssh.host_keys import ServingKey
from tunnelcloud.ssh.interfaces import DoctorStep, TunnelRow
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.store import approvals
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.changes import open_feed
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.web.oidc.fetching import HttpFetch
from tunnelcloud.web.portal.invitations import first_administrator_link
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.tree import make_site, metrics_site

REVIEW_SECONDS = 30.0

_log = Logger()


def _tokens_from(public_url: str | None) -> str:
    """Say where users get one-time tokens: by its address where that is known to all."""
    return "the Applications Portal" if public_url is None else f"{public_url}/"


def _spared(section: SSHSettings | ConnectorsSettings) -> tuple[Network, ...]:
    """Give the networks without penalties: those that are set, and the balancers themselves."""
    return read_networks([*section.exempt_networks, *section.proxy_protocol_from])


def _now() -> datetime:
    return datetime.now(UTC)


class PodService(Service):
    """One pod.

    :ivar first_administrator_link: what whoever starts it has to see; None once there is one.
    """

    def __init__(
        self,
        reactor: Any,
        foundation: Foundation,
        ports: Listeners,
        say: Callable[[str], None] = daemon.say,
        read_settings: Callable[[], PodSettings] | None = None,
    ) -> None:
        self.foundation = foundation
        self._say = say
        self._reactor = reactor
        self._ports = ports
        doors = divide(raise_limit())
        settings = foundation.settings
        read_settings = read_settings or (lambda: settings)
        self._counters = Counters()
        foundation.store.listen(self._counters.committed)
        feed = open_feed(foundation.store, reactor)
        self.health = Health(reactor, feed.down_for, DEAF_SECONDS)
        self.store = AsyncStore(
            foundation.store,
            reactor,
            self._counters.answered,
            write_failed=self.health.write_failed,
        )
        self.links = Links()
        self.doctor = Doctor(self.links, reactor, _now)
        self.cluster = Cluster(
            self.store,
            feed,
            foundation.seat,
            self.health,
            self.links.connector_ids,
            lambda: self.sessions.open_ids(),
        )
        self.supervisor = Supervisor(reactor)
        self._ready_checks = {
            "serving": self._why_not_serving,
            "store": self.health.why_not_hearing,
            "database": self.health.why_not_writing,
        }
        self.views = Views(self.cluster.load_views, lambda: self.cluster.is_current)
        self.records = Records(self.store, reactor)
        turns = Turns(reactor)
        self.held = HeldChannels(
            lambda held: self.store.write(ask_for_channel, held),
            lambda ids: self.store.read(approvals.answers, ids),
            reactor,
            lambda request_id: f"{self.web_url}/requests/{request_id}",
        )
        self.sessions = LiveSessions(
            Surroundings(
                refuses=self.cluster.refusal,
                links=self.links,
                records=self.records,
                views=self.views,
                clock=reactor,
                now=_now,
                describe=self._describe,
                doctor=self._examine,
                turns=turns,
                address=lambda: foundation.ssh_address,
                held=self.held,
                patience=foundation.settings.connectors.unread_timeout,
            ),
            Shares(**settings.shares.model_dump()),
            max_sessions=doors.sessions,
        )
        registrar = Registrar(self.store, foundation.seat.pod_id, Refusals(self.store, reactor))
        self.links.listen(registrar)
        joining = Joining(
            authority=foundation.authority,
            registry=registrar,
            lifetime=timedelta(seconds=settings.connectors.certificate_lifetime),
            pods=self.cluster.connectors_addresses,
            now=_now,
        )
        self.attendant = Attendant(
            links=self.links,
            registry=registrar,
            joining=joining,
            pods=self.cluster.connectors_addresses,
            now=_now,
            max_links=settings.connectors.links_per_connector,
            clock=reactor,
        )
        self.budget = CreditBudget()
        self.flood = FloodControl(
            reactor,
            random.SystemRandom().random,
            doors.flood_limits,
            exempt=_spared(settings.ssh),
        )
        self.ring = KeyRing(lambda blob: self.store.read(find_key, blob))
        access = Access(
            self.store,
            foundation.seat.pod_id,
            self.views,
            self.ring,
            self.sessions.has_room,
            self.cluster.refusal,
        )
        self.front_door = FrontDoorFactory(
            portal=Portal(Realm(self.sessions, access), [KeyChecker(access), TokenChecker(access)]),
            access=access,
            host_keys=[ServingKey.read(key.private_key) for key in foundation.host_keys],
            clock=reactor,
            flood=self.flood,
            budget=self.budget,
            limits=Limits(
                rekey_bytes=settings.ssh.rekey_bytes, rekey_seconds=settings.ssh.rekey_after
            ),
            balancers=settings.ssh.proxy_protocol_from,
            tokens_from=_tokens_from(settings.web.public_url),
        )
        self.enforcement = Enforcement(
            self.sessions,
            self.views,
            reactor,
            turns,
            end_requests=self.cluster.end_requests,
            good_keys=self.cluster.good_keys,
            reconcile=self.cluster.reconcile,
            review_links=self.attendant.review,
        )
        self._blind_limit = BlindLimit(
            feed.down_for, settings.database.max_blind, self.sessions.end_all
        )
        self.checks = TargetChecks(self.store, self.links, self.doctor, reactor, _now)
        self.rates = Rates(reactor, self.sessions.count)
        self.traffic = TrafficNotes(self.store, self.sessions.count)
        losses = LostConnectors(_now)
        self.links.listen(losses)
        self.links.listen(self.checks)
        self.live = LivePod(
            pod_id=foundation.seat.pod_id,
            started_at=_now(),
            ssh_public_address=foundation.ssh_address,
            connectors_public_address=foundation.connectors_address,
            certificate_authority=foundation.authority,
            host_keys=foundation.host_keys,
            sessions=self.sessions,
            links=self.links,
            losses=losses,
            checks=self.checks,
            rates=self.rates,
            request_end=self.cluster.request_end,
            presence=self.cluster.presence,
            ssh_addresses=self.cluster.ssh_addresses,
            names=self.cluster.external_addresses,
            reach=DNSCheck(ThreadedResolver(reactor, timeout=2, most=8, keep=0), self._ssh_hosts),
        )
        self.link_flood = FloodControl(
            reactor,
            random.SystemRandom().random,
            door_limits(doors.joining),
            exempt=_spared(settings.connectors),
        )
        self.link_listener = connector_listener(
            PodTLS(foundation.authority, _now),
            self._make_link,
            self._make_join_server,
            reactor,
            self.link_flood,
            doors.joining,
        )
        self._joining = joining
        self._certificate = WebCertificate.of(settings.web)
        self._registry = metrics_registry(
            Measured(
                sessions=self.sessions,
                held=self.held,
                links=self.links,
                flood=self.flood,
                link_flood=self.link_flood,
                budget=self.budget,
                checks=self.checks,
                supervisor=self.supervisor,
                records=self.records,
                feed_age=feed.down_for,
                certificates=self._certificate_ends,
                database=foundation.database_file,
                ready=self._is_ready,
                now=_now,
            )
        )
        self._counters.register(self._registry)
        self._web = make_site(
            ApiContext(
                store=self.store,
                live=self.live,
                web_url=self.web_url,
                clock=reactor,
                sealer=foundation.sealer,
                fetch=HttpFetch(reactor),
                token_lifetime=lambda: self._reloading.settings.tokens.lifetime,
            ),
            version=__version__,
            registry=None if settings.has_metrics_apart else self._registry,
            ready_checks=self._ready_checks,
            proxies=read_networks(settings.web.trusted_proxies),
            room=doors.web,
        )
        self._front = Front(
            ssh=self.front_door,
            connectors=self.link_listener,
            web=None if self._certificate is None else self._certificate.before(self._web, reactor),
            portal=self.web_url,
            clock=reactor,
            balancers=settings.front.proxy_protocol_from,
            room=doors.undecided,
        )
        self._reloading = Reloading(
            settings, read_settings, takers(settings, self.flood, self._web)
        )
        self.serving = False
        self.first_administrator_link = first_administrator_link(foundation.store, self.web_url)

    @property
    def web_url(self) -> str:
        """Where the web listener is, without a slash at the end."""
        web = self.foundation.settings.web
        scheme = "http" if web.listen or web.certificate is None else "https"
        return web.public_url or f"{scheme}://127.0.0.1:{self.port('web')}"

    def port(self, section: str) -> int:
        """Give the port that a section (``"ssh"``, ``"connectors"``, ``"web"``) listens on."""
        return self._ports.port(section)

    def privilegedStartService(self) -> None:
        """Begin to accept connections, on the sockets that were bound before."""
        self._ports.serve("ssh", self.front_door)
        balancers = read_networks(self.foundation.settings.connectors.proxy_protocol_from)
        self._ports.serve(
            "connectors", BehindBalancers(self.link_listener, balancers, self._reactor)
        )
        self._ports.serve("web", self._web)
        self._ports.serve("metrics", metrics_site(self._registry, self._reactor))
        self._ports.serve("front", self._front)

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()  # type: ignore[no-untyped-call]
        self.cluster.start(self._changed, self.attendant.announce_pods)
        works: dict[str, tuple[Callable[[], object], float]] = {
            "heartbeat": (self.cluster.beat, BEAT_SECONDS),
            "sweep": (self.enforcement.sweep, SWEEP_SECONDS),
            "blind limit": (self._blind_limit.check, LIMIT_SECONDS),
            "review": (self.attendant.review, REVIEW_SECONDS),
            "housekeeping": (Housekeeping(self.store).run, KEEP_HOUSE_SECONDS),
            "checks": (self.checks.run, LOOK_SECONDS),
            "rates": (self.rates.sample, SAMPLE_SECONDS),
            "traffic": (self.traffic.write, NOTE_SECONDS),
            "clock": (self._counters.clock_watch(self._reactor), DELAY_SECONDS),
        }
        if self._certificate:
            works["certificate"] = (self._certificate.check, CHECK_SECONDS)
        for name, (work, seconds) in works.items():
            self.supervisor.run(name, work, seconds)
        self.serving = True
        daemon.on_hangup(self._reactor, self.reload)
        daemon.tell_ready(self._reactor)
        if self.first_administrator_link is not None:
            self._say(f"First administrator: {self.first_administrator_link}")
        _log.info("{name} is ready", name=self.foundation.settings.name)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop accepting, let connections end, end them, and put the books in order."""
        super().stopService()  # type: ignore[no-untyped-call]
        self.serving = False
        daemon.notify("STOPPING=1")
        yield self.cluster.drain()
        yield self._ports.close()
        self.front_door.end_unauthenticated(SHUTDOWN_REASON)
        self.links.drain()
        yield self.sessions.drained(self._reloading.settings.drain)
        self.sessions.end_all(SHUTDOWN_REASON)
        self.front_door.end_all(SHUTDOWN_REASON)
        yield self.sessions.drained(1.0)
        self.supervisor.stop()
        for link in self.links.attached:
            link.protocol.disconnect(SHUTDOWN_REASON)
        yield self.records.finish()
        yield self.cluster.stop()
        yield deferToThread(self.foundation.store.close)

    def reload(self) -> None:
        """Read settings and certificates again; no stream is touched."""
        self._reloading.reload()
        if self._certificate is not None:
            self._certificate.reload()

    def _ssh_hosts(self) -> list[str]:
        others = (address.host for address in self.cluster.ssh_addresses())
        return [self.foundation.ssh_address.host, *others]

    def _certificate_ends(self) -> dict[str, datetime]:
        ends = {"authority": self.foundation.authority.certificate.not_valid_after_utc}
        if self._certificate is not None:
            ends["web"] = self._certificate.ends_at
        return ends

    def _is_ready(self) -> bool:
        return all(check() is None for check in self._ready_checks.values())

    def _why_not_serving(self) -> str | None:
        return (self.cluster.refusal() or None) if self.serving else "the pod is starting"

    def _changed(self, change: Change | Resync) -> None:
        self.ring.changed(change)
        self.enforcement.changed(change)
        self.held.changed(change)
        self.checks.changed(change)

    def _make_link(self) -> LinkProtocol:
        return LinkProtocol(
            End.POD,
            Hello(self.foundation.settings.name, __version__),
            self.attendant,
            self._reactor,
            account=self.budget.account(),
            handlers=self.attendant.handlers,
            longest_silence=self.foundation.settings.connectors.longest_silence,
        )

    def _make_join_server(self) -> JoinServer:
        return JoinServer(self._joining.answer)

    def _describe(
        self, view: UserView, session: Session, tunnel: Tunnel, refusal: str
    ) -> TunnelRow:
        attached = self.links.pick(tunnel.site_id) is not None
        seen = self.checks.faults(tunnel.id)
        return describe(view, session, tunnel, self.foundation.ssh_address, attached, refusal, seen)

    async def _examine(self, live: LiveSession, tunnel: Tunnel) -> AsyncIterator[DoctorStep]:
        view = await self.views.get(live.session.user_id)
        port = tunnel.target_ports[0].first
        async for step in self.doctor.check(tunnel, port, live.decide_tunnel(view, tunnel, port)):
            yield step
