"""The pod's services, joined: front door, links, web, cluster; started and stopped in order."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from tunnelcloud import daemon
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.net.message_scheduling import SharedTurn
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pod.admin_token import LOOK_SECONDS as RETIRE_SECONDS
from tunnelcloud.pod.admin_token import Retirement
from tunnelcloud.pod.bound_ports import WEB_TLS, Listeners
from tunnelcloud.pod.byte_rates import SAMPLE_SECONDS, Rates
from tunnelcloud.pod.certificate_expiry import ENDING_SECONDS
from tunnelcloud.pod.cluster import BEAT_SECONDS, DEAF_SECONDS, Cluster
from tunnelcloud.pod.connector_side import ConnectorSide
from tunnelcloud.pod.counters import DELAY_SECONDS, Counters
from tunnelcloud.pod.database_clock import DatabaseClock
from tunnelcloud.pod.file_descriptors import divide, raise_limit
from tunnelcloud.pod.health import Health
from tunnelcloud.pod.housekeeping import KEEP_HOUSE_SECONDS, Housekeeping
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.live_session import SHUTDOWN_REASON
from tunnelcloud.pod.lost_connectors import LostConnectors
from tunnelcloud.pod.measured import Measured
from tunnelcloud.pod.metrics_page import MetricsPage
from tunnelcloud.pod.one_port import Front
from tunnelcloud.pod.path_check import Doctor
from tunnelcloud.pod.penalties import SHARE_SECONDS
from tunnelcloud.pod.periodic_work import Supervisor
from tunnelcloud.pod.preparation import Foundation
from tunnelcloud.pod.records import Records
from tunnelcloud.pod.reloading import Reloading, takers
from tunnelcloud.pod.session_parts import SessionParts
from tunnelcloud.pod.shared_keys import SHARED_KEYS_SECONDS, SharedKeys
from tunnelcloud.pod.ssh_side import SshSide
from tunnelcloud.pod.steady_clock import SteadyClock
from tunnelcloud.pod.stored_connectors import Registrar
from tunnelcloud.pod.target_checks import LOOK_SECONDS, TargetChecks
from tunnelcloud.pod.traffic_notes import NOTE_SECONDS, TrafficNotes
from tunnelcloud.pod.user_views import Views
from tunnelcloud.pod.web_side import WebSide
from tunnelcloud.pod.web_tls import WebTLS
from tunnelcloud.settings import PodSettings
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.changes import open_feed
from tunnelcloud.store.database_metrics import MEASURE_SECONDS, Measures, measure
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.web.portal.invitations import first_administrator_link
from tunnelcloud.web.tree import metrics_site

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
        self.time = DatabaseClock(reactor)
        self.cluster = Cluster(
            self.store,
            feed,
            foundation.seat,
            self.health,
            self.time,
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
        self._lost_connectors = LostConnectors(_now)
        self.links.listen(self._lost_connectors)
        self.checks = TargetChecks(self.store, self.links, self.doctor, reactor, _now)
        self.links.listen(self.checks)
        parts = SessionParts(
            reactor,
            foundation,
            store=self.store,
            cluster=self.cluster,
            connectors=self.connectors,
            links=self.links,
            records=self.records,
            views=self.views,
            doctor=self.doctor,
            checks=self.checks,
            counters=self._counters,
            spreading=self._spreading,
            feed_down_for=feed.down_for,
            web_url=lambda: self.web_url,
            max_sessions=self._doors.sessions,
            now=self.time.now,
        )
        self.held, self.sessions = parts.held, parts.sessions
        self.enforcement = parts.enforcement
        self._session_works = parts.works()
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
        self.rates = Rates(reactor, self.sessions.count)
        self._housekeeping = Housekeeping(self.store, is_steady=SteadyClock(reactor).is_steady)
        self._retirement = Retirement(self.store, settings.state_directory)
        self.traffic = TrafficNotes(self.store, self.sessions.count)
        self._tls = WebTLS(reactor, foundation, self.store, _now)
        self.connectors.ending.watch_web(self._tls.warnings)
        self._metrics = self._make_metrics()
        self.web = self._make_web()
        self._front = Front(
            ssh=self.ssh.factory,
            connectors=self.connectors.listener,
            web=self._tls.before(self.web.site),
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
                foundation,
                self.store,
                reactor,
                self.web.live,
                self._tls.is_ending,
                self.web_url,
                _now,
            )
        self._reloading = Reloading(
            settings,
            read_settings or (lambda: settings),
            takers(settings, self.ssh.flood, self.web.site),
        )
        self.serving = False
        self.first_administrator_link = first_administrator_link(foundation.store, self.web_url)

    def _make_metrics(self) -> MetricsPage:
        return MetricsPage(
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

    def _make_web(self) -> WebSide:
        return WebSide(
            self._reactor,
            self.foundation,
            url=self.web_url,
            store=self.store,
            cluster=self.cluster,
            ssh=self.ssh,
            connectors=self.connectors,
            sessions=self.sessions,
            links=self.links,
            lost=self._lost_connectors,
            checks=self.checks,
            rates=self.rates,
            keys=self.keys,
            tls=self._tls,
            room=self._doors.web,
            ready_checks=self._ready_checks,
            metrics=self._metrics.answer,
            token_lifetime=lambda: self._reloading.settings.tokens.lifetime,
            now=self.time.now,
        )

    @property
    def web_url(self) -> str:
        """Where the web listener is, without a slash at the end."""
        web = self.foundation.settings.web
        scheme = "https" if web.has_own_tls and not web.plain_listen else "http"
        return web.public_url or f"{scheme}://{self._ports.local_address('web')}"

    def port(self, section: str) -> int:
        """Give the port that a section (``"ssh"``, ``"connectors"``, ``"web"``) listens on."""
        return self._ports.port(section)

    def privilegedStartService(self) -> None:
        """Begin to accept connections, on the sockets that were bound before."""
        self._ports.serve("ssh", self.ssh.factory)
        self._ports.serve("connectors", self.connectors.factory)
        self._ports.serve("web", self.web.site)
        self._ports.serve("metrics", metrics_site(self._metrics.answer, self._reactor))
        self._ports.serve("front", self._front)
        self._ports.serve(
            WEB_TLS, self._tls.door(self.web.site, self.web_url, self._doors.undecided)
        )

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()  # type: ignore[no-untyped-call]
        self.foundation.sinks.start(self._reactor)
        self.cluster.start(self._changed, self.connectors.attendant.announce_pods)
        works: dict[str, tuple[Callable[[], object], float]] = {
            "heartbeat": (self.cluster.beat, BEAT_SECONDS),
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
            works["sign-in failures"] = (self.web.share_failures, SHARE_SECONDS)
        works |= self._session_works | self._tls.works() | self._notices
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
        self.web.changed(change)
