"""When users were last seen, which stays when they sign out."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column("users", sa.Column("last_seen_at", sa.BigInteger(), nullable=True))
    # Who has signed out since is remembered by the audit alone.
    op.execute(
        "UPDATE users SET last_seen_at = seen.at FROM (SELECT user_id, max(at) AS at FROM audit "
        "WHERE event = 'web_login.succeeded' GROUP BY user_id) AS seen "
        "WHERE seen.user_id = users.id"
    )
