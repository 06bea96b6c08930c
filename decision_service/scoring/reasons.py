"""Why ``pd_12m`` is what it is: shares that add up to its log-odds, and the inputs that weigh most against a firm.

The two answer different questions. Shares divide the whole score among all inputs of both models. A reason is stated by
its exact effect: how far the log-odds of ``pd_12m`` fall when this input alone is that of a healthy firm. The reference
is made up from firms of the training sample that did not default and stands in the model's ``spec.json``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decision_service.scoring.blend import logit
from decision_service.scoring.contributions import BASE, INDUSTRY
from decision_service.scoring.models import LstmModel, Model, ScorecardModel, XgboostModel, calibrated
from decision_service.scoring.rows import Floats, feature_row, series_window
from decision_service.scoring.spec import Calibration, LstmSpec, XgboostSpec
from decision_service.vocabulary import ScoreReason, ScoreReasons, SeenValue

HISTORY = "history"
LEVEL = "level"
RECENCY = (("months_1_3", 3), ("months_4_12", 12), ("months_13_on", None))
"""Parts of a series' share: up to how many months back each reaches."""
MOST_STATED = 4
LEAST_EFFECT = 5e-7  # log-odds; below, six decimals show nothing
YEAR, QUARTER = 12, 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model read of one input: a value, and of a series its latest change."""

    value: SeenValue
    change: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One model's margin taken apart: ``shares`` sum to ``margin - base``; ``without`` is the margin with one input
    healthy, ``seen`` and ``healthy`` what was read and what would have been."""

    score: str
    calibration: Calibration
    margin: float
    base: float
    shares: Mapping[str, float]
    without: Mapping[str, float]
    seen: Mapping[str, Reading]
    healthy: Mapping[str, Reading]

    def log_odds(self, margin: float) -> float:
        """Log-odds of the calibrated PD of a margin, clipped as the score is."""
        return logit(calibrated(margin, self.calibration))


def reasons_of(
    models: Sequence[Model],
    features: Mapping[str, Any],
    series: Sequence[Sequence[float | None]],
    mask: Sequence[bool],
    *,
    weights: tuple[Decimal, Decimal] | None,
    shares: bool = True,
) -> ScoreReasons | None:
    """The reasons of a score that these models gave: a scorecard in place of the others, one model in full, or trees
    and network with their ``weights``; ``None`` for no such score. Raises ``ModelError``.

    Without ``shares`` in a quarter of the time: only what is stated.
    """
    by_kind = {type(model): model for model in models}
    card, trees, network = (by_kind.get(kind) for kind in (ScorecardModel, XgboostModel, LstmModel))
    if isinstance(card, ScorecardModel):
        return score_reasons([(scorecard_part(card, features), 1.0)])
    parts = []
    if isinstance(trees, XgboostModel):
        parts.append(tree_part(trees, features))
    if isinstance(network, LstmModel):
        parts.append(series_part(network, series, mask, shares=shares))
    if len(parts) == 1:
        weighted = [(parts[0], 1.0)]
    elif not parts or weights is None:
        return None
    else:
        weighted = list(zip(parts, map(float, weights), strict=True))
    found = score_reasons(weighted)
    return found if shares else ScoreReasons(0.0, {}, found.stated)


def score_reasons(parts: Sequence[tuple[Part, float]]) -> ScoreReasons:
    """The reasons of a blend of models with their weights: shares sum, with the base, to the log-odds of ``pd_12m``.

    Calibration bends a margin, so a model's shares are stretched by the slope from its base to its margin.
    """
    base, shares, effects = 0.0, {}, []
    for part, weight in parts:
        start, end = part.log_odds(part.base), part.log_odds(part.margin)
        divided = math.fsum(part.shares.values())
        slope = weight * (end - start) / divided if divided else 0.0
        base += weight * start if divided else weight * end
        shares.update({f"{part.score}.{name}": slope * share for name, share in part.shares.items()})
        for name, margin in part.without.items():
            seen, healthy = part.seen[name], part.healthy[name]
            effect = weight * (end - part.log_odds(margin))
            changes = (seen.change, healthy.change)
            effects.append(ScoreReason(part.score, name, effect, seen.value, healthy.value, *changes))
    adverse = [one for one in effects if one.effect > LEAST_EFFECT]
    stated = sorted(adverse, key=lambda one: (-one.effect, one.score, one.name))[:MOST_STATED]
    return ScoreReasons(base, shares, tuple(stated))


def tree_part(model: XgboostModel, features: Mapping[str, Any]) -> Part:
    """A tree model's margin by feature, the section columns together as ``industry``; raises ``ModelError``."""
    spec = model.spec
    shares = model.contributions(features)
    base = shares.pop(BASE)
    row = feature_row(features, spec)
    healthy = {} if spec.healthy is None else spec.healthy
    names = [] if spec.healthy is None else list(shares)
    rows = _one_by_one(row, feature_row(healthy, spec), len(spec.features)) if names else row
    margins = [float(one) for one in model.margins(rows)]
    return Part(
        score="pd_xgb",
        calibration=spec.calibration,
        margin=margins[0],
        base=base,
        shares=shares,
        without=dict(zip(names, margins[1:], strict=True)),
        seen={name: _feature_value(features, name, spec) for name in names},
        healthy={name: _feature_value(healthy, name, spec) for name in names},
    )


def _one_by_one(row: Floats, healthy: Floats, features: int) -> Floats:
    """The row itself, then with one feature after the other healthy, at last the industry's columns if it has any."""
    inputs = features + (row.shape[1] > features)
    rows = np.repeat(row, inputs + 1, axis=0)
    places = np.arange(features)
    rows[places + 1, places] = healthy[0, :features]
    if inputs > features:
        rows[-1, features:] = healthy[0, features:]
    return rows


def _feature_value(features: Mapping[str, Any], name: str, spec: XgboostSpec) -> Reading:
    """A feature's value, ``None`` when missing; of the industry its section."""
    if name == INDUSTRY:
        return Reading(spec.sections.get(features.get("industry_code") or ""))
    return Reading(_seen(features[name]))


def scorecard_part(model: ScorecardModel, features: Mapping[str, Any]) -> Part:
    """A scorecard's margin by feature, each against its best bin: shares are exact effects. Raises ``ModelError``."""
    shares, margin = model.contributions(features), model.margin(features)
    base = shares.pop(BASE)
    every = model.scorecard.features
    return Part(
        score="pd_12m",
        calibration=model.spec.calibration,
        margin=margin,
        base=base,
        shares=shares,
        without={name: margin - share for name, share in shares.items()},
        seen={one.name: Reading(_seen(features[one.name])) for one in every},
        healthy={one.name: Reading(one.text_of(one.best_bin)) for one in every},
    )


def _seen(value: Any) -> SeenValue:
    if value is None or isinstance(value, str):
        return value
    return None if value != value else float(value)


def series_part(
    model: LstmModel, series: Sequence[Sequence[float | None]], mask: Sequence[bool], *, shares: bool = True
) -> Part:
    """A sequence model's margin by series, the months without a report as ``history``; raises ``ModelError``.

    Without a healthy reference the baseline is a firm at the training firms' mean level that never moves.
    """
    spec = model.spec
    window = series_window(series, mask, spec)[0]
    months = np.array(mask, dtype=bool)
    baseline = _baseline(spec)
    cells = _cells_by_input(spec, months)
    names = [] if spec.healthy is None else list(cells)
    changed = [np.where(cells[name], baseline, window) for name in names]
    margins = [float(one) for one in model.margins(np.stack([window, *changed]))]
    divided: dict[str, float] = {}
    start = margins[0]
    if shares:
        divided = dict(_shares(model.gradients.integrated(window, baseline), cells, months, spec))
        start = float(model.gradients.margins(baseline[np.newaxis])[0])
    healthy = spec.healthy or ()
    return Part(
        score="pd_lstm",
        calibration=spec.calibration,
        margin=margins[0],
        base=start,
        shares=divided,
        without=dict(zip(names, margins[1:], strict=True)),
        seen={name: _series_value(series, months, name, spec) for name in names},
        healthy={name: _series_value(healthy, np.ones_like(months), name, spec) for name in names},
    )


def _baseline(spec: LstmSpec) -> Floats:
    if spec.healthy is not None:
        return series_window(spec.healthy, [True] * spec.months, spec)[0]
    still = np.zeros((spec.months, spec.channels), dtype=np.float32)
    still[:, len(spec.series) : 2 * len(spec.series)] = still[:, -1:] = 1.0
    return still


def _cells_by_input(spec: LstmSpec, months: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Every cell of a window belongs to one input: its series where the month was reported, else to ``history``.

    A series' level is the same in all months and belongs to the series.
    """
    width = len(spec.series)
    cells = {}
    for place, name in enumerate(spec.series):
        own = np.zeros((spec.months, spec.channels), dtype=bool)
        own[months, place] = own[months, width + place] = own[:, 2 * width + place] = True
        cells[name] = own
    if not months.all():
        cells[HISTORY] = ~np.logical_or.reduce(list(cells.values()))
    return cells


def _shares(
    found: NDArray[np.float64], cells: Mapping[str, NDArray[np.bool_]], months: NDArray[np.bool_], spec: LstmSpec
) -> Iterator[tuple[str, float]]:
    """A series' level, and its months by how long ago they were; they sum to all of ``found``."""
    width, count = len(spec.series), spec.months
    for name, own in cells.items():
        if name == HISTORY:
            yield name, float(found[own].sum())
            continue
        place = spec.series.index(name)
        yield f"{name}.{LEVEL}", float(found[:, 2 * width + place].sum())
        monthly = np.where(months, found[:, place] + found[:, width + place], 0.0)[::-1]
        begin = 0
        for part, reach in RECENCY:
            end = count if reach is None else min(reach, count)
            if begin < end:
                yield f"{name}.{part}", float(monthly[begin:end].sum())
            begin = end


def _series_value(
    series: Sequence[Sequence[float | None]], months: NDArray[np.bool_], name: str, spec: LstmSpec
) -> Reading:
    """The mean of the last twelve months' reports, and the change of the last three against those before."""
    if name == HISTORY:
        return Reading(float(months.sum()))
    place = spec.series.index(name)
    values = [month[place] if known else None for month, known in zip(series, months, strict=True)]
    year, latest, before = _mean(values[-YEAR:]), _mean(values[-QUARTER:]), _mean(values[-YEAR:-QUARTER])
    return Reading(year, latest / before - 1.0 if latest is not None and before else None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None and value == value]
    return math.fsum(known) / len(known) if known else None
