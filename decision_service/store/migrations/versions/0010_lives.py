"""The life of an application: acts as signed leaves, what stands after them, and the answers that keys have."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = 27
REFERRED = sa.text("outcome = 'REFER'")


def upgrade() -> None:
    """Three tables more, and an index by which referred applications are found."""
    op.create_table(
        "acts",
        sa.Column("leaf_index", PLACE, sa.ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("how", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("client_id", sa.String(64)),
        sa.Column("at", sa.String(MOMENT), nullable=False),
        sa.Column("once", sa.String(200)),
        sa.Column("private", sa.LargeBinary),
        sa.Column("signature", sa.String(88), nullable=False),
        sa.UniqueConstraint("kind", "once"),
    )
    op.create_index("acts_by_subject", "acts", ["kind", "subject", "leaf_index"])
    op.create_table(
        "answers",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("location", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("answered_at", sa.String(MOMENT), nullable=False),
    )
    op.create_table(
        "lives",
        sa.Column("decision_id", sa.String(64), sa.ForeignKey("decisions.decision_id"), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.String(MOMENT)),
        sa.Column("contract", sa.Text),
        sa.Column("assignee", sa.String(64)),
        sa.Column("pauses", sa.Text, nullable=False),
        sa.Column("changed_at", sa.String(MOMENT), nullable=False),
    )
    op.create_index("lives_by_uscc", "lives", ["uscc", "amount"])
    op.create_index("lives_by_application", "lives", ["client_id", "application_id", "uscc"])
    op.create_index(
        "decisions_referred", "decisions", ["leaf_index"], sqlite_where=REFERRED, postgresql_where=REFERRED
    )


def downgrade() -> None:
    """What was done to applications after their decisions stays in the log alone."""
    op.drop_index("decisions_referred", "decisions")
    for table in ("lives", "answers", "acts"):
        op.drop_table(table)
