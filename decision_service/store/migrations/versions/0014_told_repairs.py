"""Repairs of list entries, and when their sources told of them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MOMENT = 27


def upgrade() -> None:
    """One table more: when earlier repairs were told is not known."""
    op.create_table(
        "told_repairs",
        sa.Column("uscc", sa.String(100), primary_key=True),
        sa.Column("record_key", sa.Text, primary_key=True),
        sa.Column("list_name", sa.Text, nullable=False),
        sa.Column("ended_on", sa.String(10), nullable=False),
        sa.Column("told_at", sa.String(MOMENT), nullable=False),
    )
    op.create_index("told_repairs_by_time", "told_repairs", ["told_at"])


def downgrade() -> None:
    """Nobody remembers when repairs were told."""
    op.drop_index("told_repairs_by_time", "told_repairs")
    op.drop_table("told_repairs")
