"""What administrators make, and what hangs on it: it goes with it (CASCADE)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from tunnelcloud.domain.entities import Role, TargetCheck
from tunnelcloud.store.columns import (
    Choice,
    Methods,
    Ordered,
    Ports,
    Texts,
    Timestamp,
    Windows,
)
from tunnelcloud.store.schema.parts import identity, metadata, naming, owner

sites = Table("sites", metadata, *naming())

connectors = Table(
    "connectors",
    metadata,
    *naming(),
    owner("site"),
    Column("version", Text, nullable=False, default=""),
    Column("joined_at", Timestamp),
    Column("last_seen_at", Timestamp),
    Column("certificate_serial", Text),
    Column("certificate_expires_at", Timestamp),
)

join_tokens = Table(
    "join_tokens",
    metadata,
    Column("secret_hash", Text, primary_key=True),
    owner("connector"),
    Column("created_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Column("redeemed_at", Timestamp),
    Column("redeemed_key", Text),
)

connector_certificates = Table(
    "connector_certificates",
    metadata,
    Column("serial", Text, primary_key=True),
    owner("connector"),
    Column("key_fingerprint", Text, nullable=False, index=True),
    Column("issued_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Column("revoked_at", Timestamp),
)

tunnels = Table(
    "tunnels",
    metadata,
    *naming(),
    owner("site"),
    Column("target_address", Ordered, nullable=False, index=True),
    Column("target_ports", Ports, nullable=False),
    Column("local_port_offset", Integer, nullable=False),
    Column("external_address", Text, unique=True),
    Column("enabled", Boolean, nullable=False),
    Column("icon", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("target_check", Choice(TargetCheck), nullable=False, server_default="tcp"),
)

users = Table(
    "users",
    metadata,
    *naming(),
    Column("email", Text, unique=True),
    Column("role", Choice(Role), nullable=False),
    Column("service", Boolean, nullable=False),
    Column("blocked", Boolean, nullable=False),
    Column("password_hash", Text),
    Column("password_set_at", Timestamp),
)

# One case-insensitive namespace: every name and every e-mail address of a user stands here once.
user_names = Table(
    "user_names",
    metadata,
    Column("name", Ordered, primary_key=True),
    owner("user"),
)

groups = Table("groups", metadata, *naming())

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", Text, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("added_at", Timestamp, nullable=False),
    Index(None, "user_id"),
)

policies = Table(
    "policies",
    metadata,
    *naming(),
    Column("source_networks", Texts, nullable=False),
    Column("windows", Windows, nullable=False),
    Column("valid_from", Timestamp),
    Column("valid_until", Timestamp),
    Column("max_session_seconds", BigInteger),
    Column("idle_seconds", BigInteger),
    Column("max_channels", BigInteger),
    Column("max_sessions", BigInteger),
    Column("max_token_sessions", BigInteger),
)

assignments = Table(
    "assignments",
    metadata,
    *identity(),
    owner("tunnel", index=False),
    owner("user", nullable=True),
    owner("group", nullable=True),
    Column("methods", Methods, nullable=False),
    # Without its policy an assignment would allow more than was meant: it can't go silently.
    Column("policy_id", Text, ForeignKey("policies.id", ondelete="RESTRICT"), index=True),
    UniqueConstraint("tunnel_id", "user_id"),
    UniqueConstraint("tunnel_id", "group_id"),
    CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one_entity"),
)

keys = Table(
    "keys",
    metadata,
    *identity(),
    Column("title", Text, nullable=False),
    owner("user"),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("expires_at", Timestamp),
    Column("last_used_at", Timestamp),
    Column("last_used_from", Text),
)

tokens = Table(
    "tokens",
    metadata,
    *identity(),
    owner("user"),
    owner("tunnel", nullable=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("sessions", Integer, nullable=False),
    Column("sessions_used", Integer, nullable=False),
    Column("expires_at", Timestamp, nullable=False, index=True),
    Column("used_at", Timestamp),
    Column("used_from", Text),
    Column("revoked_at", Timestamp),
)

# Tunnels that a user wants to see first.
pins = Table(
    "pins",
    metadata,
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("tunnel_id", Text, ForeignKey("tunnels.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "tunnel_id"),
)
