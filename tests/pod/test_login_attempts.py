"""What the pod holds a login to, with the real store."""

import threading

from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock, make_world
from tests.web.support import QueuedReactor
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.pod.cluster import Cluster, Seat
from tunnelcloud.pod.key_cache import KeyRing, find_key
from tunnelcloud.pod.login_attempts import (
    CAME_LATE,
    CANNOT_JUDGE,
    LOGIN_SECONDS,
    MAY_BE_SPENT,
    Access,
)
from tunnelcloud.pod.user_views import Views
from tunnelcloud.ssh.interfaces import LoginAttempt, LoginRefused
from tunnelcloud.store import assignments, audit, policies, sessions, tokens, tunnels
from tunnelcloud.store.asynchronous import OUTCOME_SECONDS, AsyncStore
from tunnelcloud.store.pods import Registration

SECRET = "a" * 26
SEAT = Seat("pod_1", Registration("pod-1", "1", "x:1", "x:2"))


class LoginWorld:
    """Alice may open db; her token is for four sessions."""

    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.reactor = QueuedReactor()
        store = AsyncStore(self.store, self.reactor)
        self.current = self.room = True
        cluster = Cluster(store, None, SEAT, None, None)
        self.views = Views(cluster.load_views, lambda: self.current)
        self.ring = KeyRing(lambda blob: store.read(find_key, blob))
        self.store.listen(self.committed)
        self.access = Access(store, "pod_1", self.views, self.ring, lambda user_id: self.room)
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

    def committed(self, committed):
        """Hear of a change, as the pod does; whoever wrote it waits meanwhile."""
        for change in committed.changes:
            self.ring.changed(change)
            self.views.drop_all()

    def set_policy(self, policy_id):
        self.store.write(assignments.update, self.world.assignment.id, {"policy_id": policy_id})

    def log_in(self, source="192.0.2.1"):
        attempt = LoginAttempt(b"alice", source, 50000, "OpenSSH_9.2")
        outcome = []
        self.access.login_with_token(attempt, SECRET).addBoth(outcome.append)
        while not outcome:
            self.reactor.run_one()
        return outcome[0]


class LoginCase(LoginWorld, SQLiteCase):
    """On a database that every machine has."""


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


class SlowStoreTests(LoginCase):
    """A login that the store takes too long for."""

    def begin(self):
        """Begin a login, and let the reactor's thread do what it can for it."""
        attempt = LoginAttempt(b"alice", "192.0.2.1", 50000, "OpenSSH_9.2")
        outcome = []
        self.views.get(self.world.alice.id)
        while self.views.held(self.world.alice.id) is None:
            self.reactor.run_one()
        self.access.login_with_token(attempt, SECRET).addBoth(outcome.append)
        self.reactor.run_one()
        return outcome

    def wait_in(self, patched, name):
        """Let a thread of the store wait after some function; give what is set when it does."""
        function, go, begun = getattr(patched, name), threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def slow(*args, **kwargs):
            result = function(*args, **kwargs)
            begun.set()
            go.wait(60)
            return result

        self.patch(patched, name, slow)
        return begun, go

    def test_the_token_of_one_that_was_given_up_is_unspent(self):
        begun, go = self.wait_in(tokens, "spend")
        outcome = self.begin()
        begun.wait(60)
        self.reactor.time.advance(LOGIN_SECONDS)
        self.assertEqual(outcome[0].trap(LoginRefused), LoginRefused)
        self.assertEqual(str(outcome[0].value), CANNOT_JUDGE)
        go.set()
        self.store.write(lambda _: None)
        self.assertEqual(self.store.read(sessions.count), 0)
        self.assertEqual(self.store.read(tokens.list_page).items[0].sessions_used, 0)

    def test_one_that_is_being_committed_goes_on(self):
        begun, go = self.wait_in(self.store.backend, "tell")
        outcome = self.begin()
        begun.wait(60)
        self.reactor.time.advance(LOGIN_SECONDS)
        self.assertEqual(outcome, [])
        go.set()
        while not outcome:
            self.reactor.run_one()
        self.assertIsInstance(outcome[0], str)

    def test_one_whose_commit_hangs_may_have_spent_the_token(self):
        begun, go = self.wait_in(self.store.backend, "tell")
        outcome = self.begin()
        begun.wait(60)
        self.reactor.time.advance(LOGIN_SECONDS)
        self.reactor.time.advance(OUTCOME_SECONDS)
        self.assertEqual(str(outcome[0].value), MAY_BE_SPENT)
        go.set()
        while not (found := self.store.read(sessions.list_page).items) or not found[0].ended_at:
            self.reactor.run_one()
        self.assertEqual(found[0].end_reason, CAME_LATE)


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

    def test_a_token_in_place_of_the_name(self):
        """It is nowhere in clear: not in the audit, whichever way it was pasted."""
        for login, shown in (
            (SECRET.encode(), "(a one-time token)"),
            (SECRET.upper().encode() + b" ", "(a one-time token)"),
            (b"tcptunnel@" + SECRET.encode(), "tcptunnel@(a one-time token)"),
            (b"mallory\x1b[2J", "mallory\\x1b[2J"),
            (b"tca_" + SECRET.encode(), "(a secret)"),
            (b"tcj1." + SECRET.encode() * 3 + b"\xff", "(a secret)\\xff"),
        ):
            self.ask("login_with_token", login, "b" * 26)
            event = self.store.read(audit.list_page, event="login.refused").items[0].event
            self.assertEqual(event.data["login_name"], shown)

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


class ScopeTests(LoginCase):
    """What a login may open is decided once, and kept as the tunnel's id."""

    def make_prod(self):
        prod = self.store.write(
            tunnels.create,
            name="prod",
            site_id=self.world.tunnel.site_id,
            target_address="10.0.0.9",
            target_ports=(PortRange(1, 1),),
            external_address="db.example.com",
        )
        self.store.write(
            assignments.create,
            tunnel_id=prod.id,
            user_id=self.world.alice.id,
            methods=frozenset(Method),
        )
        return prod

    def log_in_as(self, login, secret=SECRET):
        attempt = LoginAttempt(login, "192.0.2.1", 50000, "x")
        outcome = []
        self.access.login_with_token(attempt, secret).addBoth(outcome.append)
        while not outcome:
            self.reactor.run_one()
        return outcome[0]

    def make_token(self, secret):
        self.store.write(
            tokens.create,
            user_id=self.world.alice.id,
            secret_hash=hash_secret(secret),
            lifetime_seconds=600,
        )

    def test_a_name_is_stronger_than_a_label(self):
        prod = self.make_prod()
        for number, (login, expected) in enumerate(
            [
                (b"tcptunnel@db", self.world.tunnel.id),
                (b"tcptunnel@DB.example.com.", prod.id),
                (b"alice", None),
            ]
        ):
            secret = str(number + 2) * 26
            self.make_token(secret)
            session = self.store.read(sessions.get, self.log_in_as(login, secret))
            self.assertEqual(session.tunnel_id, expected, login)

    def test_a_bound_token_does_not_open_another(self):
        self.make_prod()
        self.log_in_as(b"tcptunnel@prod").trap(LoginRefused)
        session = self.store.read(sessions.get, self.log_in_as(b"tcptunnel@db"))
        self.assertEqual(session.tunnel_id, self.world.tunnel.id)


class GoodTokenTests(LoginCase):
    """The client learns no more of a good token without a grant than of a wrong one."""

    def refused(self, login=b"alice", secret=SECRET):
        attempt = LoginAttempt(login, "192.0.2.1", 50000, "x")
        outcome = []
        self.access.login_with_token(attempt, secret).addBoth(outcome.append)
        while not outcome:
            self.reactor.run_one()
        outcome[0].trap(LoginRefused)
        return outcome[0].value.text, outcome[0].value.offence

    def reason(self):
        event = self.store.read(audit.list_page, event="login.refused").items[0].event
        self.assertEqual(event.user_id, self.world.alice.id)
        return event.data["reason"]

    def test_without_an_assignment(self):
        self.store.write(assignments.delete, self.world.assignment.id)
        text, offence = self.refused()
        self.assertEqual(text, self.refused(secret="b" * 26)[0])
        self.assertFalse(offence)
        self.refused()
        self.assertIn("the token is good, but the tunnel that it is for isn't", self.reason())

    def test_a_disabled_tunnel_and_then_an_enabled_one(self):
        """It is unspent by a login that came to nothing."""
        self.store.write(tunnels.update, self.world.tunnel.id, {"enabled": False})
        text, offence = self.refused()
        self.assertIn("disabled; an administrator can enable it", self.reason())
        self.assertEqual((text, offence), (self.refused(secret="b" * 26)[0], False))
        self.store.write(tunnels.update, self.world.tunnel.id, {"enabled": True})
        self.assertIsInstance(self.log_in(), str)

    def test_one_that_ended_says_the_same_with_and_without_an_assignment(self):
        self.log_in()
        self.clock.advance(121)
        with_grant = self.refused()
        self.assertIn("was used at", with_grant[0])
        self.store.write(assignments.delete, self.world.assignment.id)
        self.assertEqual(self.refused(), with_grant)

    def test_who_has_none_learns_nothing(self):
        """Neither of a user without an assignment, nor with another user's good token."""
        wrong = self.refused(b"nobody", "b" * 26)
        self.assertTrue(wrong[1])
        self.assertEqual(self.refused(secret="b" * 26), wrong)
        self.assertEqual(self.refused(b"bob"), wrong)
        self.store.write(assignments.delete, self.world.assignment.id)
        self.assertEqual(self.refused(secret="b" * 26), wrong)
        self.assertEqual(self.refused(b"bob"), wrong)

    def test_a_tunnel_of_others_is_like_none(self):
        self.store.write(
            tunnels.create,
            name="secret",
            site_id=self.world.tunnel.site_id,
            target_address="10.0.0.9",
            target_ports=(PortRange(1, 1),),
        )
        there = self.refused(b"tcptunnel@secret")
        self.assertEqual(there, self.refused(b"tcptunnel@nowhere"))
        self.assertIn("it is for db only", self.reason())

    def test_a_secret_in_the_tunnels_place_is_nowhere(self):
        for secret in ("c" * 26, SECRET):
            text, _ = self.refused(b"tcptunnel@" + secret.encode())
            self.assertNotIn(secret, text + self.reason())


class ShareTests(LoginCase):
    """Who has all of their share of a pod's sessions gets no further one, and keeps the token."""

    def test_no_room(self):
        self.room = False
        refused = self.log_in().value
        self.assertIn("sessions open on this pod", refused.text)
        self.assertFalse(refused.offence)
        self.room = True
        self.assertIsInstance(self.log_in(), str)
