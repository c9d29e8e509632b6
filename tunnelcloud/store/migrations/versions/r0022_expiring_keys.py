"""Keys that have expired are found without a look at all keys."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.create_index("ix_keys_expires_at", "keys", ["expires_at"])
