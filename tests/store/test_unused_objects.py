"""What nobody has used for long is found, and what is in use or new is not."""

from __future__ import annotations

import re
from datetime import timedelta

from sqlalchemy import select, update

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import make_tunnel
from tests.store.plans import plans_of
from tests.store.records import RecordCase
from tests.web.support import KEY
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    api_tokens,
    assignments,
    channels,
    groups,
    history_shares,
    keys,
    preferences,
    schema,
    sessions,
    web_sessions,
)
from tunnelcloud.store.unused_objects import unused_for
from tunnelcloud.store.user_list_columns import of_users

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
        return self.store.read(unused_for, LONG)

    def age(self, *tables):
        """Let all rows of tables be as old as can be."""
        for table in tables:
            self.store.write(
                lambda transaction, table=table: transaction.connection.execute(
                    update(table).values(created_at=transaction.now() - 2 * LONG)
                )
            )

    def sign_in(self, user, secret=b"1"):
        return self.store.write(
            web_sessions.create,
            user_id=user.id,
            secret_hash=secret,
            lifetime_seconds=600,
            method="password",
            source_ip="192.0.2.1",
            user_agent="",
        )

    def seen(self, user):
        """Tell when a user was seen, as the list of users does."""
        return self.store.read(of_users, [user.id])[user.id].last_seen

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

    def test_who_uses_the_portal_and_signs_out(self):
        self.age(schema.users)
        session = self.sign_in(self.world.bob)
        self.store.write(web_sessions.end, session.id, reason="signed out")
        self.assertNotIn(self.world.bob.id, self.ids(self.found().users))
        self.assertEqual(self.seen(self.world.bob), self.clock.moment)
        self.clock.advance((LONG + timedelta(days=1)).total_seconds())
        self.assertIn(self.world.bob.id, self.ids(self.found().users))

    def test_who_stays_signed_in(self):
        self.age(schema.users)
        session = self.sign_in(self.world.bob)
        self.clock.advance((LONG + timedelta(days=1)).total_seconds())
        self.store.write(web_sessions.touch, session.id, lifetime_seconds=600)
        self.store.write(web_sessions.end, session.id, reason="signed out")
        self.assertNotIn(self.world.bob.id, self.ids(self.found().users))

    def test_who_uses_the_api_and_deletes_the_token(self):
        self.age(schema.users)
        token = self.store.write(
            api_tokens.create,
            title="x",
            role=Role.USER,
            secret_hash=b"1",
            user_id=self.world.bob.id,
        )
        self.store.write(api_tokens.record_use, token.id)
        self.store.write(api_tokens.delete, token.id)
        self.assertNotIn(self.world.bob.id, self.ids(self.found().users))

    def test_a_user_is_written_once_a_day(self):
        session = self.sign_in(self.world.bob)
        first = self.clock.moment
        for hours, seen in [(23, first), (1, first + timedelta(hours=24))]:
            self.clock.advance(hours * 3600)
            self.store.write(web_sessions.touch, session.id, lifetime_seconds=600)
            query = select(schema.users.c.last_seen_at).where(
                schema.users.c.id == self.world.bob.id
            )
            kept = self.store.read(lambda one, query=query: one.connection.execute(query).scalar())
            self.assertEqual(kept, seen)
        self.assertEqual(self.seen(self.world.bob), self.clock.moment)

    def test_what_is_kept_for_a_short_time_is_asked_for_that_time(self):
        """Whose sessions are forgotten may have been there."""
        self.age(*TABLES)
        session = self.start()
        self.store.write(channels.open, session, self.other, destination="x", port=1)
        self.store.write(sessions.end, session.id, reason="x")
        self.assertEqual(self.found().kept_days, LONG.days)
        self.store.write(preferences.change_settings, {"session_retention_days": 20})
        self.clock.advance(timedelta(days=15).total_seconds())
        found = self.found()
        self.assertEqual(found.kept_days, 20)
        self.assertNotIn(self.world.alice.id, self.ids(found.users))
        self.assertNotIn(self.assigned["group_id"], self.ids(found.assignments))
        self.clock.advance(timedelta(days=10).total_seconds())
        found = self.found()
        self.assertIn(self.world.alice.id, self.ids(found.users))
        self.assertIn(self.assigned["group_id"], self.ids(found.assignments))

    def test_of_whom_a_part_has_gone_nothing_is_said(self):
        """A user with more than their share of history may have used what no row tells of."""
        self.age(*TABLES)
        session = self.start(user=self.world.bob)
        self.store.write(channels.open, session, self.world.tunnel, destination="x", port=1)
        self.assertIn(self.assigned["user_id"], self.ids(self.found().assignments))
        for most in ("MOST_CHANNELS", "MOST_SESSIONS"):
            before = getattr(history_shares, most)
            self.patch(history_shares, most, 1)
            self.assertNotIn(self.assigned["user_id"], self.ids(self.found().assignments), most)
            self.assertIn(self.assigned["group_id"], self.ids(self.found().assignments), most)
            self.patch(history_shares, most, before)

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
    def test_no_more_of_the_history_is_read_than_that(self):
        plans = plans_of(self.store.backend._readers, self.found)
        history = [line for one in plans for line in one.split("\n")
                   if re.search(r"(SCAN|SEARCH) (channels|sessions)", line)]  # fmt: skip
        self.assertGreater(len(history), 1)
        self.assertEqual([line for line in history if line.startswith("SCAN")], [])


class PostgresUnusedTests(UnusedContract, PostgresCase):
    pass
