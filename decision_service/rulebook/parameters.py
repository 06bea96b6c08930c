"""Parameters: numbers of policy as dated rows with a reference; what was in force on a date is always computable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from decision_service.rulebook.conditions import Exact


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """Exact values of facts, in force from a date until another (exclusive) or until further notice."""

    key: str
    values: Mapping[str, Exact]
    effective_from: date
    effective_to: date | None = None
    reference: str = ""
    file: str = ""
    line: int = 0

    def in_force(self, on: date) -> bool:
        """Whether the row is in force on a business date."""
        return self.effective_from <= on and (self.effective_to is None or on < self.effective_to)


class ParameterTable:
    """Dated rows by key (an industry code, a product, ``policy``); a fact's newest row in force wins."""

    __slots__ = ("rows", "_by_key")

    def __init__(self, rows: Iterable[ParameterRow] = ()) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: (row.key, row.effective_from, sorted(row.values))))
        self._by_key: dict[str, list[ParameterRow]] = {}
        for row in self.rows:
            self._by_key.setdefault(row.key, []).append(row)

    def in_force(self, key: str, on: date) -> dict[str, Exact]:
        """Exact values by fact name; a parameter without a row in force is left out, so it stays unknown."""
        values: dict[str, Exact] = {}
        for row in self._by_key.get(key, ()):
            if row.in_force(on):
                values.update(row.values)
        return values

    def keys(self) -> tuple[str, ...]:
        """Every key that has rows, at whatever date."""
        return tuple(self._by_key)


def overlapping(rows: Iterable[ParameterRow], *, superseding: bool) -> list[tuple[ParameterRow, ParameterRow]]:
    """Pairs of rows of one key that claim the same day for the same fact.

    With ``superseding`` a row without an end gives way to the next one: only equal beginnings or written ends clash.
    """
    ordered = sorted(rows, key=lambda row: row.effective_from)
    clashes = []
    for index, earlier in enumerate(ordered):
        for later in ordered[index + 1 :]:
            if earlier.key == later.key and earlier.values.keys() & later.values.keys():
                if _clash(earlier, later, superseding):
                    clashes.append((earlier, later))
    return clashes


def _clash(earlier: ParameterRow, later: ParameterRow, superseding: bool) -> bool:
    if earlier.effective_from == later.effective_from:
        return True
    if earlier.effective_to is None:
        return not superseding
    return later.effective_from < earlier.effective_to
