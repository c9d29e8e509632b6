"""A token is spent exactly as often as it allows, whoever tries at once."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import update

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, events_of, login, make_tunnel, make_world
from tunnelcloud.domain.entities import Method
from tunnelcloud.store import audit, sessions, tokens, users
from tunnelcloud.store.errors import Conflict, InvalidReference, NotFound
from tunnelcloud.store.tokens import Outcome

SECRET = hashlib.sha256(b"secret").digest()


class TokenContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)

    def create(self, secret=SECRET, **fields):
        given = {"user_id": self.world.alice.id, "lifetime_seconds": 600, **fields}
        return self.store.write(tokens.create, secret_hash=secret, **given)

    def spend(self, *, source_ip="192.0.2.1", secret=SECRET, **fields):
        return self.store.write(tokens.spend, secret, login(source_ip), **fields)

    def test_spending_begins_a_session_and_audits_it(self):
        token = self.create()
        spending = self.spend()
        self.assertIs(spending.outcome, Outcome.SPENT)
        self.assertEqual(spending.token.used_at, self.clock.moment)
        self.assertEqual(spending.token.used_from, "192.0.2.1")
        session = self.store.read(sessions.get, spending.session.id)
        self.assertEqual(session, spending.session)
        self.assertEqual(session.token_id, token.id)
        self.assertEqual(session.method, Method.TOKEN)
        [record] = self.store.read(audit.list_page, event="login.succeeded").items
        self.assertEqual(record.event.session_id, session.id)
        self.assertEqual(record.event.user_name, "alice")
        self.assertEqual(record.event.data["token_id"], token.id)

    def test_the_second_time_says_when_it_was_used(self):
        self.create()
        first = self.clock.moment
        self.spend()
        self.clock.advance(5)
        spending = self.spend()
        self.assertIs(spending.outcome, Outcome.USED)
        self.assertEqual(spending.token.used_at, first)
        self.assertIsNone(spending.session)
        self.assertEqual(self.store.read(sessions.count), 1)

    def test_an_unknown_token(self):
        self.create()
        spending = self.spend(secret=hashlib.sha256(b"other").digest())
        self.assertEqual((spending.outcome, spending.token), (Outcome.UNKNOWN, None))

    def test_a_token_is_good_until_its_end_and_not_at_it(self):
        self.create()
        self.clock.advance(600)
        self.assertIs(self.spend().outcome, Outcome.EXPIRED)
        self.clock.advance(-0.001)
        self.assertIs(self.spend().outcome, Outcome.SPENT)

    def test_a_revoked_token(self):
        token = self.create()
        revoked = self.store.write(tokens.revoke, token.id)
        self.assertEqual(revoked.revoked_at, self.clock.moment)
        self.clock.advance(1)
        self.assertEqual(self.store.write(tokens.revoke, token.id), revoked)
        self.assertIs(self.spend().outcome, Outcome.REVOKED)
        self.assertEqual(self.store.read(events_of).count("token.revoked"), 1)
        self.assertRaises(NotFound, self.store.write, tokens.revoke, "tok_none")

    def test_another_users_token_looks_unknown_and_stays_unspent(self):
        self.create()
        spending = self.spend(user=self.world.bob)
        self.assertEqual((spending.outcome, spending.token), (Outcome.UNKNOWN, None))
        self.assertIs(self.spend(user=self.world.alice).outcome, Outcome.SPENT)

    def test_a_blocked_users_token_is_revoked_for_good(self):
        self.create()
        for blocked in (True, False):
            self.store.write(users.update, self.world.alice.id, {"blocked": blocked})
            self.assertIs(self.spend().outcome, Outcome.REVOKED)

    def test_a_user_has_so_many_at_most(self):
        self.patch(tokens, "MOST_TOKENS", 2)
        self.create()
        self.create(secret=b"2")
        error = self.assertRaises(Conflict, self.create, secret=b"3")
        self.assertIn("has 2 one-time tokens that are good: use them", str(error))
        self.create(secret=b"bobs", user_id=self.world.bob.id)
        self.spend(secret=b"2")
        self.create(secret=b"3")

    def test_a_blocked_user_gets_no_token(self):
        self.store.write(users.update, self.world.alice.id, {"blocked": True})
        error = self.assertRaises(Conflict, self.create)
        self.assertEqual(error.field, "user_id")

    def test_a_token_that_a_blocked_user_has_all_the_same_looks_unknown_and_stays_unspent(self):
        self.create()
        self.store.write(self.block_only, True)
        self.assertIs(self.spend().outcome, Outcome.UNKNOWN)
        self.store.write(self.block_only, False)
        self.assertIs(self.spend().outcome, Outcome.SPENT)

    def block_only(self, transaction, blocked):
        """Block without what blocking ends."""
        table = users.table
        query = update(table).where(table.c.id == self.world.alice.id).values(blocked=blocked)
        transaction.connection.execute(query)

    def test_further_sessions_come_soon_and_from_the_same_address(self):
        self.create(sessions=3, tunnel_id=self.world.tunnel.id)
        self.assertIs(self.spend().outcome, Outcome.SPENT)
        self.clock.advance(60)
        self.assertIs(self.spend(source_ip="192.0.2.2").outcome, Outcome.USED)
        second = self.spend()
        self.assertIs(second.outcome, Outcome.SPENT)
        self.assertEqual(second.token.sessions_used, 2)
        self.clock.advance(60)
        self.assertIs(self.spend().outcome, Outcome.USED)
        self.clock.advance(-1)
        self.assertIs(self.spend().outcome, Outcome.SPENT)
        self.assertIs(self.spend().outcome, Outcome.USED)
        self.assertEqual(self.store.read(sessions.count), 3)

    def test_a_bound_token_narrows_its_session(self):
        other = self.store.write(make_tunnel, self.world.site.id, "other")
        self.create(tunnel_id=self.world.tunnel.id)
        spending = self.spend(tunnel=other)
        self.assertEqual(spending.session.tunnel_id, self.world.tunnel.id)

    def test_a_free_token_is_narrowed_by_the_login(self):
        self.create()
        spending = self.spend(tunnel=self.world.tunnel)
        self.assertEqual(spending.session.tunnel_id, self.world.tunnel.id)

    def test_eight_at_once_make_one_session(self):
        self.create()
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: self.spend().outcome, range(8)))
        self.assertEqual(found.count(Outcome.SPENT), 1)
        self.assertEqual(found.count(Outcome.USED), 7)
        self.assertEqual(self.store.read(sessions.count), 1)

    def test_eight_at_once_make_as_many_sessions_as_allowed(self):
        self.create(sessions=3, tunnel_id=self.world.tunnel.id)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: self.spend().outcome, range(8)))
        self.assertEqual(found.count(Outcome.SPENT), 3)
        self.assertEqual(self.store.read(sessions.count), 3)

    def test_references_are_checked(self):
        error = self.assertRaises(InvalidReference, self.create, user_id="usr_none")
        self.assertEqual(error.field, "user_id")
        error = self.assertRaises(InvalidReference, self.create, tunnel_id="tun_none")
        self.assertEqual(error.field, "tunnel_id")

    def test_old_tokens_are_forgotten(self):
        self.create()
        self.create(secret=b"2", lifetime_seconds=60)
        self.clock.advance(61)
        self.assertEqual(self.store.write(tokens.forget, self.clock.moment), 1)
        self.assertEqual(self.store.read(tokens.TOKENS.count), 1)

    def test_a_secret_is_in_no_audit_record(self):
        self.create()
        self.spend()
        for record in self.store.read(audit.list_page).items:
            self.assertNotIn(SECRET.hex(), repr(record))


class SQLiteTokenTests(TokenContract, SQLiteCase):
    pass


class PostgresTokenTests(TokenContract, PostgresCase):
    pass
