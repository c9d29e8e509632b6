"""Who made an API token."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column("api_tokens", sa.Column("made_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("api_tokens", sa.Column("made_by_id", sa.Text(), nullable=True))
    op.create_index("ix_api_tokens_made_by_id", "api_tokens", ["made_by_id"])
