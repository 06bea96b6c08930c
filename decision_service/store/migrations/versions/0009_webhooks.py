"""Webhooks: where events are sent, by which keys they are signed, what became of each."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = 27


def upgrade() -> None:
    """Three tables more."""
    op.create_table(
        "webhooks",
        sa.Column("number", PLACE, primary_key=True),
        sa.Column("webhook_id", sa.String(64), nullable=False, unique=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("notice", sa.Text),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.String(MOMENT), nullable=False),
        sa.Column("updated_at", sa.String(MOMENT), nullable=False),
        sa.UniqueConstraint("client_id", "idempotency_key"),
    )
    op.create_table(
        "webhook_keys",
        sa.Column("number", PLACE, sa.ForeignKey("webhooks.number"), primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("made_at", sa.String(MOMENT), nullable=False),
        sa.Column("expires_at", sa.String(MOMENT)),
        sa.UniqueConstraint("number", "idempotency_key"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", PLACE, sa.ForeignKey("webhooks.number"), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.String(MOMENT), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("made_at", sa.String(MOMENT), nullable=False),
        sa.Column("finished_at", sa.String(MOMENT)),
    )
    op.create_index("webhook_deliveries_by_turn", "webhook_deliveries", ["number", "state", "next_at"])
    op.create_index("webhook_deliveries_by_subject", "webhook_deliveries", ["number", "subject", "place"])
    op.create_index("webhook_deliveries_by_place", "webhook_deliveries", ["number", "place"])
    op.create_index("webhook_deliveries_by_end", "webhook_deliveries", ["finished_at"])


def downgrade() -> None:
    """Nobody is told anything any more; the log stays."""
    for name in ("webhook_deliveries", "webhook_keys", "webhooks"):
        op.drop_table(name)
