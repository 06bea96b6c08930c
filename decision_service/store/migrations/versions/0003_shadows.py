"""Shadows: what versions that run beside the active one say of each decision."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Only a table more."""
    op.create_table(
        "shadow_results",
        sa.Column("shadow_leaf", PLACE, sa.ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
        sa.Column("leaf_index", PLACE, sa.ForeignKey("decisions.leaf_index"), primary_key=True, autoincrement=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("amount", sa.BigInteger),
        sa.Column("active_limit", sa.BigInteger),
        sa.Column("shadow_limit", sa.BigInteger),
        sa.Column("rules", sa.Text),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """What shadows said can be worked out again from the log."""
    op.drop_table("shadow_results")
