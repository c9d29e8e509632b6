"""Each search of the audit goes by an index that has what is sought, in the order of the list."""

from sqlalchemy import text

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.plans import plans_of
from tests.store.records import RecordCase
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import audit

ROWS = 2000
UNSOUGHT = {"pod_id"}
"""Filters that neither the API nor the command line has."""

BY_TIME = {"since", "until"}


class PlansContract(RecordCase):
    def setUp(self):
        super().setUp()
        self.store.write(self.fill)
        self.store.write(lambda transaction: transaction.connection.execute(text("ANALYZE")))

    def fill(self, transaction):
        for number in range(ROWS):
            transaction.audit(
                AuditEvent(
                    "channel.closed" if number % 400 else "login.refused",
                    actor=f"user{number % 200}",
                    user_id=f"usr_{number % 200}",
                    user_name=f"user{number % 200}",
                    tunnel_id=f"tun_{number % 300}",
                    tunnel_name=f"tunnel{number % 300}",
                    session_id=f"ses_{number % 500}",
                    source_ip=f"192.0.2.{number % 250}",
                )
            )

    def test_each_filter(self):
        sought = {
            "actor": "user7",
            "user_id": "usr_7",
            "user_name": "user7",
            "tunnel_id": "tun_7",
            "tunnel_name": "tunnel7",
            "session_id": "ses_7",
            "source_ip": "192.0.2.7",
            "event": "login.refused",
        }
        self.assertEqual(set(audit.FILTERS) - UNSOUGHT - BY_TIME | {"event"}, set(sought))
        engine = self.store.backend._readers
        for name, value in sought.items():
            for more in ({}, {"q": "nothing of the kind"}):
                plans = plans_of(engine, self.store.read, audit.list_page, **{name: value}, **more)
                self.assertGreater(len(plans), 0)
                for plan in plans:
                    self.assertRegex(plan, rf"ix_audit_{name}_id", (name, more))
                    self.assertNotRegex(plan, "Seq Scan|TEMP B-TREE", (name, more))


class SQLitePlansTests(PlansContract, SQLiteCase):
    def test_a_time(self):
        engine = self.store.backend._readers
        for name in sorted(BY_TIME):
            for sort in ("created_at", "-created_at"):
                values = {name: self.clock.moment, "sort": sort}
                [plan] = plans_of(engine, self.store.read, audit.list_page, **values)
                self.assertRegex(plan, "sqlite_autoindex_audit_1", values)
                self.assertNotRegex(plan, "TEMP B-TREE", values)


class PostgresPlansTests(PlansContract, PostgresCase):
    pass
