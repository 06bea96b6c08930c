"""Calibration: the stated base rate exactly, no ranking lost, isotonic only where there are bads enough for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.errors import InputError
from decision_service.scoring.models import build
from decision_service.scoring.spec import Calibration, from_json, to_json
from ml.calibration import (
    ISOTONIC,
    ISOTONIC_FROM,
    LEAST_IN_BLOCK,
    PLATT,
    at_base_rate,
    calibrate,
    choose,
    isotonic,
    platt,
    shift_to,
)
from ml.export import exported
from ml.fitted import FittedModel, as_probabilities, log_odds, probabilities, xgboost_margins
from ml.trees import fit_xgboost


def bent_world(count: int = 30_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose odds rise in steps that no line follows."""
    random = np.random.default_rng(seed)
    margins = random.normal(-2.0, 1.0, size=count)
    true = -2.0 + 1.5 * np.tanh(3.0 * (margins + 2.0))
    return margins, (random.random(count) < 1 / (1 + np.exp(-true))).astype(int)


MARGINS, LABELS = bent_world()
DENSE = np.linspace(-9, 5, 4001)
bads_and_goods = st.tuples(st.integers(0, 10_000), st.integers(3, 400)).map(
    lambda drawn: np.random.default_rng(drawn[0]).integers(0, 2, size=drawn[1])
)


def weighted_mean(chances: np.ndarray, labels: np.ndarray, base_rate: float) -> float:
    rate = labels.mean()
    return float(np.average(chances, weights=np.where(labels == 1, base_rate / rate, (1 - base_rate) / (1 - rate))))


@settings(deadline=None, max_examples=60)
@given(
    labels=bads_and_goods.filter(lambda labels: 0 < labels.sum() < len(labels)),
    base_rate=st.floats(0.0005, 0.9),
    scale=st.floats(0.01, 20.0),
    seed=st.integers(0, 1000),
)
def test_the_mean_pd_is_the_base_rate(labels: np.ndarray, base_rate: float, scale: float, seed: int) -> None:
    margins = np.random.default_rng(seed).normal(size=len(labels)) * scale + labels
    for raw in (Calibration(*platt(margins, labels), base_rate=0.5), isotonic(margins, labels)):
        values = log_odds(raw, margins)
        chances = as_probabilities(values + shift_to(base_rate, values, labels))
        assert weighted_mean(chances, labels, base_rate) == pytest.approx(base_rate, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), count=st.integers(50, 3000), rate=st.floats(0.05, 0.6), digits=st.integers(0, 8))
def test_isotonic_never_loses_a_ranking(seed: int, count: int, rate: float, digits: int) -> None:
    """Whatever the labels, ties in the margins included."""
    random = np.random.default_rng(seed)
    margins = np.round(random.normal(size=count), digits)
    labels = (random.random(count) < rate).astype(int)
    labels[:2] = 0, 1
    found = isotonic(margins, labels)
    assert (np.diff(log_odds(found, DENSE)) > 0).all()
    spec = trees(labels=None).spec
    assert from_json(to_json(type(spec)(**{**vars_of(spec), "calibration": found}))).calibration == found


def vars_of(spec: Any) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


def test_one_margin_and_many_give_the_same_log_odds() -> None:
    found = isotonic(MARGINS, LABELS)
    assert found.knots
    single = [found.log_odds(margin) for margin in DENSE]
    np.testing.assert_allclose(log_odds(found, DENSE), single, atol=1e-12)
    on_knots = np.array([margin for margin, _ in found.knots])
    np.testing.assert_allclose(log_odds(found, on_knots), [found.log_odds(one) for one in on_knots], atol=1e-12)


def test_isotonic_follows_what_no_line_can() -> None:
    random = np.random.default_rng(9)
    margins = random.normal(-2.0, 1.0, size=30_000)
    true = 1 / (1 + np.exp(2.0 - 1.5 * np.tanh(3.0 * (margins + 2.0))))
    line = as_probabilities(log_odds(Calibration(*platt(MARGINS, LABELS), base_rate=0.5), margins))
    bent = as_probabilities(log_odds(isotonic(MARGINS, LABELS), margins))
    assert np.abs(bent - true).mean() < 0.4 * np.abs(line - true).mean()


def test_no_block_rests_on_a_few_firms_and_no_step_is_a_cliff() -> None:
    random = np.random.default_rng(2)
    margins = random.normal(size=4000)
    labels = (margins > 0).astype(int)  # perfect separation: a cliff at zero
    labels[random.random(4000) < 0.05] ^= 1
    found = isotonic(margins, labels)
    slopes = np.diff(log_odds(found, DENSE)) / np.diff(DENSE)
    assert slopes.max() <= 3.0 * found.slope + 1e-9
    few = isotonic(margins[:30], labels[:30])
    assert not few.knots and LEAST_IN_BLOCK == 10


@pytest.mark.parametrize("rare", [0, 1], ids=["few bads are too few", "few goods are too few"])
def test_below_a_thousand_of_either_class_it_is_platt(rare: int) -> None:
    found = np.flatnonzero(LABELS == 1)[: ISOTONIC_FROM - 1]
    rows = np.concatenate([found, np.flatnonzero(LABELS == 0)])
    margins, labels = MARGINS[rows], LABELS[rows]
    choice = choose(margins, labels) if rare == 0 else choose(-margins, 1 - labels)
    assert (choice.method, choice.losses) == (PLATT, {})


def test_from_a_thousand_on_the_better_of_both_is_taken() -> None:
    choice = choose(MARGINS, LABELS)
    assert choice.method == ISOTONIC and choice.losses[ISOTONIC] < choice.losses[PLATT]
    random = np.random.default_rng(4)
    straight = (random.random(len(MARGINS)) < 1 / (1 + np.exp(-MARGINS))).astype(int)
    choice = choose(MARGINS, straight)
    assert choice.method == min(choice.losses, key=lambda name: choice.losses[name])
    assert choose(MARGINS, LABELS, line_only=True).method == PLATT


def trees(labels: np.ndarray | None = LABELS) -> FittedModel:
    rows = slice(0, 2000)
    given = LABELS[rows] if labels is None else labels[rows]
    matrix = np.column_stack([MARGINS, np.zeros(len(MARGINS))])[rows]
    return fit_xgboost(matrix, given, feature_names=("risk", "nothing"), seed=1, rounds=15)


def test_a_bent_model_is_served_as_it_was_fitted() -> None:
    fitted = trees()
    matrix = np.column_stack([MARGINS, np.zeros(len(MARGINS))])
    margins = xgboost_margins(fitted, matrix)
    done = calibrate(fitted, margins[2000:], LABELS[2000:], base_rate=0.03)
    assert done.params["calibration"] == ISOTONIC and done.spec.calibration.knots
    assert done.params["calibration_bads"] == LABELS[2000:].sum()
    chances = probabilities(done, margins[2000:])
    assert weighted_mean(chances, LABELS[2000:], 0.03) == pytest.approx(0.03, abs=1e-9)
    content = {"spec.json": to_json(done.spec), "model.ubj": done.weights}
    for model in (build(content), build({**content, "model.onnx": exported(done)})):
        served = [model.probability({"risk": risk, "nothing": 0.0}) for risk in MARGINS[:50]]  # type: ignore
        np.testing.assert_allclose(served, probabilities(done, margins[:50]), atol=1e-6)


def test_firms_without_a_score_are_left_out() -> None:
    fitted = trees()
    margins = np.append(MARGINS, np.nan)
    done = calibrate(fitted, margins, np.append(LABELS, 1), base_rate=0.05)
    assert done.spec.calibration == calibrate(fitted, MARGINS, LABELS, base_rate=0.05).spec.calibration


@pytest.mark.parametrize("base_rate", [0.0, 1.0, 1e-7, -0.1, float("nan")])
def test_a_base_rate_that_no_pd_can_have_is_refused(base_rate: float) -> None:
    with pytest.raises(InputError, match="base rate"):
        calibrate(trees(), MARGINS, LABELS, base_rate=base_rate)


def test_a_base_rate_moves_scored_rows_and_leaves_the_others_alone() -> None:
    chances = np.array([0.5, np.nan, 0.1, 0.02])
    moved = at_base_rate(chances, 0.3)
    assert np.isnan(moved[1]) and np.nanmean(moved) == pytest.approx(0.3, abs=1e-12)
    weighted = at_base_rate(chances, 0.3, mass=np.array([1.0, 5.0, 2.0, 3.0]))
    assert np.average(weighted[[0, 2, 3]], weights=[1.0, 2.0, 3.0]) == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize(("chances", "rate"), [([np.nan], 0.3), ([], 0.3), ([0.2], 0.0), ([0.2], 1.0), ([0.2], np.nan)])
def test_a_base_rate_that_cannot_be_stated_is_refused(chances: list[float], rate: float) -> None:
    with pytest.raises(InputError):
        at_base_rate(np.array(chances), rate)
