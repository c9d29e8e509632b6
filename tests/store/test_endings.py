"""What each cause ends of a user's access: every pair of the table, in both databases."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import func, insert, select

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, events_of, make_world
from tunnelcloud.domain.entities import Role
from tunnelcloud.store import api_tokens, invitations, tokens, users, web_sessions
from tunnelcloud.store.endings import ENDS, Cause, Hold, end_access
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import api_tokens as api_tokens_table
from tunnelcloud.store.schema import device_logins, sign_in_steps
from tunnelcloud.store.schema import invitations as invitations_table
from tunnelcloud.store.schema import tokens as tokens_table
from tunnelcloud.store.schema import web_sessions as web_sessions_table

CAUSE_ENDS = {
    Cause.FIRST_PASSWORD: {"WEB_SESSIONS", "SIGN_IN_STEPS", "INVITATIONS"},
    Cause.PASSWORD_CHANGED: {one.name for one in Hold},
    Cause.OTHERS_ENDED: {"WEB_SESSIONS", "SIGN_IN_STEPS", "API_TOKENS", "DEVICE_LOGINS"},
    Cause.BLOCKED: {one.name for one in Hold},
    Cause.BECAME_SERVICE: {"WEB_SESSIONS", "SIGN_IN_STEPS", "INVITATIONS", "DEVICE_LOGINS"},
}
"""The table of docs/sign-in.md, said again: a change of one has to be one of the other."""


def secret(text):
    return hashlib.sha256(text.encode()).digest()


class EndingContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.staying = self.store.write(self.give)

    def give(self, transaction):
        """Give alice one of each; give the id of the sign-in that may stay."""
        alice, now = self.world.alice, transaction.now()
        kept = [
            web_sessions.create(
                transaction,
                user_id=alice.id,
                secret_hash=secret(f"web {number}"),
                lifetime_seconds=3600,
                source_ip="192.0.2.1",
                user_agent="x",
                method="password",
            )
            for number in range(2)
        ]
        api_tokens.create(
            transaction, title="laptop", role=Role.USER, secret_hash=secret("api"), user_id=alice.id
        )
        tokens.create(
            transaction, user_id=alice.id, secret_hash=secret("token"), lifetime_seconds=600
        )
        invitations.create(
            transaction, user_id=alice.id, secret_hash=secret("link"), lifetime_seconds=600
        )
        later = now + timedelta(hours=1)
        self.insert_steps(transaction, alice.id, now, later)
        return kept[0].id

    def insert_steps(self, transaction, user_id, now, later):
        for table, values in (
            (sign_in_steps, {"secret_hash": secret("step"), "user_id": user_id}),
            (device_logins, {"secret_hash": secret("device"), "user_id": user_id}),
        ):
            row = {}
            for column in table.c:
                if column.name in values:
                    row[column.name] = values[column.name]
                elif column.nullable:
                    continue
                elif column.name.endswith("_at"):
                    row[column.name] = later if column.name == "expires_at" else now
                else:
                    kind = column.type.python_type
                    row[column.name] = "x" if kind is str else kind()
            transaction.connection.execute(insert(table), row)

    def left(self, transaction):
        now, connection = transaction.now(), transaction.connection
        good = {
            Hold.WEB_SESSIONS: (web_sessions_table, True),
            Hold.SIGN_IN_STEPS: (sign_in_steps, True),
            Hold.API_TOKENS: (api_tokens_table, True),
            Hold.DEVICE_LOGINS: (device_logins, device_logins.c.denied.is_(False)),
            Hold.INVITATIONS: (invitations_table, invitations_table.c.expires_at > now),
            Hold.ONE_TIME_TOKENS: (tokens_table, tokens_table.c.revoked_at.is_(None)),
        }
        found = {}
        for hold, (table, which) in good.items():
            query = select(func.count()).select_from(table)
            query = query.where(table.c.user_id == self.world.alice.id)
            if which is not True:
                query = query.where(which)
            found[hold] = connection.execute(query).scalar()
        return found

    def test_every_pair(self):
        self.assertEqual(set(ENDS), set(Cause))
        for cause in Cause:
            names = {one.name for one in ENDS[cause]}
            self.assertEqual(names, CAUSE_ENDS[cause], cause)

            def work(transaction, cause=cause):
                with transaction.connection.begin_nested() as point:
                    end_access(transaction, self.world.alice, cause)
                    left = self.left(transaction)
                    point.rollback()
                return left

            left = self.store.write(work)
            for hold in Hold:
                gone = left[hold] == 0
                self.assertEqual(gone, hold.name in CAUSE_ENDS[cause], f"{cause} {hold}")

    def test_the_sign_in_that_does_it_stays(self):
        self.store.write(end_access, self.world.alice, Cause.OTHERS_ENDED, staying=self.staying)
        self.assertEqual(self.store.read(self.left)[Hold.WEB_SESSIONS], 1)

    def test_blocking_ends_it_and_unblocking_revives_nothing(self):
        self.store.write(users.update, self.world.alice.id, {"blocked": True})
        self.store.write(users.update, self.world.alice.id, {"blocked": False})
        self.assertEqual(set(self.store.read(self.left).values()), {0})
        self.assertIn("user.access_ended", self.store.read(events_of))

    def test_another_password_ends_what_the_old_one_let_in(self):
        self.store.write(users.set_password, self.world.alice.id, "first")
        self.assertEqual(self.store.read(self.left)[Hold.API_TOKENS], 1)
        self.store.write(users.set_password, self.world.alice.id, "second")
        self.assertEqual(set(self.store.read(self.left).values()), {0})

    def test_a_service_account_is_invited_by_nobody(self):
        self.store.write(users.update, self.world.alice.id, {"service": True})
        self.assertEqual(self.store.read(self.left)[Hold.INVITATIONS], 0)
        self.assertRaises(
            Conflict,
            self.store.write,
            invitations.create,
            user_id=self.world.alice.id,
            secret_hash=secret("x"),
            lifetime_seconds=1,
        )

    def test_the_last_administrator_stays_one(self):
        bob = self.world.bob
        self.store.write(users.update, bob.id, {"role": Role.ADMIN})
        for change in ({"role": Role.USER}, {"blocked": True}, {"service": True}):
            error = self.assertRaises(Conflict, self.store.write, users.update, bob.id, change)
            self.assertEqual(error.field, next(iter(change)))
        self.assertRaises(Conflict, self.store.write, users.delete, bob.id)
        self.store.write(users.update, self.world.alice.id, {"role": Role.ADMIN})
        self.store.write(users.delete, bob.id)


class SQLiteEndingTests(EndingContract, SQLiteCase):
    pass


class PostgresEndingTests(EndingContract, PostgresCase):
    pass
