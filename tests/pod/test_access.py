"""What the pod holds a login to, with the real store."""

from twisted.trial.unittest import SynchronousTestCase

from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock, make_world
from tests.web.support import QueuedReactor
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.pod.access import Access
from tunnelcloud.ssh.interfaces import LoginAttempt, LoginRefused
from tunnelcloud.store import assignments, audit, policies, tokens
from tunnelcloud.store.asynchronous import AsyncStore

SECRET = "a" * 26


class LoginCase(SQLiteCase, SynchronousTestCase):
    """Alice may open db; her token is for four sessions."""

    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.reactor = QueuedReactor()
        self.access = Access(AsyncStore(self.store, self.reactor), "pod_1")
        self.policy = self.store.write(policies.create, name="gui", max_token_sessions=4)
        self.set_policy(self.policy.id)
        self.store.write(
            tokens.create,
            user_id=self.world.alice.id,
            secret_hash=hash_secret(SECRET),
            lifetime_seconds=600,
            tunnel_id=self.world.tunnel.id,
            sessions=4,
        )

    def set_policy(self, policy_id):
        self.store.write(assignments.update, self.world.assignment.id, {"policy_id": policy_id})

    def log_in(self, source="192.0.2.1"):
        attempt = LoginAttempt(b"alice", source, 50000, "OpenSSH_9.2")
        outcome = []
        self.access.login_with_token(attempt, SECRET).addBoth(outcome.append)
        while not outcome:
            self.reactor.run_one()
        return outcome[0]


class TokenSessionsTests(LoginCase):
    """A token for several sessions: as many as its policy lets it open by now."""

    def refused(self, **where):
        return str(self.log_in(**where).trap(LoginRefused) and self.log_in(**where).value)

    def test_as_many_as_it_was_made_for(self):
        for _ in range(4):
            self.assertIsInstance(self.log_in(), str)
        self.assertIn("was used at 2026-03-02 09:00:00 UTC", self.refused())

    def test_from_the_first_ones_address_and_soon(self):
        self.log_in()
        self.assertIn("was used", self.refused(source="192.0.2.2"))
        self.clock.advance(119)
        self.assertIsInstance(self.log_in(), str)
        self.clock.advance(1)
        self.assertIn("was used", self.refused())

    def test_a_policy_that_lets_it_open_fewer_by_now(self):
        self.log_in()
        self.store.write(policies.update, self.policy.id, {"max_token_sessions": 2})
        self.assertIsInstance(self.log_in(), str)
        self.assertIn("was used", self.refused())

    def test_without_its_policy_it_opens_one(self):
        self.set_policy(None)
        self.assertIsInstance(self.log_in(), str)
        self.assertIn("was used", self.refused())


class WhoseRefusalTests(LoginCase):
    """Refusals are recorded for whom they concern, to be found on their page."""

    def ask(self, judge, login, *credential):
        attempt = LoginAttempt(login, "192.0.2.1", 50000, "PuTTY_0.78")
        outcome = []
        getattr(self.access, judge)(attempt, *credential).addBoth(outcome.append)
        while not outcome:
            self.reactor.run_one()
        outcome[0].trap(LoginRefused)
        return self.last()

    def last(self):
        event = self.store.read(audit.list_page, event="login.refused").items[0].event
        return event.user_id

    def test_the_tokens_owner_though_the_login_names_nobody(self):
        for _ in range(4):
            self.log_in()
        self.assertEqual(self.ask("login_with_token", b"tcptunnel@db", SECRET), self.world.alice.id)

    def test_whom_the_login_names(self):
        alice = self.world.alice.id
        self.assertEqual(self.ask("login_with_token", b"alice@example.com", "b" * 26), alice)
        self.assertEqual(self.ask("login_with_key", b"alice", b"a key of nobody's"), alice)
        self.assertIsNone(self.ask("login_with_token", b"mallory", "b" * 26))
        self.assertIsNone(self.ask("login_with_token", b"\xff\x00", "b" * 26))

    def test_a_bad_signature(self):
        self.access.login_failed(LoginAttempt(b"alice", "::1", 1, "x"), "key", "bad signature")
        self.reactor.run_one()
        self.assertEqual(self.last(), self.world.alice.id)
