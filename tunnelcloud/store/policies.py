"""Policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import evolve
from sqlalchemy import select

from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.store import timed_grants
from tunnelcloud.store.errors import Conflict, NotFound
from tunnelcloud.store.filters import as_referred, equals, has, searches
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.orders import number_of
from tunnelcloud.store.schema import assignments, group_members, tunnels
from tunnelcloud.store.schema import policies as table
from tunnelcloud.store.transaction import Transaction

_MAX_NAMED = 5
_LASTS = frozenset({"approval_seconds", "emergency_seconds"})
"""What says how long a grant lasts."""

_USED = select(assignments.c.id).where(assignments.c.policy_id == as_referred(table.c.id))

POLICIES = Aggregate(
    "policy",
    table,
    Policy,
    filters={
        "name": equals(table.c.name),
        "q": searches(table.c.name, table.c.title),
        "used": has(_USED),
    },
    sorts={"name": table.c.name, "used": number_of(_USED)},
)

get = POLICIES.get
list_page = POLICIES.list_page


def create(transaction: Transaction, **values: Any) -> Policy:
    """Make a policy.

    :param values: as the table of kinds has them.
    :raise Conflict: the name is taken, or it ends before it begins.
    """
    _check_order(values.get("valid_from"), values.get("valid_until"), "valid_until")
    return POLICIES.new(transaction, **values)


def update(
    transaction: Transaction,
    policy_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: str | None = None,
) -> Policy:
    """Change some fields of a policy; as ``Aggregate.update``.

    Grants that were given by it last no longer than it lets them from now on.

    :raise Conflict: the name is taken, or it would end before it begins.
    """
    policy = POLICIES.update(transaction, policy_id, changes, expected_version=expected_version)
    field = "valid_until" if "valid_until" in changes else "valid_from"
    _check_order(policy.valid_from, policy.valid_until, field)
    if _LASTS & changes.keys():
        timed_grants.narrow(transaction, policy)
    return policy


def lasts_otherwise(before: Policy, after: Policy) -> bool:
    """Tell whether grants by a policy may last for another time after a change of it."""
    return any(getattr(before, name) != getattr(after, name) for name in _LASTS)


def hold(transaction: Transaction, policy_id: str, approver_id: str | None = None) -> Policy:
    """Read a policy by which a grant is given, and keep it as it is until the commit.

    Whoever changes it waits, and then narrows the new grant with the others.

    :param approver_id: a user who may be one of its approvers, and stays one as long.
    :raise NotFound: there is no such policy.
    """
    holding = POLICIES.select().where(table.c.id == policy_id)
    row = transaction.connection.execute(
        holding.with_for_update(of=table, read=True, key_share=True)
    ).first()
    if row is None:
        raise NotFound("policy", policy_id)
    policy = POLICIES.make(row)
    if approver_id is not None and policy.approvers_id is not None:
        member = select(group_members.c.user_id).where(
            group_members.c.group_id == policy.approvers_id,
            group_members.c.user_id == approver_id,
        )
        transaction.connection.execute(member.with_for_update(read=True, key_share=True))
    return policy


def changed(policy: Policy, changes: Mapping[str, Any]) -> Policy:
    """Give a policy as it would be after a change; nothing is written.

    :raise Conflict: it would end before it begins.
    """
    after = evolve(policy, **changes)
    field = "valid_until" if "valid_until" in changes else "valid_from"
    _check_order(after.valid_from, after.valid_until, field)
    return after


def _check_order(begins: datetime | None, ends: datetime | None, field: str) -> None:
    if begins is not None and ends is not None and ends <= begins:
        must = "before the end" if field == "valid_from" else "after the beginning"
        raise Conflict(field, f"must be {must}: it holds from {begins:%Y-%m-%d %H:%M} UTC on")


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
