"""SSH logins that wait for somebody to confirm them in a browser, beside command lines that do."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column("device_logins", sa.Column("login_name", sa.Text()))
