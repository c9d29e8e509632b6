"""The network that a command line asks from, by which it is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    # What waits, waits for ten minutes at most: it is asked for again.
    op.execute("DELETE FROM device_logins")
    op.drop_index("ix_device_logins_source_ip", "device_logins")
    op.add_column(
        "device_logins", sa.Column("source", sa.Text(), nullable=False, server_default="")
    )
    op.create_index("ix_device_logins_source", "device_logins", ["source"])
