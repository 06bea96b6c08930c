"""Challengers: what models that are held against the champions say of each decision."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Two tables more."""
    op.create_table(
        "challenges",
        sa.Column("subject", sa.String(400), primary_key=True),
        sa.Column("after_leaf", PLACE, nullable=False),
    )
    op.create_table(
        "challenger_results",
        sa.Column("subject", sa.String(400), sa.ForeignKey("challenges.subject"), primary_key=True),
        sa.Column("leaf_index", PLACE, sa.ForeignKey("decisions.leaf_index"), primary_key=True, autoincrement=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("active_pd", sa.Integer),
        sa.Column("pd", sa.Integer),
        sa.Column("active_pd_12m", sa.Integer),
        sa.Column("pd_12m", sa.Integer),
        sa.Column("outcome", sa.String(16)),
        sa.Column("rules", sa.Text),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """What challengers said can be worked out again from the log."""
    op.drop_table("challenger_results")
    op.drop_table("challenges")
