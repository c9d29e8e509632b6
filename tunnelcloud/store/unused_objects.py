"""Users, keys and assignments that nobody has used for long: what may be taken away.

What is younger than that is left out: nobody had the time to use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from sqlalchemy import CTE, ColumnElement, RowMapping, func, or_, select, union

from tunnelcloud.store import history_shares, preferences, schema
from tunnelcloud.store.column_types import first_id
from tunnelcloud.store.filters import user_unused_since
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.user_list_columns import of_users

MOST = 100
"""Rows of each kind that are read; the first of them in the order of their names."""


@frozen
class Unused:
    """What wasn't used since a time.

    :ivar kept_days: for how many days the history is there: users and assignments are asked about
        these, if they are fewer than for keys.
    :ivar users: ``id``, ``name``, ``title`` and ``last_seen`` of those who neither began an SSH
        session nor used the portal or the API; blocked ones are left out.
    :ivar keys: ``id``, ``title``, ``fingerprint``, ``user_id``, ``user_name`` and ``last_used_at``.
    :ivar assignments: ``id``, ``tunnel_id``, ``tunnel_name`` and of whom it is for ``user_id`` and
        ``group_id``, one of them, and ``who``: nobody of them opened a channel of the tunnel.
    """

    kept_days: int
    users: Sequence[Mapping[str, Any]]
    keys: Sequence[RowMapping]
    assignments: Sequence[RowMapping]


def unused_for(transaction: Transaction, long: timedelta) -> Unused:
    """Find objects that existed and weren't used within a time; this takes long, too."""
    now = transaction.now()
    days = preferences.settings(transaction).session_retention_days
    kept = long if days is None else min(long, timedelta(days=days))
    return Unused(
        kept.days,
        _users(transaction, now - kept),
        _keys(transaction, now - long),
        _assignments(transaction, now - kept),
    )


def _users(transaction: Transaction, since: datetime) -> Sequence[Mapping[str, Any]]:
    user = schema.users.c
    query = (
        select(user.id, user.name, user.title)
        .where(user_unused_since(since), user.blocked.is_(False))
        .order_by(user.name)
        .limit(MOST)
    )
    rows = transaction.connection.execute(query).mappings().all()
    columns = of_users(transaction, [row["id"] for row in rows])
    return [{**row, "last_seen": columns[row["id"]].last_seen} for row in rows]


def _keys(transaction: Transaction, since: datetime) -> Sequence[RowMapping]:
    key, user = schema.keys.c, schema.users.c
    last = or_(key.last_used_at.is_(None), key.last_used_at < since)
    query = (
        select(
            key.id, key.title, key.fingerprint, key.user_id, key.last_used_at,
            user.name.label("user_name"),
        )
        .join(schema.users, user.id == key.user_id)
        .where(key.created_at < since, last)
        .order_by(user.name, key.id)
        .limit(MOST)
    )  # fmt: skip
    return transaction.connection.execute(query).mappings().all()


def _assignments(transaction: Transaction, since: datetime) -> Sequence[RowMapping]:
    one, channel, member = schema.assignments.c, schema.channels.c, schema.group_members.c
    used = (
        select(channel.tunnel_id, channel.user_id, func.count().label("times"))
        .where(channel.id >= first_id("channel", since))
        .group_by(channel.tunnel_id, channel.user_id)
        .cte("used")
    )
    cut = _cut(used, since)
    members = select(member.user_id).where(member.group_id == one.group_id)
    members = members.correlate(schema.assignments)

    def is_theirs(user_id: ColumnElement[str]) -> ColumnElement[bool]:
        return or_(user_id == one.user_id, user_id.in_(members))

    by_them = is_theirs(used.c.user_id)
    opened = select(used.c.tunnel_id).where(used.c.tunnel_id == one.tunnel_id, by_them)
    unknown = select(cut.c.user_id).where(is_theirs(cut.c.user_id))
    who = func.coalesce(schema.users.c.name, schema.groups.c.name)
    query = (
        select(
            one.id, one.tunnel_id, one.user_id, one.group_id, who.label("who"),
            schema.tunnels.c.name.label("tunnel_name"),
        )
        .join(schema.tunnels, schema.tunnels.c.id == one.tunnel_id)
        .outerjoin(schema.users, schema.users.c.id == one.user_id)
        .outerjoin(schema.groups, schema.groups.c.id == one.group_id)
        .where(
            one.created_at < since,
            ~opened.correlate(schema.assignments).exists(),
            ~unknown.correlate(schema.assignments).exists(),
        )
        .order_by(schema.tunnels.c.name, one.id)
        .limit(MOST)
    )  # fmt: skip
    return transaction.connection.execute(query).mappings().all()


def _cut(used: CTE, since: datetime) -> CTE:
    """Select the users of whose history since then a part may have gone: they had too much."""
    login = schema.sessions.c
    channels = (
        select(used.c.user_id)
        .group_by(used.c.user_id)
        .having(func.sum(used.c.times) >= history_shares.MOST_CHANNELS)
    )
    sessions = (
        select(login.user_id)
        .where(login.id >= first_id("session", since))
        .group_by(login.user_id)
        .having(func.count() >= history_shares.MOST_SESSIONS)
    )
    return union(channels, sessions).cte("cut")
