"""Release: activations become release events beside publications, approvals and switches; attachments."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.String(27)
PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Move the activations; each was effective at once."""
    op.create_table(
        "release_events",
        sa.Column("leaf_index", PLACE, sa.ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("how", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("effective_at", MOMENT, nullable=False),
        sa.Column("signature", sa.String(88), nullable=False),
    )
    op.create_index("release_events_by_subject", "release_events", ["kind", "subject", "leaf_index"])
    op.execute(
        "INSERT INTO release_events (leaf_index, kind, how, subject, at, effective_at, signature)"
        " SELECT leaf_index, 'activation', 'activated', digest, activated_at, activated_at, signature FROM activations"
    )
    op.drop_table("activations")
    op.create_table(
        "attachments",
        sa.Column("digest", sa.String(80), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Evidence is never dropped by a migration."""
    raise NotImplementedError("release events are evidence; restore the database from before the migration if you must")
