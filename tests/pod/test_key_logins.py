"""Logins by a key: what is offered, what it opens, and what a flood of them costs."""

from collections import Counter
from datetime import timedelta

from tests.pod.test_login_attempts import LoginCase
from tests.store.material import public_key
from tunnelcloud.domain.entities import Method
from tunnelcloud.ssh.interfaces import LoginAttempt, LoginRefused
from tunnelcloud.store import assignments, audit, keys, sessions, users
from tunnelcloud.store.refusals import SECONDS


class KeyTests(LoginCase):
    """A key that is only shown tells that it is registered; who signed finds the reason."""

    def setUp(self):
        super().setUp()
        text, self.blob = public_key("one")
        self.key = self.store.write(
            keys.create,
            user_id=self.world.alice.id,
            public_key=text,
            expires_at=self.clock.moment + timedelta(seconds=60),
        )

    def outcome(self, asked):
        outcome = []
        asked.addBoth(outcome.append)
        while not outcome:
            self.reactor.run_one()
        return outcome[0]

    def is_registered(self, blob=None):
        return self.outcome(self.access.is_registered(blob or self.blob))

    def log_in_with_key(self, login=b"alice"):
        attempt = LoginAttempt(login, "192.0.2.1", 50000, "PuTTY_0.78")
        return self.outcome(self.access.login_with_key(attempt, self.blob))

    def refused(self, login=b"tcptunnel@db"):
        """Log in, which is refused and blamed on nobody; the audit's owner and reason."""
        refusal = self.log_in_with_key(login)
        refusal.trap(LoginRefused)
        self.assertEqual((refusal.value.text, refusal.value.offence), ("", False))
        return self.refusals()[0]

    def refusals(self):
        found = self.store.read(audit.list_page, event="login.refused").items
        return [(one.event.user_id, one.event.data["reason"]) for one in found]

    def test_a_question_is_about_the_key_alone(self):
        """Whatever it opens, and whether or not it opens anything, the answer is the same, and
        neither grants nor the user are looked at for it."""
        self.views.get = None
        self.assertFalse(self.is_registered(public_key("two")[1]))
        self.assertTrue(self.is_registered())
        self.store.write(users.update, self.world.alice.id, {"blocked": True})
        self.assertTrue(self.is_registered())
        self.store.write(assignments.delete, self.world.assignment.id)
        self.assertTrue(self.is_registered())
        self.clock.advance(60)
        self.assertTrue(self.is_registered())
        self.assertEqual(self.refusals(), [])

    def test_where_only_tokens_open(self):
        self.store.write(
            assignments.update, self.world.assignment.id, {"methods": frozenset({Method.TOKEN})}
        )
        reason = "the key opens nothing for this login: no tunnel that opens with a key is assigned"
        self.assertEqual(self.refused(), (self.world.alice.id, f"{reason} to alice"))

    def test_expired(self):
        self.clock.advance(60)
        reason = "the key expired at 2026-03-02 09:01:00 UTC"
        self.assertEqual(self.refused(), (self.world.alice.id, reason))

    def test_another_tunnel_and_another_users_name(self):
        reason = "the key opens nothing for this login"
        other = f"{reason}: no tunnel that is assigned to alice has the name after tcptunnel@"
        for login, why in ((b"tcptunnel@prod", other), (b"bob", reason), (b"\xff", reason)):
            self.assertEqual(self.refused(login), (self.world.alice.id, why))

    def test_what_it_offers_it_lets_in(self):
        self.assertTrue(self.is_registered())
        session = self.store.read(sessions.get, self.log_in_with_key())
        self.assertEqual((session.user_id, session.key_id), (self.world.alice.id, self.key.id))

    def test_no_room(self):
        self.room = False
        self.assertIn("sessions open on this pod", self.log_in_with_key().value.text)
        self.room = True
        self.assertIsInstance(self.log_in_with_key(), str)

    def test_revoked_while_memory_has_it(self):
        """Memory only saves a look: the transaction that writes the session has the last word."""
        self.store.write(keys.update, self.key.id, {"expires_at": None})
        self.assertTrue(self.is_registered())
        self.ring.changed = lambda change: None
        self.store.write(keys.delete, self.key.id)
        self.refused()
        self.assertEqual(self.store.read(sessions.count), 0)

    def test_while_changes_are_not_heard_nobody_is_let_in(self):
        self.assertTrue(self.is_registered())
        self.current = False
        refused = self.log_in_with_key()
        refused.trap(LoginRefused)
        self.assertIn("can't check logins now", refused.value.text)
        self.assertFalse(refused.value.offence)

    def test_a_deleted_users_key(self):
        self.assertTrue(self.is_registered())
        self.store.write(users.delete, self.world.alice.id)
        self.assertFalse(self.is_registered())


class FloodTests(LoginCase):
    """Who is refused again and again makes the pod write so often a minute, and a sum."""

    def refused(self):
        found = self.store.read(audit.list_page, event="login.refused", limit=200).items
        return [(one.event.source_ip, one.event.data.get("count", 1)) for one in found]

    def test_beyond_a_few_of_a_source_they_are_counted(self):
        for source in ("192.0.2.1", "192.0.2.2"):
            attempt = LoginAttempt(b"mallory", source, 1, "x")
            for _ in range(30):
                refused = []
                self.access.login_with_token(attempt, "b" * 26).addErrback(refused.append)
                while not refused:
                    self.reactor.run_one()
            for _ in range(10):
                self.access.login_failed(attempt, "key", "bad signature")
        written = Counter(source for source, _ in self.refused())
        self.assertEqual(written, {"192.0.2.1": 20, "192.0.2.2": 20})
        self.reactor.time.advance(SECONDS)
        self.reactor.run_one()
        sums = sorted(one for one in self.refused() if one[1] > 1)
        self.assertEqual(sums, [("192.0.2.1", 20), ("192.0.2.2", 20)])
        self.assertEqual(len(self.refused()), 42)
