"""Reads the columns of a list of users besides their settings, for all of them at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from attrs import frozen
from sqlalchemy import func, select

from tunnelcloud.store import list_counts, schema
from tunnelcloud.store.column_types import from_milliseconds
from tunnelcloud.store.orders import user_last_seen
from tunnelcloud.store.transaction import Transaction


@frozen
class UserColumns:
    """What is shown of one user.

    :ivar providers: the names of the identity providers that vouch for them.
    :ivar groups: how many groups they are in.
    :ivar second_factor: whether they sign in with one.
    :ivar last_seen: when they last began an SSH session, or used the portal or the API; None for
        never.
    """

    providers: list[str]
    groups: int
    second_factor: bool
    last_seen: datetime | None


def of_users(transaction: Transaction, ids: Collection[str]) -> dict[str, UserColumns]:
    """Read the columns of some users, by their ids."""
    user, factor = schema.users.c, schema.second_factors.c
    rows = transaction.connection.execute(
        select(
            user.id,
            user_last_seen(),
            select(factor.confirmed_at).where(factor.user_id == user.id).scalar_subquery(),
        ).where(user.id.in_(ids))
    ).all()
    providers = list_counts.providers_of(transaction, ids)
    groups = _groups(transaction, ids)
    return {
        user_id: UserColumns(
            providers.get(user_id, []),
            groups.get(user_id, 0),
            confirmed is not None,
            from_milliseconds(seen) if seen else None,
        )
        for user_id, seen, confirmed in rows
    }


def _groups(transaction: Transaction, ids: Collection[str]) -> dict[str, int]:
    member = schema.group_members.c
    query = select(member.user_id, func.count()).where(member.user_id.in_(ids))
    rows = transaction.connection.execute(query.group_by(member.user_id))
    return {row[0]: row[1] for row in rows}
