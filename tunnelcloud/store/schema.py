"""The tables.  A change here needs a migration; a test holds the two to each other.

What belongs to an object goes with it (CASCADE).  History (sessions, channels, audit) refers to
objects without a constraint, and so stays.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from tunnelcloud.domain.entities import LinkBy, Method, Role, TargetCheck
from tunnelcloud.store.columns import (
    Choice,
    Document,
    Methods,
    Ordered,
    Ports,
    Texts,
    Timestamp,
    Windows,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def _identity() -> list[Column[Any]]:
    return [
        Column("id", Ordered, primary_key=True),
        Column("created_at", Timestamp, nullable=False),
    ]


def _naming() -> list[Column[Any]]:
    return [
        *_identity(),
        Column("name", Ordered, nullable=False, unique=True),
        Column("title", Text, nullable=False),
    ]


def _owner(target: str, *, nullable: bool = False, index: bool = True) -> Column[Any]:
    """A column that refers to an object without which the row has no meaning."""
    return Column(
        f"{target}_id",
        Text,
        ForeignKey(f"{target}s.id", ondelete="CASCADE"),
        nullable=nullable,
        index=index,
    )


def _traffic() -> list[Column[Any]]:
    return [
        Column("bytes_to_target", BigInteger, nullable=False, default=0),
        Column("bytes_from_target", BigInteger, nullable=False, default=0),
        # Set by whoever wants it ended; the pod that serves it reads it on a change notice.
        Column("end_requested", Text),
    ]


sites = Table("sites", metadata, *_naming())

connectors = Table(
    "connectors",
    metadata,
    *_naming(),
    _owner("site"),
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
    _owner("connector"),
    Column("created_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Column("redeemed_at", Timestamp),
    Column("redeemed_key", Text),
)

connector_certificates = Table(
    "connector_certificates",
    metadata,
    Column("serial", Text, primary_key=True),
    _owner("connector"),
    Column("key_fingerprint", Text, nullable=False, index=True),
    Column("issued_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Column("revoked_at", Timestamp),
)

tunnels = Table(
    "tunnels",
    metadata,
    *_naming(),
    _owner("site"),
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
    *_naming(),
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
    _owner("user"),
)

groups = Table("groups", metadata, *_naming())

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
    *_naming(),
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
    *_identity(),
    _owner("tunnel", index=False),
    _owner("user", nullable=True),
    _owner("group", nullable=True),
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
    *_identity(),
    Column("title", Text, nullable=False),
    _owner("user"),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("expires_at", Timestamp),
    Column("last_used_at", Timestamp),
    Column("last_used_from", Text),
)

tokens = Table(
    "tokens",
    metadata,
    *_identity(),
    _owner("user"),
    _owner("tunnel", nullable=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("sessions", Integer, nullable=False),
    Column("sessions_used", Integer, nullable=False),
    Column("expires_at", Timestamp, nullable=False, index=True),
    Column("used_at", Timestamp),
    Column("used_from", Text),
    Column("revoked_at", Timestamp),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Ordered, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("method", Choice(Method), nullable=False),
    Column("login_name", Text, nullable=False),
    Column("source_ip", Text, nullable=False),
    Column("client_version", Text, nullable=False),
    Column("pod_id", Text, nullable=False),
    Column("tunnel_id", Text),
    Column("token_id", Text),
    Column("key_id", Text),
    Column("started_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("end_reason", Text, nullable=False, default=""),
    *_traffic(),
    Index(None, "tunnel_id", "id"),
    Index(None, "user_id", "id"),
)
_open_sessions = sessions.c.ended_at.is_(None)
Index(
    "ix_sessions_open",
    sessions.c.pod_id,
    sessions.c.id,
    sqlite_where=_open_sessions,
    postgresql_where=_open_sessions,
)

channels = Table(
    "channels",
    metadata,
    Column("id", Ordered, primary_key=True),
    Column("session_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("tunnel_id", Text, nullable=False),
    Column("tunnel_name", Text, nullable=False),
    Column("pod_id", Text, nullable=False),
    Column("source_ip", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("connector_id", Text),
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
    postgresql_where=_open_channels,
)

api_tokens = Table(
    "api_tokens",
    metadata,
    *_identity(),
    Column("title", Text, nullable=False),
    Column("role", Choice(Role), nullable=False),
    _owner("user", nullable=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Timestamp),
    Column("last_used_at", Timestamp),
)

# One-time links to set a password; without a user it is the first administrator's.
invitations = Table(
    "invitations",
    metadata,
    *_identity(),
    _owner("user", nullable=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Timestamp, nullable=False),
    Column("redeemed_at", Timestamp),
)

web_sessions = Table(
    "web_sessions",
    metadata,
    *_identity(),
    _owner("user"),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Timestamp, nullable=False, index=True),
    Column("last_seen_at", Timestamp, nullable=False),
    Column("source_ip", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("method", Text, nullable=False),
    # Through whom they came: what a provider vouched for ends with it.
    Column(
        "provider_id", Text, ForeignKey("identity_providers.id", ondelete="CASCADE"), index=True
    ),
)

# A second factor counts once it is confirmed; its secret is sealed by the pods' key.
second_factors = Table(
    "second_factors",
    metadata,
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", Timestamp, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("confirmed_at", Timestamp),
    # The time step of the last code that was taken: none is taken twice, on any pod.
    Column("last_step", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failed_at", Timestamp),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("code_hash", LargeBinary, primary_key=True),
    Column("used_at", Timestamp),
)

identity_providers = Table(
    "identity_providers",
    metadata,
    *_naming(),
    Column("issuer", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("sealed_client_secret", LargeBinary),
    Column("scopes", Texts, nullable=False),
    Column("name_claim", Text, nullable=False),
    Column("groups_claim", Text, nullable=False),
    Column("group_map", Document, nullable=False),
    Column("create_users", Boolean, nullable=False),
    Column("link_by", Choice(LinkBy), nullable=False),
    Column("enabled", Boolean, nullable=False),
)

# Whom a provider's subject is here.
identities = Table(
    "identities",
    metadata,
    Column(
        "provider_id",
        Text,
        ForeignKey("identity_providers.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("subject", Ordered, primary_key=True),
    _owner("user"),
    Column("created_at", Timestamp, nullable=False),
    Column("last_used_at", Timestamp, nullable=False),
)

# Sign-ins that are half done: a code is awaited, or somebody to come back from their provider.
sign_in_steps = Table(
    "sign_in_steps",
    metadata,
    Column("secret_hash", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False, index=True),
    Column("source_ip", Text, nullable=False, index=True),
    _owner("user", nullable=True),
    Column(
        "provider_id", Text, ForeignKey("identity_providers.id", ondelete="CASCADE"), index=True
    ),
    Column("content", Document, nullable=False),
)

# Command lines that wait for somebody to let them in.
device_logins = Table(
    "device_logins",
    metadata,
    Column("secret_hash", LargeBinary, primary_key=True),
    Column("user_code", Text, nullable=False, unique=True),
    Column("client", Text, nullable=False),
    Column("source_ip", Text, nullable=False),
    Column("source", Text, nullable=False, index=True),
    Column("created_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False, index=True),
    Column("polled_at", Timestamp),
    _owner("user", nullable=True),
    Column("denied", Boolean, nullable=False),
)

# Tunnels that a user wants to see first.
pins = Table(
    "pins",
    metadata,
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("tunnel_id", Text, ForeignKey("tunnels.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "tunnel_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Ordered, primary_key=True),
    Column("at", Timestamp, nullable=False),
    Column("event", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("actor_id", Text),
    Column("user_id", Text),
    Column("user_name", Text),
    Column("tunnel_id", Text),
    Column("tunnel_name", Text),
    Column("session_id", Text),
    Column("source_ip", Text),
    Column("pod_id", Text),
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
