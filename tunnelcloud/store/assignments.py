"""Assignments: which user or group may open a tunnel, how, and under which policy."""

from __future__ import annotations

from collections.abc import Set

from sqlalchemy import ColumnElement, or_, select

from tunnelcloud.domain.entities import Assignment, Method
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.filters import equals, groups_of
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.schema import assignments as table
from tunnelcloud.store.schema import groups, policies, tunnels, users
from tunnelcloud.store.transaction import Transaction


def _reaches(user_id: str) -> ColumnElement[bool]:
    return or_(table.c.user_id == user_id, table.c.group_id.in_(groups_of(user_id)))


ASSIGNMENTS = Aggregate(
    "assignment",
    table,
    Assignment,
    references={
        "tunnel_id": ("tunnel", tunnels),
        "user_id": ("user", users),
        "group_id": ("group", groups),
        "policy_id": ("policy", policies),
    },
    filters={
        "tunnel_id": equals(table.c.tunnel_id),
        "user_id": equals(table.c.user_id),
        "group_id": equals(table.c.group_id),
        "policy_id": equals(table.c.policy_id),
        "reaches_user_id": _reaches,
    },
    fixed=frozenset({"id", "created_at", "tunnel_id", "user_id", "group_id"}),
    concerns=lambda one: tuple(holder for holder in (one.user_id, one.group_id) if holder),
)

get = ASSIGNMENTS.get
list_page = ASSIGNMENTS.list_page
count = ASSIGNMENTS.count
update = ASSIGNMENTS.update
delete = ASSIGNMENTS.delete


def create(
    transaction: Transaction,
    *,
    tunnel_id: str,
    methods: Set[Method],
    user_id: str | None = None,
    group_id: str | None = None,
    policy_id: str | None = None,
) -> Assignment:
    """Assign a tunnel to a user or to a group: exactly one of the two.

    :raise Conflict: it is assigned to them already.
    :raise InvalidReference: there is no such tunnel, user, group or policy.
    """
    field, entity_id = ("user_id", user_id) if group_id is None else ("group_id", group_id)
    if (user_id is None) == (group_id is None):
        raise Conflict(field, "name either a user or a group")
    query = select(table.c.id).where(table.c.tunnel_id == tunnel_id, table.c[field] == entity_id)
    existing = transaction.connection.execute(query).scalar()
    if existing is not None:
        raise Conflict(
            field, f"the tunnel is assigned to this {field[:-3]} already: change {existing} instead"
        )
    return ASSIGNMENTS.create(
        transaction,
        {
            "tunnel_id": tunnel_id,
            "methods": frozenset(methods),
            "user_id": user_id,
            "group_id": group_id,
            "policy_id": policy_id,
        },
    )
