"""The kinds of model that a table can train, each as a function from inputs to a fitted model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from decision_service.errors import InputError
from ml.deadline import AVERAGES, Deadline, Pace
from ml.fitted import FittedModel
from ml.scorecard import fit_scorecard
from ml.search import LARGE, Tried, recent_half_life
from ml.sequences import fit_lstm
from ml.tables.inputs import Inputs
from ml.tables.parts import recency
from ml.trees import averaged, fit_xgboost

KINDS = ("xgboost", "lstm", "scorecard", "blend")
STOPS = 5
MOST_EPOCHS, PATIENCE = 30, 8
NETWORK: Mapping[str, Any] = {
    "hidden": 32,
    "learning_rate": 2e-3,
    "input_dropout": 0.5,
    "readout_dropout": 0.5,
}
BATCHES, BATCH = 40, (32, 256)  # an epoch has about so many batches, each of so many units
REPEATED = re.compile(r"^log | / (revenue|total_liabilities)$")  # of a series: others say the same


@dataclass(frozen=True, slots=True)
class Settings:
    """How members are fitted: the booster's best configurations and directions, the LSTM's epochs, the seed."""

    configurations: Sequence[Tried]
    monotone: Mapping[str, int]
    epochs: int
    seed: int


def fit(kind: str, inputs: Inputs, settings: Settings, *, averages: int = AVERAGES[0]) -> FittedModel:
    """A model of the kind, not calibrated yet; raises ``InputError``."""
    if kind == "xgboost":
        return fit_trees(inputs, settings, averages=averages)
    return _fit_sequences(inputs, settings, averages) if kind == "lstm" else _fit_points(inputs, settings)


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
        chosen = settings.configurations[number % len(settings.configurations)]
        models.append(
            fit_xgboost(
                inputs.matrix,
                inputs.outcomes,
                feature_names=inputs.names,
                monotone=settings.monotone,
                seed=settings.seed + number,
                weights=recency(inputs.times, chosen.half_life),
                rounds=chosen.rounds,
                params={**chosen.params, "nthread": 2 if large else 1},
            )
        )
    one = averaged(models)
    directions = {name: direction for name, direction in settings.monotone.items() if direction}
    return replace(one, params={**one.params, "monotone_constraints": str(directions)})


def _fit_sequences(inputs: Inputs, settings: Settings, averages: int) -> FittedModel:
    return _network(inputs, members=averages, epochs=settings.epochs, seed=settings.seed)


def epochs_for(inputs: Inputs, deadline: Deadline, *, seed: int) -> tuple[int, int]:
    """How long an LSTM learns: the mean over networks that each stop by another part of the units, as one alone stops
    anywhere; and how many there was time for. Raises ``InputError``."""
    part = np.random.default_rng([seed, 7]).permutation(len(inputs)) % STOPS
    given = {"epochs": MOST_EPOCHS, "patience": PATIENCE, "seed": seed}
    pace = Pace(deadline, expected=0.0)
    stopped: list[int] = []
    for one in range(STOPS):
        if stopped and not pace.allows(1):
            break
        with pace.measured(1):
            stopped.append(_network(inputs, holdout=part == one, **given).params["epochs"])
    return int(np.ceil(np.mean(stopped))), len(stopped)


def _network(inputs: Inputs, **given: Any) -> FittedModel:
    if inputs.series is None or inputs.mask is None:
        raise InputError("an LSTM reads a window of rows a unit", remedy="give --window N, --id COLUMN, --time COLUMN")
    kept = [place for place, name in enumerate(inputs.series_names) if not REPEATED.search(name)]
    return fit_lstm(
        inputs.series[:, :, kept],
        inputs.mask,
        inputs.outcomes,
        series_names=[inputs.series_names[place] for place in kept],
        weights=recency(inputs.times, recent_half_life(inputs)),
        min_months=min(6, inputs.series.shape[1]),
        batch=int(np.clip(len(inputs) // BATCHES, *BATCH)),
        **NETWORK,
        **given,
    )
