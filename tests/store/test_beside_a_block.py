"""What somebody is given to come in by, in a transaction that runs beside their block."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from attrs import evolve

from tests.store.databases import PostgresCase
from tests.store.every_hold import EveryHold, secret
from tests.store.material import login
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    api_tokens,
    approvals,
    device_logins,
    identities,
    identity_providers,
    invitations,
    policies,
    tokens,
    users,
    web_sessions,
)
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.identities import NotLetIn, Person
from tunnelcloud.store.revocations import Hold
from tunnelcloud.store.transaction import Actor


class BesideABlockTests(EveryHold, PostgresCase):
    """SQLite has one writer: there, nothing runs beside anything."""

    def setUp(self):
        super().setUp()
        self.policies = self.store.read(policies.list_page).items
        self.provider = self.store.write(
            identity_providers.create, name="idp", issuer="https://idp.example", client_id="x"
        )
        self.person = Person("1", "alice", "", None, None)
        self.store.write(self.link)
        self.numbers = count()

    def prepare(self):
        """Take away what alice has, and let wait what a maker makes something of."""
        alice, tunnel, number = self.world.alice, self.world.tunnel, next(self.numbers)
        self.store.write(users.update, alice.id, {"blocked": True})
        self.store.write(users.update, alice.id, {"blocked": False})
        self.names = {one: f"{one} {number}" for one in ("decided", "waits", "spent")}
        self.begin_device_login("decided")
        self.store.write(device_logins.decide, self.names["decided"], alice.id, allowed=True)
        self.begin_device_login("waits")
        self.requests = [
            self.store.write(approvals.ask, alice, tunnel, policy, source_ip="192.0.2.8")
            for policy in self.policies
        ]
        of_token = {"secret_hash": secret(self.names["spent"]), "lifetime_seconds": 60}
        self.store.write(tokens.create, user_id=alice.id, **of_token)

    def link(self, transaction):
        identities._link(transaction, self.provider, self.person, self.world.alice, "test")

    def begin_device_login(self, name):
        self.store.write(
            device_logins.begin,
            secret_hash=secret(self.names[name]),
            user_code=self.names[name],
            client="x",
            source_ip="192.0.2.1",
            source="192.0.2.1",
        )

    def make_web_session(self, transaction):
        web_sessions.create(
            transaction,
            user_id=self.world.alice.id,
            secret_hash=secret("a"),
            lifetime_seconds=60,
            source_ip="192.0.2.1",
            user_agent="x",
            method="password",
        )

    def come_through_a_provider(self, transaction):
        identities.enter(transaction, self.provider, self.person)
        self.make_web_session(transaction)

    def make_api_token(self, transaction):
        whose = self.world.alice.id
        api_tokens.create(
            transaction, title="x", role=Role.USER, secret_hash=secret("b"), user_id=whose
        )

    def make_token_of_nobody(self, transaction):
        as_alice = evolve(transaction, actor=Actor("alice", self.world.alice.id))
        api_tokens.create(as_alice, title="x", role=Role.AUDITOR, secret_hash=secret("c"))

    def make_token_of_another(self, transaction):
        as_alice = evolve(transaction, actor=Actor("alice", self.world.alice.id))
        of_bob = {"user_id": self.world.bob.id, "secret_hash": secret("g")}
        api_tokens.create(as_alice, title="x", role=Role.AUDITOR, **of_bob)

    def make_invitation_of_another(self, transaction):
        as_alice = evolve(transaction, actor=Actor("alice", self.world.alice.id))
        of_bob = {"user_id": self.world.bob.id, "secret_hash": secret("h")}
        invitations.create(as_alice, lifetime_seconds=9, **of_bob)

    def make_one_time_token(self, transaction):
        whose = self.world.alice.id
        tokens.create(transaction, user_id=whose, secret_hash=secret("d"), lifetime_seconds=60)

    def spend_one_time_token(self, transaction):
        tokens.spend(transaction, secret(self.names["spent"]), login(), user=self.world.alice)

    def make_invitation(self, transaction):
        whose = self.world.alice.id
        invitations.create(transaction, user_id=whose, secret_hash=secret("e"), lifetime_seconds=9)

    def let_a_command_line_in(self, transaction):
        device_logins.decide(transaction, self.names["waits"], self.world.alice.id, allowed=True)

    def fetch_a_command_lines_token(self, transaction):
        device_logins.poll(
            transaction, secret(self.names["decided"]), secret("f"), timedelta(days=1)
        )

    def ask(self, transaction):
        whose, tunnel = self.world.alice, self.world.tunnel
        for policy in self.policies:
            approvals.ask(transaction, whose, tunnel, policy, source_ip="192.0.2.7")

    def approve(self, transaction):
        for request in self.requests:
            by = self.world.alice if request.approval is Approval.SELF else self.world.bob
            approvals.approve(transaction, request.id, by)

    MAKERS = {
        make_web_session: Hold.WEB_SESSIONS,
        come_through_a_provider: Hold.WEB_SESSIONS,
        make_api_token: Hold.API_TOKENS,
        make_token_of_nobody: Hold.TOKENS_MADE,
        make_token_of_another: Hold.TOKENS_MADE,
        make_invitation_of_another: Hold.LINKS_MADE,
        make_one_time_token: Hold.ONE_TIME_TOKENS,
        spend_one_time_token: Hold.SSH_SESSIONS,
        make_invitation: Hold.INVITATIONS,
        let_a_command_line_in: Hold.DEVICE_LOGINS,
        fetch_a_command_lines_token: Hold.COMMAND_LINES,
        ask: Hold.APPROVALS,
        approve: Hold.CONFIRMATIONS,
    }

    def beside(self, make):
        """Make something in a transaction that began before its user is blocked."""
        alice = self.world.alice

        def work(transaction):
            self.assertFalse(users.get(transaction, alice.id).blocked)
            self.store.write(users.update, alice.id, {"blocked": True})
            return make(self, transaction)

        try:
            self.store.write(work)
        except (Conflict, NotLetIn) as error:
            return str(error)
        finally:
            self.store.write(users.update, alice.id, {"blocked": False})
        return ""

    def test_each_hold_has_a_maker(self):
        """A sign-in that waits for a code is begun under the lock of tests/web/portal."""
        self.assertEqual(set(Hold) - set(self.MAKERS.values()), {Hold.SIGN_IN_STEPS})

    def test_nothing_made_beside_a_block_is_good_after_it(self):
        for make in self.MAKERS:
            self.prepare()
            self.beside(make)
            left = self.store.read(self.left)
            self.assertEqual({one for one, some in left.items() if some}, set(), make.__name__)

    def test_each_makes_something_without_a_block(self):
        for make, hold in self.MAKERS.items():
            self.prepare()
            before = self.store.read(self.left)[hold]
            self.store.write(lambda transaction, make=make: make(self, transaction))
            self.assertGreater(self.store.read(self.left)[hold], before, make.__name__)

    def test_who_makes_it_is_told_why_not(self):
        for make in (
            BesideABlockTests.make_api_token,
            BesideABlockTests.make_one_time_token,
            BesideABlockTests.make_invitation,
        ):
            self.prepare()
            self.assertEqual(self.beside(make), "user alice is blocked: unblock them first")

    def test_who_is_blocked_after_it_loses_it(self):
        """The block waits for what is being made, and ends it."""
        self.prepare()
        alice = self.world.alice

        def work(transaction):
            self.make_one_time_token(transaction)
            return self.store.write_soon(users.update, alice.id, {"blocked": True})

        self.store.write(work).result()
        self.assertEqual(self.store.read(self.left)[Hold.ONE_TIME_TOKENS], 0)
