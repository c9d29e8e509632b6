"""Groups and who is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, insert, select
from sqlalchemy import delete as delete_rows

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.users import Group, User
from tunnelcloud.store import identity_providers, users
from tunnelcloud.store.filters import as_referred, equals, groups_of, has, searches
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.orders import number_of
from tunnelcloud.store.paging import DEFAULT_LIMIT, ListPage
from tunnelcloud.store.schema import assignments, group_members
from tunnelcloud.store.schema import groups as table
from tunnelcloud.store.transaction import Transaction


def _with_member(user_id: str) -> ColumnElement[bool]:
    return table.c.id.in_(groups_of(user_id))


_ID = as_referred(table.c.id)
_MEMBERS = select(group_members.c.user_id).where(group_members.c.group_id == _ID)
_ASSIGNED = select(assignments.c.id).where(assignments.c.group_id == _ID)

GROUPS = Aggregate(
    "group",
    table,
    Group,
    filters={
        "name": equals(table.c.name),
        "q": searches(table.c.name, table.c.title),
        "user_id": _with_member,
        "has_members": has(_MEMBERS),
        "assigned": has(_ASSIGNED),
    },
    sorts={
        "name": table.c.name,
        "members": number_of(_MEMBERS),
        "tunnels": number_of(_ASSIGNED),
    },
)

get = GROUPS.get
find = GROUPS.find
list_page = GROUPS.list_page
create = GROUPS.new


def update(
    transaction: Transaction,
    group_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: str | None = None,
) -> Group:
    """Change some fields of a group; as ``Aggregate.update``.

    Providers go on putting people into it, and taking them out, under its new name.
    """
    before = GROUPS.lock(transaction, group_id, expected_version)
    group = GROUPS.update(transaction, group_id, changes)
    if group.name != before.name:
        identity_providers.follow_group(transaction, before.name, group.name)
    return group


def delete(
    transaction: Transaction, group_id: str, *, expected_version: str | None = None
) -> Group:
    """Delete a group; as ``Aggregate.delete``.

    Providers put nobody into another group that gets its name.
    """
    group = GROUPS.delete(transaction, group_id, expected_version=expected_version)
    identity_providers.follow_group(transaction, group.name, None)
    return group


def add_member(transaction: Transaction, group_id: str, user_id: str) -> bool:
    """Add a user to a group.

    :return: whether they weren't in it before.
    :raise NotFound: there is no such group or user.
    """
    group, user = GROUPS.lock(transaction, group_id), users.get(transaction, user_id)
    if _is_member(transaction, group_id, user_id):
        return False
    transaction.connection.execute(
        insert(group_members),
        {"group_id": group_id, "user_id": user_id, "added_at": transaction.now()},
    )
    _record(transaction, "group.member_added", group, user)
    return True


def remove_member(transaction: Transaction, group_id: str, user_id: str) -> bool:
    """Remove a user from a group.

    :return: whether they were in it before.
    :raise NotFound: there is no such group or user.
    """
    group, user = GROUPS.lock(transaction, group_id), users.get(transaction, user_id)
    removed = transaction.connection.execute(
        delete_rows(group_members).where(
            group_members.c.group_id == group_id, group_members.c.user_id == user_id
        )
    )
    if not removed.rowcount:
        return False
    _record(transaction, "group.member_removed", group, user)
    return True


def list_members(
    transaction: Transaction,
    group_id: str,
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    sort: str = "name",
    q: str | None = None,
) -> ListPage[User]:
    """List the users in a group.

    :raise NotFound: there is no such group.
    """
    GROUPS.get(transaction, group_id)
    return users.list_page(
        transaction, limit=limit, cursor=cursor, sort=sort, group_id=group_id, q=q
    )


def _is_member(transaction: Transaction, group_id: str, user_id: str) -> bool:
    query = select(group_members.c.user_id).where(
        group_members.c.group_id == group_id, group_members.c.user_id == user_id
    )
    return transaction.connection.execute(query).first() is not None


def _record(transaction: Transaction, event: str, group: Group, user: User) -> None:
    transaction.audit(
        AuditEvent(
            event,
            user_id=user.id,
            user_name=user.name,
            data={"object_id": group.id, "object_name": group.name, "member_id": user.id},
        )
    )
    # Nobody else's rights change: the pods need to look at this user only.
    transaction.changed("user", user.id, concerns=(user.id,))
