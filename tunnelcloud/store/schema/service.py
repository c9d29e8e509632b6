"""What pods know of each other, and must share to be one service."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    LargeBinary,
    Table,
    Text,
)

from tunnelcloud.store.columns import (
    Document,
    Ordered,
    Timestamp,
)
from tunnelcloud.store.schema.parts import metadata

pods = Table(
    "pods",
    metadata,
    Column("id", Ordered, primary_key=True),
    Column("name", Ordered, nullable=False, unique=True),
    Column("version", Text, nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("last_seen_at", Timestamp, nullable=False),
    Column("ssh_address", Text, nullable=False),
    Column("connectors_address", Text, nullable=False),
    Column("draining", Boolean, nullable=False),
    # Set when it stopped in order; until it starts again it is not there, however lately heard of.
    Column("stopped_at", Timestamp),
)

# What pods must share to be one service: the CA, SSH host keys.
authority = Table(
    "authority",
    metadata,
    Column("name", Ordered, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Ordered, primary_key=True),
    Column("value", Document, nullable=False),
)
