"""Batches: what was sent, how far each has come, what became of each line."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
COUNTS = ("approved", "referred", "declined", "refused")
MOMENT = 27


def upgrade() -> None:
    """Two tables more."""
    op.create_table(
        "batches",
        sa.Column("number", PLACE, primary_key=True),
        sa.Column("batch_id", sa.String(64), nullable=False, unique=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("created_at", sa.String(MOMENT), nullable=False),
        *(sa.Column(name, sa.String(MOMENT)) for name in ("started_at", "finished_at", "cancelled_at")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in COUNTS),
        sa.UniqueConstraint("client_id", "idempotency_key"),
    )
    op.create_index("batches_by_client", "batches", ["client_id", "number"])
    op.create_index("batches_by_end", "batches", ["finished_at", "number"])
    op.create_table(
        "batch_results",
        sa.Column("number", PLACE, sa.ForeignKey("batches.number"), primary_key=True, autoincrement=False),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("application_id", sa.Text),
        sa.Column("decision_id", sa.String(64), sa.ForeignKey("decisions.decision_id")),
        sa.Column("outcome", sa.String(16)),
        sa.Column("problem", sa.Text),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Batches that are not finished are forgotten; decisions stay."""
    op.drop_table("batch_results")
    op.drop_table("batches")
