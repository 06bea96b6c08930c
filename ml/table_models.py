"""The kinds of model that a table can train, each as a function from inputs to a fitted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from decision_service.errors import InputError
from ml.fitted import FittedModel
from ml.scorecard import fit_scorecard
from ml.search import LARGE
from ml.sequences import fit_lstm
from ml.tables.inputs import Inputs
from ml.trees import averaged, fit_xgboost

KINDS = ("xgboost", "lstm", "scorecard", "blend")
AVERAGED = 4  # seeds of one booster, a power of two so that leaves divide exactly
STOP_SHARE = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """How the booster is fitted: parameters by configuration with rounds, directions, seed."""

    configurations: Sequence[tuple[Mapping[str, Any], int]]
    monotone: Mapping[str, int]
    seed: int


def fit(kind: str, inputs: Inputs, settings: Settings, *, averages: int = AVERAGED) -> FittedModel:
    """A model of the kind, not calibrated yet; raises ``InputError``."""
    if kind == "xgboost":
        return fit_trees(inputs, settings, averages=averages)
    return _fit_sequences(inputs, settings) if kind == "lstm" else _fit_points(inputs, settings)


def members(kind: str, window: int | None) -> tuple[str, ...]:
    """The kinds that a blend is made of; a kind itself otherwise."""
    if kind != "blend":
        return (kind,)
    return ("xgboost", "lstm") if window else ("xgboost", "scorecard")


def _fit_points(inputs: Inputs, settings: Settings) -> FittedModel:
    """A scorecard reads what a person would: of a panel the newest values and changes, not every statistic."""
    kept = [place for place, name in enumerate(inputs.names) if inputs.series is None or _is_plain(name)]
    names = [inputs.names[place] for place in kept]
    return fit_scorecard(
        inputs.matrix[:, kept],
        inputs.outcomes,
        feature_names=names,
        monotone={name: settings.monotone[name] for name in names if name in settings.monotone},
    )


def _is_plain(name: str) -> bool:
    return "," not in name or name.endswith(", change over 1")


def fit_trees(inputs: Inputs, settings: Settings, *, averages: int) -> FittedModel:
    """The mean of boosters over configurations and seeds, as one booster."""
    large = inputs.matrix.size > LARGE
    count = 1 if large else averages
    models = []
    for number in range(count):
        params, rounds = settings.configurations[number % len(settings.configurations)]
        models.append(
            fit_xgboost(
                inputs.matrix,
                inputs.outcomes,
                feature_names=inputs.names,
                monotone=settings.monotone,
                seed=settings.seed + number,
                rounds=rounds,
                params={**params, "nthread": 2 if large else 1},
            )
        )
    one = averaged(models)
    directions = {name: direction for name, direction in settings.monotone.items() if direction}
    return replace(one, params={**one.params, "monotone_constraints": str(directions)})


def _fit_sequences(inputs: Inputs, settings: Settings) -> FittedModel:
    if inputs.series is None or inputs.mask is None:
        raise InputError("an LSTM reads a window of rows a unit", remedy="give --window N, --id COLUMN, --time COLUMN")
    random = np.random.default_rng([settings.seed, 7])
    return fit_lstm(
        inputs.series,
        inputs.mask,
        inputs.outcomes,
        series_names=inputs.series_names,
        seed=settings.seed,
        holdout=random.permutation(len(inputs)) % STOP_SHARE == 0,
        min_months=min(6, inputs.series.shape[1]),
    )
