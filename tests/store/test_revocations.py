"""What each cause ends of a user's access: every pair of the table, in both databases."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.every_hold import EveryHold, secret
from tests.store.material import events_of, login
from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    api_tokens,
    approvals,
    credential_checks,
    invitations,
    pods,
    session_reopening,
    sessions,
    tokens,
    users,
    web_sessions,
)
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.revocations import ENDS, Cause, Hold, end_access
from tunnelcloud.store.schema import sessions as sessions_table
from tunnelcloud.store.transaction import Actor

CAUSE_ENDS = {
    Cause.FIRST_PASSWORD: {
        "WEB_SESSIONS",
        "SIGN_IN_STEPS",
        "INVITATIONS",
        "COMMAND_LINES",
        "DEVICE_LOGINS",
    },
    Cause.PASSWORD_CHANGED: {one.name for one in Hold}
    - {"SSH_SESSIONS", "TOKENS_MADE", "LINKS_MADE", "APPROVALS"},
    Cause.PASSWORD_RESET: {one.name for one in Hold} - {"TOKENS_MADE", "LINKS_MADE", "APPROVALS"},
    Cause.SECOND_FACTOR_RESET: {
        "WEB_SESSIONS",
        "SIGN_IN_STEPS",
        "API_TOKENS",
        "COMMAND_LINES",
        "DEVICE_LOGINS",
        "CONFIRMATIONS",
    },
    Cause.ROLE_LOWERED: {"TOKENS_MADE", "LINKS_MADE"},
    Cause.DELETED: {one.name for one in Hold},
    Cause.OTHERS_ENDED: {
        "WEB_SESSIONS",
        "SIGN_IN_STEPS",
        "API_TOKENS",
        "COMMAND_LINES",
        "DEVICE_LOGINS",
        "CONFIRMATIONS",
    },
    Cause.PROVIDER_ENDED: {"COMMAND_LINES", "DEVICE_LOGINS"},
    Cause.BLOCKED: {one.name for one in Hold},
    Cause.BECAME_SERVICE: {
        "WEB_SESSIONS",
        "SIGN_IN_STEPS",
        "INVITATIONS",
        "DEVICE_LOGINS",
        "TOKENS_MADE",
        "LINKS_MADE",
        "CONFIRMATIONS",
    },
}
"""The table of docs/sign-in.md, said again: a change of one has to be one of the other."""


class EndingContract(EveryHold):
    def test_the_docs_say_the_same(self):
        page = (Path(__file__).parents[2] / "docs" / "sign-in.md").read_text("utf-8")
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in page.splitlines()
            if line.startswith("|")
        ]
        head = next(row for row in rows if "first password" in row)
        said = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows if len(row) == 11}
        columns = {
            Cause.FIRST_PASSWORD: "first password",
            Cause.PASSWORD_CHANGED: "password changed",
            Cause.PASSWORD_RESET: "password reset by a link",
            Cause.SECOND_FACTOR_RESET: "second factor removed by an administrator",
            Cause.OTHERS_ENDED: '"End all others"',
            Cause.BLOCKED: "blocked",
            Cause.BECAME_SERVICE: "becomes a service account",
            Cause.ROLE_LOWERED: "no administrator any more",
            Cause.DELETED: "deleted",
            Cause.PROVIDER_ENDED: "their provider disabled, deleted or unlinked",
        }
        for hold in Hold:
            for cause in Cause:
                ended = said[hold.value][columns[cause]] in ("ended", "ended but this one")
                self.assertEqual(ended, hold in ENDS[cause], f"{hold} {cause}")

    def test_a_token_of_no_user_ends_with_its_maker(self):
        """Also one that was made with such a token: behind it is the same administrator."""
        self.store.write(users.create, name="second", role=Role.ADMIN)
        for change in ({"role": Role.USER}, {"blocked": True}, None):
            root = self.store.write(users.create, name="root", role=Role.ADMIN)
            first = self.make_token(Actor("root", root.id), "first")
            second = self.make_token(Actor("first", first.id), "system")
            self.assertEqual((second.made_by, second.made_by_id), ("root", root.id))
            mine = self.make_token(Actor("root", root.id), "bots", self.world.bob.id)
            if change is None:
                self.store.write(users.delete, root.id)
            else:
                self.store.write(users.update, root.id, change)
            self.assertIsNone(self.store.read(api_tokens.authenticate, secret("first")))
            self.assertIsNone(self.store.read(api_tokens.authenticate, secret("system")))
            self.assertIsNotNone(self.store.read(api_tokens.authenticate, secret("bots")))
            self.store.write(api_tokens.delete, mine.id)
            if change is not None:
                self.store.write(users.delete, root.id)

    def test_what_an_administrator_was_shown_for_others_ends_with_their_rights(self):
        """A token or a link by which they would be another administrator; no service account's."""
        self.store.write(users.create, name="second", role=Role.ADMIN)
        other = self.store.write(users.create, name="other", role=Role.ADMIN)
        robot = self.store.write(users.create, name="robot", role=Role.ADMIN, service=True)
        for change in ({"role": Role.AUDITOR}, {"blocked": True}, None):
            root = self.store.write(users.create, name="root", role=Role.ADMIN)
            actor = Actor("root", root.id)
            behind = self.make_token(actor, "behind", other.id, Role.ADMIN)
            further = Actor("behind", behind.id)
            made = {
                title: self.make_token(by, title, user.id, role)
                for title, by, user, role in (
                    ("others", actor, other, Role.ADMIN),
                    ("further", further, other, Role.AUDITOR),
                    ("robots", actor, robot, Role.ADMIN),
                    ("users", actor, other, Role.USER),
                )
            }
            self.store.acting(further).write(
                invitations.create,
                user_id=other.id,
                secret_hash=secret(f"link {change}"),
                lifetime_seconds=600,
            )
            if change is None:
                self.store.write(users.delete, root.id)
            else:
                self.store.write(users.update, root.id, change)
                self.store.write(users.delete, root.id)
            left = {one for one in made if self.store.read(api_tokens.authenticate, secret(one))}
            self.assertEqual(left, {"robots", "users"}, change)
            self.assertIsNone(self.store.read(api_tokens.authenticate, secret("behind")))
            self.assertIsNone(self.store.read(invitations.peek, secret(f"link {change}")))
            for title in left:
                self.store.write(api_tokens.delete, made[title].id)

    def test_a_session_of_a_pod_that_is_cut_off_ends_when_it_comes_back(self):
        """Others take the pod for dead, and close the session's record."""
        registration = pods.Registration("cut", "1", "cut:2222", "cut:8443", "1", "home")
        pod = self.store.write(pods.register, registration, shared=True)
        begun = {}
        for name in ("lives", "left"):
            self.store.write(
                tokens.create,
                user_id=self.world.alice.id,
                secret_hash=secret(name),
                lifetime_seconds=600,
            )
            spent = self.store.write(tokens.spend, secret(name), login(pod_id=pod.id))
            begun[name] = spent.session.id
        self.store.write(sessions.end, begun["left"], reason="the client left")
        self.clock.advance(60)
        self.store.write(pods.reap, silent_seconds=45)
        for blocked in (True, False):
            self.store.write(users.update, self.world.alice.id, {"blocked": blocked})
        self.store.write(pods.renew, pod.id, "1")
        wanted = self.store.write(session_reopening.reopen, pod.id, {begun["lives"]}, ())
        self.assertEqual([one.id for one in wanted], [begun["lives"]])
        self.assertEqual(self.store.read(sessions.closed, [begun["lives"]]), [begun["lives"]])
        query = select(sessions_table.c.id).where(sessions_table.c.end_requested.is_not(None))
        asked = self.store.read(lambda one: one.connection.execute(query).scalars().all())
        self.assertNotIn(begun["left"], asked)

    def make_token(self, actor, title, user_id=None, role=None):
        return self.store.acting(actor).write(
            api_tokens.create,
            title=title,
            role=role or (Role.USER if user_id else Role.ADMIN),
            secret_hash=secret(title),
            user_id=user_id,
        )

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

    def test_a_blocked_users_request_can_be_made_anew_once_they_are_unblocked(self):
        alice, tunnel = self.world.alice, self.world.tunnel
        policy = self.waited_for
        for blocked in (True, False):
            self.store.write(users.update, alice.id, {"blocked": blocked})
        request = self.store.write(approvals.ask, alice, tunnel, policy, source_ip="192.0.2.1")
        self.assertIs(request.status, RequestStatus.PENDING)

    def test_pods_hear_which_grants_ended(self):
        committed = []
        self.addCleanup(self.store.listen(committed.append))
        self.store.write(end_access, self.world.alice, Cause.BLOCKED)
        changes = [one for done in committed for one in done.changes if one.kind == "grant"]
        self.assertEqual([one.concerns for one in changes], [(self.world.alice.id,)] * 2)

    def test_another_password_ends_what_the_old_one_let_in(self):
        self.store.write(users.set_password, self.world.alice.id, "first")
        self.assertEqual(self.store.read(self.left)[Hold.API_TOKENS], 1)
        self.store.write(users.set_password, self.world.alice.id, "second")
        left = self.store.read(self.left)
        self.assertEqual(left.pop(Hold.TOKENS_MADE), 1)
        self.assertEqual(left.pop(Hold.LINKS_MADE), 1)
        self.assertEqual(left.pop(Hold.APPROVALS), 2)
        self.assertEqual(set(left.values()), {0})

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
    def test_two_administrators_who_demote_each_other_at_once(self):
        roots = [self.store.write(users.create, name=f"root{n}", role=Role.ADMIN) for n in (1, 2)]

        def work(transaction):
            users.update(transaction, roots[0].id, {"role": Role.USER})
            return self.store.write_soon(users.update, roots[1].id, {"role": Role.USER})

        other = self.store.write(work)
        self.assertRaises(Conflict, other.result)
        self.assertEqual(self.store.read(users.count, role=Role.ADMIN), 1)

    def test_what_is_made_while_its_maker_is_blocked_ends_too(self):
        """Whoever makes it holds the right to do so until the commit, and the block waits."""
        root = self.store.write(users.create, name="root", role=Role.ADMIN)
        self.store.write(users.create, name="other", role=Role.ADMIN)
        bob = self.world.bob
        sign_in = self.store.write(
            web_sessions.create,
            user_id=root.id,
            secret_hash=secret("cookie"),
            lifetime_seconds=600,
            method="password",
            source_ip="192.0.2.1",
            user_agent="x",
        )

        def work(transaction):
            role = credential_checks.role_by_web_session(
                transaction, sign_in.id, root.id, hold=True
            )
            self.assertIs(role, Role.ADMIN)
            blocking = self.store.write_soon(users.update, root.id, {"blocked": True})
            self.assertRaises(TimeoutError, blocking.result, 0.5)
            invitations.create(
                transaction, user_id=bob.id, secret_hash=secret("kept"), lifetime_seconds=600
            )
            return blocking

        self.store.acting(Actor("root", root.id)).write(work).result()
        self.assertIsNone(self.store.read(invitations.peek, secret("kept")))
