"""What monitoring sees: every metric that a rule names, few labels, and what is counted."""

import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from prometheus_client import generate_latest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, view
from tests.pod.fakes import World
from tests.requirements import require_executable
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.domain.dial_failures import DialFailure
from tunnelcloud.domain.events import CATALOGUE, AuditEvent, AuditRecord
from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.measured import Measured
from tunnelcloud.pod.metrics import metrics_registry
from tunnelcloud.pod.periodic_work import Supervisor
from tunnelcloud.pod.records import Records
from tunnelcloud.sinks.delivery import SinkReport
from tunnelcloud.store.database_metrics import MOST_SITES, Measures
from tunnelcloud.store.transaction import Committed

ROOT = Path(__file__).parents[2]
RULES = ROOT / "etc" / "prometheus"
DASHBOARD = ROOT / "etc" / "grafana" / "tunnelcloud.json"
PAGE = ROOT / "docs" / "monitoring.md"


class Flood:
    def counters(self):
        return {"accepted": 3, "starting": 1, "penalised": 0}


class Checks:
    def all(self):
        return ()


class Sinks:
    def reports(self):
        yield SinkReport("syslog", 700, 1000, delivered=5, dropped=2, failures=3)


def committed(*events):
    return Committed((), tuple(AuditRecord(f"evt_{at}", NOW, one) for at, one in enumerate(events)))


class MetricsTests(SynchronousTestCase):
    def setUp(self):
        world = World(view())
        self.counters = Counters()
        self.ready = True
        self.measures = Measures()
        self.world = world
        self.links = SimpleNamespace(attached=[])
        self.supervisor = Supervisor(Clock())
        self.registry = metrics_registry(
            Measured(
                sessions=world.sessions,
                held=world.held,
                links=self.links,
                flood=Flood(),
                link_flood=Flood(),
                budget=CreditBudget(),
                checks=Checks(),
                supervisor=self.supervisor,
                records=Records(None, Clock()),
                sinks=Sinks(),
                feed_age=lambda: 1.5,
                certificates=lambda: {"web": NOW + timedelta(days=2)},
                refused_certificates=lambda: 3,
                measures=lambda: self.measures,
                database=None,
                ready=lambda: self.ready,
                now=lambda: NOW,
            ),
            self.counters,
        )

    def shown(self):
        return generate_latest(self.registry).decode()

    def value(self, name):
        return float(re.search(rf"^{re.escape(name)} (\S+)$", self.shown(), re.MULTILINE)[1])

    def test_what_is_read_when_it_is_asked_for(self):
        self.assertEqual(self.value("tunnelcloud_sessions"), 1)
        self.assertEqual(self.value("tunnelcloud_ready"), 1)
        accepted = self.value('tunnelcloud_connector_connections_total{outcome="accepted"}')
        self.assertEqual((accepted, self.value("tunnelcloud_connector_starting")), (3, 1))
        self.ready = False
        self.assertEqual(self.value("tunnelcloud_ready"), 0)
        self.assertEqual(self.value("tunnelcloud_change_feed_age_seconds"), 1.5)
        left = self.value('tunnelcloud_certificate_seconds_left{certificate="web"}')
        self.assertEqual(left, 2 * 86_400)

    def test_logins_and_bytes_are_counted_from_the_audit(self):
        self.counters.committed(
            committed(
                AuditEvent("login.succeeded", data={"method": "key"}),
                AuditEvent("login.refused", data={"method": "key"}),
                AuditEvent("login.refused", data={"method": "what a client sent"}),
                AuditEvent("channel.closed", data={"bytes_to_target": 7, "bytes_from_target": 9}),
                AuditEvent("session.ended", data={"seconds": 42}),
            )
        )
        for name, value in [
            ('tunnelcloud_logins_total{method="key",result="succeeded"}', 1),
            ('tunnelcloud_logins_total{method="other",result="refused"}', 1),
            ('tunnelcloud_closed_channel_bytes_total{direction="to_target"}', 7),
            ('tunnelcloud_closed_channel_bytes_total{direction="from_target"}', 9),
            ('tunnelcloud_events_total{event="channel.closed"}', 1),
            ("tunnelcloud_session_seconds_sum", 42),
        ]:
            self.assertEqual(self.value(name), value, name)
        self.assertNotIn("what a client sent", self.shown())

    def test_bytes_of_all_sessions_never_become_less(self):
        carried = type(self.world.live.carried)
        counts = [(5, 7), (9, 8), (6, 8), (6, 20)]
        self.patch(carried, "totals", lambda _: counts[0])
        for expected in ((5, 7), (9, 8), (9, 8), (9, 20)):
            found = (
                self.value('tunnelcloud_bytes_total{direction="to_target"}'),
                self.value('tunnelcloud_bytes_total{direction="from_target"}'),
            )
            self.assertEqual(found, expected)
            if len(counts) > 1:
                counts.pop(0)
        self.world.sessions.session_ended(self.world.live)
        self.assertEqual(self.value('tunnelcloud_bytes_total{direction="from_target"}'), 20)

    def test_what_the_store_has(self):
        self.measures = Measures({"sit_1": "paris", "sit_2": "lyon"}, {"sit_1": 3}, 4096)
        for name, value in (
            ('tunnelcloud_connectors_attached{site="paris"}', 0),
            ('tunnelcloud_connectors_away{site="paris"}', 3),
            ('tunnelcloud_connectors_away{site="lyon"}', 0),
            ("tunnelcloud_database_bytes", 4096),
        ):
            self.assertEqual(self.value(name), value, name)

    def attach(self, number, site, trip):
        liveness = SimpleNamespace(round_trip=trip)
        self.links.attached.append(
            SimpleNamespace(
                connector=SimpleNamespace(site_id=site),
                connector_id=f"con_{number}",
                protocol=SimpleNamespace(liveness=liveness),
            )
        )

    def test_sites_beyond_the_first_share_a_label(self):
        # One of the first has the very name that all others share.
        first = {f"sit_{n}": "other" if n == 7 else f"site-{n}" for n in range(MOST_SITES)}
        for number in range(3 * MOST_SITES):
            self.attach(number, f"sit_{number}", number / 1000)
        self.attach(3 * MOST_SITES, "sit_0", None)
        joined = {f"sit_{number}": 2 for number in range(4 * MOST_SITES)}
        self.measures = Measures(first, joined)
        shown = self.shown()
        for kind in ("connectors_attached", "connectors_away", "link_round_trip_seconds"):
            labels = re.findall(rf'(?m)^tunnelcloud_{kind}{{site="([^"]+)"}}', shown)
            self.assertEqual(sorted(labels), sorted(first.values()), kind)
        elsewhere = 2 * MOST_SITES + 1
        for name, value in (
            ('tunnelcloud_connectors_attached{site="site-0"}', 2),
            ('tunnelcloud_connectors_away{site="site-0"}', 0),
            ('tunnelcloud_connectors_attached{site="other"}', elsewhere),
            ('tunnelcloud_connectors_away{site="other"}', 2 * (3 * MOST_SITES + 1) - elsewhere),
            ('tunnelcloud_link_round_trip_seconds{site="other"}', (3 * MOST_SITES - 1) / 1000),
        ):
            self.assertEqual(self.value(name), value, name)

    def test_refusals_and_dials(self):
        self.counters.refused("port")
        self.counters.dialled(0.3)
        self.counters.not_dialled(DialFailure.TIMED_OUT)
        for name, value in (
            ('tunnelcloud_channel_refusals_total{reason="port"}', 1),
            ("tunnelcloud_dial_seconds_sum", 0.3),
            ('tunnelcloud_dial_failures_total{reason="timed-out"}', 1),
            ('tunnelcloud_dial_failures_total{reason="refused"}', 0),
        ):
            self.assertEqual(self.value(name), value, name)

    def test_periodic_work(self):
        self.supervisor.run("heartbeat", lambda: 1 / 0, 5.0)
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(self.value('tunnelcloud_task_failures_total{task="heartbeat"}'), 1)
        self.assertEqual(self.value('tunnelcloud_task_age_seconds{task="heartbeat"}'), 0)
        self.assertEqual(self.value("tunnelcloud_ends_waiting"), 0)

    def test_every_event_is_there_from_the_start(self):
        for event in CATALOGUE:
            self.assertEqual(self.value(f'tunnelcloud_events_total{{event="{event}"}}'), 0)

    def test_sinks(self):
        for name, value in [
            ('tunnelcloud_sink_events_total{result="delivered",sink="syslog"}', 5),
            ('tunnelcloud_sink_events_total{result="dropped",sink="syslog"}', 2),
            ('tunnelcloud_sink_failures_total{sink="syslog"}', 3),
            ('tunnelcloud_spool_bytes{sink="syslog"}', 700),
            ('tunnelcloud_spool_limit_bytes{sink="syslog"}', 1000),
        ]:
            self.assertEqual(self.value(name), value, name)

    def test_the_store_and_the_reactor(self):
        self.counters.answered("read", 0.002, False)
        self.counters.answered("write", 0.2, True)
        self.assertEqual(self.value('tunnelcloud_store_errors_total{work="write"}'), 1)
        clock = Clock()
        look = self.counters.clock_watch(clock)
        look()
        clock.advance(0.9)
        look()
        self.assertAlmostEqual(self.value("tunnelcloud_reactor_delay_seconds_sum"), 0.4)

    def test_rules_name_what_there_is(self):
        shown = self.shown()
        rules = (RULES / "alerts.yml").read_text()
        for name in set(re.findall(r"\b(?:tunnelcloud|process)_[a-z_]+", rules)):
            self.assertRegex(shown, rf"(?m)^{name}[ {{]|^# TYPE {name} ", name)

    def exported(self):
        """Give all names that Prometheus has of a pod, those of histograms in full."""
        names = {"tunnelcloud_database_bytes"}
        for name, kind in re.findall(r"(?m)^# TYPE (\w+) (\w+)$", self.shown()):
            histogram = kind == "histogram"
            names |= (
                {f"{name}_{end}" for end in ("bucket", "sum", "count")} if histogram else {name}
            )
        return names

    def test_the_dashboard_names_what_there_is(self):
        dashboard = json.loads(DASHBOARD.read_text())
        queries = [
            target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
        ]
        variables = dashboard["templating"]["list"]
        queries += [one["query"]["query"] for one in variables if one["type"] == "query"]
        self.assertGreater(len(queries), 30)
        named = set(re.findall(r"\b(?:tunnelcloud|process)_\w+", "\n".join(queries)))
        self.assertEqual(named - self.exported(), set())

    def test_the_dashboard_and_the_page_have_every_metric(self):
        families = re.findall(r"(?m)^# TYPE (tunnelcloud_\w+) ", self.shown())
        families = {name for name in families if not name.endswith("_created")}
        for path in (DASHBOARD, PAGE):
            text = re.sub(r"`_(?=[a-z])", "`tunnelcloud_", path.read_text())
            self.assertEqual({name for name in families if name not in text}, set(), path.name)

    def test_panels_have_room(self):
        taken = {}
        for panel in json.loads(DASHBOARD.read_text())["panels"]:
            place = panel["gridPos"]
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken[x, y] = panel["title"]
        self.assertLess(max(x for x, _ in taken), 24)

    def test_rules_fire(self):
        promtool = require_executable("promtool")
        for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
            done = subprocess.run(
                [promtool, *words],
                cwd=RULES,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
