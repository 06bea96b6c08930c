"""PSI: how far a score or a feature has moved from the training rows, in bins of the training rows' quantiles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from decision_service.errors import ModelError
from ml.fitted import Array

PROFILE_FILE = "profile.json"
FORMAT = 1
BINS = 10
LEVELS = ((0.25, "red"), (0.20, "orange"), (0.10, "yellow"))
"""As warning W8 has them: above each figure the colour."""


@dataclass(frozen=True, slots=True)
class Binned:
    """Where a column's bins end (a value equal to an end belongs below it) and how many training rows each held.

    ``counts`` has one more entry than there are bins: rows without a value.
    """

    ends: tuple[float, ...]
    counts: tuple[int, ...]


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
    """The profile of training rows (n x k, nan: missing) and of the probabilities that the model gives to them.

    Give probabilities of rows that the model was not fitted on: it is surer of those that it was.
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
    score, *inputs = [_shift(name, binned, values) for name, binned, values in columns + found]
    return score, *sorted(inputs, key=lambda one: -one.psi)


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Population stability index of shares by bin: sum of (actual - expected) * ln(actual / expected).

    Shares must be above 0. The same as Jeffreys' divergence (Kullback & Leibler 1951).
    """
    before, after = np.asarray(expected, dtype=float), np.asarray(actual, dtype=float)
    return float(np.sum((after - before) * np.log(after / before)))


def _shift(name: str, binned: Binned, values: Array) -> Shift:
    before, after = np.array(binned.counts), _counts(binned.ends, values)
    occurring = (before > 0) | (after > 0)
    before, after = before[occurring], after[occurring]
    rows = max(int(before.sum()), 1), max(int(after.sum()), 1)
    # A bin that one side leaves empty counts as half a row: its share is small, not zero.
    shares = [np.maximum(one, 0.5) / count for one, count in zip((before, after), rows, strict=True)]
    chance = float(chi2.ppf(0.95, max(len(before) - 1, 1))) * (1 / rows[0] + 1 / rows[1])  # Yurdakul 2018
    expected, actual = (tuple((one / one.sum()).tolist()) for one in shares)
    return Shift(name, psi(expected, actual), chance, expected, actual)


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
