"""The audit as it is searched and exported, and what is counted of what went on."""

import json
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

from sqlalchemy import update
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.web.support import NOW, ApiTestCase, Role
from tunnelcloud.domain.ecs import ecs_document
from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.domain.events import CATALOGUE, AuditEvent, AuditRecord
from tunnelcloud.store import audit, channels, schema, sessions, tunnels, users
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.sessions import LoginRecord
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.activity import AuditExportQuery
from tunnelcloud.web.resources import activity
from tunnelcloud.web.routes import Call, Caller

LOGIN = LoginRecord("x", "192.0.2.7", "OpenSSH_9.2", "pod_" + "0" * 26)


class AuditTests(ApiTestCase):
    def record(self, event, **fields):
        self.store.write(Transaction.audit, AuditEvent(event, **fields))

    def names(self, query):
        return [one["user_name"] for one in self.api("GET", f"/audit?{query}")["items"]]

    def test_every_way_to_search(self):
        self.record("login.refused", user_name="carol", source_ip="192.0.2.1",
                    data={"reason": "the needle"})  # fmt: skip
        self.record("login.succeeded", user_name="dave", source_ip="192.0.2.2", tunnel_name="db")
        for query, wanted in [
            ("event=login.refused", ["carol"]),
            ("event=login.", ["dave", "carol"]),
            ("event=login.&order=oldest", ["carol", "dave"]),
            ("user_name=dave", ["dave"]),
            ("tunnel_name=db", ["dave"]),
            ("source_ip=192.0.2.1", ["carol"]),
            ("q=NEEDLE", ["carol"]),
            ("event=login.&q=dave", ["dave"]),
            ("event=login.&since=2127-01-01T00:00:00Z", []),
        ]:
            self.assertEqual(self.names(query), wanted, query)

    def test_what_another_version_wrote_is_shown(self):
        """A newer pod beside this one, or one of before an update, knew other events and fields."""
        self.record("token.created", user_name="carol", data={"token_id": "tok_1"})

        def write(transaction):
            transaction.connection.execute(
                update(schema.audit)
                .where(schema.audit.c.event == "token.created")
                .values(event="token.eaten", data={"by": "<whom>"})
            )

        self.store.write(write)
        (found,) = self.api("GET", "/audit?user_name=carol")["items"]
        self.assertEqual((found["event"], found["data"]), ("token.eaten", {"by": "<whom>"}))
        answer = self.ask("GET", "/api/v1/audit/export?user_name=carol")
        (line,) = answer.body.splitlines()
        self.assertEqual(json.loads(line)["event"]["action"], "token.eaten")

    def test_an_event_that_there_is_not(self):
        answer = self.ask("GET", "/api/v1/audit?event=login.refsued")
        self.assertEqual((answer.status, answer.faults), (422, ["event"]))
        self.assertIn("login.refused", answer.json["detail"])

    def test_pages_of_a_prefix_and_of_a_text(self):
        """Kinds are looked for one by one, a text in so many events at once: nothing is lost."""
        self.patch(audit, "MAX_SEARCHED", 6)
        # A text with a dash is in no id: these are of chance.
        for number in range(40):
            kind = "login.refused" if number % 5 else "login.succeeded"
            self.record(kind, user_name=f"u{number:02}", data={"method": f"m-{number % 7}"})
        everybody = [f"u{number:02}" for number in range(40)]
        for query, wanted in [
            ("event=login.", everybody),
            ("event=login.&q=m-3", everybody[3::7]),
            ("q=m-3", everybody[3::7]),
        ]:
            for order in ("newest", "oldest"):
                found, cursor, pages = [], "", 0
                while cursor is not None:
                    page = self.api("GET", f"/audit?{query}&order={order}&limit=3{cursor}")
                    self.assertLessEqual(len(page["items"]), 3)
                    found += [one["user_name"] for one in page["items"]]
                    pages += 1
                    cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
                self.assertEqual(found if order == "oldest" else found[::-1], wanted, query)
                self.assertGreater(pages, 2)

    def test_export(self):
        for number in range(1200):
            self.record("login.refused", user_name=f"u{number}", source_ip="192.0.2.1",
                        data={"reason": "it is wrong", "method": "key"})  # fmt: skip
        answer = self.ask("GET", "/api/v1/audit/export?event=login.refused", role=Role.AUDITOR)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
        lines = [json.loads(line) for line in answer.body.splitlines()]
        self.assertEqual([one["user"]["target"]["name"] for one in lines],
                         [f"u{number}" for number in range(1200)])  # fmt: skip
        first = lines[0]
        self.assertEqual(first["event"]["action"], "login.refused")
        self.assertEqual(first["event"]["outcome"], "failure")
        self.assertEqual(first["event"]["reason"], "it is wrong")
        self.assertEqual(first["source"], {"ip": "192.0.2.1"})
        self.assertEqual(first["tunnelcloud"], {"data": {"method": "key"}})
        for dates, count in [
            ("since=2020-01-01T00:00:00Z", 1200),
            ("until=2020-01-01T00:00:00Z", 0),
            ("since=0001-01-01T00:00:00Z", 1200),
            ("until=9999-12-31T23:59:59-23:59", 1200),
        ]:
            path = f"/api/v1/audit/export?event=login.refused&{dates}"
            self.assertEqual(len(self.ask("GET", path).body.splitlines()), count, dates)
        self.assertEqual(self.ask("GET", "/api/v1/audit/export?limit=1").status, 422)
        self.assertEqual(self.ask("GET", "/api/v1/audit/export?event=nothing.").status, 422)

    def test_an_exports_lines_are_made_away_from_the_reactor(self):
        """A page of them takes tens of milliseconds."""
        self.record("login.refused", user_name="somebody")
        real, threads = activity._ecs_line, set()

        def line(record):
            threads.add(threading.get_ident())
            return real(record)

        self.patch(activity, "_ecs_line", line)
        self.assertEqual(self.ask("GET", "/api/v1/audit/export").status, 200)
        self.assertTrue(threads)
        self.assertNotIn(threading.get_ident(), threads)

    def test_an_export_ends_with_the_right_to_it(self):
        """Each page is read by who still may; what was cut isn't taken for the whole."""
        for number in range(9):
            self.record("login.refused", user_name=f"u{number}")
        self.patch(activity, "_EXPORTED_AT_ONCE", 3)
        auditor = self.people[Role.AUDITOR].id
        real, pages = activity.check_caller, []

        def check(transaction, caller, **how):
            pages.append(caller.user_id)
            if len(pages) == 2:
                self.store.write(users.update, auditor, {"role": Role.USER})
            real(transaction, caller, **how)

        self.patch(activity, "check_caller", check)
        transport = StringTransport()
        channel = self.site.buildProtocol(None)
        channel.makeConnection(transport)
        self.received(channel, (
            b"GET /api/v1/audit/export?event=login.refused HTTP/1.1\r\nHost: pod\r\n"
            b"Authorization: Bearer tca_auditor\r\n\r\n"
        ))  # fmt: skip
        while not transport.disconnecting:
            self.reactor.run_one()
        self.assertEqual(pages, [auditor] * 2)
        self.assertIn(b'"u2"', transport.value())
        self.assertNotIn(b'"u3"', transport.value())
        self.assertFalse(transport.value().endswith(b"0\r\n\r\n"))

    def test_every_kind_of_event_has_an_ecs_type(self):
        for name in CATALOGUE:
            record = AuditRecord("evt_1", datetime.fromtimestamp(NOW, UTC), AuditEvent(name))
            found = ecs_document(record, "2026-01-01T00:00:00.000Z")["event"]
            self.assertEqual(found["action"], name)
            self.assertTrue(found["category"] and found["type"], name)


class SummaryTests(ApiTestCase):
    def open_something(self):
        tunnel, user = self.make_tunnel(), self.make_user()
        self.assign(tunnel, user)
        person = self.store.read(users.get, user["id"])
        session = self.store.write(sessions.start, person, SessionMethod.KEY, LOGIN)
        opened = self.store.read(tunnels.get, tunnel["id"])
        channel = self.store.write(
            channels.open, session, opened, destination="10.0.0.5", port=5432
        )
        self.store.write(sessions.sync_traffic, {}, {channel.id: (10, 20)})
        return tunnel, user

    def test_what_a_deletion_would_cut(self):
        tunnel, user = self.open_something()
        cost = self.api("GET", f"/tunnels/{tunnel['id']}/deletion", role=Role.AUDITOR)
        self.assertEqual(cost, {"users": 1, "channels": 1, "sessions": 0,
                                "objects": {"assignment": 1}, "in_use": 0})  # fmt: skip
        self.assertEqual(self.api("GET", f"/users/{user['id']}/deletion")["sessions"], 1)
        site = self.api("GET", f"/sites/{tunnel['site_id']}/deletion")
        self.assertEqual((site["channels"], site["objects"]), (1, {"tunnel": 1}))
        [one] = self.api("GET", f"/tunnels/{tunnel['id']}/assignments")["items"]
        path = f"/tunnels/{tunnel['id']}/assignments/{one['id']}/deletion"
        self.assertEqual(self.api("GET", path)["channels"], 1)
        self.api("GET", f"/tunnels/tun_{'0' * 26}/deletion", expect=404)
        other = self.make_tunnel("other")
        self.api("GET", path.replace(tunnel["id"], other["id"]), expect=404)

    def test_the_hours(self):
        self.open_something()
        found = self.api("GET", "/statistics?hours=3", role=Role.AUDITOR)
        self.assertEqual(found["bucket_seconds"], 3600)
        self.assertEqual(found["traffic_bytes"], [0, 0, 30])
        self.assertEqual((found["sessions"], found["channels"]), ([0, 0, 1], [0, 0, 1]))
        self.assertEqual(found["refused_logins"], [0, 0, 0])
        self.assertEqual(self.ask("GET", "/api/v1/statistics?hours=169").faults, ["hours"])


class ExportsAtOnceTests(SynchronousTestCase):
    """Many exports at once keep the store from nobody else."""

    def setUp(self):
        self.reads = []
        showing = SimpleNamespace(run=lambda make, source: succeed(make()))
        context = SimpleNamespace(store=SimpleNamespace(read=self.read), showing=showing)
        table = {one.name: one for one in activity.make_routes(context)}
        self.export = table["export_events"].handler

    def read(self, work):
        self.reads.append(Deferred())
        return self.reads[-1]

    def begin(self):
        call = Call({}, "192.0.2.1", Caller("usr_1", "eve", Role.AUDITOR), query=AuditExportQuery())
        return Deferred.fromCoroutine(self.export(call))

    def test_few_pages_are_read_at_a_time(self):
        exports = [self.begin() for _ in range(20)]
        self.assertEqual(len(self.reads), 2)
        self.reads[0].callback(ListPage(()))
        self.successResultOf(exports[0])
        self.assertEqual(len(self.reads), 3)
        for one in exports[3:]:
            one.cancel()
            self.failureResultOf(one)
        self.reads[1].errback(ValueError())
        self.failureResultOf(exports[1], ValueError)
        self.assertEqual(len(self.reads), 3)
        self.begin()
        self.assertEqual(len(self.reads), 4)
