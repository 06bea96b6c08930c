"""A lease tells whose it is. On PostgreSQL evidence is compressed by what costs least, leases are not written ahead."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

EVIDENCE = (("leaves", "record"), ("decisions", "private"), ("decisions", "body"))
KNOWS_LZ4 = "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"


def upgrade() -> None:
    """Evidence of rows to come; those that lie there stay as they are."""
    op.add_column("leases", sa.Column("owner", sa.String(32), nullable=False, server_default=""))
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("ALTER TABLE leases SET UNLOGGED")
    if op.get_bind().scalar(sa.text(KNOWS_LZ4)):
        for table, column in EVIDENCE:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION lz4")


def downgrade() -> None:
    """As PostgreSQL does it of itself."""
    op.drop_column("leases", "owner")
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("ALTER TABLE leases SET LOGGED")
    if op.get_bind().scalar(sa.text(KNOWS_LZ4)):
        for table, column in EVIDENCE:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION default")
