"""A credential that somebody writes by: good, and held until the commit."""

from __future__ import annotations

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, make_world
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import api_tokens, credential_checks, users, web_sessions
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.revocations import Cause, end_access


class HeldContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.alice = self.store.write(make_world).alice
        self.token = self.make(b"hers", user_id=self.alice.id)
        self.sign_in = self.store.write(
            web_sessions.create,
            user_id=self.alice.id,
            secret_hash=b"cookie",
            lifetime_seconds=100,
            source_ip="192.0.2.1",
            user_agent="x",
            method="password",
        )

    def make(self, secret, **fields):
        given = {"title": "x", "role": Role.AUDITOR, "secret_hash": secret, **fields}
        return self.store.write(api_tokens.create, **given)

    def roles(self):
        """Give the roles that her token and her sign-in have."""
        alice = self.alice.id
        return (
            self.store.write(credential_checks.role_by_api_token, self.token.id, alice, hold=True),
            self.store.write(
                credential_checks.role_by_web_session, self.sign_in.id, alice, hold=True
            ),
        )

    def test_they_have_the_users_role(self):
        self.assertEqual(self.roles(), (Role.USER, Role.USER))
        self.store.write(users.update, self.alice.id, {"role": Role.ADMIN})
        self.assertEqual(self.roles(), (Role.ADMIN, Role.ADMIN))

    def test_a_token_of_nobody_has_its_own(self):
        token = self.make(b"nobodys", expires_at=self.clock.moment.replace(hour=23))
        self.assertIs(
            self.store.write(credential_checks.role_by_api_token, token.id, None, hold=True),
            Role.AUDITOR,
        )
        self.assertIsNone(
            self.store.write(credential_checks.role_by_api_token, self.token.id, None, hold=True)
        )
        self.clock.advance(86_400)
        self.assertIsNone(
            self.store.write(credential_checks.role_by_api_token, token.id, None, hold=True)
        )

    def test_nothing_is_held_of_what_has_ended(self):
        self.store.write(end_access, self.alice, Cause.OTHERS_ENDED)
        self.assertEqual(self.roles(), (None, None))

    def test_a_sign_in_ends_in_time(self):
        self.clock.advance(100)
        self.assertEqual(self.roles(), (Role.USER, None))

    def test_anothers_is_none(self):
        for hold, held in (
            (credential_checks.role_by_api_token, self.token),
            (credential_checks.role_by_web_session, self.sign_in),
        ):
            self.assertIsNone(self.store.write(hold, held.id, "usr_other", hold=True))


class SQLiteHeldTests(HeldContract, SQLiteCase):
    pass


class PostgresHeldTests(HeldContract, PostgresCase):
    def impatient(self, function, *args, **kwargs):
        """Do something in a transaction of its own that waits for nobody."""

        def work(transaction):
            transaction.connection.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")
            function(transaction, *args, **kwargs)

        self.store.write(work)

    def test_who_ends_it_or_demotes_its_user_waits(self):
        alice = self.alice.id
        self.store.write(users.create, name="root", role=Role.ADMIN)
        self.store.write(users.update, alice, {"role": Role.ADMIN})
        doings = (
            lambda: self.impatient(web_sessions.end, self.sign_in.id, reason="x"),
            lambda: self.impatient(end_access, self.alice, Cause.OTHERS_ENDED),
            lambda: self.impatient(users.update, alice, {"role": Role.USER}),
            lambda: self.impatient(users.update, alice, {"blocked": True}),
        )

        def work(transaction):
            credential_checks.role_by_web_session(transaction, self.sign_in.id, alice, hold=True)
            for do in doings:
                self.assertRaises(StoreUnavailable, do)

        self.store.write(work)
        for do in doings:
            do()

    def test_administrators_edit_one_another_side_by_side(self):
        """Who holds their own credential need not wait for who edits them."""
        alice = self.alice.id

        def work(transaction):
            credential_checks.role_by_web_session(transaction, self.sign_in.id, alice, hold=True)
            self.impatient(users.update, alice, {"title": "Alice"})

        self.store.write(work)

    def test_others_who_write_by_it_need_not_wait(self):
        alice = self.alice.id

        def work(transaction):
            credential_checks.role_by_web_session(transaction, self.sign_in.id, alice, hold=True)
            self.store.write(
                credential_checks.role_by_web_session, self.sign_in.id, alice, hold=True
            )
            self.store.write(web_sessions.touch, self.sign_in.id, lifetime_seconds=60)
            credential_checks.role_by_api_token(transaction, self.token.id, alice, hold=True)
            self.store.write(api_tokens.record_use, self.token.id)
            return True

        self.assertTrue(self.store.write(work))
