"""The first tables: clients, records, the log, decisions, leases, reservations, rulesets, erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.String(27)
PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create everything, and the head of an empty log."""
    _clients_and_records()
    _log()
    _decisions()
    _rulesets()
    _erasures()


def downgrade() -> None:
    """Evidence is never dropped by a migration."""
    raise NotImplementedError("the first tables hold evidence; drop the database by hand if you must")


def _clients_and_records() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
    )
    op.create_table(
        "records",
        sa.Column("uscc", sa.String(100), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("origins", sa.Text, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("records_by_kind", "records", ["kind", "uscc"])
    op.create_table(
        "control_edges",
        sa.Column("uscc", sa.String(100), primary_key=True),
        sa.Column("other", sa.String(100), primary_key=True),
        sa.Column("link", sa.String(32), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("control_edges_by_other", "control_edges", ["other", "link", "uscc"])
    op.create_table(
        "feeds",
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("source_time", MOMENT, nullable=False),
    )


def _log() -> None:
    op.create_table(
        "leaves",
        sa.Column("leaf_index", PLACE, primary_key=True, autoincrement=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    head = op.create_table(
        "log_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
    )
    empty_root = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    op.bulk_insert(head, [{"id": 1, "size": 0, "frontier": b"", "root": empty_root}])


def _decisions() -> None:
    op.create_table(
        "decisions",
        _leaf(),
        sa.Column("decision_id", sa.String(64), nullable=False, unique=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.Column("ruleset_digest", sa.String(80), nullable=False),
        sa.Column("private", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("client_id", "idempotency_key"),
    )
    op.create_index("decisions_by_client", "decisions", ["client_id", "leaf_index"])
    op.create_index("decisions_by_uscc", "decisions", ["uscc", "decided_at", "client_id"])
    op.create_table(
        "leases",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("uscc", sa.String(18), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("decision_id", sa.String(64), sa.ForeignKey("decisions.decision_id"), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_index("reservations_by_uscc", "reservations", ["uscc", "expires_at", "amount"])


def _rulesets() -> None:
    op.create_table(
        "rulesets",
        sa.Column("digest", sa.String(80), primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("sources", sa.Text, nullable=False),
        sa.Column("saved_at", MOMENT, nullable=False),
    )
    op.create_table(
        "activations",
        _leaf(),
        sa.Column("digest", sa.String(80), sa.ForeignKey("rulesets.digest"), nullable=False),
        sa.Column("activated_at", MOMENT, nullable=False),
        sa.Column("signature", sa.String(88), nullable=False),
    )


def _erasures() -> None:
    op.create_table(
        "erasures",
        _leaf(),
        sa.Column(
            "decision_id", sa.String(64), sa.ForeignKey("decisions.decision_id"), nullable=False, unique=True
        ),
        sa.Column("erased_at", MOMENT, nullable=False),
        sa.Column("signature", sa.String(88), nullable=False),
    )


def _leaf() -> sa.Column[int]:
    """The place in the log of the leaf that a row belongs to."""
    return sa.Column("leaf_index", PLACE, sa.ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False)
