"""The tables. Moments are UTC text of one width (they sort as text), money is fen, evidence is bytes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

WIDTH = len("2026-11-24T10:26:10.000000Z")


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as UTC text with microseconds."""

    impl = String(WIDTH)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """See ``moment_text``."""
        return None if value is None else moment_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Back to an aware datetime."""
        return None if value is None else datetime.fromisoformat(value)


def moment_text(moment: datetime) -> str:
    """A moment as stored. A naive time would be a guess (``astimezone`` takes the machine's zone), so it is refused."""
    if moment.tzinfo is None:
        raise ValueError("a moment without time zone")
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")[:-6] + "Z"


METADATA = MetaData()

Place = BigInteger().with_variant(Integer, "sqlite")
"""A leaf's place in the log; only a primary key of the type INTEGER is SQLite's own row number, without an index."""

CLIENTS = Table(
    "clients",
    METADATA,
    Column("client_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("created_by", Text),  # JSON: the person; unknown of the oldest clients
    Column("bind_certificate", Integer, nullable=False, server_default="0"),  # 1: tokens alone, bound to a certificate
)

CLIENT_KEYS = Table(
    "client_keys",
    METADATA,
    Column("client_id", String(64), ForeignKey("clients.client_id"), primary_key=True),
    Column("kid", String(64), primary_key=True),
    Column("thumbprint", String(64), nullable=False, unique=True),
    Column("algorithms", String(64), nullable=False),  # names with spaces between
    Column("jwk", Text, nullable=False),  # JSON: the public members
    Column("added_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("added_by", Text, nullable=False),  # JSON: the person
)

USED_ASSERTIONS = Table(
    "used_assertions",
    METADATA,
    Column("client_id", String(64), primary_key=True),
    Column("jti_digest", String(64), primary_key=True),
    Column("expires_at", Moment, nullable=False),
    Index("used_assertions_by_end", "expires_at"),
)

REVOKED_TOKENS = Table(
    "revoked_tokens",
    METADATA,
    Column("client_id", String(64), primary_key=True),
    Column("jti_digest", String(64), primary_key=True),
    Column("expires_at", Moment, nullable=False),  # from then on it counts for nothing anyway
    Index("revoked_tokens_by_end", "expires_at"),
)

CLIENT_QUOTAS = Table(
    "client_quotas",
    METADATA,
    Column("client_id", String(64), ForeignKey("clients.client_id"), primary_key=True),
    Column("name", String(16), primary_key=True),  # the kind of request
    Column("count", Integer, nullable=False),
    Column("seconds", Integer, nullable=False),
)

RECORDS = Table(
    "records",
    METADATA,
    Column("uscc", String(100), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("payload", Text, nullable=False),  # JSON: a list of records, each a list of its fields
    Column("origins", Text, nullable=False),  # JSON: a list of [key, source time], record by record
    Column("received_at", Moment, nullable=False),
    Index("records_by_kind", "kind", "uscc"),
    # Rows lie in key order, so one enterprise is one short stretch of the file.
    sqlite_with_rowid=False,
)

TOLD_REPAIRS = Table(
    "told_repairs",
    METADATA,
    Column("uscc", String(100), primary_key=True),
    Column("record_key", Text, primary_key=True),
    Column("list_name", Text, nullable=False),
    Column("ended_on", String(10), nullable=False),  # a business date, ISO
    Column("told_at", Moment, nullable=False),  # the source time of the first delivery that said so
    Index("told_repairs_by_time", "told_at"),
)

CONTROL_EDGES = Table(
    "control_edges",
    METADATA,
    Column("uscc", String(100), primary_key=True),  # the enterprise or person whose relation this is
    Column("other", String(100), primary_key=True),
    Column("link", String(32), primary_key=True),
    Index("control_edges_by_other", "other", "link", "uscc"),
    sqlite_with_rowid=False,
)

FEEDS = Table(
    "feeds",
    METADATA,
    Column("kind", String(32), primary_key=True),
    Column("source_time", Moment, nullable=False),
)

LEAVES = Table(
    "leaves",
    METADATA,
    Column("leaf_index", Place, primary_key=True, autoincrement=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
)

LOG_HEAD = Table(
    "log_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("root", LargeBinary, nullable=False),
)

REFERRED = "outcome = 'REFER'"
"""Which decisions people look at: a condition that the index of these knows by its text."""

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("leaf_index", Place, ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
    Column("decision_id", String(64), nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("body_digest", String(80), nullable=False),
    Column("application_id", Text, nullable=False),
    Column("uscc", String(18), nullable=False),
    Column("product", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("ruleset_digest", String(80), nullable=False),
    Column("private", LargeBinary),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("client_id", "idempotency_key"),
    Index("decisions_by_client", "client_id", "leaf_index"),
    Index("decisions_by_uscc", "uscc", "decided_at", "client_id"),
    Index("decisions_by_moment", "decided_at", "leaf_index"),
    Index("decisions_referred", "leaf_index", sqlite_where=text(REFERRED), postgresql_where=text(REFERRED)),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("client_id", String(64), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_digest", String(80), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("owner", String(32), nullable=False, server_default=""),
)

RESERVATIONS = Table(
    "reservations",
    METADATA,
    Column("client_id", String(64), primary_key=True),
    Column("application_id", Text, primary_key=True),
    Column("uscc", String(18), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("decision_id", String(64), ForeignKey("decisions.decision_id"), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("reservations_by_uscc", "uscc", "expires_at", "amount"),
)

RULESETS = Table(
    "rulesets",
    METADATA,
    Column("digest", String(80), primary_key=True),
    Column("version", Text, nullable=False),
    Column("sources", Text, nullable=False),
    Column("saved_at", Moment, nullable=False),
)

RELEASE_EVENTS = Table(
    "release_events",
    METADATA,
    Column("leaf_index", Place, ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # publication, approval, activation, switch, shadow
    Column("how", String(16), nullable=False),  # installed, activated, rolled back; off, on; shadow …
    Column("subject", String(200), nullable=False),  # the ruleset's digest, or the scope of a switch
    Column("at", Moment, nullable=False),
    Column("effective_at", Moment, nullable=False),
    Column("signature", String(88), nullable=False),
    Index("release_events_by_subject", "kind", "subject", "leaf_index"),
)

ATTACHMENTS = Table(
    "attachments",
    METADATA,
    Column("digest", String(80), primary_key=True),  # sha256 of the content: a publication's cases, a backtest report
    Column("content", LargeBinary, nullable=False),
)

SHADOW_RESULTS = Table(
    "shadow_results",
    METADATA,
    Column("shadow_leaf", Place, ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
    Column("leaf_index", Place, ForeignKey("decisions.leaf_index"), primary_key=True, autoincrement=False),
    Column("status", String(16), nullable=False),  # compared, or why it is left out
    Column("outcome", String(16)),  # the shadow's
    Column("amount", BigInteger),
    Column("active_limit", BigInteger),
    Column("shadow_limit", BigInteger),
    Column("rules", Text),  # JSON: ids matched and unknown in both, and [truth, truth in the shadow] by id
    # Rows lie in key order: what was compared last is found at the end of its shadow's stretch.
    sqlite_with_rowid=False,
)

CHALLENGES = Table(
    "challenges",
    METADATA,
    Column("subject", String(400), primary_key=True),  # name/version of a model; several with a space between
    Column("after_leaf", Place, nullable=False),  # what was decided later is followed
)

CHALLENGER_RESULTS = Table(
    "challenger_results",
    METADATA,
    Column("subject", String(400), ForeignKey("challenges.subject"), primary_key=True),
    Column("leaf_index", Place, ForeignKey("decisions.leaf_index"), primary_key=True, autoincrement=False),
    Column("status", String(16), nullable=False),  # compared, or why it is left out
    Column("active_pd", Integer),  # millionths: the recorded score of the model it challenges
    Column("pd", Integer),  # and its own
    Column("active_pd_12m", Integer),
    Column("pd_12m", Integer),
    Column("outcome", String(16)),  # by the rules that decided, with its scores
    Column("rules", Text),  # JSON, as of shadow_results
    sqlite_with_rowid=False,
)

DRIFT_COUNTS = Table(
    "drift_counts",
    METADATA,
    Column("day", String(10), primary_key=True),  # a business date, ISO
    Column("product", String(64), primary_key=True),
    Column("model", String(400), primary_key=True),  # name/version; empty: all decisions on the product
    Column("digest", String(80), primary_key=True),  # of the version
    Column("decisions", Integer, nullable=False),
    Column("open", Integer, nullable=False),  # automatic approval was switched on
    Column("approved", Integer, nullable=False),
    Column("scored", Integer, nullable=False),
    Column("lent", Integer, nullable=False),  # approved and scored
    Column("expected", BigInteger, nullable=False),  # millionths: the sum of the scores of these
    Column("bins", Text, nullable=False),  # JSON: counts by bin of the version's profile
)

DRIFT_MEASURES = Table(
    "drift_measures",
    METADATA,
    Column("day", String(10), primary_key=True),
    Column("product", String(64), primary_key=True),
    Column("model", String(400), primary_key=True),
    Column("digest", String(80), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("n", Integer, nullable=False),
    Column("base", Integer, nullable=False),
    Column("value", Double),
    Column("expected", Double),
    Column("low", Double),
    Column("high", Double),
    Column("note", String(16), nullable=False),
    Column("level", String(16), nullable=False),  # of the figure by itself
    Column("alert", String(16), nullable=False),  # of what stands after the days before
    Column("calm", String(16), nullable=False),  # JSON: by level, evaluations well below it
    Column("written_at", Moment, nullable=False),
)

BATCHES = Table(
    "batches",
    METADATA,
    Column("number", Place, primary_key=True),
    Column("batch_id", String(64), nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("body_digest", String(80), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("lines", Integer, nullable=False),
    Column("content", LargeBinary),  # the lines, compressed; kept only until the last of them is done
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("cancelled_at", Moment),
    Column("approved", Integer, nullable=False),
    Column("referred", Integer, nullable=False),
    Column("declined", Integer, nullable=False),
    Column("refused", Integer, nullable=False),  # lines that are no application which can be decided
    UniqueConstraint("client_id", "idempotency_key"),
    Index("batches_by_client", "client_id", "number"),
    Index("batches_by_end", "finished_at", "number"),
)

BATCH_RESULTS = Table(
    "batch_results",
    METADATA,
    Column("number", Place, ForeignKey("batches.number"), primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("status", Integer, nullable=False),
    Column("application_id", Text),
    Column("decision_id", String(64), ForeignKey("decisions.decision_id")),
    Column("outcome", String(16)),
    Column("problem", Text),  # JSON: why there is no decision
    sqlite_with_rowid=False,
)

WEBHOOKS = Table(
    "webhooks",
    METADATA,
    Column("number", Place, primary_key=True),
    Column("webhook_id", String(64), nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("body_digest", String(80), nullable=False),
    Column("url", Text, nullable=False),
    Column("types", Text, nullable=False),  # of events, with blanks between
    Column("description", Text, nullable=False),
    Column("state", String(16), nullable=False),  # active, disabled; deleted: only its idempotency key is kept
    Column("notice", Text),  # why it is disabled
    Column("failures", Integer, nullable=False),  # events given up since the last that was delivered
    Column("seen", BigInteger, nullable=False),  # the leaf up to which deliveries were made
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("client_id", "idempotency_key"),
)

WEBHOOK_KEYS = Table(
    "webhook_keys",
    METADATA,
    Column("number", Place, ForeignKey("webhooks.number"), primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # hmac, ed25519; the key's bytes follow from the log's key
    Column("idempotency_key", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("expires_at", Moment),
    UniqueConstraint("number", "idempotency_key"),
)

WEBHOOK_DELIVERIES = Table(
    "webhook_deliveries",
    METADATA,
    Column("number", Place, ForeignKey("webhooks.number"), primary_key=True, autoincrement=False),
    Column("event_id", String(64), primary_key=True),
    Column("place", BigInteger, nullable=False),  # the event's leaf
    Column("type", String(32), nullable=False),
    Column("subject", Text, nullable=False),  # what comes after it waits until it is finished
    Column("body", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),  # pending, delivered, given_up
    Column("attempts", Integer, nullable=False),
    Column("next_at", Moment, nullable=False),
    Column("status", Integer),  # of the last attempt
    Column("error", Text),
    Column("made_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("serial", BigInteger, nullable=False, server_default="0"),  # counts up in a webhook: its cursors
    Index("webhook_deliveries_by_turn", "number", "state", "next_at"),
    Index("webhook_deliveries_by_subject", "number", "subject", "place"),
    Index("webhook_deliveries_by_serial", "number", "serial"),
    Index("webhook_deliveries_by_end", "finished_at"),
)

ACTS = Table(
    "acts",
    METADATA,
    Column("leaf_index", Place, ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # life, objection, notice
    Column("how", String(32), nullable=False),
    Column("subject", String(200), nullable=False),  # a decision's id, an objection's, what a notice is about
    Column("client_id", String(64)),  # whose thing it is
    Column("at", Moment, nullable=False),
    Column("once", String(200)),
    Column("private", LargeBinary),  # values behind the record's commitments, until they are erased
    Column("signature", String(88), nullable=False),
    UniqueConstraint("kind", "once"),
    Index("acts_by_subject", "kind", "subject", "leaf_index"),
)

ANSWERS = Table(
    "answers",
    METADATA,
    Column("client_id", String(64), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_digest", String(80), nullable=False),
    Column("status", Integer, nullable=False),
    Column("location", Text),
    Column("body", LargeBinary, nullable=False),
    Column("answered_at", Moment, nullable=False),
)

LIVES = Table(
    "lives",
    METADATA,
    Column("decision_id", String(64), ForeignKey("decisions.decision_id"), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("application_id", Text, nullable=False),
    Column("uscc", String(18), nullable=False),
    Column("state", String(16), nullable=False),
    Column("amount", BigInteger, nullable=False),  # what counts of it as exposure, fen
    Column("expires_at", Moment),  # until when; null: until acts say otherwise
    Column("contract", Text),
    Column("assignee", String(64)),
    Column("pauses", Text, nullable=False),  # JSON: [from, to or null] of each
    Column("changed_at", Moment, nullable=False),
    Index("lives_by_uscc", "uscc", "amount"),
    Index("lives_by_application", "client_id", "application_id", "uscc"),
)

OBJECTIONS = Table(
    "objections",
    METADATA,
    Column("leaf_index", Place, ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),  # its filing
    Column("objection_id", String(64), nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("uscc", String(18), nullable=False),
    Column("record_kind", String(32)),  # null: it is about a decision
    Column("record_key", Text),
    Column("about", Text),  # the list of an entry
    Column("decision_id", String(64)),
    Column("state", String(16), nullable=False),
    Column("open_about", Text, unique=True),  # what it is about, while it is open: of one thing one objection
    Column("effect", String(16)),  # on its record: disputed, struck
    Column("effect_at", Moment),
    Column("effect_digest", String(64)),  # of what was struck; empty: whatever it says
    Column("changed_at", Moment, nullable=False),
    Index("objections_by_client", "client_id", "leaf_index"),
    Index("objections_by_uscc", "uscc", "effect"),
)

ERASURES = Table(
    "erasures",
    METADATA,
    Column("leaf_index", Place, ForeignKey("leaves.leaf_index"), primary_key=True, autoincrement=False),
    Column("decision_id", String(64), ForeignKey("decisions.decision_id"), nullable=False, unique=True),
    Column("erased_at", Moment, nullable=False),
    Column("signature", String(88), nullable=False),
)
