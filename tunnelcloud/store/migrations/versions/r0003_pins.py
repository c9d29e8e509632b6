"""Pinned tunnels."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "pins",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("tunnel_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tunnel_id"], ["tunnels.id"], name=op.f("fk_pins_tunnel_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_pins_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "tunnel_id", name=op.f("pk_pins")),
    )
    op.create_index(op.f("ix_pins_tunnel_id"), "pins", ["tunnel_id"])
