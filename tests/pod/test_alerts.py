"""Each alert fires when what it is for happens to a pod: from the fault, by the pod's own metrics.

``etc/prometheus/alerts_test.yml`` has made-up numbers, which show what the rules say; here the
numbers are what the parts of a pod say of themselves.
"""

import re
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import evolve
from prometheus_client import CollectorRegistry, ProcessCollector
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, view
from tests.pod.acme.test_keeper import ReactorAtOnce, StoreAtOnce
from tests.pod.alerts import Watch, alerts
from tests.pod.certificates import write_certificate
from tests.pod.connectors import DoorCase
from tests.pod.fakes import World
from tests.pod.test_target_checks import ToldDoctor, ToldLinks
from tests.sinks.test_delivery import Reactor
from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock, make_world
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.net.source_limits import FloodControl, FloodLimits
from tunnelcloud.pki.sealing import passing_sealer
from tunnelcloud.pod.acme import ordering
from tunnelcloud.pod.acme.challenges import Answers
from tunnelcloud.pod.acme.keeper import CertificateKeeper
from tunnelcloud.pod.acme.ordering import OrderFailed
from tunnelcloud.pod.cluster import DEAF_SECONDS
from tunnelcloud.pod.counters import DELAY_SECONDS, Counters
from tunnelcloud.pod.health import Health
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.measured import Measured
from tunnelcloud.pod.metrics import metrics_registry
from tunnelcloud.pod.periodic_work import Supervisor
from tunnelcloud.pod.records import Records
from tunnelcloud.pod.target_checks import TargetChecks
from tunnelcloud.pod.user_shares import Shares
from tunnelcloud.pod.web_certificate import ShownCertificate, WebCertificate
from tunnelcloud.settings.web import AcmeSettings, WebSettings
from tunnelcloud.sinks.interfaces import DeliveryFailed
from tunnelcloud.sinks.sinks import Sink, Sinks
from tunnelcloud.sinks.spool import Spool
from tunnelcloud.store.changes import InProcessFeed
from tunnelcloud.store.database_metrics import Measures
from tunnelcloud.store.errors import StoreUnavailable, Trouble

WELL = 5
"""So many minutes pass before the fault."""


class NoChecks:
    def all(self):
        return ()


def measured(clock, **parts):
    """Give the parts of a pod that is well, but for those that are given."""
    world = World(view())
    flood = FloodControl(clock, lambda: 0.5, FloodLimits())
    of = Measured(
        sessions=world.sessions,
        held=world.held,
        links=Links(),
        flood=flood,
        link_flood=flood,
        budget=CreditBudget(),
        checks=NoChecks(),
        supervisor=Supervisor(clock),
        records=Records(None, clock),
        sinks=Sinks([]),
        feed_age=lambda: 0.0,
        certificates=dict,
        refused_certificates=lambda: 0,
        measures=Measures,
        database=None,
        ready=lambda: True,
        now=lambda: NOW,
    )
    return evolve(of, **parts)


class Fires:
    """What tests of alerts share: the name of the test says which alert it is."""

    def watch(self, **parts):
        self.clock = parts.pop("clock", None) or Clock()
        counters = parts.pop("counters", None) or Counters()
        registry = metrics_registry(measured(self.clock, **parts), counters)
        return Watch(self._testMethodName.removeprefix("test_"), registry)

    def fires(self, watch, minutes, each=lambda: None):
        watch.minutes(minutes, each)
        watch.check(self, WELL)


class ProcessTests(Fires, SynchronousTestCase):
    def test_TunnelCloudPodDown(self):
        watch = self.watch()
        watch.minutes(WELL)
        watch.registry = None  # it has ended, so that nothing answers
        self.fires(watch, 3)

    def test_TunnelCloudReactorSlow(self):
        clock, counters = Clock(), Counters()
        look = counters.clock_watch(clock)

        def pass_by(late):
            for _ in range(60):
                clock.advance(DELAY_SECONDS + late)
                look()

        watch = self.watch(clock=clock, counters=counters)
        watch.minutes(WELL, lambda: pass_by(0.001))
        # A page that takes half a second comes each minute.
        self.fires(watch, 20, lambda: pass_by(0.6))

    def test_TunnelCloudCreditShort(self):
        watch = self.watch(budget=(budget := CreditBudget()))
        watch.minutes(WELL)
        for _ in range(8):  # as many users as share a pod's channels, with all that each may have
            account = budget.account()
            for _ in range(2 * Shares().channels):  # a window towards each end
                account.take_first()
        self.fires(watch, 12)

    def test_TunnelCloudFilesShort(self):
        # A process of its own, whose files nothing else opens, closes or counts.
        holds = (
            "import os, sys; held = [os.open(os.devnull, os.O_RDONLY) for _ in range(400)];"
            "print(flush=True); sys.stdin.read()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.addCleanup(child.communicate, timeout=60)
        child.stdout.readline()
        registry = CollectorRegistry()
        ProcessCollector(pid=lambda: child.pid, registry=registry)
        watch = Watch("TunnelCloudFilesShort", registry)
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        watch.minutes(WELL)
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (450, 1024))
        self.fires(watch, 7)


class DatabaseTests(Fires, SQLiteCase):
    def test_TunnelCloudPodNotReady(self):
        clock = Clock()
        health = Health(clock, lambda: 0.0, DEAF_SECONDS)
        watch = self.watch(clock=clock, ready=lambda: health.why_not_writing() is None)
        health.beaten(probed=True)
        watch.minutes(WELL)
        health.write_failed(StoreUnavailable("no space left", Trouble.FULL))
        self.fires(watch, 4)

    def test_TunnelCloudChangesNotHeard(self):
        clock = Clock()
        clock.callFromThread = lambda function, *args: function(*args)
        feed = InProcessFeed(self.open(), clock)
        feed.start()
        watch = self.watch(clock=clock, feed_age=feed.down_for)
        watch.minutes(WELL, lambda: clock.advance(60))
        self.successResultOf(feed.stop())
        self.fires(watch, 4, lambda: clock.advance(60))

    def test_TunnelCloudTargetsFail(self):
        store, clock, doctor = self.open(), Clock(), ToldDoctor()
        world = store.write(make_world)
        checks = TargetChecks(
            StoreAtOnce(store), ToldLinks(world.site.id), doctor, clock, lambda: NOW
        )

        def look():
            clock.advance(60)
            self.successResultOf(Deferred.fromCoroutine(_awaited(checks.run())))

        watch = self.watch(clock=clock, checks=checks)
        watch.minutes(WELL, look)
        self.assertTrue(doctor.looked)
        doctor.ill.add(world.tunnel.name)
        self.fires(watch, 13, look)

    def test_TunnelCloudLoginsRefused(self):
        counters = Counters()
        store = self.open()
        store.listen(counters.committed)

        def refuse(transaction, count):
            for _ in range(count):
                transaction.audit(AuditEvent("login.refused", data={"method": "token"}))

        watch = self.watch(counters=counters)
        watch.minutes(WELL, lambda: store.write(refuse, 3))
        self.fires(watch, 18, lambda: store.write(refuse, 90))

    def test_TunnelCloudCertificateRefused(self):
        clock, now, threads = MovingClock(), datetime.now(UTC), []
        keeper = CertificateKeeper(
            settings=AcmeSettings(directory="https://ca.example.com/dir"),
            names=("pod.example.com",),
            pod_id="pod_1",
            store=StoreAtOnce(self.open(clock)),
            sealer=passing_sealer(),
            shown=ShownCertificate(),
            answers=Answers(),
            reactor=ReactorAtOnce(),
            now=lambda: now,
            is_shared=False,
            start=threads.append,
        )

        def refuse(*_):
            raise OrderFailed("the authority can't reach port 443")

        def look():
            clock.advance(60)
            self.successResultOf(Deferred.fromCoroutine(keeper.look()))
            while threads:
                threads.pop()()

        self.patch(ordering, "order", refuse)
        watch = self.watch(refused_certificates=lambda: keeper.failures)
        watch.minutes(WELL)
        self.fires(watch, 20, look)


async def _awaited(answer):
    return await answer


class LinkTests(Fires, DoorCase):
    def test_TunnelCloudNoLinks(self):
        ((link, _),) = self.attach()
        watch = self.watch(links=self.links)
        watch.minutes(WELL)
        link.disconnect("the connector is stopped")
        self.door.run()
        self.assertEqual(len(self.links.attached), 0)
        self.fires(watch, 7)


class CertificateTests(Fires, SynchronousTestCase):
    def test_TunnelCloudCertificateEnds(self):
        certificate, key = Path(self.mktemp()), Path(self.mktemp())
        write_certificate(certificate, key)
        web = WebCertificate.of(WebSettings(certificate=certificate, private_key=key))
        now = [web.ends_at - timedelta(days=20)]
        watch = self.watch(certificates=lambda: {"web": web.ends_at}, now=lambda: now[0])
        watch.minutes(WELL)
        now[0] += timedelta(days=7)  # nobody renews it
        self.fires(watch, 62)


class Gone:
    """A receiver that isn't there."""

    def send(self, lines):
        return fail(DeliveryFailed("refused"))

    def reopen(self):
        pass


class SinkTests(Fires, SynchronousTestCase):
    def waiting(self):
        """Give sinks whose syslog server is down, and the audit of a minute."""
        reactor = Reactor()
        spool = Spool.open(Path(self.mktemp()), 1 << 20)
        outlet = Gone()
        sinks = Sinks([Sink("syslog", spool, lambda record: b"x" * 700, lambda _: outlet)])
        sinks.start(reactor)
        self.addCleanup(sinks.stop)
        records = [AuditRecord("evt_1", NOW, AuditEvent("login.refused"))] * 200

        def minute():
            sinks.add(records)
            reactor.turn()
            reactor.advance(60)

        return sinks, minute

    def test_TunnelCloudAuditWaits(self):
        sinks, minute = self.waiting()
        watch = self.watch(sinks=sinks)
        watch.minutes(WELL)
        watch.minutes(4, minute)
        self.fires(watch, 7)

    def test_TunnelCloudAuditLost(self):
        sinks, minute = self.waiting()
        watch = self.watch(sinks=sinks)
        watch.minutes(WELL)
        self.fires(watch, 12, minute)


class CompletenessTests(SynchronousTestCase):
    def test_each_alert_has_a_test(self):
        tested = {
            name.removeprefix("test_")
            for case in globals().values()
            if isinstance(case, type) and issubclass(case, Fires)
            for name in dir(case)
            if name.startswith("test_")
        }
        self.assertEqual(set(alerts()), tested)

    def test_the_page_says_of_each_what_to_do(self):
        page = Path(__file__).parents[2] / "docs" / "monitoring.md"
        told = re.findall(r"(?m)^\| `(TunnelCloud\w+)` \| \S", page.read_text())
        self.assertEqual(told, list(alerts()))
