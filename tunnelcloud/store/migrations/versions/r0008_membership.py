"""Pods have leases; which connectors are attached where; events have an order of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column("pods", sa.Column("incarnation", sa.Text, nullable=False, server_default=""))
    op.add_column("pods", sa.Column("home", sa.Text, nullable=False, server_default=""))
    op.add_column("pods", sa.Column("leased_until", sa.BigInteger))
    op.create_table(
        "attachments",
        sa.Column("pod_id", sa.Text, nullable=False),
        sa.Column("connector_id", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["connector_id"],
            ["connectors.id"],
            name="fk_attachments_connector_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["pod_id"], ["pods.id"], name="fk_attachments_pod_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pod_id", "connector_id", name="pk_attachments"),
    )
    op.create_index("ix_attachments_connector_id", "attachments", ["connector_id"])
    op.create_table(
        "probes",
        sa.Column("pod_id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("filler", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("pod_id", "at", name="pk_probes"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE event_order")
