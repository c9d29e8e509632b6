"""Policies may want an approval: requests for one, and the grants that they lead to."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _about() -> list[sa.Column[object]]:
    ordered = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return [
        sa.Column("id", ordered, primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("tunnel_id", sa.Text, nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("approval", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    ]


def _owners(table: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            [f"{one}_id"],
            [f"{'policies' if one == 'policy' else one + 's'}.id"],
            name=f"fk_{table}_{one}_id",
            ondelete="CASCADE",
        )
        for one in ("user", "tunnel", "policy")
    ]


def upgrade() -> None:
    """Apply it."""
    with op.batch_alter_table("policies") as policies:
        policies.add_column(sa.Column("approval", sa.Text, nullable=False, server_default="none"))
        policies.add_column(sa.Column("approvers_id", sa.Text))
        policies.add_column(
            sa.Column("approval_seconds", sa.BigInteger, nullable=False, server_default="3600")
        )
        policies.add_column(
            sa.Column("approval_wait_seconds", sa.BigInteger, nullable=False, server_default="60")
        )
        policies.create_foreign_key(
            "fk_policies_approvers_id", "groups", ["approvers_id"], ["id"], ondelete="SET NULL"
        )
        policies.create_index("ix_policies_approvers_id", ["approvers_id"])
    op.create_table(
        "approval_requests",
        *_about(),
        sa.Column("source_ip", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("seconds", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("decided_by_id", sa.Text),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("waits_as", sa.Text),
        *_owners("approval_requests"),
        sa.UniqueConstraint("waits_as", name="uq_approval_requests_waits_as"),
    )
    op.create_index(
        "ix_approval_requests_status_expires_at", "approval_requests", ["status", "expires_at"]
    )
    op.create_table(
        "timed_grants",
        *_about(),
        sa.Column("source_ip", sa.Text),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("allowed_by_id", sa.Text, nullable=False),
        sa.Column("allowed_by", sa.Text, nullable=False),
        *_owners("timed_grants"),
    )
    for table in ("approval_requests", "timed_grants"):
        for one in ("user", "tunnel", "policy"):
            op.create_index(f"ix_{table}_{one}_id", table, [f"{one}_id"])
