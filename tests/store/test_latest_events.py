"""What happened to an object lately: found in a bounded part of the audit, in few statements."""

from sqlalchemy import insert

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import BOTH, make_tunnel
from tests.store.plans import plans_of, statements_of
from tests.store.records import RecordCase
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import assignments, audit, connectors, groups, latest_events, schema, sites
from tunnelcloud.store.transaction import Transaction


class ActivityContract(RecordCase):
    def latest(self, kind, object_id):
        return [
            one.event.event for one in self.store.read(latest_events.latest_of, kind, object_id)
        ]

    def test_of_a_group(self):
        group = self.store.write(groups.create, name="ops")
        self.store.write(groups.add_member, group.id, self.world.bob.id)
        given = self.store.write(
            assignments.create, tunnel_id=self.world.tunnel.id, methods=BOTH, group_id=group.id
        )
        self.store.write(assignments.update, given.id, {"methods": frozenset(list(BOTH)[:1])})
        self.store.write(assignments.delete, given.id)
        self.assertEqual(
            self.latest("group", group.id),
            [
                "assignment.deleted",
                "assignment.changed",
                "assignment.created",
                "group.member_added",
                "group.created",
            ],
        )

    def test_of_a_connector(self):
        site = self.world.site.id
        one = self.store.write(connectors.create, name="c-1", site_id=site)
        other = self.store.write(connectors.create, name="c-2", site_id=site)
        for connector in (one, other):
            data = {"connector_id": connector.id, "version": "1"}
            event = AuditEvent("connector.attached", actor=connector.name, data=data)
            self.store.write(Transaction.audit, event)
        self.assertEqual(
            self.latest("connector", one.id), ["connector.attached", "connector.created"]
        )
        # The site's are those of both, and what was made in it.
        self.store.write(make_tunnel, site, "web")
        self.assertEqual(
            self.latest("site", site)[:5],
            [
                "tunnel.created",
                "connector.attached",
                "connector.attached",
                "connector.created",
                "connector.created",
            ],
        )
        elsewhere = self.store.write(sites.create, name="rome")
        self.assertEqual(self.latest("site", elsewhere.id), ["site.created"])

    def test_a_bounded_number_of_statements_and_of_rows(self):
        kinds = len(latest_events.EVENTS["site"])
        self.patch(audit, "MAX_SEARCHED", 3 * kinds)
        found = [self.store.write(sites.create, name=f"site-{number}") for number in range(6)]
        self.assertEqual(self.latest("site", found[0].id), [], "it lies too far back")
        self.assertEqual(self.latest("site", found[-1].id), ["site.created"])
        engine = self.store.backend._readers
        for kind, most in (("site", 2), ("group", 1), ("connector", 1)):
            work = (self.store.read, latest_events.latest_of, kind, found[-1].id)
            few = statements_of(engine, *work)
            self.assertLessEqual(few, most + statements_of(engine, self.store.read, lambda _: None))

    def test_by_the_index_of_events(self):
        self.store.write(self.fill)
        engine = self.store.backend._readers
        [plan] = plans_of(
            engine, self.store.read, latest_events.latest_of, "group", self.world.dba.id
        )
        kinds = len(latest_events.EVENTS["group"])
        self.assertEqual(plan.count("ix_audit_event_id"), kinds, plan)
        self.assertNotIn("Seq Scan on audit", plan)

    def fill(self, transaction):
        now = transaction.now()
        rows = [
            {"id": transaction.new_id("event"), "at": now, "event": event, "actor": "", "data": {}}
            for event in ("channel.closed", "login.refused") * 1000
        ]
        transaction.connection.execute(insert(schema.audit), rows)
        transaction.connection.exec_driver_sql("ANALYZE")


class SQLiteActivityTests(ActivityContract, SQLiteCase):
    pass


class PostgresActivityTests(ActivityContract, PostgresCase):
    pass
