"""Sites have notes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("sites") as table:
        table.add_column(sa.Column("notes", sa.Text, nullable=False, server_default=""))
