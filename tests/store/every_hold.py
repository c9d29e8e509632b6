"""A user who has one of everything by which somebody acts as them."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from attrs import evolve
from sqlalchemy import func, insert, select

from tests.store.material import MovingClock, login, make_world
from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    api_tokens,
    approvals,
    groups,
    invitations,
    policies,
    timed_grants,
    tokens,
    web_sessions,
)
from tunnelcloud.store.revocations import Hold
from tunnelcloud.store.schema import api_tokens as api_tokens_table
from tunnelcloud.store.schema import device_logins, sign_in_steps
from tunnelcloud.store.schema import invitations as invitations_table
from tunnelcloud.store.schema import sessions as sessions_table
from tunnelcloud.store.schema import tokens as tokens_table
from tunnelcloud.store.schema import web_sessions as web_sessions_table
from tunnelcloud.store.transaction import Actor


def secret(text):
    return hashlib.sha256(text.encode()).digest()


class EveryHold:
    """Alice has one of everything by which she acts."""

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
        begun = secret("begun")
        tokens.create(transaction, user_id=alice.id, secret_hash=begun, lifetime_seconds=600)
        tokens.spend(transaction, begun, login())
        as_alice = evolve(transaction, actor=Actor("alice", alice.id))
        invitations.create(
            as_alice, user_id=self.world.bob.id, secret_hash=secret("his"), lifetime_seconds=600
        )
        api_tokens.create(as_alice, title="ci", role=Role.AUDITOR, secret_hash=secret("ci"))
        api_tokens.create(
            as_alice,
            title="her shell",
            role=Role.USER,
            secret_hash=secret("shell"),
            user_id=alice.id,
        )
        later = now + timedelta(hours=1)
        self.insert_steps(transaction, alice.id, now, later)
        self.give_approvals(transaction)
        return kept[0].id

    def give_approvals(self, transaction):
        """Let alice have confirmed a connection, have an approval, and wait for one more."""
        alice, bob, tunnel = self.world.alice, self.world.bob, self.world.tunnel
        bosses = groups.create(transaction, name="bosses")
        for approval, by in ((Approval.SELF, alice), (Approval.OTHERS, bob), (None, None)):
            policy = policies.create(
                transaction,
                name=f"policy-{approval}".lower(),
                approval=approval or Approval.OTHERS,
                approvers_id=bosses.id,
                approval_seconds=3600,
            )
            request = approvals.ask(transaction, alice, tunnel, policy, source_ip="192.0.2.1")
            if by is not None:
                approvals.approve(transaction, request.id, by)
        self.waited_for = policy

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
            Hold.API_TOKENS: (
                api_tokens_table,
                api_tokens_table.c.made_by_id.is_distinct_from(self.world.alice.id),
            ),
            Hold.COMMAND_LINES: (
                api_tokens_table,
                api_tokens_table.c.made_by_id == self.world.alice.id,
            ),
            Hold.DEVICE_LOGINS: (device_logins, device_logins.c.denied.is_(False)),
            Hold.INVITATIONS: (invitations_table, invitations_table.c.expires_at > now),
            Hold.ONE_TIME_TOKENS: (
                tokens_table,
                tokens_table.c.revoked_at.is_(None) & (tokens_table.c.sessions_used == 0),
            ),
            Hold.SSH_SESSIONS: (sessions_table, sessions_table.c.end_requested.is_(None)),
        }
        found = {}
        for hold, (table, which) in good.items():
            query = select(func.count()).select_from(table)
            query = query.where(table.c.user_id == self.world.alice.id)
            if which is not True:
                query = query.where(which)
            found[hold] = connection.execute(query).scalar()
        table = api_tokens_table
        alice = self.world.alice.id
        of_others = (table.c.user_id != alice) & (table.c.role != Role.USER)
        query = select(func.count()).where(
            table.c.made_by_id == alice, table.c.user_id.is_(None) | of_others
        )
        found[Hold.TOKENS_MADE] = connection.execute(query).scalar()
        table = invitations_table
        query = select(func.count()).where(
            table.c.made_by_id == self.world.alice.id, table.c.expires_at > now
        )
        found[Hold.LINKS_MADE] = connection.execute(query).scalar()
        grants = timed_grants.live(transaction, [self.world.alice.id])
        kinds = [one.approval for one in grants.get(self.world.alice.id, ())]
        pending = approvals.list_requests(transaction, status=RequestStatus.PENDING).items
        found[Hold.CONFIRMATIONS] = kinds.count(Approval.SELF)
        found[Hold.APPROVALS] = kinds.count(Approval.OTHERS) + len(pending)
        return found
