"""The pod's services, joined: front door, links, web, cluster; started and stopped in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from tunnelcloud import __version__, daemon
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.domain.addresses import read_networks
from tunnelcloud.domain.entities import Session, UserView
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import Decision
from tunnelcloud.net.fetch_on_demand import fetch_by_network
from tunnelcloud.net.message_scheduling import SharedTurn
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pod.admin_token import LOOK_SECONDS as RETIRE_SECONDS
from tunnelcloud.pod.admin_token import Retirement
from tunnelcloud.pod.bound_ports import WEB_TLS, Listeners
from tunnelcloud.pod.byte_rates import SAMPLE_SECONDS, Rates
from tunnelcloud.pod.certificate_expiry import ENDING_SECONDS
from tunnelcloud.pod.change_feed_outage import LIMIT_SECONDS, BlindLimit
from tunnelcloud.pod.cluster import BEAT_SECONDS, DEAF_SECONDS, Cluster
from tunnelcloud.pod.connector_side import ConnectorSide
from tunnelcloud.pod.counters import DELAY_SECONDS, Counters
from tunnelcloud.pod.dns_check import DNSCheck
from tunnelcloud.pod.enforcement import SWEEP_SECONDS, Enforcement
from tunnelcloud.pod.expired_keys import EXPIRED_KEYS_SECONDS, ExpiredKeys
from tunnelcloud.pod.file_descriptors import divide, raise_limit
from tunnelcloud.pod.health import Health
from tunnelcloud.pod.held_channels import HeldChannels, ask_for_channel
from tunnelcloud.pod.housekeeping import KEEP_HOUSE_SECONDS, Housekeeping
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.live_pod import LivePod
from tunnelcloud.pod.live_session import SHUTDOWN_REASON, LiveSession
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.lost_connectors import LostConnectors
from tunnelcloud.pod.one_port import Front
from tunnelcloud.pod.path_check import Doctor
from tunnelcloud.pod.penalties import SHARE_SECONDS
from tunnelcloud.pod.periodic_work import Supervisor
from tunnelcloud.pod.preparation import Foundation
from tunnelcloud.pod.records import Records
from tunnelcloud.pod.reloading import Reloading, takers
from tunnelcloud.pod.session_dependencies import Surroundings
from tunnelcloud.pod.shared_keys import SHARED_KEYS_SECONDS, SharedKeys
from tunnelcloud.pod.ssh_side import SshSide
from tunnelcloud.pod.steady_clock import SteadyClock
from tunnelcloud.pod.stored_connectors import Registrar
from tunnelcloud.pod.target_checks import LOOK_SECONDS, TargetChecks
from tunnelcloud.pod.traffic_notes import NOTE_SECONDS, TrafficNotes
from tunnelcloud.pod.tunnel_descriptions import describe
from tunnelcloud.pod.user_shares import Shares
from tunnelcloud.pod.user_views import Views
from tunnelcloud.pod.web_tls import WebTLS
from tunnelcloud.pod.work_in_turns import Turns
from tunnelcloud.settings import PodSettings
from tunnelcloud.ssh.interfaces import DoctorStep, TunnelRow
from tunnelcloud.store import approvals
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.changes import open_feed
from tunnelcloud.store.database_metrics import MEASURE_SECONDS, Measures, measure
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.web.http_limits import LimitedSite
from tunnelcloud.web.portal.invitations import first_administrator_link
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.tree import make_site, metrics_site

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

REVIEW_SECONDS = 30.0

_log = Logger()
_UNHEARD = (
    "there is no administrator yet, and the link for the first one was printed where nobody sees "
    "it: stop the pod and start it with `twistd -n`, which prints a new one"
)


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
        self._doors = divide(raise_limit())
        settings = foundation.settings
        self._counters = Counters()
        self._measures = Measures()
        foundation.store.listen(self._counters.committed)
        self._feed = feed = open_feed(foundation.store, reactor)
        self.health = Health(reactor, feed.down_for, DEAF_SECONDS)
        self.store = AsyncStore(
            foundation.store,
            reactor,
            self._counters.answered,
            write_failed=self.health.write_failed,
        )
        self.keys = SharedKeys(foundation.secrets, self.store)
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
            "sealing key": foundation.secrets.why_not_ready,
        }
        self.views = Views(self.cluster.load_views, lambda: self.cluster.is_current)
        self.records = Records(self.store, reactor)
        self.budget = CreditBudget()
        self._spreading, turn = Spreading(reactor), SharedTurn(reactor)
        registrar = Registrar(self.store, foundation.seat.pod_id, Refusals(self.store, reactor))
        self.links.listen(registrar)
        self.connectors = ConnectorSide(
            reactor,
            foundation,
            links=self.links,
            registrar=registrar,
            pods=self.cluster.connectors_addresses,
            budget=self.budget,
            room=self._doors.joining,
            now=_now,
            keys=self.keys,
            turn=turn,
            spreading=self._spreading,
        )
        self._make_sessions(Turns(reactor))
        self.ssh = SshSide(
            reactor,
            foundation,
            store=self.store,
            sessions=self.sessions,
            views=self.views,
            refusal=self.cluster.refusal,
            room=self._doors.flood_limits,
            budget=self.budget,
            keys=self.keys,
            turn=turn,
            spreading=self._spreading,
        )
        self._lost_connectors = LostConnectors(_now)
        self.links.listen(self._lost_connectors)
        self.checks = TargetChecks(self.store, self.links, self.doctor, reactor, _now)
        self.links.listen(self.checks)
        self.rates = Rates(reactor, self.sessions.count)
        self._retirement = Retirement(self.store, settings.state_directory)
        self.traffic = TrafficNotes(self.store, self.sessions.count)
        self._tls = WebTLS(reactor, foundation, self.store, _now)
        self.connectors.ending.watch_web(self._tls.warnings)
        self._registry: CollectorRegistry | None = None
        self._web = self._make_web()
        self._front = Front(
            ssh=self.ssh.factory,
            connectors=self.connectors.listener,
            web=self._tls.before(self._web),
            portal=self.web_url,
            clock=reactor,
            balancers=settings.front.proxy_protocol_from,
            room=self._doors.undecided,
            answers=self._tls.answers,
        )
        self._notices: dict[str, tuple[Callable[[], object], float]] = {}
        if foundation.sinks.takes_notices:
            from tunnelcloud.pod.notices import make_notices

            self._notices = make_notices(
                foundation, self.store, reactor, self.live, self._tls.is_ending, self.web_url, _now
            )
        self._reloading = Reloading(
            settings,
            read_settings or (lambda: settings),
            takers(settings, self.ssh.flood, self._web),
        )
        self.serving = False
        self.first_administrator_link = first_administrator_link(foundation.store, self.web_url)

    def _make_sessions(self, turns: Turns) -> None:
        """Make what knows the sessions, and what ends them."""
        settings = self.foundation.settings
        self.held = HeldChannels(
            lambda held: self.store.write(ask_for_channel, held),
            lambda ids: self.store.read(approvals.answers, ids),
            self._reactor,
            lambda: f"{self.web_url}/requests",
        )
        self.sessions = LiveSessions(
            Surroundings(
                refuses=self.cluster.refusal,
                links=self.links,
                records=self.records,
                views=self.views,
                clock=self._reactor,
                now=_now,
                describe=self._describe,
                doctor=self._examine,
                turns=turns,
                spread=self._spreading.run,
                address=lambda: self.foundation.ssh_address,
                held=self.held,
                patience=settings.connectors.unread_timeout,
                counters=self._counters,
            ),
            Shares(**settings.shares.model_dump()),
            max_sessions=self._doors.sessions,
        )
        self.enforcement = Enforcement(
            self.sessions,
            self.views,
            self._reactor,
            turns,
            end_requests=self.cluster.end_requests,
            good_keys=self.cluster.good_keys,
            reconcile=self.cluster.reconcile,
            review_links=self.connectors.attendant.review,
        )
        steady = SteadyClock(self._reactor)
        self._housekeeping = Housekeeping(self.store, is_steady=steady.is_steady)
        self._expired_keys = ExpiredKeys(self.store, self.enforcement.keys_expired)
        self._blind_limit = BlindLimit(
            self._feed.down_for, settings.database.max_blind, self.sessions.end_all
        )

    def _metrics(self) -> tuple[str, bytes]:
        """Write what is measured; what writes it is loaded when it is asked for first."""
        from tunnelcloud.pod.metrics import written

        if self._registry is None:
            self._registry = self._make_registry()
        return written(self._registry)

    def _make_registry(self) -> CollectorRegistry:
        """Make the registry of what is measured."""
        from tunnelcloud.pod.metrics import Measured, metrics_registry

        return metrics_registry(
            Measured(
                sessions=self.sessions,
                held=self.held,
                links=self.links,
                flood=self.ssh.flood,
                link_flood=self.connectors.flood,
                budget=self.budget,
                checks=self.checks,
                supervisor=self.supervisor,
                records=self.records,
                sinks=self.foundation.sinks,
                feed_age=self._feed.down_for,
                certificates=self._certificate_ends,
                refused_certificates=self._tls.failures,
                measures=lambda: self._measures,
                database=self.foundation.database_file,
                ready=self._is_ready,
                now=_now,
            ),
            self._counters,
        )

    def _make_web(self) -> LimitedSite:
        """Make the site with the API and the portals."""
        foundation, settings = self.foundation, self.foundation.settings
        self.live = LivePod(
            pod_id=foundation.seat.pod_id,
            started_at=_now(),
            ssh_public_address=foundation.ssh_address,
            connectors_public_address=foundation.connectors_address,
            shared_keys=self.keys,
            ending=self.connectors.ending.warnings,
            sessions=self.sessions,
            links=self.links,
            lost=self._lost_connectors,
            checks=self.checks,
            rates=self.rates,
            request_end=self.cluster.request_end,
            presence=self.cluster.presence,
            ssh_addresses=self.cluster.ssh_addresses,
            names=self.cluster.external_addresses,
            dns_check=DNSCheck.by_system(self._reactor, self._ssh_hosts),
            certificate=self._tls.state,
            penalties=self.ssh.penalties,
        )
        self._context = ApiContext(
            store=self.store,
            live=self.live,
            web_url=self.web_url,
            clock=self._reactor,
            sealer=foundation.sealer,
            fetch=fetch_by_network(self._reactor),
            browser_login=settings.ssh.browser_login,
            token_lifetime=lambda: self._reloading.settings.tokens.lifetime,
        )
        return make_site(
            self._context,
            version=__version__,
            metrics=None if settings.has_metrics_apart else self._metrics,
            ready_checks=self._ready_checks,
            proxies=read_networks(settings.web.trusted_proxies),
            room=self._doors.web,
            warning=self._tls.outline,
            challenge_answer=None if self._tls.answers is None else self._tls.answers.of,
        )

    @property
    def web_url(self) -> str:
        """Where the web listener is, without a slash at the end."""
        web = self.foundation.settings.web
        scheme = "https" if web.has_own_tls and not web.plain_listen else "http"
        return web.public_url or f"{scheme}://127.0.0.1:{self.port('web')}"

    def port(self, section: str) -> int:
        """Give the port that a section (``"ssh"``, ``"connectors"``, ``"web"``) listens on."""
        return self._ports.port(section)

    def privilegedStartService(self) -> None:
        """Begin to accept connections, on the sockets that were bound before."""
        self._ports.serve("ssh", self.ssh.factory)
        self._ports.serve("connectors", self.connectors.factory)
        self._ports.serve("web", self._web)
        self._ports.serve("metrics", metrics_site(self._metrics, self._reactor))
        self._ports.serve("front", self._front)
        self._ports.serve(WEB_TLS, self._tls.door(self._web, self.web_url, self._doors.undecided))

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()  # type: ignore[no-untyped-call]
        self.foundation.sinks.start(self._reactor)
        self.cluster.start(self._changed, self.connectors.attendant.announce_pods)
        works: dict[str, tuple[Callable[[], object], float]] = {
            "heartbeat": (self.cluster.beat, BEAT_SECONDS),
            "sweep": (self.enforcement.sweep, SWEEP_SECONDS),
            "blind limit": (self._blind_limit.check, LIMIT_SECONDS),
            "expired keys": (self._expired_keys.look, EXPIRED_KEYS_SECONDS),
            "review": (self.connectors.attendant.review, REVIEW_SECONDS),
            "housekeeping": (self._housekeeping.run, KEEP_HOUSE_SECONDS),
            "admin.token": (self._retirement.look, RETIRE_SECONDS),
            "checks": (self.checks.run, LOOK_SECONDS),
            "shared keys": (self.keys.look, SHARED_KEYS_SECONDS),
            "rates": (self.rates.sample, SAMPLE_SECONDS),
            "traffic": (self.traffic.write, NOTE_SECONDS),
            "endings": (self.connectors.ending.look, ENDING_SECONDS),
            "measures": (self._measure, MEASURE_SECONDS),
            "clock": (self._counters.clock_watch(self._reactor), DELAY_SECONDS),
        }
        if self.foundation.database_file is None:
            works["penalties"] = (self.ssh.penalties.send, SHARE_SECONDS)
            works["sign-in failures"] = (self._context.shared_attempts.send, SHARE_SECONDS)
        works |= self._tls.works() | self._notices
        for name, (work, seconds) in works.items():
            self.supervisor.run(name, work, seconds)
        self.serving = True
        daemon.on_hangup(self._reactor, self.reload)
        daemon.tell_ready(self._reactor)
        if self.first_administrator_link is not None:
            self._say(f"First administrator: {self.first_administrator_link}")
            if not daemon.is_heard():
                _log.warn(_UNHEARD)
        _log.info("{name} is ready", name=self.foundation.settings.name)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop accepting, let connections end, end them, and put the books in order."""
        super().stopService()  # type: ignore[no-untyped-call]
        self.serving = False
        daemon.notify("STOPPING=1")
        yield self.cluster.drain()
        yield self._ports.close()
        self.ssh.factory.end_unauthenticated(SHUTDOWN_REASON)
        self.links.drain()
        yield self.sessions.drained(self._reloading.settings.drain)
        self.sessions.end_all(SHUTDOWN_REASON)
        self.ssh.factory.end_all(SHUTDOWN_REASON)
        yield self.sessions.drained(1.0)
        self.supervisor.stop()
        for link in self.links.attached:
            link.protocol.disconnect(SHUTDOWN_REASON)
        yield self.records.finish()
        yield self.cluster.stop()
        self.foundation.sinks.stop()
        yield deferToThread(self.foundation.store.close)

    def reload(self) -> None:
        """Read settings and certificates again; no stream is touched."""
        self._reloading.reload()
        self.foundation.sinks.reopen()
        self._tls.reload()

    def _ssh_hosts(self) -> list[str]:
        others = (address.host for address in self.cluster.ssh_addresses())
        return [self.foundation.ssh_address.host, *others]

    def _measure(self) -> Deferred[None]:
        def keep(found: Measures) -> None:
            self._measures = found

        return self.store.read(measure).addCallback(keep)

    def _certificate_ends(self) -> dict[str, datetime]:
        return self.connectors.certificate_ends() | self._tls.ends()

    def _is_ready(self) -> bool:
        return all(check() is None for check in self._ready_checks.values())

    def _why_not_serving(self) -> str | None:
        return (self.cluster.refusal() or None) if self.serving else "the pod is starting"

    def _changed(self, change: Change | Resync) -> None:
        self.ssh.changed(change)
        self.enforcement.changed(change)
        self.held.changed(change)
        self._tls.changed(change)
        self.checks.changed(change)
        self.keys.changed(change)
        self._context.tell(change)

    def _describe(
        self, view: UserView, session: Session, tunnel: Tunnel, decision: Decision
    ) -> TunnelRow:
        attached = self.links.pick(tunnel.site_id) is not None
        seen = self.checks.faults(tunnel.id)
        address = self.foundation.ssh_address
        return describe(view, session, tunnel, address, attached, decision, seen)

    async def _examine(self, live: LiveSession, tunnel: Tunnel) -> AsyncIterator[DoctorStep]:
        view = await self.views.get(live.session.user_id)
        port = tunnel.target_ports[0].first
        async for step in self.doctor.check(tunnel, port, live.decide_tunnel(view, tunnel, port)):
            yield step
