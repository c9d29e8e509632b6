"""What administrators make, and what hangs on it: it goes with it (CASCADE)."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from tunnelcloud.domain.objects import CONNECTOR, GROUP, POLICY, SITE, TUNNEL, USER
from tunnelcloud.store.column_types import Document, Methods, ObjectId, Ordered, Timestamp
from tunnelcloud.store.schema.common_columns import identity, metadata, owner
from tunnelcloud.store.schema.setting_columns import columns_of

sites = Table("sites", metadata, *columns_of(SITE, muted={"server_default": false()}))

connectors = Table(
    "connectors",
    metadata,
    *columns_of(CONNECTOR),
    Column("version", Text, nullable=False, default=""),
    Column("joined_at", Timestamp),
    Column("last_seen_at", Timestamp),
    Column("certificate_serial", Text),
    Column("certificate_expires_at", Timestamp),
    Column("authority", Text, nullable=False, default="", server_default=""),
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
    *columns_of(
        TUNNEL,
        target_address={"type_": Ordered, "index": True},
        local_port_offset={"type_": Integer},
        external_address={"unique": True},
        target_check={"server_default": "tcp"},
    ),
)

users = Table(
    "users",
    metadata,
    *columns_of(USER, email={"unique": True}),
    Column("password_hash", Text),
    Column("password_set_at", Timestamp),
    # Through the portal or the API, as of that day: sign-ins and tokens go, this stays.
    Column("last_seen_at", Timestamp),
)

# One case-insensitive namespace: every name and every e-mail address of a user stands here once.
user_names = Table(
    "user_names",
    metadata,
    Column("name", Ordered, primary_key=True),
    owner("user"),
)

groups = Table("groups", metadata, *columns_of(GROUP))

group_members = Table(
    "group_members",
    metadata,
    owner("group", index=False, primary_key=True),
    owner("user", index=False, primary_key=True),
    Column("added_at", Timestamp, nullable=False),
    Index(None, "user_id"),
)

policies = Table(
    "policies",
    metadata,
    *columns_of(
        POLICY,
        approval={"server_default": "none"},
        approval_seconds={"server_default": "3600"},
        approval_wait_seconds={"server_default": "60"},
    ),
)

assignments = Table(
    "assignments",
    metadata,
    *identity("assignment"),
    owner("tunnel", index=False),
    owner("user", nullable=True),
    owner("group", nullable=True),
    Column("methods", Methods, nullable=False),
    # Without its policy an assignment would allow more than was meant: it can't go silently.
    Column(
        "policy_id",
        ObjectId("policy"),
        ForeignKey("policies.id", ondelete="RESTRICT"),
        index=True,
    ),
    UniqueConstraint("tunnel_id", "user_id"),
    UniqueConstraint("tunnel_id", "group_id"),
    CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one_entity"),
)

keys = Table(
    "keys",
    metadata,
    *identity("key"),
    Column("title", Text, nullable=False),
    owner("user"),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("expires_at", Timestamp, index=True),
    Column("last_used_at", Timestamp),
    Column("last_used_from", Text),
)

tokens = Table(
    "tokens",
    metadata,
    *identity("token"),
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
    owner("user", index=False, primary_key=True),
    owner("tunnel", index=False, primary_key=True),
    Index(None, "tunnel_id"),
)

# Searches of the audit that a user keeps under a name.
saved_searches = Table(
    "saved_searches",
    metadata,
    owner("user", index=False, primary_key=True),
    Column("name", Ordered, primary_key=True),
    Column("filters", Document, nullable=False),
)
