"""How far the check of a tunnel's target goes."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column(
        "tunnels", sa.Column("target_check", sa.Text(), nullable=False, server_default="tcp")
    )
