"""A modest random search over the booster's parameters, judged by cross-validation, within minutes of wall time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xgboost
from sklearn.metrics import average_precision_score, roc_auc_score

from ml.deadline import Deadline
from ml.fitted import Array
from ml.tables.inputs import Inputs
from ml.tables.parts import Fold, Labels, recency, span
from ml.trees import DEFAULTS

PATIENCE = 40
MOST_ROUNDS = 1500
AFTERWARDS = 3.0  # tries' worth of time for judging and the averaged fits
PRECISION_WEIGHT = 0.3  # of PR-AUC beside ROC-AUC
LARGE = 5_000_000  # cells; larger tables get two threads and fewer repetitions
SOUND: Mapping[str, Any] = {"learning_rate": 0.03, "max_depth": 3, "subsample": 0.7, "reg_lambda": 5.0}
SOUND_LARGE: Mapping[str, Any] = {**SOUND, "learning_rate": 0.1, "max_depth": 6}
COLUMNS = 70  # that a tree of a wide table chooses from: many of them say nearly the same
MANY_UNITS = 5_000  # from here a tree may be deeper
RECENT = 0.25  # of the time span: the half-life of what a row counts
HALF_LIVES = (0.15, RECENT, 0.4, None)


@dataclass(frozen=True, slots=True)
class Tried:
    """Parameters with what they reached: mean of so many folds' ROC-AUC and PR-AUC, rounds and seconds.

    ``half_life``: in the units of the times, what a row counts halves so long before the newest; ``None``: it does not.
    """

    params: Mapping[str, Any]
    half_life: float | None
    auc: float
    pr_auc: float
    rounds: int
    seconds: float
    folds: int = 1

    @property
    def score(self) -> float:
        """What the search maximises."""
        return self.auc + PRECISION_WEIGHT * self.pr_auc


@dataclass(frozen=True, slots=True)
class Searched:
    """All that was tried, best first."""

    tried: tuple[Tried, ...] = field(default_factory=tuple)

    @property
    def best(self) -> Tried:
        """The winner."""
        return self.tried[0]


@dataclass(frozen=True, slots=True)
class Question:
    """What a search is about: inputs, folds, directions of columns, and for tuning other units than these if given."""

    inputs: Inputs
    folds: Sequence[Fold]
    monotone: Mapping[str, int]
    tuning: Inputs | None
    seed: int


def search(question: Question, *, deadline: Deadline, told: Callable[[str], object]) -> Searched:
    """Sound parameters first, with a time also without regard to it; then random ones.

    No try begins unless judging and fitting can still end by the deadline, as the slowest one tells; without an end
    there are no random ones. The first one judges on as many folds as there is time for, all others on the same.
    """
    random = np.random.default_rng([question.seed, 41])
    large = question.inputs.matrix.size > LARGE
    pairs, usual = _pairs(question), sound(question.inputs)
    recent = recent_half_life(question.inputs)
    planned = [(usual, recent), *([(usual, None)] if recent is not None else [])]
    tried: list[Tried] = []
    while True:
        if len(tried) < len(planned):
            params, half_life = planned[len(tried)]
        else:
            params = _drawn(random, usual)
            share = random.choice(np.array(HALF_LIVES, dtype=float))
            half_life = None if recent is None or np.isnan(share) else float(share / RECENT * recent)
        told(f"search {len(tried) + 1}")
        first = None if tried else deadline
        found = _try(question, params, half_life, pairs, threads=2 if large else 1, deadline=first)
        tried.append(found)
        pairs = pairs[: found.folds]
        slowest = max(one.seconds for one in tried)
        late = (1 + AFTERWARDS) * slowest > deadline.left()
        if late or (deadline.endless and len(tried) >= len(planned)):
            return Searched(tuple(sorted(tried, key=lambda one: -one.score)))


def recent_half_life(inputs: Inputs) -> float | None:
    """A sound half-life of what a row counts; ``None`` without a time, or where all rows have the same."""
    whole = span(inputs.times)
    return None if whole is None else RECENT * whole


def sound(inputs: Inputs) -> dict[str, Any]:
    """Parameters that are seldom bad: leaves of small tables may hold few units, trees of wide ones see a draw."""
    rate = float(inputs.outcomes.mean())
    weight = float(np.clip(0.005 * len(inputs) * rate * (1 - rate), 0.3, 5.0))
    share = float(np.clip(COLUMNS / len(inputs.names), 0.1, 0.8))
    chosen = {**(SOUND_LARGE if inputs.matrix.size > LARGE else SOUND)}
    if len(inputs) > MANY_UNITS:
        chosen["max_depth"] = max(chosen["max_depth"], 4)
    return {**chosen, "min_child_weight": weight, "colsample_bytree": share}


def _drawn(random: np.random.Generator, usual: Mapping[str, Any]) -> dict[str, Any]:
    """Around what is usual for the table, so that a try of a large one takes a few times as long at most."""
    heaviest = usual["min_child_weight"]
    return {
        "learning_rate": float(np.round(usual["learning_rate"] * random.choice([2, 3, 5]) / 3, 4)),
        "max_depth": int(random.integers(2, 6)),
        "min_child_weight": float(np.round(heaviest * np.exp(random.uniform(np.log(0.1), np.log(4))), 3)),
        "subsample": float(np.round(random.uniform(0.5, 0.95), 2)),
        "colsample_bytree": float(np.round(np.exp(random.uniform(np.log(0.08), np.log(0.8))), 2)),
        "reg_lambda": float(np.round(np.exp(random.uniform(np.log(0.5), np.log(30))), 2)),
        "reg_alpha": float(random.choice([0.0, 0.0, 0.5, 2.0])),
    }


Pair = tuple[xgboost.DMatrix, xgboost.DMatrix, Labels, Array | None]
"""What teaches, what judges, the judges' labels, the teachers' times."""


def _pairs(question: Question) -> list[Pair]:
    """The tuning units first, then the folds, the newest first: there may be no time for all."""
    inputs = question.inputs
    rows = inputs.matrix.astype(np.float32)
    pairs = []
    for fold in question.folds:
        teach = xgboost.DMatrix(rows[fold.teach], inputs.outcomes[fold.teach])
        judge = xgboost.DMatrix(rows[fold.judge], inputs.outcomes[fold.judge])
        times = None if inputs.times is None else inputs.times[fold.teach]
        pairs.append((teach, judge, inputs.outcomes[fold.judge], times))
    if question.tuning is not None:
        labels = question.tuning.outcomes
        other = xgboost.DMatrix(question.tuning.matrix.astype(np.float32), labels)
        pairs.append((xgboost.DMatrix(rows, inputs.outcomes), other, labels, inputs.times))
    return pairs[::-1]


def _try(
    question: Question,
    params: Mapping[str, Any],
    half_life: float | None,
    pairs: Sequence[Pair],
    *,
    threads: int,
    deadline: Deadline | None,
) -> Tried:
    """Judged by the pairs in order; with a deadline by as many as leave time for what comes after a try of so many."""
    began = time.monotonic()
    settings = {**DEFAULTS, **params, "seed": question.seed, "nthread": threads}
    settings["monotone_constraints"] = tuple(question.monotone.get(name, 0) for name in question.inputs.names)
    aucs, precisions, rounds = [], [], []
    for teach, judge, labels, times in pairs:
        weights = recency(times, half_life)
        teach.set_weight(np.ones(teach.num_row()) if weights is None else weights)
        booster = xgboost.train(
            settings,
            teach,
            num_boost_round=MOST_ROUNDS,
            evals=[(judge, "judge")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        found = booster.predict(judge, iteration_range=(0, booster.best_iteration + 1), output_margin=True)
        aucs.append(float(roc_auc_score(labels, found)))
        precisions.append(float(average_precision_score(labels, found)))
        rounds.append(booster.best_iteration + 1)
        taken = time.monotonic() - began
        one_more = taken / len(aucs)
        if deadline is not None and one_more + AFTERWARDS * (taken + one_more) > deadline.left():
            break
    shares = _weights(question, len(aucs))
    return Tried(
        params=params,
        half_life=half_life,
        auc=float(np.average(aucs, weights=shares)),
        pr_auc=float(np.average(precisions, weights=shares)),
        rounds=int(np.ceil(np.average(rounds, weights=shares))),
        seconds=time.monotonic() - began,
        folds=len(aucs),
    )


def _weights(question: Question, count: int) -> Array:
    """Tuning units of their own count as much as all folds together."""
    weights = np.ones(count)
    if question.tuning is not None and count > 1:
        weights[0] = count - 1
    return weights
