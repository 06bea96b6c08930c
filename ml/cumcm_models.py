"""Models that never saw the firm they score: nested cross-validation of both models on the 123 firms' invoices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.cumcm_folds import (
    OUTER_FOLDS,
    OUTER_SEED,
    Cutoffs,
    Fit,
    Margins,
    Rows,
    cutoffs,
    out_of_fold,
    select,
    stratified_folds,
)
from ml.cumcm_inputs import RISK, Inputs
from ml.fitted import Array
from ml.metrics import auc
from ml.training import FittedModel, calibrate, fit_lstm, fit_xgboost, lstm_margins, probabilities, xgboost_margins

SCALE_AND_STABILITY = ("inv_sales_24m", "inv_volatility_24m", "inv_longest_gap")
FEATURE_SETS: Mapping[str, tuple[str, ...]] = {
    "scale and stability": SCALE_AND_STABILITY,
    "scale, stability, growth": (*SCALE_AND_STABILITY, "inv_growth"),
    "all declared": tuple(RISK),
}
XGBOOST_SEED, LSTM_SEED = 0, 0
# One round of 200 averaged trees: with about a hundred firms an average is steadier than many boosting rounds.
FOREST: Mapping[str, Any] = {
    "learning_rate": 1.0,
    "num_parallel_tree": 200,
    "max_depth": 4,
    "subsample": 0.6,
    "colsample_bytree": 1.0,
    "colsample_bynode": 0.6,
    "reg_lambda": 0.5,
    "min_child_weight": 0.5,
    "nthread": 1,
}
SEQUENCE: Mapping[str, Any] = {
    "hidden": 16,
    "epochs": 15,
    "batch": 16,
    "learning_rate": 0.005,
    "weight_decay": 0.03,
}


@dataclass(frozen=True, slots=True)
class Fold:
    """One outer fold: the firms held out, the models and cut-offs made without them, and their scores."""

    number: int
    rows: Rows
    feature_set: str
    xgboost: FittedModel
    lstm: FittedModel
    cutoffs: Cutoffs
    pd_xgb: Array
    pd_lstm: Array
    pd_12m: Array
    inner_auc: Mapping[str, float]


def cross_validate(inputs: Inputs, *, weights: tuple[float, float], base_rate: float) -> Iterator[Fold]:
    """The outer folds, one by one; ``weights`` are the product's blend weights (XGBoost, LSTM)."""
    everyone = np.arange(len(inputs.labels))
    for number, rows in enumerate(stratified_folds(inputs.labels, OUTER_FOLDS, OUTER_SEED), start=1):
        yield fit_fold(inputs, number, rows, np.setdiff1d(everyone, rows), weights=weights, base_rate=base_rate)


def fit_fold(
    inputs: Inputs, number: int, rows: Rows, training: Rows, *, weights: tuple[float, float], base_rate: float
) -> Fold:
    """Everything about one fold from the ``training`` rows alone; only the scores look at ``rows``, never at labels."""
    labels = inputs.labels
    candidates = {name: _margins_of_trees(inputs, names) for name, names in FEATURE_SETS.items()}
    chosen, tree_margins = select(candidates, training, labels)
    sequence_margins = out_of_fold(_margins_of_sequences(inputs), training, labels, repeats=1)
    known = labels[training]
    names = FEATURE_SETS[chosen]
    trees = calibrate(_fit_trees(inputs, names, training), tree_margins, known, base_rate=base_rate)
    network = calibrate(_fit_sequences(inputs, training), sequence_margins, known, base_rate=base_rate)
    inner = blended(probabilities(trees, tree_margins), probabilities(network, sequence_margins), weights)
    pd_xgb = probabilities(trees, xgboost_margins(trees, inputs.columns(names)[rows]))
    pd_lstm = probabilities(network, lstm_margins(network, inputs.series[rows], inputs.mask[rows]))
    return Fold(
        number=number,
        rows=rows,
        feature_set=chosen,
        xgboost=trees,
        lstm=network,
        cutoffs=cutoffs(known, inner),
        pd_xgb=pd_xgb,
        pd_lstm=pd_lstm,
        pd_12m=blended(pd_xgb, pd_lstm, weights),
        inner_auc={"xgboost": auc(known, tree_margins), "lstm": auc(known, sequence_margins)},
    )


def blended(pd_xgb: Array, pd_lstm: Array, weights: tuple[float, float]) -> Array:
    """The weighted mean of two PDs on the logit scale."""
    odds = [np.log(pd / (1.0 - pd)) for pd in (pd_xgb, pd_lstm)]
    return 1.0 / (1.0 + np.exp(-(weights[0] * odds[0] + weights[1] * odds[1]) / sum(weights)))


def _fit_trees(inputs: Inputs, names: Sequence[str], rows: Rows) -> FittedModel:
    return fit_xgboost(
        inputs.columns(names)[rows],
        inputs.labels[rows],
        feature_names=names,
        monotone={name: RISK[name] for name in names},
        seed=XGBOOST_SEED,
        rounds=1,
        params=FOREST,
    )


def _fit_sequences(inputs: Inputs, rows: Rows) -> FittedModel:
    return fit_lstm(
        inputs.series[rows],
        inputs.mask[rows],
        inputs.labels[rows],
        series_names=inputs.series_names,
        seed=LSTM_SEED,
        **SEQUENCE,
    )


def _margins_of_trees(inputs: Inputs, names: Sequence[str]) -> Fit:
    def fit(rows: Rows) -> Margins:
        fitted = _fit_trees(inputs, names, rows)
        return lambda others: xgboost_margins(fitted, inputs.columns(names)[others])

    return fit


def _margins_of_sequences(inputs: Inputs) -> Fit:
    def fit(rows: Rows) -> Margins:
        fitted = _fit_sequences(inputs, rows)
        return lambda others: lstm_margins(fitted, inputs.series[others], inputs.mask[others])

    return fit
