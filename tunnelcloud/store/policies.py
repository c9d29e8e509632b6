"""Policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from tunnelcloud.domain.entities import Policy
from tunnelcloud.domain.schedule import Window
from tunnelcloud.store.aggregate import Aggregate, equals, searches
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import assignments, tunnels
from tunnelcloud.store.schema import policies as table
from tunnelcloud.store.transaction import Transaction

_MAX_NAMED = 5

POLICIES = Aggregate(
    "policy",
    table,
    Policy,
    filters={"name": equals(table.c.name), "q": searches(table.c.name, table.c.title)},
    sorts={"name": table.c.name},
)

get = POLICIES.get
find = POLICIES.find
list_page = POLICIES.list_page
count = POLICIES.count


def create(
    transaction: Transaction,
    *,
    name: str,
    title: str = "",
    source_networks: tuple[str, ...] = (),
    windows: tuple[Window, ...] = (),
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    max_session_seconds: int | None = None,
    idle_seconds: int | None = None,
    max_channels: int | None = None,
    max_sessions: int | None = None,
    max_token_sessions: int | None = None,
) -> Policy:
    """Make a policy.

    :raise Conflict: the name is taken, or it ends before it begins.
    """
    _check_order(valid_from, valid_until, "valid_until")
    return POLICIES.create(
        transaction,
        {
            "name": name,
            "title": title,
            "source_networks": source_networks,
            "windows": windows,
            "valid_from": valid_from,
            "valid_until": valid_until,
            "max_session_seconds": max_session_seconds,
            "idle_seconds": idle_seconds,
            "max_channels": max_channels,
            "max_sessions": max_sessions,
            "max_token_sessions": max_token_sessions,
        },
    )


def update(
    transaction: Transaction,
    policy_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: str | None = None,
) -> Policy:
    """Change some fields of a policy; as L{Aggregate.update}.

    :raise Conflict: the name is taken, or it would end before it begins.
    """
    policy = POLICIES.update(transaction, policy_id, changes, expected_version=expected_version)
    field = "valid_until" if "valid_until" in changes else "valid_from"
    _check_order(policy.valid_from, policy.valid_until, field)
    return policy


def _check_order(begins: datetime | None, ends: datetime | None, field: str) -> None:
    if begins is not None and ends is not None and ends <= begins:
        raise Conflict(field, "valid_until must be after valid_from")


def delete(
    transaction: Transaction, policy_id: str, *, expected_version: str | None = None
) -> Policy:
    """Delete a policy that no assignment has.

    :raise NotFound: there is no such policy.
    :raise Stale: it isn't of the expected version any more.
    :raise Conflict: an assignment has it; without it the assignment would allow more.
    """
    policy = POLICIES.lock(transaction, policy_id, expected_version)
    query = (
        select(tunnels.c.name)
        .join(assignments)
        .where(assignments.c.policy_id == policy_id)
        .distinct()
        .order_by(tunnels.c.name)
        .limit(_MAX_NAMED + 1)
    )
    names = transaction.connection.execute(query).scalars().all()
    if names:
        more = " and more" if len(names) > _MAX_NAMED else ""
        raise Conflict(
            "",
            f"policy {policy.name} is used by assignments of {', '.join(names[:_MAX_NAMED])}{more}:"
            " give those another policy, or delete them",
        )
    return POLICIES.delete(transaction, policy_id)
