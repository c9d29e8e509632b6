"""Conditions for users and tunnels that nobody used since a time.

What is younger than that doesn't count: nobody had the time to use it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from tunnelcloud.store import schema
from tunnelcloud.store.columns import first_id


def user_unused_since(since: datetime) -> ColumnElement[bool]:
    """Match users who neither began an SSH session nor used the portal or the API."""
    user, login = schema.users.c, schema.sessions.c
    connected = select(login.id).where(
        login.user_id == user.id, login.id >= first_id("session", since)
    )
    seen_before = or_(user.last_seen_at.is_(None), user.last_seen_at < since)
    return and_(user.created_at < since, seen_before, ~connected.exists())


def tunnel_unused_since(since: datetime) -> ColumnElement[bool]:
    """Match tunnels of which nobody opened a channel."""
    tunnel, channel = schema.tunnels.c, schema.channels.c
    opened = select(channel.id).where(
        channel.tunnel_id == tunnel.id, channel.id >= first_id("channel", since)
    )
    return and_(tunnel.created_at < since, ~opened.exists())
