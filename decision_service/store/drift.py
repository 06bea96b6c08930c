"""What is watched of decisions, by day: counts that are written once, figures whose every revision stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, insert, literal, select, text, tuple_

from decision_service.portrait.records import Overdue
from decision_service.store.codecs import decode
from decision_service.store.database import Database
from decision_service.store.statements import POSTGRESQL, insert_into
from decision_service.store.tables import DECISIONS, DRIFT_COUNTS, DRIFT_MEASURES, FEEDS, LEAVES, RECORDS
from decision_service.vocabulary import Outcome

PAGE, FIRMS = 500, 500
OVERDUES = "overdues"
ADVISORY_LOCK = 7_118_312_703  # any number that no other program on the same PostgreSQL database uses


@dataclass(frozen=True, slots=True)
class DayCount:
    """What was counted of one subject's decisions on a day (ISO date); ``bins`` is JSON. See ``radar.drift.Tally``."""

    day: str
    product: str
    model: str
    digest: str
    decisions: int
    open: int
    approved: int
    scored: int
    lent: int
    expected: int
    bins: str


@dataclass(frozen=True, slots=True)
class DayMeasure:
    """One figure of a subject on a day; ``calm`` is JSON. See ``radar.drift.Measure``."""

    day: str
    product: str
    model: str
    digest: str
    kind: str
    name: str
    n: int
    base: int
    value: float | None
    expected: float | None
    low: float | None
    high: float | None
    note: str
    level: str
    alert: str
    calm: str

    @property
    def key(self) -> tuple[str, ...]:
        """What all revisions of the figure share."""
        return (self.day, self.product, self.model, self.digest, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Revised:
    """A figure as it was written at a moment; the first of its key is revision 1."""

    measure: DayMeasure
    revision: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """Of a decision what is counted: the record, and the values behind it unless erased."""

    product: str
    outcome: str
    decided_at: datetime
    record: bytes
    private: bytes | None


@dataclass(frozen=True, slots=True)
class Drifts:
    """Counts and figures of a store. Every method may raise ``StoreError``."""

    database: Database

    def next_decision(self, start: datetime) -> datetime | None:
        """When the first decision at or after a moment was taken."""
        statement = select(func.min(DECISIONS.c.decided_at)).where(DECISIONS.c.decided_at >= start)
        with self.database.read() as connection:
            found: datetime | None = connection.execute(statement).scalar_one()
        return found

    def decisions(self, start: datetime, end: datetime) -> Iterator[list[Watched]]:
        """The decisions from ``start`` to before ``end``, a page at a time: memory stays small, writers never wait."""
        known, after = DECISIONS.c, (start, -1)
        columns = (known.product, known.outcome, known.decided_at, LEAVES.c.record, known.private, known.leaf_index)
        found = select(*columns).join_from(DECISIONS, LEAVES, known.leaf_index == LEAVES.c.leaf_index)
        while True:
            place = tuple_(known.decided_at, known.leaf_index)
            page = found.where(place > tuple_(*after, types=[known.decided_at.type, known.leaf_index.type]))
            page = page.where(known.decided_at < end).order_by(known.decided_at, known.leaf_index).limit(PAGE)
            with self.database.read() as connection:
                rows = connection.execute(page).all()
            if rows:
                yield [Watched(*row[:-1]) for row in rows]
            if len(rows) < PAGE:
                return
            after = (rows[-1][2], rows[-1][5])

    def counted_days(self) -> tuple[str, ...]:
        """The days whose decisions are counted, ascending."""
        statement = select(DRIFT_COUNTS.c.day).distinct().order_by(DRIFT_COUNTS.c.day)
        with self.database.read() as connection:
            return tuple(connection.execute(statement).scalars())

    def counts(self, first: str, last: str, *, bins: bool = True) -> tuple[DayCount, ...]:
        """What was counted from one day to another, both included; ``bins`` are left empty if not wanted."""
        known = DRIFT_COUNTS.c
        columns = [column for column in known if column is not known.bins]
        last_column = known.bins if bins else literal("")
        statement = select(*columns, last_column).where(known.day >= first, known.day <= last)
        with self.database.read() as connection:
            rows = connection.execute(statement.order_by(known.day, known.product, known.model, known.digest))
            return tuple(DayCount(*row) for row in rows)

    def add_counts(self, counts: Sequence[DayCount]) -> None:
        """Write all that was counted of a day, or nothing; what another process has written stays: it is the same."""
        if not counts:
            return
        with self.database.write() as connection:
            statement = insert_into(DRIFT_COUNTS, self.database.dialect).on_conflict_do_nothing()
            connection.execute(statement, [asdict(one) for one in counts])

    def measures(self, first: str, last: str) -> tuple[Revised, ...]:
        """The newest revision of every figure from one day to another, both included."""
        known = DRIFT_MEASURES.c
        statement = select(*known).where(known.day >= first, known.day <= last)
        order = (known.day, known.product, known.model, known.digest, known.kind, known.name, known.revision)
        with self.database.read() as connection:
            rows = connection.execute(statement.order_by(*order))
            newest = {one.measure.key: one for one in map(_revised, rows)}
        return tuple(newest.values())

    def last_before(self, day: str) -> tuple[Revised, ...]:
        """The newest revision of the last of every subject's figures before a day, however long ago."""
        known = DRIFT_MEASURES.c
        names = ("product", "model", "digest", "kind", "name")
        keys = [known[name] for name in names]
        last = select(func.max(known.day).label("day"), *keys).where(known.day < day).group_by(*keys).subquery()
        same = and_(*(known[name] == last.c[name] for name in ("day", *names)))
        statement = select(*known).join_from(DRIFT_MEASURES, last, same).order_by(known.revision)
        with self.database.read() as connection:
            newest = {one.measure.key: one for one in map(_revised, connection.execute(statement))}
        return tuple(newest.values())

    def revisions(self, day: str) -> tuple[Revised, ...]:
        """Every revision of every figure of a day, by figure, oldest first."""
        known = DRIFT_MEASURES.c
        order = (known.product, known.model, known.digest, known.kind, known.name, known.revision)
        with self.database.read() as connection:
            rows = connection.execute(select(*known).where(known.day == day).order_by(*order))
            return tuple(map(_revised, rows))

    def add_measures(self, found: Iterable[DayMeasure], now: datetime) -> int:
        """Write the figures that differ from their newest revision, as revisions of their own; how many.

        All of them or none. Nothing that was written changes.
        """
        by_key = {one.key: one for one in found}
        if not by_key:
            return 0
        days = sorted(key[0] for key in by_key)
        with self.database.write() as connection:
            if self.database.dialect == POSTGRESQL:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
            known = DRIFT_MEASURES.c
            rows = connection.execute(
                select(*known).where(known.day >= days[0], known.day <= days[-1]).order_by(known.revision)
            )
            newest = {one.measure.key: one for one in map(_revised, rows)}
            new = []
            for key, one in by_key.items():
                last = newest.get(key)
                if last is None or last.measure != one:
                    revision = 1 if last is None else last.revision + 1
                    new.append({**asdict(one), "revision": revision, "written_at": now})
            if new:
                connection.execute(insert(DRIFT_MEASURES), new)
        return len(new)

    def delivered(self) -> datetime | None:
        """When the newest report of arrears was made at its source."""
        statement = select(FEEDS.c.source_time).where(FEEDS.c.kind == OVERDUES)
        with self.database.read() as connection:
            found: datetime | None = connection.execute(statement).scalar_one_or_none()
        return found

    def arrears(self) -> Iterator[tuple[str, list[Overdue]]]:
        """All arrears on record by enterprise, a page at a time."""
        known, last = RECORDS.c, ""
        while True:
            statement = select(known.uscc, known.payload).where(known.kind == OVERDUES, known.uscc > last)
            with self.database.read() as connection:
                rows = connection.execute(statement.order_by(known.uscc).limit(PAGE)).all()
            for uscc, payload in rows:
                yield uscc, decode(OVERDUES, payload)
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def approvals(self, uscc: Sequence[str], start: datetime, end: datetime) -> Iterator[tuple[str, datetime, bytes]]:
        """The approvals of some enterprises from ``start`` to before ``end``: enterprise, moment, record."""
        known = DECISIONS.c
        found = select(known.uscc, known.decided_at, LEAVES.c.record)
        found = found.join_from(DECISIONS, LEAVES, known.leaf_index == LEAVES.c.leaf_index)
        within = (known.decided_at >= start, known.decided_at < end, known.outcome == Outcome.APPROVE.name)
        for begin in range(0, len(uscc), FIRMS):
            some = found.where(known.uscc.in_(uscc[begin : begin + FIRMS]), *within).order_by(known.leaf_index)
            with self.database.read() as connection:
                rows = connection.execute(some).all()
            yield from (tuple(row) for row in rows)


def _revised(row: Any) -> Revised:
    fields: Mapping[str, Any] = row._mapping
    own = {name: value for name, value in fields.items() if name not in ("revision", "written_at")}
    return Revised(DayMeasure(**own), fields["revision"], fields["written_at"])
