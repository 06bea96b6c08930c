"""Rows told apart by vintage, industry, size or any other column, and which of them hold enough bads for a figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.fitted import Array
from ml.metrics import Labels
from ml.tables.kinds import column_of, days, numbers, parse_number, texts, words

LEAST = 10
MOST_VALUES = 20
BANDS = 4
CODES = frozenset(("naics", "sic", "nace", "isic", "industry", "sector", "行业", "行业代码"))
MISSING, OTHERS = "(missing)", "(others)"


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows with one value of a column; ``rows`` are their numbers."""

    column: str
    value: str
    rows: NDArray[np.int_]
    bads: int


def segments_of(labels: Labels, columns: Mapping[str, Sequence[str]]) -> Iterator[Segment]:
    """Every value of every column with its rows, in order of the value; the ends of a band come lowest first."""
    for column, values in columns.items():
        found = np.asarray(values, dtype=str)
        for value in sorted(set(found.tolist()), key=_order):
            rows = np.flatnonzero(found == value)
            yield Segment(column, value, rows, int(labels[rows].sum()))


def enough(segment: Segment) -> bool:
    """At least ten bads and ten goods: with fewer, an interval of the AUC means nothing."""
    return segment.bads >= LEAST and len(segment.rows) - segment.bads >= LEAST


def _order(value: str) -> tuple[bool, int, str]:
    """Bands by their number (``2: …``), then as text; what is missing and the others last."""
    number = value.split(":")[0]
    return value in (MISSING, OTHERS), int(number) if ":" in value and number.isdigit() else 0, value


def segment_values(column: pd.Series, name: str) -> tuple[str, ...]:
    """What a row is told as: the year of a date, the first two characters of an industry code, a quarter of the rows
    by size of a number, else the value itself. Beyond 20 values the rarest are put together."""
    found = column_of(column, name)
    if found.kind == "date":
        return _named(pd.Series(days(column, found)).map(_year))
    known = texts(column)
    if found.kind == "number":
        known = known.map(lambda text: f"{parse_number(text):.15g}", na_action="ignore")
    if known.nunique() <= MOST_VALUES:
        return _named(known)
    if CODES & set(words(name)):
        return _named(known.str[:2])
    return _bands(numbers(column, found)) if found.kind == "number" else _named(known)


def _year(day: float) -> str | None:
    return None if np.isnan(day) else str(np.datetime64(int(np.floor(day)), "D").astype("datetime64[Y]"))


def _bands(values: Array) -> tuple[str, ...]:
    number, edges = pd.qcut(values, BANDS, labels=False, retbins=True, duplicates="drop")
    ends = [f"{one:,.0f}" if abs(one) >= 1000 else f"{one:.4g}" for one in edges]
    names = [f"{place + 1}: {ends[place]} – {ends[place + 1]}" for place in range(len(ends) - 1)]
    return tuple(MISSING if np.isnan(band) else names[int(band)] for band in number)


def _named(column: pd.Series) -> tuple[str, ...]:
    values = [value if isinstance(value, str) else MISSING for value in column]
    common = {value for value, _ in Counter(values).most_common(MOST_VALUES)}
    return tuple(value if value in common else OTHERS for value in values)
