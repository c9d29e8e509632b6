"""What happened: it refers to objects without a constraint, and so stays when they go."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.store.column_types import Choice, Document, ObjectId, Timestamp
from tunnelcloud.store.schema.common_columns import metadata, own_id


def _traffic() -> list[Column[Any]]:
    return [
        Column("bytes_to_target", BigInteger, nullable=False, default=0),
        Column("bytes_from_target", BigInteger, nullable=False, default=0),
        # Set by whoever wants it ended; the pod that serves it reads it on a change notice.
        Column("end_requested", Text),
    ]


sessions = Table(
    "sessions",
    metadata,
    own_id("session"),
    Column("user_id", ObjectId("user"), nullable=False),
    Column("user_name", Text, nullable=False),
    Column("method", Choice(SessionMethod), nullable=False),
    Column("login_name", Text, nullable=False),
    Column("source_ip", Text, nullable=False),
    Column("client_version", Text, nullable=False),
    Column("pod_id", ObjectId("pod"), nullable=False),
    Column("tunnel_id", ObjectId("tunnel")),
    Column("token_id", ObjectId("token")),
    Column("key_id", ObjectId("key")),
    Column("started_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("end_reason", Text, nullable=False, default=""),
    *_traffic(),
    Index(None, "tunnel_id", "id"),
    Index(None, "user_id", "id"),
)
# The migrations make these alike on PostgreSQL; to say so here loads its dialect, 3 MiB.
_open_sessions = sessions.c.ended_at.is_(None)
Index(
    "ix_sessions_open",
    sessions.c.pod_id,
    sessions.c.id,
    sqlite_where=_open_sessions,
)
Index(
    "ix_sessions_open_of_user",
    sessions.c.user_id,
    sessions.c.id,
    sqlite_where=_open_sessions,
)

channels = Table(
    "channels",
    metadata,
    own_id("channel"),
    Column("session_id", ObjectId("session"), nullable=False),
    Column("user_id", ObjectId("user"), nullable=False),
    Column("user_name", Text, nullable=False),
    Column("tunnel_id", ObjectId("tunnel"), nullable=False),
    Column("tunnel_name", Text, nullable=False),
    Column("pod_id", ObjectId("pod"), nullable=False),
    Column("source_ip", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("connector_id", ObjectId("connector")),
    Column("opened_at", Timestamp, nullable=False),
    Column("closed_at", Timestamp),
    Column("close_reason", Text, nullable=False, default=""),
    *_traffic(),
    Index(None, "session_id", "id"),
    Index(None, "tunnel_id", "id"),
    Index(None, "user_id", "id"),
)
_open_channels = channels.c.closed_at.is_(None)
Index(
    "ix_channels_open",
    channels.c.pod_id,
    channels.c.id,
    sqlite_where=_open_channels,
)
Index(
    "ix_channels_open_of_user",
    channels.c.user_id,
    channels.c.id,
    sqlite_where=_open_channels,
)

audit = Table(
    "audit",
    metadata,
    own_id("event"),
    Column("at", Timestamp, nullable=False),
    Column("event", Text, nullable=False),
    Column("actor", Text, nullable=False),
    # A user most often; the other kinds stay text.
    Column("actor_id", ObjectId("user")),
    Column("user_id", ObjectId("user")),
    Column("user_name", Text),
    Column("tunnel_id", ObjectId("tunnel")),
    Column("tunnel_name", Text),
    Column("session_id", ObjectId("session")),
    Column("source_ip", Text),
    Column("pod_id", ObjectId("pod")),
    Column("data", Document, nullable=False),
    Index(None, "event", "id"),
    Index(None, "user_id", "id"),
    Index(None, "tunnel_id", "id"),
    Index(None, "session_id", "id"),
    Index(None, "source_ip", "id"),
    # By name too: who was deleted is remembered by nothing else.
    Index(None, "actor", "id"),
    Index(None, "user_name", "id"),
    Index(None, "tunnel_name", "id"),
)
