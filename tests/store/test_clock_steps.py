"""A clock that was ahead and goes back: nothing lasts longer by it, and nobody waits for it."""

from __future__ import annotations

from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, login, make_world
from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    api_tokens,
    approvals,
    audit,
    connectors,
    device_logins,
    emergencies,
    groups,
    invitations,
    policies,
    second_factors,
    sign_in_steps,
    sites,
    timed_grants,
    tokens,
    users,
    web_sessions,
)
from tunnelcloud.store.clock_steps import LEEWAY, end_what_is_to_come
from tunnelcloud.store.device_logins import Progress
from tunnelcloud.store.tokens import Outcome
from tunnelcloud.store.transaction import Actor

DAY = 86400
SECRET = bytes(32)


class ClockStepContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.alice, self.bob = self.world.alice, self.world.bob
        bosses = self.store.write(groups.create, name="bosses")
        self.store.write(groups.add_member, bosses.id, self.bob.id)
        self.policy = self.store.write(
            policies.create,
            name="ask",
            approval=Approval.OTHERS,
            approvers_id=bosses.id,
            approval_seconds=600,
            emergency_seconds=600,
        )
        site = self.store.write(sites.create, name="oslo")
        self.connector = self.store.write(connectors.create, name="oslo-1", site_id=site.id)

    def sign_in(self):
        self.store.write(
            web_sessions.create, user_id=self.alice.id, secret_hash=SECRET,
            lifetime_seconds=3600, method="password", source_ip="192.0.2.1", user_agent="x",
        )  # fmt: skip

    def invite(self, secret=SECRET):
        self.store.write(
            invitations.create, user_id=self.alice.id, secret_hash=secret, lifetime_seconds=3600
        )

    def token(self, **more):
        return self.store.write(
            tokens.create, user_id=self.alice.id, secret_hash=SECRET, lifetime_seconds=600, **more
        )

    def ask(self, **more):
        return self.store.write(
            approvals.ask, self.alice, self.world.tunnel, self.policy, source_ip="192.0.2.1", **more
        )

    def emergency(self):
        return self.store.write(
            emergencies.begin, self.alice, self.world.tunnel, self.policy,
            source_ip="192.0.2.1", reason="fire",
        )  # fmt: skip

    def join_token(self, secret="join"):
        self.store.write(
            connectors.add_join_token, self.connector.id,
            secret_hash=secret, lifetime_seconds=3600,
        )  # fmt: skip

    def joins(self, secret="join"):
        try:
            self.store.write(connectors.redeem_join_token, secret, key_fingerprint="key")
        except connectors.JoinRefused:
            return False
        return True

    def let_a_command_line_in(self):
        self.store.acting(Actor("alice", self.alice.id)).write(
            api_tokens.create, title="laptop", role=Role.USER, secret_hash=SECRET,
            user_id=self.alice.id, expires_at=self.clock.moment + timedelta(days=30),
        )  # fmt: skip

    def wait_for_a_browser(self):
        self.store.write(
            device_logins.begin, secret_hash=SECRET, user_code="WDJB-MJHT", client="laptop",
            source_ip="192.0.2.1", source="192.0.2.1",
        )  # fmt: skip

    def wait_for_a_code(self):
        self.store.write(
            sign_in_steps.begin, secret_hash=SECRET, lifetime_seconds=300, source="192.0.2.1",
            user_id=self.alice.id, content={},
        )  # fmt: skip

    def make_everything(self):
        self.sign_in()
        self.let_a_command_line_in()
        self.invite()
        self.token()
        self.wait_for_a_browser()
        self.wait_for_a_code()
        self.join_token()
        request = self.ask()
        return request.id, self.emergency().id

    def good(self, request_id, grant_id):
        """Tell what is good of all that was made."""
        read = self.store.read
        return {
            "sign-in": read(web_sessions.authenticate, SECRET) is not None,
            "command line": read(api_tokens.authenticate, SECRET) is not None,
            "link": read(invitations.peek, SECRET) is not None,
            "code": read(sign_in_steps.peek, SECRET) is not None,
            "login": read(device_logins.find, "WDJB-MJHT") is not None,
            "request": read(approvals.get, request_id).status is RequestStatus.PENDING,
            "grant": read(timed_grants.get, grant_id).ended_at is None,
            "token": self.store.write(tokens.spend, SECRET, login()).outcome is Outcome.SPENT,
            "join token": self.joins(),
        }

    def test_what_was_made_while_the_clock_was_ahead_ends(self):
        self.clock.advance(DAY)
        made = self.make_everything()
        self.clock.advance(-DAY)
        self.assertEqual(self.store.write(end_what_is_to_come), 9)
        self.assertEqual(set(self.good(*made).values()), {False})
        (event,) = self.store.read(audit.list_page, event="clock.went_back").items
        self.assertEqual(set(event.event.data["ended"].values()), {1})
        self.assertEqual(len(event.event.data["ended"]), 9)
        self.assertEqual(self.store.write(end_what_is_to_come), 0)
        self.clock.advance(DAY + 60)
        self.assertEqual(set(self.good(*made).values()), {False})

    def test_what_was_made_now_or_a_moment_later_stays(self):
        self.clock.advance(LEEWAY.total_seconds() - 1)
        made = self.make_everything()
        self.assertEqual(self.store.write(end_what_is_to_come), 0)
        self.clock.advance(1 - LEEWAY.total_seconds())
        self.assertEqual(self.store.write(end_what_is_to_come), 0)
        self.assertEqual(set(self.good(*made).values()), {True})

    def test_an_api_token_with_a_date_keeps_it(self):
        self.clock.advance(DAY)
        expires_at = self.clock.moment + timedelta(days=30)
        self.store.write(
            api_tokens.create, title="ci", role=Role.AUDITOR, secret_hash=SECRET,
            expires_at=expires_at,
        )  # fmt: skip
        self.clock.advance(-DAY)
        self.store.write(end_what_is_to_come)
        self.assertEqual(self.store.read(api_tokens.authenticate, SECRET).expires_at, expires_at)

    def test_a_sign_in_that_was_used_while_the_clock_was_ahead_ends(self):
        self.sign_in()
        session = self.store.read(web_sessions.authenticate, SECRET)[0]
        self.clock.advance(DAY)
        self.store.write(web_sessions.touch, session.id, lifetime_seconds=3600)
        self.clock.advance(-DAY)
        self.store.write(end_what_is_to_come)
        self.assertIsNone(self.store.read(web_sessions.authenticate, SECRET))

    def test_what_has_ended_stays_ended(self):
        """A link or a token that was ended is no longer good because the clock goes back."""
        self.invite(b"1" * 32)
        self.invite(b"2" * 32)
        self.join_token("first")
        self.join_token("second")
        self.token()
        self.clock.advance(1)
        self.store.write(users.update, self.alice.id, {"blocked": True})
        self.clock.advance(-2)
        self.store.write(users.update, self.alice.id, {"blocked": False})
        for secret in (b"1" * 32, b"2" * 32):
            self.assertIsNone(self.store.read(invitations.peek, secret))
        self.assertEqual(self.store.write(tokens.spend, SECRET, login()).outcome, Outcome.REVOKED)
        self.assertFalse(self.joins("first"))
        self.assertTrue(self.joins("second"))

    def test_what_seems_to_have_expired_is_ended_too(self):
        self.invite()
        self.token()
        self.clock.advance(DAY)
        self.store.write(users.update, self.alice.id, {"blocked": True})
        self.store.write(users.update, self.alice.id, {"blocked": False})
        self.assertEqual(self.store.read(audit.list_page, event="user.access_ended").items, ())
        self.clock.advance(-DAY)
        self.assertIsNone(self.store.read(invitations.peek, SECRET))
        self.assertEqual(self.store.write(tokens.spend, SECRET, login()).outcome, Outcome.REVOKED)

    def test_further_sessions_of_a_token_don_t_last_longer(self):
        self.token(sessions=3)
        self.clock.advance(300)
        self.assertIs(self.store.write(tokens.spend, SECRET, login()).outcome, Outcome.SPENT)
        self.clock.advance(-DAY)
        self.assertIs(self.store.write(tokens.spend, SECRET, login()).outcome, Outcome.USED)

    def test_right_codes_that_were_wrong_while_the_clock_was_ahead(self):
        self.store.write(second_factors.begin, self.alice.id, b"sealed")
        self.store.write(second_factors.confirm, self.alice.id, 1, [b"one"])
        self.clock.advance(DAY)
        for _ in range(second_factors.FREE_FAILURES + 5):
            self.store.write(second_factors.failed, self.alice.id)
        factor = self.store.read(second_factors.find, self.alice.id)
        self.assertEqual(factor.pause(self.clock.moment), timedelta(seconds=32))
        self.clock.advance(-0.1)
        self.assertGreater(factor.pause(self.clock.moment), timedelta(seconds=32))
        self.clock.advance(0.1 - DAY)
        self.assertEqual(factor.pause(self.clock.moment), timedelta(0))
        self.store.write(second_factors.failed, self.alice.id)
        factor = self.store.read(second_factors.find, self.alice.id)
        self.assertEqual(factor.pause(self.clock.moment), timedelta(seconds=64))

    def test_a_refusal_while_the_clock_was_ahead_is_none_of_a_moment_ago(self):
        self.clock.advance(DAY)
        self.store.write(approvals.refuse, self.ask().id, self.bob)
        self.assertIs(self.ask().status, RequestStatus.REFUSED)
        self.clock.advance(-DAY)
        self.assertIs(self.ask().status, RequestStatus.PENDING)

    def test_a_command_line_that_asked_while_the_clock_was_ahead(self):
        self.wait_for_a_browser()
        self.clock.advance(60)
        ask = device_logins.poll, SECRET, b"token", timedelta(days=30)
        self.assertIs(self.store.write(*ask).progress, Progress.PENDING)
        self.assertIs(self.store.write(*ask).progress, Progress.TOO_SOON)
        self.clock.advance(-50)
        self.assertIsNone(self.store.read(device_logins.look, SECRET))
        self.assertIs(self.store.write(*ask).progress, Progress.PENDING)


class SQLiteClockStepTests(ClockStepContract, SQLiteCase):
    pass


class PostgresClockStepTests(ClockStepContract, PostgresCase):
    pass
