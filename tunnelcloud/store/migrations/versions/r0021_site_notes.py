"""Notes of sites."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column("sites", sa.Column("notes", sa.Text(), nullable=False, server_default=""))
