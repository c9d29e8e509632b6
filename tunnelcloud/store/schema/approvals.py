"""What users ask to be allowed, and what was allowed for a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.store.column_types import Choice, ObjectId, Timestamp
from tunnelcloud.store.schema.common_columns import identity, metadata, owner


def _about(kind: str) -> list[Column[Any]]:
    """Make the columns of what a user and a tunnel have to do with a policy's approval."""
    return [
        *identity(kind),
        owner("user"),
        owner("tunnel"),
        Column(
            "policy_id",
            ObjectId("policy"),
            ForeignKey("policies.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        Column("approval", Choice(Approval), nullable=False),
        Column("reason", Text, nullable=False),
    ]


approval_requests = Table(
    "approval_requests",
    metadata,
    *_about("request"),
    Column("source_ip", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("session_id", ObjectId("session")),
    Column("seconds", BigInteger, nullable=False),
    Column("status", Choice(RequestStatus), nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Column("decided_at", Timestamp),
    Column("decided_by_id", ObjectId("user")),
    Column("decided_by", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("renews_id", ObjectId("grant")),
    # What makes two requests one: while it waits, the same is never asked twice.
    Column("waits_as", Text),
    UniqueConstraint("waits_as"),
    Index(None, "status", "expires_at"),
)

timed_grants = Table(
    "timed_grants",
    metadata,
    *_about("grant"),
    Column("source_ip", Text),
    Column("starts_at", Timestamp, nullable=False),
    Column("ends_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("request_id", ObjectId("request"), nullable=False),
    Column("allowed_by_id", ObjectId("user"), nullable=False),
    Column("allowed_by", Text, nullable=False),
    Column("emergency", Boolean, nullable=False, server_default=false()),
    Column("renewed_at", Timestamp),
    Column("reviewed_at", Timestamp),
    Column("reviewed_by_id", ObjectId("user")),
    Column("reviewed_by", Text, nullable=False, server_default=""),
    Column("review", Text, nullable=False, server_default=""),
)
