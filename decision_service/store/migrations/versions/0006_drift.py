"""Drift: what is counted of decisions by day, the figures that follow, and decisions found by their moment."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SUBJECT = (("day", 10), ("product", 64), ("model", 400), ("digest", 80))
COUNTS = ("decisions", "open", "approved", "scored", "lent")
MOMENT = 27


def upgrade() -> None:
    """Two tables and an index more."""
    op.create_index("decisions_by_moment", "decisions", ["decided_at", "leaf_index"])
    op.create_table(
        "drift_counts",
        *(sa.Column(name, sa.String(width), primary_key=True) for name, width in SUBJECT),
        *(sa.Column(name, sa.Integer, nullable=False) for name in COUNTS),
        sa.Column("expected", sa.BigInteger, nullable=False),
        sa.Column("bins", sa.Text, nullable=False),
    )
    op.create_table(
        "drift_measures",
        *(sa.Column(name, sa.String(width), primary_key=True) for name, width in SUBJECT),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("n", "base")),
        *(sa.Column(name, sa.Double) for name in ("value", "expected", "low", "high")),
        *(sa.Column(name, sa.String(16), nullable=False) for name in ("note", "level", "alert", "calm")),
        sa.Column("written_at", sa.String(MOMENT), nullable=False),
    )


def downgrade() -> None:
    """Counts and figures can be worked out again, the revisions before the newest cannot."""
    op.drop_table("drift_measures")
    op.drop_table("drift_counts")
    op.drop_index("decisions_by_moment", "decisions")
