"""One score measured on labelled rows: figures with intervals, calibration by bin, segments, PSI since training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from decision_service.scoring.stability import Shift
from ml.fitted import Array
from ml.metrics import (
    PRECISIONS,
    REPEATS,
    Estimate,
    Labels,
    checked,
    class_mass,
    equal_mass_bins,
    evaluate,
)
from ml.segments import Segment, enough, segments_of

SEGMENT_REPEATS = 1_000


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Rows that are set against each other: mean probability and observed rate, both at the stated base rate."""

    rows: int
    bads: int
    forecast: float
    observed: Estimate


@dataclass(frozen=True, slots=True)
class SegmentFigures:
    """A segment's calibration and, if it has enough bads and goods, its AUC."""

    segment: Segment
    calibrated: Calibrated
    auc: Estimate | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured of one score. ``base_rate``: the stated one, or none; ``groups``: how many, if any."""

    title: str
    rows: int
    bads: int
    unscored: int
    groups: int
    base_rate: float | None
    repeats: int
    figures: Mapping[str, Estimate]
    bins: tuple[Calibrated, ...]
    segments: tuple[SegmentFigures, ...]
    shifts: tuple[Shift, ...]

    @property
    def sample_rate(self) -> float:
        """The share of bads among the rows."""
        return self.bads / self.rows


def assess(
    title: str,
    labels: Labels,
    probabilities: Array,
    *,
    seed: int,
    repeats: int = REPEATS,
    groups: Sequence[str] = (),
    base_rate: float | None = None,
    precisions: Sequence[float] = PRECISIONS,
    segments: Mapping[str, Sequence[str]] | None = None,
    shifts: tuple[Shift, ...] = (),
    unscored: int = 0,
) -> Evaluation:
    """Measure scored rows; ``groups``, ``base_rate``, intervals as in ``metrics.evaluate``. Raises ``InputError``."""
    labels, probabilities = checked(labels, probabilities, base_rate=base_rate)
    mass = class_mass(labels, base_rate)
    figures = evaluate(
        labels, probabilities, seed=seed, repeats=repeats, groups=groups, base_rate=base_rate, precisions=precisions
    )
    place = equal_mass_bins(probabilities, mass)
    rows_of_bins = [np.flatnonzero(place == number) for number in np.unique(place)]
    found = []
    for segment in segments_of(labels, segments or {}):
        area = _segment_auc(segment, labels, probabilities, groups, seed=seed, repeats=min(repeats, SEGMENT_REPEATS))
        found.append(SegmentFigures(segment, _calibrated(segment.rows, labels, probabilities, base_rate), area))
    return Evaluation(
        title=title,
        rows=len(labels),
        bads=int(labels.sum()),
        unscored=unscored,
        groups=len(set(groups)),
        base_rate=base_rate,
        repeats=repeats,
        figures=figures,
        bins=tuple(_calibrated(rows, labels, probabilities, base_rate) for rows in rows_of_bins),
        segments=tuple(found),
        shifts=shifts,
    )


def _segment_auc(
    segment: Segment, labels: Labels, probabilities: Array, groups: Sequence[str], *, seed: int, repeats: int
) -> Estimate | None:
    if not enough(segment):
        return None
    rows = segment.rows
    inside = [groups[row] for row in rows] if len(groups) else ()
    return evaluate(labels[rows], probabilities[rows], seed=seed, repeats=repeats, groups=inside)["auc"]


def _calibrated(rows: Any, labels: Labels, probabilities: Array, base_rate: float | None) -> Calibrated:
    """Wilson's interval of the observed rate, taken to the stated base rate of the whole (the odds times a factor)."""
    mass = class_mass(labels, base_rate)[rows]
    bads = int(labels[rows].sum())
    test = binomtest(bads, len(rows)).proportion_ci(method="wilson")
    odds = 1.0
    if base_rate is not None:
        rate = float(labels.mean())
        odds = base_rate / (1.0 - base_rate) * (1.0 - rate) / rate
    observed, low, high = (one * odds / (one * odds + 1.0 - one) for one in (bads / len(rows), test.low, test.high))
    forecast = float(np.average(probabilities[rows], weights=mass))
    return Calibrated(len(rows), bads, forecast, Estimate(observed, low, high))


def document(found: Evaluation) -> dict[str, Any]:
    """The evaluation as plain data for JSON."""
    return {
        "title": found.title,
        "rows": found.rows,
        "bads": found.bads,
        "without_score": found.unscored,
        "groups": found.groups or None,
        "sample_rate": found.sample_rate,
        "base_rate": found.base_rate,
        "resamples": found.repeats,
        "figures": {name: plain(one) for name, one in found.figures.items()},
        "bins": [_bin(one) for one in found.bins],
        "segments": [
            {
                "column": one.segment.column,
                "value": one.segment.value,
                **_bin(one.calibrated),
                "auc": None if one.auc is None else plain(one.auc),
            }
            for one in found.segments
        ],
        "psi": [{"name": one.name, "psi": one.psi, "chance": one.noise, "level": one.level} for one in found.shifts],
    }


def _bin(one: Calibrated) -> dict[str, Any]:
    return {"rows": one.rows, "bads": one.bads, "forecast": one.forecast, "observed": plain(one.observed)}


def plain(one: Estimate) -> list[float | None]:
    """Value, low, high; a bound that is not known as none."""
    return [None if np.isnan(value) else float(value) for value in (one.value, one.low, one.high)]
