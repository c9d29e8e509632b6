"""What nobody has used for long is found, and what is in use or new is not."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import make_tunnel
from tests.store.records import RecordCase
from tests.web.support import KEY
from tunnelcloud.domain.entities import Method
from tunnelcloud.store import assignments, channels, groups, keys, schema
from tunnelcloud.store.unused import unused_since

LONG = timedelta(days=90)
TABLES = (schema.users, schema.keys, schema.assignments)


class UnusedContract(RecordCase):
    def setUp(self):
        super().setUp()
        both = frozenset(Method)
        self.other = self.store.write(make_tunnel, self.world.site.id, "other")
        self.dba = self.store.write(groups.create, name="dba-2")
        self.store.write(groups.add_member, self.dba.id, self.world.alice.id)
        self.key = self.store.write(keys.create, user_id=self.world.bob.id, public_key=KEY)
        self.assigned = {
            who: self.store.write(
                assignments.create, tunnel_id=self.other.id, methods=both, **{who: one.id}
            ).id
            for who, one in [("user_id", self.world.bob), ("group_id", self.dba)]
        }

    def found(self):
        return self.store.read(
            lambda transaction: unused_since(transaction, transaction.now() - LONG)
        )

    def age(self, *tables):
        """Let all rows of tables be as old as can be."""
        for table in tables:
            self.store.write(
                lambda transaction, table=table: transaction.connection.execute(
                    update(table).values(created_at=transaction.now() - 2 * LONG)
                )
            )

    def ids(self, rows):
        return {row["id"] for row in rows}

    def test_what_is_new_is_left_alone(self):
        found = self.found()
        self.assertEqual([*found.users, *found.keys, *found.assignments], [])

    def test_what_was_never_used(self):
        self.age(*TABLES)
        found = self.found()
        self.assertIn(self.world.bob.id, self.ids(found.users))
        self.assertIn(self.key.id, self.ids(found.keys))
        self.assertLessEqual(set(self.assigned.values()), self.ids(found.assignments))
        (key,) = [one for one in found.keys if one["id"] == self.key.id]
        self.assertEqual((key["user_name"], key["last_used_at"]), (self.world.bob.name, None))

    def test_what_was_used_since(self):
        self.age(*TABLES)
        session = self.start()
        self.store.write(channels.open, session, self.other, destination="x", port=1)
        found = self.found()
        self.assertNotIn(self.world.alice.id, self.ids(found.users))
        # Alice is one of the group: its assignment is in use, and bob's own isn't.
        self.assertNotIn(self.assigned["group_id"], self.ids(found.assignments))
        self.assertIn(self.assigned["user_id"], self.ids(found.assignments))

    def test_a_key_that_was_used_long_ago(self):
        self.age(schema.keys)
        for days, expected in [(100, True), (10, False)]:
            self.store.write(
                lambda transaction, days=days: transaction.connection.execute(
                    update(schema.keys).values(
                        last_used_at=transaction.now() - timedelta(days=days)
                    )
                )
            )
            self.assertEqual(self.key.id in self.ids(self.found().keys), expected)


class SQLiteUnusedTests(UnusedContract, SQLiteCase):
    pass


class PostgresUnusedTests(UnusedContract, PostgresCase):
    pass
