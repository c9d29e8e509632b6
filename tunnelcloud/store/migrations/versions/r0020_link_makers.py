"""Who made a link to set a password."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column("invitations", sa.Column("made_by_id", sa.Text(), nullable=True))
    op.create_index("ix_invitations_made_by_id", "invitations", ["made_by_id"])
