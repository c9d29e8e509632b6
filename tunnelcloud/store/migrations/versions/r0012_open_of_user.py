"""What a user has open is found without a look at all that they ever had."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    for table, over in (("sessions", "ended_at"), ("channels", "closed_at")):
        is_open = sa.text(f"{over} IS NULL")
        op.create_index(
            f"ix_{table}_open_of_user",
            table,
            ["user_id", "id"],
            sqlite_where=is_open,
            postgresql_where=is_open,
        )
