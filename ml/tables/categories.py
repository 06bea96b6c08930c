"""Categories as numbers: flags for few levels, smoothed log-odds for many; new levels are as good as unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int_]

MOST_FLAGS = 10  # levels; above, one column of log-odds
LEAST_ROWS = 10  # a level with fewer has no flag of its own
WEIGHT = 20.0  # rows' worth of the overall rate that a level's own rate is mixed with


@dataclass(frozen=True, slots=True)
class Encoding:
    """``flags`` name the levels with a column each; without flags, ``rates`` are log-odds by level. ``default`` is that
    of a level never seen."""

    flags: tuple[str, ...] = ()
    rates: Mapping[str, float] | None = None
    default: float = 0.0

    def names(self, column: str) -> list[str]:
        """The columns that one category becomes."""
        return [f"{column} = {level}" for level in self.flags] if self.rates is None else [f"{column} log-odds"]

    def columns(self, values: pd.Series) -> list[Array]:
        """One array for each of ``names``; a flag is nan where the value is missing."""
        if self.rates is None:
            gone = values.isna().to_numpy()
            return [np.where(gone, np.nan, (values == level).to_numpy(dtype=float)) for level in self.flags]
        found = values.fillna("").map(self.rates).astype(float).fillna(self.default)
        return [found.to_numpy(dtype=float)]


def encoding_of(values: pd.Series, labels: Labels) -> Encoding:
    """Learnt from the rows given. One flag is enough for two levels."""
    counts = values.value_counts()
    often = sorted(counts.index[counts >= min(LEAST_ROWS, max(2, 0.01 * len(values)))])
    if len(counts) <= MOST_FLAGS:
        complete = len(often) == 2 and len(counts) == 2
        return Encoding(flags=tuple(often[1:] if complete else often))
    return _rates(values, labels)


def _rates(values: pd.Series, labels: Labels) -> Encoding:
    """A missing value is the level ''. Source: D. Micci-Barreca, A Preprocessing Scheme for High-Cardinality (2001)."""
    base = float(np.clip(labels.mean(), 1e-6, 1 - 1e-6))
    table = pd.DataFrame({"level": values.fillna("").to_numpy(), "bad": labels}).groupby("level")["bad"]
    rate = (table.sum() + WEIGHT * base) / (table.count() + WEIGHT)
    odds = np.log(rate / (1 - rate))
    return Encoding(rates={str(level): float(value) for level, value in odds.items()}, default=_logit(base))


def cross_fitted(values: pd.Series, labels: Labels, folds: NDArray[np.int_]) -> Array:
    """The log-odds that training rows read: each from the rows of other folds, so that no row sees its own label."""
    result = np.empty(len(values))
    for fold in np.unique(folds):
        inside = folds == fold
        learnt = _rates(values[~inside], labels[~inside])
        result[inside] = learnt.columns(values[inside])[0]
    return result


def _logit(rate: float) -> float:
    return float(np.log(rate / (1 - rate)))


def to_data(encoding: Encoding) -> dict[str, Any]:
    """As JSON."""
    rates = None if encoding.rates is None else dict(encoding.rates)
    return {"flags": list(encoding.flags), "rates": rates, "default": encoding.default}


def from_data(data: Mapping[str, Any]) -> Encoding:
    """From JSON; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
    rates = data["rates"]
    read = None if rates is None else {str(level): float(value) for level, value in rates.items()}
    return Encoding(tuple(map(str, data["flags"])), read, float(data["default"]))
