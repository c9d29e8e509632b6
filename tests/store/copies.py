"""What is in a database that tests copy, and how they look at it."""

from __future__ import annotations

import hashlib

from sqlalchemy import func, select

from tests.store.material import login, make_world
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.store import (
    approvals,
    groups,
    invitations,
    policies,
    schema,
    second_factors,
    tokens,
    web_sessions,
)


def secret(text):
    return hashlib.sha256(text.encode()).digest()


def names_in(directory):
    return [path.name for path in directory.iterdir()]


def rows_of(transaction):
    """Give how many rows each table has."""
    return {
        table.name: transaction.connection.execute(
            select(func.count()).select_from(table)
        ).scalar_one()
        for table in schema.metadata.sorted_tables
    }


def fill(transaction):
    world = make_world(transaction)
    for name in ("spent", "fresh"):
        tokens.create(
            transaction, user_id=world.alice.id, secret_hash=secret(name), lifetime_seconds=600
        )
    tokens.spend(transaction, secret("spent"), login())
    invitations.create(
        transaction, user_id=world.alice.id, secret_hash=secret("link"), lifetime_seconds=600
    )
    web_sessions.create(
        transaction,
        user_id=world.alice.id,
        secret_hash=secret("web"),
        lifetime_seconds=3600,
        source_ip="192.0.2.1",
        user_agent="ü\u202e",
        method="password",
    )
    second_factors.begin(transaction, world.alice.id, b"sealed")
    second_factors.confirm(transaction, world.alice.id, 1, [secret("recovery")])
    bosses = groups.create(transaction, name="bosses")
    for name in ("waits", "granted"):
        policy = policies.create(
            transaction, name=name, approval=Approval.OTHERS, approvers_id=bosses.id
        )
        request = approvals.ask(
            transaction, world.alice, world.tunnel, policy, source_ip="192.0.2.1"
        )
    approvals.approve(transaction, request.id, world.bob)
    return world
