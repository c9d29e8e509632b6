"""Users, keys and assignments that nobody has used for long: what may be taken away.

What is younger than that is left out: nobody had the time to use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen
from sqlalchemy import RowMapping, func, or_, select

from tunnelcloud.store import schema
from tunnelcloud.store.transaction import Transaction

MOST = 100
"""Rows of each kind that are read; the first of them in the order of their names."""


@frozen
class Unused:
    """What wasn't used since a time.

    :ivar users: ``id``, ``name``, ``title`` and ``last_seen`` of those who neither began an SSH
        session nor used the portal; blocked ones are left out.
    :ivar keys: ``id``, ``title``, ``fingerprint``, ``user_id``, ``user_name`` and ``last_used_at``.
    :ivar assignments: ``id``, ``tunnel_id``, ``tunnel_name`` and of whom it is for ``user_id`` and
        ``group_id``, one of them, and ``who``: nobody of them opened a channel of the tunnel.
    """

    users: Sequence[RowMapping]
    keys: Sequence[RowMapping]
    assignments: Sequence[RowMapping]


def unused_since(transaction: Transaction, since: datetime) -> Unused:
    """Find what wasn't used since a time, and was there before it."""
    return Unused(
        _users(transaction, since), _keys(transaction, since), _assignments(transaction, since)
    )


def _users(transaction: Transaction, since: datetime) -> Sequence[RowMapping]:
    user, login, visit = schema.users.c, schema.sessions.c, schema.web_sessions.c
    connected = select(func.max(login.started_at)).where(login.user_id == user.id).scalar_subquery()
    seen = select(login.id).where(login.user_id == user.id, login.started_at > since).exists()
    visited = select(visit.id).where(visit.user_id == user.id, visit.last_seen_at > since).exists()
    query = (
        select(user.id, user.name, user.title, connected.label("last_seen"))
        .where(user.created_at < since, user.blocked.is_(False), ~seen, ~visited)
        .order_by(user.name)
        .limit(MOST)
    )
    return transaction.connection.execute(query).mappings().all()


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
        select(channel.tunnel_id, channel.user_id)
        .where(channel.opened_at > since)
        .distinct()
        .cte("used")
    )
    members = select(member.user_id).where(member.group_id == one.group_id)
    by_them = or_(
        used.c.user_id == one.user_id, used.c.user_id.in_(members.correlate(schema.assignments))
    )
    opened = select(used.c.tunnel_id).where(used.c.tunnel_id == one.tunnel_id, by_them)
    who = func.coalesce(schema.users.c.name, schema.groups.c.name)
    query = (
        select(
            one.id, one.tunnel_id, one.user_id, one.group_id, who.label("who"),
            schema.tunnels.c.name.label("tunnel_name"),
        )
        .join(schema.tunnels, schema.tunnels.c.id == one.tunnel_id)
        .outerjoin(schema.users, schema.users.c.id == one.user_id)
        .outerjoin(schema.groups, schema.groups.c.id == one.group_id)
        .where(one.created_at < since, ~opened.correlate(schema.assignments).exists())
        .order_by(schema.tunnels.c.name, one.id)
        .limit(MOST)
    )  # fmt: skip
    return transaction.connection.execute(query).mappings().all()
