"""The seasons of industries: which months are peak months, and by what a month's figure is divided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from decision_service.errors import Problem, RulebookError
from decision_service.portrait.tables import rows

FILE = "industries.csv"
PEAK_FACTOR = 1.5
"""A peak month of a highly seasonal industry is taken to carry 1.5 times an ordinary month (a default to calibrate)."""
EXCUSED_AT_MOST = 4
"""So many off-season months without sales count as active; a fishing moratorium lasts three to four months."""
MONTHS = 12
_MONTHS = frozenset(map(str, range(1, MONTHS + 1)))

FLAT: tuple[float, ...] = (1.0,) * MONTHS


@dataclass(frozen=True, slots=True)
class Season:
    """The peak months of an industry from a date on."""

    code: str
    peak_months: frozenset[int]
    effective_from: date
    effective_to: date | None

    @property
    def factors(self) -> tuple[float, ...]:
        """Twelve factors, January first, with mean 1."""
        raw = [PEAK_FACTOR if month in self.peak_months else 1.0 for month in range(1, MONTHS + 1)]
        mean = sum(raw) / MONTHS
        return tuple(value / mean for value in raw)


class Seasons:
    """The seasons of highly seasonal industries, by code and date."""

    def __init__(self, rows: Iterable[Season] = ()) -> None:
        self._rows: dict[str, list[tuple[Season, tuple[float, ...]]]] = {}
        for row in rows:
            self._rows.setdefault(row.code, []).append((row, row.factors))

    @classmethod
    def from_csv(cls, text: str) -> Seasons:
        """The rows of ``industries.csv`` with seasonality ``high``.

        Reads the columns code, seasonality, peak_months, effective_from and effective_to. Raises ``RulebookError``
        with every mistake.
        """
        seasons, problems = [], []
        for line, row in rows(text, FILE):
            if row.get("seasonality") != "high" or not row.get("peak_months"):
                continue
            try:
                seasons.append(_season(row))
            except ValueError as error:
                remedy = "write months like 9;10;11, dates like 2024-01-31"
                problems.append(Problem(FILE, line, f"peak_months or dates: {error}", remedy))
        if problems:
            raise RulebookError(tuple(problems))
        return cls(seasons)

    def factors(self, code: str | None, on: date) -> tuple[float, ...]:
        """Twelve monthly factors, January first; all 1 for an industry without a known season."""
        found = self._in_force(code, on)
        return FLAT if found is None else found[1]

    def peak_months(self, code: str | None, on: date) -> frozenset[int] | None:
        """The peak months, or ``None`` for an industry without a known season."""
        found = self._in_force(code, on)
        return None if found is None else found[0].peak_months

    def _in_force(self, code: str | None, on: date) -> tuple[Season, tuple[float, ...]] | None:
        for row in self._rows.get(code or "", ()):
            season = row[0]
            if season.effective_from <= on and (season.effective_to is None or on < season.effective_to):
                return row
        return None


def _season(row: Mapping[str, str]) -> Season:
    return Season(
        code=row.get("code", ""),
        peak_months=frozenset(_month(cell) for cell in row["peak_months"].split(";")),
        effective_from=date.fromisoformat(row["effective_from"]) if row.get("effective_from") else date.min,
        effective_to=date.fromisoformat(row["effective_to"]) if row.get("effective_to") else None,
    )


def _month(cell: str) -> int:
    if cell.strip() not in _MONTHS:
        raise ValueError(f"{cell!r} is not a month")
    return int(cell)
