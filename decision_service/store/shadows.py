"""What shadows say of decisions: each decision once per shadow, in the order of the log, whoever writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, literal_column, select

from decision_service.audit.release import SHADOW, STARTED
from decision_service.store.database import Database
from decision_service.store.decisions import StoredDecision, decisions_between
from decision_service.store.leases import Leases, turn_of
from decision_service.store.statements import insert_into
from decision_service.store.tables import DECISIONS, RELEASE_EVENTS, SHADOW_RESULTS

PAGE = 1_000
TURN = "shadows"
"""Client and key of the lease by which one process at a time follows; no client has an empty id."""


@dataclass(frozen=True, slots=True)
class ShadowRun:
    """A version beside the active one: its decisions stand between two leaves. ``end`` is ``None`` while it runs."""

    leaf: int
    digest: str
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """What a shadow says of one decision. Money is fen; ``rules`` is JSON; all but ``status`` may be unknown."""

    shadow_leaf: int
    leaf_index: int
    status: str
    outcome: str | None = None
    amount: int | None = None
    active_limit: int | None = None
    shadow_limit: int | None = None
    rules: str | None = None


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A decision as it was answered, and what a shadow says of it."""

    decision_id: str
    client_id: str
    product: str
    outcome: str
    decided_at: datetime
    ruleset_digest: str
    result: ShadowResult


@dataclass(frozen=True, slots=True)
class Shadows:
    """The shadows of a store. Every method may raise ``StoreError``."""

    database: Database
    leases: Leases

    def runs(self) -> tuple[ShadowRun, ...]:
        """Every stretch in which a version ran beside the active one, in the order of their beginning."""
        running: dict[str, ShadowRun] = {}
        ended: list[ShadowRun] = []
        with self.database.read_session() as session:
            for leaf, how, digest in session.rows(_acts, {}):
                if how == STARTED:
                    running.setdefault(digest, ShadowRun(leaf, digest))
                elif digest in running:
                    ended.append(ShadowRun(running.pop(digest).leaf, digest, leaf))
        return tuple(sorted([*running.values(), *ended], key=lambda run: run.leaf))

    def running(self) -> tuple[ShadowRun, ...]:
        """Those that run now."""
        return tuple(run for run in self.runs() if run.end is None)

    def reached(self, run: ShadowRun) -> int:
        """The leaf of the last decision that a shadow was held against; at first the one by which it started."""
        with self.database.read_session() as session:
            row = session.row(_reached, {"shadow_leaf": run.leaf})
        return run.leaf if row is None or row[0] is None else int(row[0])

    def ahead(self, run: ShadowRun, limit: int) -> tuple[StoredDecision, ...]:
        """The next decisions that a shadow has not been held against, oldest first, at most ``limit``.

        Leaves become visible in their order, because the log's head is locked until each is: none is passed over.
        """
        with self.database.read() as connection:
            return decisions_between(connection, self.reached(run), run.end, limit=limit)

    def behind(self, run: ShadowRun) -> int:
        """How many decisions a shadow has not been held against yet."""
        statement = select(func.count()).select_from(DECISIONS).where(DECISIONS.c.leaf_index > self.reached(run))
        if run.end is not None:
            statement = statement.where(DECISIONS.c.leaf_index < run.end)
        with self.database.read() as connection:
            return int(connection.execute(statement).scalar_one())

    def add(self, results: Iterable[ShadowResult]) -> int:
        """Write some results, which continue where the shadow has come to; how many are new.

        All or none is written, so ``reached`` never leaves a gap. What another process has written stays: it is the
        same. A power failure may lose the newest on PostgreSQL; they are worked out again.
        """
        rows = [asdict(one) for one in results]
        values = {f"{name}_{place}": value for place, row in enumerate(rows) for name, value in row.items()}
        if not rows:
            return 0
        with self.database.loose_session() as session:
            # One statement: between two, a busy worker's other threads may each run for 5 ms while all writers wait.
            return session.change(_new_results, values, len(rows))

    def results(self, runs: Sequence[ShadowRun], since: datetime | None = None) -> Iterator[Shadowed]:
        """What shadows say of decisions, by shadow in the order of the log, a page at a time."""
        for run in runs:
            last = run.leaf
            while page := self._page(run, last, since):
                yield from page
                last = page[-1].result.leaf_index

    def turn(self, now: datetime) -> AbstractContextManager[bool]:
        """Whether the caller is the one to follow; another process's turn ends with that process, or by time."""
        return turn_of(self.leases, TURN, now)

    def _page(self, run: ShadowRun, after: int, since: datetime | None) -> tuple[Shadowed, ...]:
        known = SHADOW_RESULTS.c
        statement = _SHADOWED.where(known.shadow_leaf == run.leaf, known.leaf_index > after)
        if since is not None:
            statement = statement.where(DECISIONS.c.decided_at >= since)
        with self.database.read() as connection:
            rows = connection.execute(statement.order_by(known.leaf_index).limit(PAGE))
            return tuple(_shadowed(row) for row in rows)


_SHADOWED = select(
    DECISIONS.c.decision_id,
    DECISIONS.c.client_id,
    DECISIONS.c.product,
    DECISIONS.c.outcome,
    DECISIONS.c.decided_at,
    DECISIONS.c.ruleset_digest,
    *SHADOW_RESULTS.c,
).join_from(SHADOW_RESULTS, DECISIONS, DECISIONS.c.leaf_index == SHADOW_RESULTS.c.leaf_index)


def _shadowed(row: Any) -> Shadowed:
    """A row of ``_SHADOWED``, whose columns stand in the order of the fields."""
    decision_id, client_id, product, outcome, decided_at, digest, *result = row
    return Shadowed(decision_id, client_id, product, outcome, decided_at, digest, ShadowResult(*result))


def _acts(_: str) -> Any:
    known = RELEASE_EVENTS.c
    found = select(known.leaf_index, known.how, known.subject).where(known.kind == literal_column(f"'{SHADOW}'"))
    return found.order_by(known.leaf_index)


def _reached(_: str) -> Any:
    known = SHADOW_RESULTS.c
    return select(func.max(known.leaf_index)).where(known.shadow_leaf == bindparam("shadow_leaf"))


def _new_results(dialect: str, count: int) -> Any:
    known = SHADOW_RESULTS.c
    rows = [
        {column.name: bindparam(f"{column.name}_{place}", type_=column.type) for column in known}
        for place in range(count)
    ]
    return (
        insert_into(SHADOW_RESULTS, dialect)
        .values(rows)
        .on_conflict_do_nothing(index_elements=[known.shadow_leaf, known.leaf_index])
    )
