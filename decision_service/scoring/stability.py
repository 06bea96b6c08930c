"""PSI: how far a score or an input has moved from the training rows, in bins of the training rows' quantiles.

One implementation for training, evaluation and what is watched of served decisions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from decision_service.errors import ModelError

Array = NDArray[np.float64]
PROFILE_FILE = "profile.json"
FORMAT = 1
BINS = 10
CERTAIN = 0.95
LEVELS = ((0.25, "red"), (0.20, "orange"), (0.10, "yellow"))
"""As warning W8 has them: above each figure the colour."""


@dataclass(frozen=True, slots=True)
class Binned:
    """Where a column's bins end (a value equal to an end belongs below it) and how many training rows each held.

    ``counts`` has one more entry than there are bins: rows without a value.
    """

    ends: tuple[float, ...]
    counts: tuple[int, ...]

    def of(self, values: Array) -> NDArray[np.int_]:
        """How many other values (nan: missing) fall into each of these bins; the last entry is the missing ones."""
        return _counts(self.ends, values)


@dataclass(frozen=True, slots=True)
class Profile:
    """What training rows looked like: bins of the score and of every model input. Holds counts, no rows."""

    score: Binned
    inputs: Mapping[str, Binned]

    def to_json(self) -> bytes:
        """As UTF-8 JSON, keys sorted."""
        inputs = {name: _plain(binned) for name, binned in self.inputs.items()}
        content = {"format": FORMAT, "score": _plain(self.score), "inputs": inputs}
        return json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class Shift:
    """The PSI of one column. ``noise`` is what chance alone stays below in 95 of 100 samples of these sizes."""

    name: str
    psi: float
    noise: float
    expected: tuple[float, ...]
    actual: tuple[float, ...]

    @property
    def level(self) -> str:
        """``none``, ``yellow``, ``orange`` or ``red``; none too if chance alone explains it."""
        over = [level for limit, level in LEVELS if self.psi > limit]
        return over[0] if over and self.psi > self.noise else "none"


def profile(matrix: Array, names: Sequence[str], probabilities: Array) -> Profile:
    """The profile of rows (n x k, nan: missing) and of the probabilities that the model gives them (n).

    Give those of the very model that will score: others, such as the models of folds, have values of their own, and a
    score of few values then falls into other bins though nothing has moved.
    """
    inputs = {name: _binned(matrix[:, column]) for column, name in enumerate(names)}
    return Profile(_binned(probabilities), inputs)


def profile_from_json(content: bytes) -> Profile:
    """Raises ``ModelError`` for anything but a complete profile."""
    try:
        data = json.loads(content)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, this code reads {FORMAT}")
        return Profile(_read(data["score"]), {str(name): _read(one) for name, one in data["inputs"].items()})
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(f"{PROFILE_FILE} cannot be used ({error!r})", remedy="register the model again") from error


def shifts(expected: Profile, matrix: Array, names: Sequence[str], probabilities: Array) -> tuple[Shift, ...]:
    """PSI of the score (``score``, first), then of every input that the profile has, greatest first."""
    columns = [("score", expected.score, probabilities)]
    found = [
        (name, expected.inputs[name], matrix[:, column]) for column, name in enumerate(names) if name in expected.inputs
    ]
    score, *inputs = [shift(name, one.counts, one.of(values).tolist()) for name, one, values in columns + found]
    return score, *sorted(inputs, key=lambda one: -one.psi)


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Population stability index of shares by bin: sum of (actual - expected) * ln(actual / expected).

    Shares must be above 0. The same as Jeffreys' divergence (Kullback & Leibler 1951).
    """
    before, after = np.asarray(expected, dtype=float), np.asarray(actual, dtype=float)
    return float(np.sum((after - before) * np.log(after / before)))


def shift(name: str, before: Sequence[int], after: Sequence[int]) -> Shift:
    """The PSI of counts by bin; a bin that neither side has is none."""
    old, new = np.asarray(before, dtype=int), np.asarray(after, dtype=int)
    occurring = (old > 0) | (new > 0)
    old, new = old[occurring], new[occurring]
    rows = max(int(old.sum()), 1), max(int(new.sum()), 1)
    # A bin that one side leaves empty counts as half a row: its share is small, not zero.
    shares = [np.maximum(one, 0.5) / count for one, count in zip((old, new), rows, strict=True)]
    expected, actual = (tuple((one / one.sum()).tolist()) for one in shares)
    return Shift(name, psi(expected, actual), chance(len(old), *rows), expected, actual)


def chance(bins: int, before: int, after: int, certain: float = CERTAIN) -> float:
    """What the PSI of two samples without any change stays below, in this share of samples (Yurdakul 2018)."""
    return _quantile(max(bins - 1, 1), certain) * (1 / before + 1 / after)


@lru_cache
def _quantile(freedom: int, certain: float) -> float:
    return float(chi2.ppf(certain, freedom))


def usual(bins: int, before: int, after: int) -> float:
    """The PSI that two samples of one population have on average: (bins - 1) * (1 / n + 1 / m)."""
    return (bins - 1) * (1 / before + 1 / after)


def series_inputs(series: Array, mask: NDArray[np.bool_], names: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """What is watched of monthly series (n x T x F, nan: not reported; mask n x T): levels, and months reported.

    ``series:<name>`` is the mean over the reported months, nan without any.
    """
    known = ~np.isnan(series) & mask[:, :, np.newaxis]
    months = known.sum(axis=1)
    totals = np.where(known, series, 0.0).sum(axis=1)
    means = np.where(months > 0, totals / np.maximum(months, 1), np.nan)
    return np.column_stack([means, mask.sum(axis=1)]), (*(f"series:{name}" for name in names), "series:months")


def _binned(values: Array) -> Binned:
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    distinct = np.unique(known)
    if len(distinct) <= BINS:
        ends = (distinct[:-1] + distinct[1:]) / 2.0
    else:
        ends = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    whole = tuple(float(end) for end in ends)
    return Binned(whole, tuple(int(count) for count in _counts(whole, np.asarray(values, dtype=float))))


def _counts(ends: Sequence[float], values: Array) -> NDArray[np.int_]:
    known = values[~np.isnan(values)]
    place = np.searchsorted(np.asarray(ends, dtype=float), known, side="left")
    return np.append(np.bincount(place, minlength=len(ends) + 1), len(values) - len(known))


def _plain(binned: Binned) -> dict[str, list[float]]:
    return {"ends": list(binned.ends), "counts": list(binned.counts)}


def _read(data: Mapping[str, Sequence[float]]) -> Binned:
    binned = Binned(tuple(float(end) for end in data["ends"]), tuple(int(count) for count in data["counts"]))
    if len(binned.counts) != len(binned.ends) + 2 or min(binned.counts) < 0 or not sum(binned.counts):
        raise ValueError("counts do not fit the bins")
    if not np.isfinite(binned.ends).all() or list(binned.ends) != sorted(set(binned.ends)):
        raise ValueError("the ends of the bins do not rise")
    return binned
