"""A search judges on as many folds as there is time for, the newest first, and on all of them without an end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.deadline import Deadline
from ml.search import Question, Searched, search
from ml.tables.inputs import Inputs
from ml.tables.parts import folds

UNITS = 240
NAMES = ("ratio", "noise")


def _inputs(*, seed: int) -> Inputs:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(UNITS, len(NAMES)))
    labels = (random.random(UNITS) < 1 / (1 + np.exp(-matrix[:, 0]))).astype(np.int_)
    return Inputs(tuple(map(str, range(UNITS))), matrix, NAMES, labels=labels, times=np.arange(UNITS, dtype=float))


@pytest.fixture
def question() -> Question:
    inputs = _inputs(seed=1)
    forward = folds(inputs.outcomes, np.arange(UNITS), inputs.times, count=3, seed=0)
    return Question(inputs, forward, {}, None, 7)


def _searched(question: Question, deadline: Deadline) -> Searched:
    return search(question, deadline=deadline, told=lambda _: None)


def test_without_an_end_all_folds_judge_every_try(question: Question) -> None:
    assert [one.folds for one in _searched(question, Deadline()).tried] == [3, 3]


def test_where_no_time_is_left_the_newest_fold_judges_alone(question: Question) -> None:
    (late,) = _searched(question, Deadline(0)).tried
    newest = replace(question, folds=question.folds[-1:])
    (alone,) = _searched(newest, Deadline(0)).tried
    assert late.folds == 1 and (late.auc, late.rounds) == (alone.auc, alone.rounds)


def test_where_no_time_is_left_units_to_tune_on_judge_before_any_fold(question: Question) -> None:
    tuned = replace(question, tuning=_inputs(seed=2))
    (late,) = _searched(tuned, Deadline(0)).tried
    (alone,) = _searched(replace(tuned, folds=()), Deadline(0)).tried
    assert late.folds == 1 and (late.auc, late.rounds) == (alone.auc, alone.rounds)


def test_units_to_tune_on_count_as_much_as_all_folds(question: Question) -> None:
    tuned = replace(question, tuning=_inputs(seed=2))
    whole, own, none = (
        next(one for one in _searched(one, Deadline()).tried if one.half_life is None)
        for one in (tuned, replace(tuned, folds=()), question)
    )
    assert whole.folds == 4 and whole.auc == pytest.approx((own.auc + none.auc) / 2)


class Asked(Deadline):
    """Over once asked so often, whatever the machine does beside."""

    def __init__(self, times: int) -> None:
        super().__init__(1)
        self._times = times

    def left(self) -> float:
        self._times -= 1
        return 1e9 if self._times > 0 else 0.0


@pytest.mark.parametrize(("cells", "usual", "others"), [(10**9, 0.03, {0.02, 0.05}), (1, 0.1, {0.0667, 0.1667})])
def test_random_tries_learn_about_as_fast_as_the_sound_one(
    question: Question, monkeypatch: pytest.MonkeyPatch, cells: int, usual: float, others: set[float]
) -> None:
    monkeypatch.setattr("ml.search.LARGE", cells)
    found = _searched(replace(question, folds=question.folds[-1:]), Asked(12)).tried
    rates = {one.params["learning_rate"] for one in found}
    assert usual in rates and rates & others and rates <= {usual, *others}
