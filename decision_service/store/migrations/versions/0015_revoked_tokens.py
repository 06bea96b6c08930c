"""Access tokens that their clients ended before their time."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

MOMENT = 27


def upgrade() -> None:
    """One table more."""
    op.create_table(
        "revoked_tokens",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("jti_digest", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.String(MOMENT), nullable=False),
    )
    op.create_index("revoked_tokens_by_end", "revoked_tokens", ["expires_at"])


def downgrade() -> None:
    """Tokens live out their time again."""
    op.drop_index("revoked_tokens_by_end", "revoked_tokens")
    op.drop_table("revoked_tokens")
