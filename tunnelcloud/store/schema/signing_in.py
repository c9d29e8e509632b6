"""How people and programs come to the portal and the API."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, LargeBinary, Table, Text

from tunnelcloud.domain.objects import IDENTITY_PROVIDER
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store.column_types import Choice, Document, ObjectId, Ordered, Timestamp
from tunnelcloud.store.schema.common_columns import identity, metadata, owner
from tunnelcloud.store.schema.setting_columns import columns_of

api_tokens = Table(
    "api_tokens",
    metadata,
    *identity("api_token"),
    Column("title", Text, nullable=False),
    Column("role", Choice(Role), nullable=False),
    owner("user", nullable=True),
    # Who made it, by name and id: both stay when that user is gone, so there is no constraint.
    Column("made_by", Text, nullable=False, server_default=""),
    Column("made_by_id", ObjectId("user"), index=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Timestamp),
    Column("last_used_at", Timestamp),
)

# One-time links to set a password; without a user it is the first administrator's.
invitations = Table(
    "invitations",
    metadata,
    *identity("invitation"),
    owner("user", nullable=True),
    # Who made it and may still have it; without a constraint, as with API tokens.
    Column("made_by_id", ObjectId("user"), index=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Timestamp, nullable=False),
    Column("redeemed_at", Timestamp),
)

web_sessions = Table(
    "web_sessions",
    metadata,
    *identity("web_session"),
    owner("user"),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Timestamp, nullable=False, index=True),
    Column("last_seen_at", Timestamp, nullable=False),
    Column("source_ip", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("method", Text, nullable=False),
    # Through whom they came: what a provider vouched for ends with it.
    Column(
        "provider_id",
        ObjectId("identity_provider"),
        ForeignKey("identity_providers.id", ondelete="CASCADE"),
        index=True,
    ),
)

# A second factor counts once it is confirmed; its secret is sealed by the pods' key.
second_factors = Table(
    "second_factors",
    metadata,
    owner("user", index=False, primary_key=True),
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
    owner("user", index=False, primary_key=True),
    Column("code_hash", LargeBinary, primary_key=True),
    Column("used_at", Timestamp),
)

identity_providers = Table(
    "identity_providers",
    metadata,
    *columns_of(IDENTITY_PROVIDER),
    Column("sealed_client_secret", LargeBinary),
    # When it last answered as it should, and what was wrong at the last check.
    Column("checked_at", Timestamp),
    Column("check_fault", Text, nullable=False, server_default=""),
)

# Whom a provider's subject is here.
identities = Table(
    "identities",
    metadata,
    Column(
        "provider_id",
        ObjectId("identity_provider"),
        ForeignKey("identity_providers.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("subject", Ordered, primary_key=True),
    owner("user"),
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
    owner("user", nullable=True),
    Column(
        "provider_id",
        ObjectId("identity_provider"),
        ForeignKey("identity_providers.id", ondelete="CASCADE"),
        index=True,
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
    owner("user", nullable=True),
    Column("denied", Boolean, nullable=False),
    # Of an SSH login; NULL for a command line.
    Column("login_name", Text),
)
