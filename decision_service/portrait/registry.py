"""The registry of the 32 indicators: bounds, direction, scoring points, missing policy and weight, from a CSV file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from decision_service.errors import Problem, RulebookError
from decision_service.portrait.seasons import Seasons
from decision_service.portrait.tables import columns, rows

FILE = "indicators.csv"
DIRECTIONS = ("lower", "higher", "band")
POLICIES = (
    "BLOCK_AUTO",
    "IMPUTE_MEDIAN_MINUS10",
    "NOT_APPLICABLE",
    "ABSENCE_IS_ZERO_IF_FRESH",
    "ABSENCE_IS_NA_GOOD",
)
WHOLE = frozenset({"IND10", "IND16", "IND17", "IND19", "IND22", "IND23", "IND26", "IND32"})
"""Indicators whose value is a whole number (counts, ordinals, days past due)."""
IDS = tuple(f"IND{number:02d}" for number in range(1, 33))
CATEGORIES = 6
COLUMNS = (
    *("id", "category", "name", "name_zh", "unit", "valid_min", "valid_max", "clip_min", "clip_max", "direction"),
    *("score0_at", "score100_at", "good_low", "good_high", "score0_low", "score0_high", "max_age_days"),
    *("missing_policy", "weight", "source_level", "formula"),
)
"""The columns that are read; the others are for people."""
_DIGITS = r"[0-9]{1,15}(?:\.[0-9]{1,12})?"
_NUMBER = re.compile(rf"-?{_DIGITS}")
_POINT = re.compile(rf"(?P<fact>industry\.[a-z_0-9]+)(?:\*(?P<factor>{_DIGITS}))?(?:\+(?P<base>{_DIGITS}))?")

Parameters = Mapping[str, Any]
Scale = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Point:
    """A scoring point: a constant, or ``factor`` times an industry parameter plus ``base``."""

    base: Decimal
    fact: str | None = None
    factor: Decimal = Decimal(1)

    def at(self, industry: Parameters) -> Decimal | None:
        """The point's value for an industry; ``None`` when the parameter is not known."""
        if self.fact is None:
            return self.base
        parameter = industry.get(self.fact)
        return None if parameter is None else parameter * self.factor + self.base


@dataclass(frozen=True)
class IndicatorSpec:
    """One row of the registry. Values are in ``unit``; the fact of a percentage is the ratio.

    For direction ``lower`` and ``higher`` the score runs from ``score0`` to ``score100``; for ``band`` it is 100
    between ``good_low`` and ``good_high`` and falls to 0 at ``score0_low`` and ``score0_high`` (if given).
    """

    id: str
    category: str
    name: str
    label: Mapping[str, str]
    unit: str
    valid_min: Decimal
    valid_max: Decimal
    clip_min: Decimal
    clip_max: Decimal
    direction: str
    score0: Point | None
    score100: Point | None
    good_low: Decimal | None
    good_high: Decimal | None
    score0_low: Decimal | None
    score0_high: Decimal | None
    max_age_days: int
    missing_policy: str
    weight: int
    level: int
    formula: str

    @cached_property
    def percent(self) -> bool:
        """Whether the value is a percentage."""
        return self.unit == "%"

    @cached_property
    def whole(self) -> bool:
        """Whether the value is a whole number."""
        return self.id in WHOLE

    @cached_property
    def required(self) -> bool:
        """Whether nothing is approved automatically without it."""
        return self.missing_policy == "BLOCK_AUTO"

    @cached_property
    def max_age(self) -> timedelta:
        """How old a value may be."""
        return timedelta(days=self.max_age_days)

    @cached_property
    def status_fact(self) -> str:
        """The name of the fact that says why the indicator is known or not."""
        return f"{self.name}_status"

    @cached_property
    def fixed_scale(self) -> Scale | None:
        """``scale`` where no industry parameter is asked, else ``None``."""
        points = (self.score0, self.score100)
        return self.scale({}) if all(point is not None and point.fact is None for point in points) else None

    def scale(self, industry: Parameters) -> Scale | None:
        """From where, and over how much, the score runs from 0 to 100; ``None`` when a point is not known."""
        worst = self.score0.at(industry) if self.score0 else None
        best = self.score100.at(industry) if self.score100 else None
        return None if worst is None or best is None or worst == best else (worst, best - worst)


class Registry(Mapping[str, IndicatorSpec]):
    """The indicators by id, in the order of the file, and the seasons of the industries."""

    def __init__(self, specs: tuple[IndicatorSpec, ...], seasons: Seasons = Seasons()) -> None:
        self.specs = specs
        self._specs = {spec.id: spec for spec in specs}
        self.seasons = seasons
        self.by_name = {spec.name: spec for spec in specs}
        self.weights: dict[str, int] = {}
        for spec in specs:
            self.weights[spec.category] = self.weights.get(spec.category, 0) + spec.weight
        self.total_weight = sum(self.weights.values())

    @classmethod
    def from_csv(cls, text: str, industries: str = "") -> Registry:
        """The registry of ``indicators.csv``, with the peak months of ``industries.csv``.

        Raises ``RulebookError`` with every mistake. Without ``industries`` no season is known, so nothing is
        adjusted or excused by season.
        """
        problems: list[Problem] = []
        specs: dict[int, IndicatorSpec] = {}
        try:
            if missing := [name for name in COLUMNS if name not in columns(text, FILE)]:
                what = f"the column '{missing[0]}' is missing"
                raise RulebookError((Problem(FILE, 1, what, f"the columns are {', '.join(COLUMNS)}"),))
            for line, row in rows(text, FILE):
                if (spec := _read(row, line, problems)) is not None:
                    specs[line] = spec
        except RulebookError as error:
            problems.extend(error.problems)
        problems.extend(_doubled(specs))
        if not problems:
            problems.extend(_whole_table(tuple(specs.values())))
        if problems:
            raise RulebookError(tuple(problems))
        return cls(tuple(specs.values()), Seasons.from_csv(industries) if industries else Seasons())

    def __getitem__(self, indicator: str) -> IndicatorSpec:
        return self._specs[indicator]

    def __iter__(self) -> Any:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)


def _doubled(specs: Mapping[int, IndicatorSpec]) -> Iterator[Problem]:
    """Rows whose id or name stands in an earlier row."""
    first: dict[str, int] = {}
    for line, spec in specs.items():
        for given in (spec.id, spec.name):
            if (earlier := first.setdefault(given, line)) != line:
                yield Problem(FILE, line, f"{given} stands twice, first in line {earlier}", "rename one")


def _whole_table(specs: tuple[IndicatorSpec, ...]) -> Iterator[Problem]:
    found = {spec.id for spec in specs}
    if missing := [one for one in IDS if one not in found]:
        what = f"the registry must hold IND01 to IND32, each once; {', '.join(missing)} is missing"
        yield Problem(FILE, 1, what, "complete the rows")
    if len({spec.category for spec in specs}) != CATEGORIES:
        yield Problem(FILE, 1, "the registry must have 6 categories", "correct the column category")


def _read(row: Mapping[str, str], line: int, problems: list[Problem]) -> IndicatorSpec | None:
    cells = _Cells(row)
    try:
        return _spec(cells)
    except _BadCell as error:
        problems.append(Problem(FILE, line, str(error), "correct the cell"))
        return None


def _spec(cells: _Cells) -> IndicatorSpec:
    direction = cells.one_of("direction", DIRECTIONS)
    band = direction == "band"
    spec = IndicatorSpec(
        id=cells.one_of("id", IDS, "IND01 to IND32"),
        category=cells.text("category"),
        name=cells.text("name"),
        label={"zh": cells.text("name_zh"), "en": cells.text("name").replace("_", " ")},
        unit=cells.text("unit"),
        valid_min=cells.number("valid_min"),
        valid_max=cells.number("valid_max"),
        clip_min=cells.number("clip_min"),
        clip_max=cells.number("clip_max"),
        direction=direction,
        score0=None if band else cells.point("score0_at"),
        score100=None if band else cells.point("score100_at"),
        good_low=cells.number("good_low") if band else None,
        good_high=cells.number("good_high") if band else None,
        score0_low=cells.optional("score0_low") if band else None,
        score0_high=cells.optional("score0_high") if band else None,
        max_age_days=cells.whole("max_age_days"),
        missing_policy=cells.one_of("missing_policy", POLICIES),
        weight=cells.whole("weight"),
        level=cells.whole("source_level"),
        formula=cells.text("formula"),
    )
    _check(spec)
    return spec


def _check(spec: IndicatorSpec) -> None:
    if not spec.valid_min <= spec.clip_min < spec.clip_max <= spec.valid_max:
        raise _BadCell(f"{spec.id}: valid_min <= clip_min < clip_max <= valid_max does not hold")
    if spec.good_low is not None and spec.good_high is not None and spec.good_low >= spec.good_high:
        raise _BadCell(f"{spec.id}: good_low must lie below good_high")
    if spec.score0 == spec.score100 and spec.score0 is not None:
        raise _BadCell(f"{spec.id}: score0_at and score100_at must differ")
    if spec.weight <= 0 or spec.max_age_days <= 0:
        raise _BadCell(f"{spec.id}: weight and max_age_days must be above zero")


class _BadCell(ValueError):
    pass


class _Cells:
    """Typed access to one row; a cell that cannot be used raises ``_BadCell``."""

    def __init__(self, row: Mapping[str, str]) -> None:
        self._row = row

    def text(self, column: str) -> str:
        cell = (self._row.get(column) or "").strip()
        if not cell:
            raise _BadCell(f"{column} is empty")
        return cell

    def one_of(self, column: str, allowed: tuple[str, ...], meaning: str = "") -> str:
        cell = self.text(column)
        if cell not in allowed:
            raise _BadCell(f"{column} is '{cell}', not one of {meaning or ', '.join(allowed)}")
        return cell

    def number(self, column: str) -> Decimal:
        cell = self.text(column)
        if not _NUMBER.fullmatch(cell):
            raise _BadCell(f"{column} is '{cell}', not a number")
        return Decimal(cell)

    def whole(self, column: str) -> int:
        number = self.number(column)
        if number != int(number):
            raise _BadCell(f"{column} is '{number}', not a whole number")
        return int(number)

    def optional(self, column: str) -> Decimal | None:
        return self.number(column) if (self._row.get(column) or "").strip() else None

    def point(self, column: str) -> Point:
        cell = self.text(column)
        match = _POINT.fullmatch(cell)
        if match is None:
            return Point(self.number(column))
        return Point(Decimal(match["base"] or 0), match["fact"], Decimal(match["factor"] or 1))
