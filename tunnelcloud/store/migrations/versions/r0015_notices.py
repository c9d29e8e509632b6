"""What administrators were told, and which sites they are told nothing of."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.add_column(
        "sites", sa.Column("muted", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    ordered = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "notices",
        sa.Column("pod_id", sa.Text(), nullable=False),
        sa.Column("key", ordered, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("over", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pod_id"], ["pods.id"], name="fk_notices_pod_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pod_id", "key", name="pk_notices"),
    )
