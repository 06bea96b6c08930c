"""Clients remember who created their key, because the two are no two persons."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of the clients so far nobody knows it."""
    op.add_column("clients", sa.Column("created_by", sa.Text))


def downgrade() -> None:
    """The acts that were done with a key say who created it."""
    op.drop_column("clients", "created_by")
