"""An index for the sessions of a tunnel."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.create_index(op.f("ix_sessions_tunnel_id_id"), "sessions", ["tunnel_id", "id"])
