"""Turns rows of text into records, column by column: good rows pass, bad rows are named with line, fault and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any

from decision_service.radar.cells import CellError
from decision_service.radar.files import Row
from decision_service.radar.kinds import Column, Kind

CHUNK = 20_000
MEMO = 50_000

Keyed = tuple[str, str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was not taken (or, when ``kept``, taken and flagged): its line, what is wrong, what to do."""

    line: int
    what: str
    remedy: str
    cells: tuple[str, ...]
    kept: bool = False


@dataclass
class Validator:
    """Validates the rows of one delivery. Remembers the keys it has seen, to find rows delivered twice.

    ``today`` is the business date three hours after the delivery was taken: a later date cannot be a past event.
    """

    kind: Kind
    today: date
    report: Callable[[Reject], None]
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)
    _memos: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns of the kind, ``uscc`` first."""
        return (self.kind.owner, *self.kind.columns)

    def chunks(self, rows: Iterator[Row]) -> Iterator[tuple[int, list[Keyed]]]:
        """Pairs of (rows read, records taken as (uscc, key, record)) per chunk."""
        while chunk := list(islice(rows, CHUNK)):
            yield len(chunk), list(self._records(chunk))

    def _records(self, rows: Sequence[Row]) -> Iterator[Keyed]:
        values_of = self._values([row for row in rows if row.problem is None])
        for row in rows:
            if row.problem is not None:
                self.report(Reject(row.line, row.problem, "correct the row", row.cells))
                continue
            uscc, values = next(values_of)
            faults = [value for value in (uscc, *values) if isinstance(value, CellError)]
            if faults:
                self._reject(row, "; ".join(dict.fromkeys(map(str, faults))), faults[0].remedy)
            elif (keyed := self._taken(row, uscc, values)) is not None:
                yield keyed

    def _values(self, shaped: Sequence[Row]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        """Whose each row is, and its record's values, row by row; parsed column by column."""
        if not shaped:
            return iter(())
        by_column = zip(*(row.cells for row in shaped))
        parsed = [self._parsed(column, cells) for column, cells in zip(self.columns, by_column, strict=True)]
        own = parsed if self.kind.record.__name__ == "Registration" else parsed[1:]
        return zip(parsed[0], zip(*own))

    def _taken(self, row: Row, uscc: str, values: tuple[Any, ...]) -> Keyed | None:
        record = self.kind.record(*values)
        key = self.kind.key(record)
        earlier = self._seen.get((uscc, key))
        fault = self.kind.check(record) or (earlier and f"delivered twice, first in line {earlier}")
        if fault:
            self._reject(row, fault, "deliver each record once" if earlier else "correct the row")
            return None
        self._seen[uscc, key] = row.line
        self._flag_future(row, record)
        return uscc, key, record

    def _flag_future(self, row: Row, record: Any) -> None:
        for column in self.kind.columns:
            if column.past and (value := getattr(record, column.name)) is not None and value > self.today:
                remedy = "the row is kept; check the source's clock"
                self.report(Reject(row.line, f"{column.name} {value} lies in the future", remedy, row.cells, kept=True))

    def _reject(self, row: Row, what: str, remedy: str) -> None:
        self.report(Reject(row.line, what, remedy, row.cells))

    def _parsed(self, column: Column, cells: Sequence[str]) -> list[Any]:
        """Values or ``CellError`` objects. Feeds repeat the same few texts, so each distinct one is parsed once."""
        memo = self._memos.setdefault(column.name, {})
        if len(memo) > MEMO:
            memo.clear()
        for text in set(cells).difference(memo):
            memo[text] = _value(column, text)
        return [memo[text] for text in cells]


def _value(column: Column, text: str) -> Any:
    if not text:
        if column.required:
            return CellError(f"{column.name} is empty", f"fill in {column.name}")
        return column.empty
    try:
        return column.parse(text)
    except CellError as error:
        return CellError(f"{column.name}: {error}", error.remedy)
