"""Of which CA each connector has a certificate."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it.  It is known of each connector once it attaches."""
    op.add_column(
        "connectors", sa.Column("authority", sa.Text(), nullable=False, server_default="")
    )
