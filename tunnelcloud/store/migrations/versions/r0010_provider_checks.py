"""When an identity provider was checked, and what was wrong with it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it.  The sign-in page offers what it offered before."""
    op.add_column("identity_providers", sa.Column("checked_at", sa.BigInteger(), nullable=True))
    op.add_column(
        "identity_providers",
        sa.Column("check_fault", sa.Text(), nullable=False, server_default=""),
    )
    op.execute("UPDATE identity_providers SET checked_at = created_at")
