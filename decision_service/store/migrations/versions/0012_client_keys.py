"""Public keys of clients, the signed requests that were used, and whose tokens are bound to a certificate."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MOMENT = 27


def upgrade() -> None:
    """Two tables more; the clients so far hold keys alone and are bound to nothing."""
    op.add_column("clients", sa.Column("bind_certificate", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "client_keys",
        sa.Column("client_id", sa.String(64), sa.ForeignKey("clients.client_id"), primary_key=True),
        sa.Column("kid", sa.String(64), primary_key=True),
        sa.Column("thumbprint", sa.String(64), nullable=False, unique=True),
        sa.Column("algorithms", sa.String(64), nullable=False),
        sa.Column("jwk", sa.Text, nullable=False),
        sa.Column("added_at", sa.String(MOMENT), nullable=False),
        sa.Column("revoked_at", sa.String(MOMENT)),
        sa.Column("added_by", sa.Text, nullable=False),
    )
    op.create_table(
        "used_assertions",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("jti_digest", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.String(MOMENT), nullable=False),
    )
    op.create_index("used_assertions_by_end", "used_assertions", ["expires_at"])


def downgrade() -> None:
    """Clients go back to their bearer keys."""
    op.drop_index("used_assertions_by_end", "used_assertions")
    for table in ("used_assertions", "client_keys"):
        op.drop_table(table)
    op.drop_column("clients", "bind_certificate")
