"""The log exactly as it lies in the tables, for verification: nothing is converted, nothing trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, String, and_, func, literal, select, type_coerce, union_all

from decision_service.audit.act import OBJECTION
from decision_service.store.database import Database
from decision_service.store.erasures import erasure_once
from decision_service.store.tables import (
    ACTS,
    ATTACHMENTS,
    DECISIONS,
    ERASURES,
    LEAVES,
    LIVES,
    LOG_HEAD,
    OBJECTIONS,
    RELEASE_EVENTS,
    RESERVATIONS,
    RULESETS,
)

PAGE = 500
_DECISION_COLUMNS = (
    "decision_id",
    "client_id",
    "idempotency_key",
    "body_digest",
    "application_id",
    "uscc",
    "product",
    "outcome",
    "ruleset_digest",
    "private",
    "body",
)
_RESERVED = (
    RESERVATIONS.c.client_id == DECISIONS.c.client_id,
    RESERVATIONS.c.application_id == DECISIONS.c.application_id,
    RESERVATIONS.c.uscc == DECISIONS.c.uscc,
)
_ERASED = ERASURES.alias("erased")
"""The erasure of a leaf's decision; ``ERASURES`` itself is joined by its own leaf."""

_ACT_ERASED = ERASURES.alias("act_erased")
"""The erasure of the decision that an act is about."""
_OBJECTION_ERASED = ACTS.alias("objection_erased")
"""The act by which the comments on an act's objection were erased."""
_OBJECTION_IS_ERASED = (
    _OBJECTION_ERASED.c.kind == OBJECTION,
    _OBJECTION_ERASED.c.kind == ACTS.c.kind,
    _OBJECTION_ERASED.c.once == literal(erasure_once("")) + ACTS.c.subject,
)

_ENTRIES = select(
    LEAVES.c.leaf_index,
    LEAVES.c.leaf_hash,
    LEAVES.c.record,
    *(DECISIONS.c[name] for name in _DECISION_COLUMNS),
    type_coerce(DECISIONS.c.decided_at, String).label("decided_at"),
    RESERVATIONS.c.decision_id.label("reserved_by"),
    RESERVATIONS.c.amount.label("reserved"),
    type_coerce(RESERVATIONS.c.expires_at, String).label("reserved_until"),
    _ERASED.c.leaf_index.label("erased_by"),
    RELEASE_EVENTS.c.kind,
    RELEASE_EVENTS.c.how,
    RELEASE_EVENTS.c.subject,
    type_coerce(RELEASE_EVENTS.c.at, String).label("at"),
    type_coerce(RELEASE_EVENTS.c.effective_at, String).label("effective_at"),
    RELEASE_EVENTS.c.signature.label("release_signature"),
    ERASURES.c.decision_id.label("erases"),
    type_coerce(ERASURES.c.erased_at, String).label("erased_at"),
    ERASURES.c.signature.label("erasure_signature"),
    LIVES.c.decision_id.label("lived"),
    *(ACTS.c[name].label(f"act_{name}") for name in ("kind", "how", "subject", "client_id", "once", "signature")),
    ACTS.c.private.label("act_private"),
    type_coerce(ACTS.c.at, String).label("act_at"),
    func.coalesce(_ACT_ERASED.c.leaf_index, _OBJECTION_ERASED.c.leaf_index).label("act_erased_by"),
).select_from(
    # One statement: a decision, its reservation and its erasure are seen in one moment, whatever happens meanwhile.
    LEAVES.outerjoin(DECISIONS, DECISIONS.c.leaf_index == LEAVES.c.leaf_index)
    .outerjoin(RESERVATIONS, and_(*_RESERVED))
    .outerjoin(_ERASED, _ERASED.c.decision_id == DECISIONS.c.decision_id)
    .outerjoin(RELEASE_EVENTS, RELEASE_EVENTS.c.leaf_index == LEAVES.c.leaf_index)
    .outerjoin(ERASURES, ERASURES.c.leaf_index == LEAVES.c.leaf_index)
    .outerjoin(LIVES, LIVES.c.decision_id == DECISIONS.c.decision_id)
    .outerjoin(ACTS, ACTS.c.leaf_index == LEAVES.c.leaf_index)
    .outerjoin(_ACT_ERASED, _ACT_ERASED.c.decision_id == ACTS.c.subject)
    .outerjoin(_OBJECTION_ERASED, and_(*_OBJECTION_IS_ERASED))
)
_WITHOUT_LEAF = union_all(
    *(
        select(literal(table.name).label("kind"), subject.label("subject"))
        .select_from(table.outerjoin(LEAVES, LEAVES.c.leaf_index == table.c.leaf_index))
        .where(LEAVES.c.leaf_index.is_(None))
        for table, subject in (
            (DECISIONS, DECISIONS.c.decision_id),
            (RELEASE_EVENTS, RELEASE_EVENTS.c.subject),
            (ERASURES, ERASURES.c.decision_id),
            (ACTS, ACTS.c.subject),
        )
    )
)


@dataclass(frozen=True, slots=True)
class LogRows:
    """Raw rows of the evidence. Values may be of any type: whoever tampers is not bound by the schema."""

    database: Database

    def heads(self) -> Sequence[RowMapping]:
        """``id``, ``size``, ``frontier`` and ``root`` as stored; there should be one row, with the id 1."""
        with self.database.read() as connection:
            return connection.execute(select(LOG_HEAD).order_by(LOG_HEAD.c.id)).mappings().all()

    def rulesets(self) -> Iterator[RowMapping]:
        """``digest``, ``version`` and ``sources`` of every ruleset."""
        statement = select(RULESETS.c.digest, RULESETS.c.version, RULESETS.c.sources).order_by(RULESETS.c.digest)
        with self.database.read() as connection:
            yield from connection.execute(statement).mappings()

    def entries(self) -> Iterator[RowMapping]:
        """Each leaf in order with the rows that belong to it; columns are null where there is none.

        These are its decision with the reservation of the same client, application and customer and with its erasure,
        its release event, and the erasure that the leaf itself stands for.
        """
        last: Any = None
        while True:
            statement = _ENTRIES.order_by(LEAVES.c.leaf_index).limit(PAGE)
            if last is not None:
                statement = statement.where(LEAVES.c.leaf_index > last)
            with self.database.read() as connection:
                page = connection.execute(statement).mappings().all()
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1]["leaf_index"]

    def decision_record(self, decision_id: str) -> Any:
        """The record of a decision's leaf; ``None`` when there is no such decision."""
        statement = select(LEAVES.c.record).join(DECISIONS, DECISIONS.c.leaf_index == LEAVES.c.leaf_index)
        with self.database.read() as connection:
            return connection.execute(statement.where(DECISIONS.c.decision_id == decision_id)).scalar_one_or_none()

    def lives(self) -> Iterator[RowMapping]:
        """What stands of each application on which there was any act."""
        moments = (type_coerce(LIVES.c[name], String).label(name) for name in ("expires_at", "changed_at"))
        plain = (LIVES.c[name] for name in LIVES.c.keys() if name not in ("expires_at", "changed_at"))
        with self.database.read() as connection:
            yield from connection.execution_options(yield_per=PAGE).execute(select(*plain, *moments)).mappings()

    def objections(self) -> Iterator[RowMapping]:
        """What stands of each objection."""
        moments = (type_coerce(OBJECTIONS.c[name], String).label(name) for name in ("effect_at", "changed_at"))
        plain = (OBJECTIONS.c[name] for name in OBJECTIONS.c.keys() if name not in ("effect_at", "changed_at"))
        with self.database.read() as connection:
            yield from connection.execution_options(yield_per=PAGE).execute(select(*plain, *moments)).mappings()

    def attachments(self) -> Iterator[RowMapping]:
        """``digest`` and ``content`` of every attachment."""
        statement = select(ATTACHMENTS.c.digest, ATTACHMENTS.c.content).order_by(ATTACHMENTS.c.digest)
        with self.database.read() as connection:
            yield from connection.execution_options(yield_per=1).execute(statement).mappings()

    def without_leaf(self) -> tuple[tuple[str, str], ...]:
        """Table and id (or subject) of each decision, release event and erasure that no leaf stands for."""
        with self.database.read() as connection:
            return tuple((row.kind, row.subject) for row in connection.execute(_WITHOUT_LEAF))

    def without_decision(self) -> tuple[str, ...]:
        """Ids that a reservation names, but that are no decision of its client, application and customer."""
        statement = (
            select(RESERVATIONS.c.decision_id)
            .outerjoin(DECISIONS, and_(DECISIONS.c.decision_id == RESERVATIONS.c.decision_id, *_RESERVED))
            .where(DECISIONS.c.decision_id.is_(None))
        )
        with self.database.read() as connection:
            return tuple(connection.execute(statement).scalars())
