"""What challengers say of decisions: each decision once per challenger, in the order of the log, whoever writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from decision_service.store.database import Database
from decision_service.store.decisions import StoredDecision, stored_decisions
from decision_service.store.leases import Leases, turn_of
from decision_service.store.statements import insert_into
from decision_service.store.tables import CHALLENGER_RESULTS, CHALLENGES, DECISIONS, LOG_HEAD

TURN = "challengers"
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class ChallengerResult:
    """What a challenger says of one decision. PDs are millionths; all but ``status`` may be unknown.

    ``pd`` is the model's own (``None`` where several challenge together), ``pd_12m`` the blend with it, each beside
    the recorded one. ``rules`` is JSON, as of shadows.
    """

    subject: str
    leaf_index: int
    status: str
    active_pd: int | None = None
    pd: int | None = None
    active_pd_12m: int | None = None
    pd_12m: int | None = None
    outcome: str | None = None
    rules: str | None = None


@dataclass(frozen=True, slots=True)
class Challenged:
    """A decision as it was answered, and what a challenger says of it."""

    decision_id: str
    product: str
    outcome: str
    decided_at: datetime
    result: ChallengerResult


@dataclass(frozen=True, slots=True)
class Challengers:
    """The challengers of a store, by subject (``name/version``, several of them with a space between).

    Every method may raise ``StoreError``.
    """

    database: Database
    leases: Leases

    def subjects(self) -> tuple[str, ...]:
        """Every subject there ever was, sorted."""
        with self.database.read() as connection:
            return tuple(connection.execute(select(CHALLENGES.c.subject).order_by(CHALLENGES.c.subject)).scalars())

    def begin(self, subject: str) -> None:
        """Follow a subject from the log's head on, unless it is followed already."""
        if subject in self.subjects():
            return
        with self.database.write() as connection:
            size = int(connection.execute(select(LOG_HEAD.c.size)).scalar_one())
            values = {"subject": subject, "after_leaf": size - 1}
            statement = insert_into(CHALLENGES, self.database.dialect).values(values)
            connection.execute(statement.on_conflict_do_nothing(index_elements=[CHALLENGES.c.subject]))

    def ahead(self, subject: str, products: Sequence[str], limit: int) -> tuple[StoredDecision, ...]:
        """The next decisions on these products that a subject has not been held against, oldest first."""
        reached = self._reached(subject)
        with self.database.read() as connection:
            known = DECISIONS.c
            return stored_decisions(
                connection, known.leaf_index > reached, known.product.in_(tuple(products)), limit=limit
            )

    def add(self, results: Sequence[ChallengerResult]) -> int:
        """Write some results, all or none; how many are new. A power failure may lose the newest: they come again."""
        if not results:
            return 0
        with self.database.write() as connection:
            known = CHALLENGER_RESULTS.c
            statement = insert_into(CHALLENGER_RESULTS, self.database.dialect).values([asdict(one) for one in results])
            new = statement.on_conflict_do_nothing(index_elements=[known.subject, known.leaf_index])
            done = connection.execute(new)
            return int(done.rowcount)

    def results(self, subject: str, since: datetime | None = None) -> Iterator[Challenged]:
        """What a subject says of decisions, in the order of the log, a page at a time."""
        last = -1
        while page := self._page(subject, last, since):
            yield from page
            last = page[-1].result.leaf_index

    def turn(self, now: datetime) -> AbstractContextManager[bool]:
        """Whether the caller is the one to follow; another process's turn ends with that process, or by time."""
        return turn_of(self.leases, TURN, now)

    def _reached(self, subject: str) -> int:
        known = CHALLENGER_RESULTS.c
        with self.database.read() as connection:
            start = select(CHALLENGES.c.after_leaf).where(CHALLENGES.c.subject == subject)
            done = select(func.max(known.leaf_index)).where(known.subject == subject)
            first, last = (connection.execute(one).scalar_one_or_none() for one in (start, done))
        return max(-1 if first is None else int(first), -1 if last is None else int(last))

    def _page(self, subject: str, after: int, since: datetime | None) -> tuple[Challenged, ...]:
        known = CHALLENGER_RESULTS.c
        statement = _CHALLENGED.where(known.subject == subject, known.leaf_index > after)
        if since is not None:
            statement = statement.where(DECISIONS.c.decided_at >= since)
        with self.database.read() as connection:
            return tuple(map(_challenged, connection.execute(statement.order_by(known.leaf_index).limit(PAGE))))


_CHALLENGED = select(
    DECISIONS.c.decision_id, DECISIONS.c.product, DECISIONS.c.outcome, DECISIONS.c.decided_at, *CHALLENGER_RESULTS.c
).join_from(CHALLENGER_RESULTS, DECISIONS, DECISIONS.c.leaf_index == CHALLENGER_RESULTS.c.leaf_index)


def _challenged(row: Any) -> Challenged:
    decision_id, product, outcome, decided_at, *result = row
    return Challenged(decision_id, product, outcome, decided_at, ChallengerResult(*result))
