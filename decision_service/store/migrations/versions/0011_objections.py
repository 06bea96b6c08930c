"""Objections: what stands after their acts, and what they make of records."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = 27


def upgrade() -> None:
    """One table more."""
    op.create_table(
        "objections",
        sa.Column("leaf_index", PLACE, sa.ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
        sa.Column("objection_id", sa.String(64), nullable=False, unique=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("record_kind", sa.String(32)),
        sa.Column("record_key", sa.Text),
        sa.Column("about", sa.Text),
        sa.Column("decision_id", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("open_about", sa.Text, unique=True),
        sa.Column("effect", sa.String(16)),
        sa.Column("effect_at", sa.String(MOMENT)),
        sa.Column("effect_digest", sa.String(64)),
        sa.Column("changed_at", sa.String(MOMENT), nullable=False),
    )
    op.create_index("objections_by_client", "objections", ["client_id", "leaf_index"])
    op.create_index("objections_by_uscc", "objections", ["uscc", "effect"])


def downgrade() -> None:
    """What was objected to stays in the log alone."""
    op.drop_table("objections")
