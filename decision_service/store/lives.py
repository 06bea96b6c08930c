"""What became of applications after their decisions: acts in the log, and beside them what stands after the last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, text

from decision_service.audit.act import LIFE, NewAct
from decision_service.store.acts import Act, Written, acts_of, append_act
from decision_service.store.database import Database, Session
from decision_service.store.decisions import StoredDecision
from decision_service.store.exposure import ExposureChanged, ExposureState, exposure_state
from decision_service.store.leases import Leases, turn_of
from decision_service.store.log import Sign, locked_frontier
from decision_service.store.releases import IsSigned
from decision_service.store.statements import insert_into
from decision_service.store.tables import DECISIONS, LEAVES, LIVES, REFERRED, moment_text

CLOCK, CARDS, REPAIRS = "lives", "cards", "repairs"
"""What one process at a time watches."""
PAGE = 500
Pauses = Sequence[tuple[datetime, datetime | None]]


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands after the acts: the state, what counts as exposure (fen) and until when, who works on it."""

    state: str
    amount: int
    expires_at: datetime | None = None
    contract: str | None = None
    assignee: str | None = None
    pauses: Pauses = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A referred application that people have not decided; ``state`` is ``None`` while nobody has done anything."""

    leaf_index: int
    decision_id: str
    client_id: str
    application_id: str
    decided_at: datetime
    record: bytes
    state: str | None
    assignee: str | None
    pauses: tuple[tuple[datetime, datetime | None], ...]


@dataclass(frozen=True, slots=True)
class Borrower:
    """An application that became a contract; ``record`` is that of its decision."""

    leaf_index: int
    decision_id: str
    client_id: str
    application_id: str
    uscc: str
    product: str
    record: bytes


Next = Callable[[tuple[Act, ...], datetime], tuple[NewAct, Standing]]
"""Gives the next act from all acts before it and the moment of the newest decision, and what stands after the act.

An act is not earlier than any decision: what a decision saw to have lapsed must not come to life again. Raises
``NotNow``.
"""


class Lives:
    """The lives of a store's applications. Every method may raise ``StoreError``."""

    def __init__(
        self, database: Database, leases: Leases, is_signed: IsSigned | None, waiting_states: Sequence[str]
    ) -> None:
        self._database = database
        self._leases = leases
        self._is_signed = is_signed
        self._waiting_states = tuple(waiting_states)
        self._from = 0
        """No application before this leaf waits, nor will it: what people have decided never waits again."""

    def acts(self, decision_id: str) -> tuple[Act, ...]:
        """All acts on an application, oldest first."""
        with self._database.read_session() as session:
            return acts_of(session, LIFE, decision_id, self._is_signed)

    def act(
        self,
        session: Session,
        decision: StoredDecision,
        decide: Next,
        *,
        sign: Sign,
        expected: tuple[ExposureState, datetime] | None = None,
    ) -> Written:
        """Write what ``decide`` makes of all acts so far. The session is that of ``Store.once``.

        ``expected`` is the exposure that was seen and when; raises ``ExposureChanged`` when it is no longer so.
        """
        locked_frontier(session)  # of two who act at once, the second must see what the first did
        if expected is not None and exposure_state(session, decision.uscc, expected[1]) != expected[0]:
            raise ExposureChanged("the customer's exposure has changed", where=decision.uscc)
        before = acts_of(session, LIFE, decision.decision_id, self._is_signed)
        (newest,) = session.rows(_newest, {})[0]
        new, standing = decide(before, datetime.fromisoformat(newest))
        written = append_act(session, LIFE, decision.decision_id, new, sign=sign)
        session.change(_stands, _row(decision, standing, new.at))
        return written

    def turn(self, now: datetime, watched: str = CLOCK) -> AbstractContextManager[bool]:
        """Whether the caller is the one to watch it; another's turn ends with its process, or by time."""
        return turn_of(self._leases, watched, now)

    def borrowers(self, states: Sequence[str], after: int, limit: int = PAGE) -> tuple[Borrower, ...]:
        """Up to ``limit`` applications in these states that were decided after a leaf, oldest first."""
        known = DECISIONS.c
        statement = (
            select(known.leaf_index, known.decision_id, known.client_id, known.application_id)
            .add_columns(known.uscc, known.product, LEAVES.c.record)
            .join_from(LIVES, DECISIONS, LIVES.c.decision_id == known.decision_id)
            .join(LEAVES, LEAVES.c.leaf_index == known.leaf_index)
            .where(LIVES.c.state.in_(states), known.leaf_index > after)
            .order_by(known.leaf_index)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple(Borrower(*row) for row in connection.execute(statement))

    def waiting(self, decided_by: datetime | None = None) -> tuple[Waiting, ...]:
        """All referred applications (decided by a moment) that people have not decided, oldest first."""
        with self._database.read() as connection:
            newest = connection.execute(select(func.max(DECISIONS.c.leaf_index))).scalar_one()
        found = tuple(self._read(decided_by))
        if found:
            self._from = found[0].leaf_index
        elif decided_by is None:
            self._from = newest or 0  # read before: what is decided meanwhile is looked at the next time
        return found

    def _read(self, decided_by: datetime | None) -> Iterator[Waiting]:
        known = DECISIONS.c
        statement = (
            select(
                *(known.leaf_index, known.decision_id, known.client_id, known.application_id, known.decided_at),
                *(LEAVES.c.record, LIVES.c.state, LIVES.c.assignee, LIVES.c.pauses),
            )
            .select_from(
                DECISIONS.join(LEAVES, LEAVES.c.leaf_index == known.leaf_index).outerjoin(
                    LIVES, LIVES.c.decision_id == known.decision_id
                )
            )
            .where(text(f"decisions.{REFERRED}"), known.leaf_index >= self._from)
            .where(or_(LIVES.c.state.is_(None), LIVES.c.state.in_(self._waiting_states)))
            .order_by(known.leaf_index)
        )
        if decided_by is not None:
            statement = statement.where(known.decided_at <= decided_by)
        with self._database.read() as connection:
            for row in connection.execution_options(yield_per=PAGE).execute(statement):
                yield Waiting(*row[:8], pauses_of(row[8]))


def pauses_of(written: str | None) -> tuple[tuple[datetime, datetime | None], ...]:
    """Pauses as the table holds them."""
    return tuple(
        (datetime.fromisoformat(begin), None if end is None else datetime.fromisoformat(end))
        for begin, end in json.loads(written or "[]")
    )


def pauses_text(pauses: Pauses) -> str:
    """Pauses for the table."""
    return json.dumps([[moment_text(begin), None if end is None else moment_text(end)] for begin, end in pauses])


def _row(decision: StoredDecision, standing: Standing, at: datetime) -> dict[str, Any]:
    until = standing.expires_at
    return {
        "decision_id": decision.decision_id,
        "client_id": decision.client_id,
        "application_id": decision.application_id,
        "uscc": decision.uscc,
        "state": standing.state,
        "amount": standing.amount,
        "expires_at": None if until is None else moment_text(until),
        "contract": standing.contract,
        "assignee": standing.assignee,
        "pauses": pauses_text(standing.pauses),
        "changed_at": moment_text(at),
    }


def _newest(_: str) -> Any:
    return select(func.max(DECISIONS.c.decided_at))


def _stands(dialect: str) -> Any:
    statement = insert_into(LIVES, dialect)
    changing = ("state", "amount", "expires_at", "contract", "assignee", "pauses", "changed_at")
    return statement.on_conflict_do_update(
        index_elements=[LIVES.c.decision_id], set_={name: statement.excluded[name] for name in changing}
    )
