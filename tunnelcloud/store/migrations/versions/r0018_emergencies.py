"""Users may let themselves in in an emergency, which is reviewed later; grants can be prolonged."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column("policies", sa.Column("emergency_seconds", sa.BigInteger(), nullable=True))
    op.add_column("approval_requests", sa.Column("renews_id", sa.Text(), nullable=True))
    grants = "timed_grants"
    op.add_column(
        grants, sa.Column("emergency", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(grants, sa.Column("renewed_at", sa.BigInteger(), nullable=True))
    op.add_column(grants, sa.Column("reviewed_at", sa.BigInteger(), nullable=True))
    op.add_column(grants, sa.Column("reviewed_by_id", sa.Text(), nullable=True))
    op.add_column(grants, sa.Column("reviewed_by", sa.Text(), nullable=False, server_default=""))
    op.add_column(grants, sa.Column("review", sa.Text(), nullable=False, server_default=""))
