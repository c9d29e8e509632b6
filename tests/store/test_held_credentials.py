"""A credential that somebody writes by: good, and held until the commit."""

from __future__ import annotations

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, make_world
from tunnelcloud.domain.entities import Role
from tunnelcloud.store import api_tokens, credentials, tokens, users, web_sessions
from tunnelcloud.store.endings import Cause, end_access


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
            self.store.write(credentials.role_by_api_token, self.token.id, alice, hold=True),
            self.store.write(credentials.role_by_web_session, self.sign_in.id, alice, hold=True),
        )

    def test_they_have_the_users_role(self):
        self.assertEqual(self.roles(), (Role.USER, Role.USER))
        self.store.write(users.update, self.alice.id, {"role": Role.ADMIN})
        self.assertEqual(self.roles(), (Role.ADMIN, Role.ADMIN))

    def test_a_token_of_nobody_has_its_own(self):
        token = self.make(b"nobodys", expires_at=self.clock.moment.replace(hour=23))
        self.assertIs(
            self.store.write(credentials.role_by_api_token, token.id, None, hold=True), Role.AUDITOR
        )
        self.assertIsNone(
            self.store.write(credentials.role_by_api_token, self.token.id, None, hold=True)
        )
        self.clock.advance(86_400)
        self.assertIsNone(
            self.store.write(credentials.role_by_api_token, token.id, None, hold=True)
        )

    def test_nothing_is_held_of_what_has_ended(self):
        self.store.write(end_access, self.alice, Cause.OTHERS_ENDED)
        self.assertEqual(self.roles(), (None, None))

    def test_a_sign_in_ends_in_time(self):
        self.clock.advance(100)
        self.assertEqual(self.roles(), (Role.USER, None))

    def test_anothers_is_none(self):
        for hold, held in (
            (credentials.role_by_api_token, self.token),
            (credentials.role_by_web_session, self.sign_in),
        ):
            self.assertIsNone(self.store.write(hold, held.id, "usr_other", hold=True))


class SQLiteHeldTests(HeldContract, SQLiteCase):
    pass


class PostgresHeldTests(HeldContract, PostgresCase):
    def test_who_ends_it_waits_and_ends_what_was_made_with_it(self):
        alice = self.alice.id

        def work(transaction):
            credentials.role_by_web_session(transaction, self.sign_in.id, alice, hold=True)
            changing = self.store.write_soon(users.set_password, alice, "$new", instead_of=None)
            return tokens.create(
                transaction, user_id=alice, secret_hash=b"late", lifetime_seconds=60
            ), changing

        self.store.write(users.set_password, alice, "$old")
        self.sign_in = self.store.write(
            web_sessions.create,
            user_id=alice,
            secret_hash=b"second",
            lifetime_seconds=100,
            source_ip="192.0.2.1",
            user_agent="x",
            method="password",
        )
        token, changing = self.store.write(work)
        changing.result()
        self.assertIsNotNone(self.store.read(tokens.get, token.id).revoked_at)

    def test_others_who_write_by_it_need_not_wait(self):
        alice = self.alice.id

        def work(transaction):
            credentials.role_by_web_session(transaction, self.sign_in.id, alice, hold=True)
            self.store.write(credentials.role_by_web_session, self.sign_in.id, alice, hold=True)
            self.store.write(web_sessions.touch, self.sign_in.id, lifetime_seconds=60)
            credentials.role_by_api_token(transaction, self.token.id, alice, hold=True)
            self.store.write(api_tokens.record_use, self.token.id)
            return True

        self.assertTrue(self.store.write(work))
