"""Deliveries of webhooks count up in each webhook, so that they can be read page by page."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NUMBERED = """
    UPDATE webhook_deliveries SET serial = counted.serial
    FROM (
        SELECT number, event_id, row_number() OVER (PARTITION BY number ORDER BY made_at, place, event_id) AS serial
        FROM webhook_deliveries
    ) AS counted
    WHERE counted.number = webhook_deliveries.number AND counted.event_id = webhook_deliveries.event_id
"""


def upgrade() -> None:
    """Those so far are counted in the order in which they were made."""
    op.add_column("webhook_deliveries", sa.Column("serial", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(NUMBERED)
    op.drop_index("webhook_deliveries_by_place", "webhook_deliveries")
    op.create_index("webhook_deliveries_by_serial", "webhook_deliveries", ["number", "serial"])


def downgrade() -> None:
    """They are told by the places of their events again."""
    op.drop_index("webhook_deliveries_by_serial", "webhook_deliveries")
    op.create_index("webhook_deliveries_by_place", "webhook_deliveries", ["number", "place"])
    op.drop_column("webhook_deliveries", "serial")
