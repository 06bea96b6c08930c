"""Figures and their intervals: agreement with scikit-learn, invariance, coverage, speed."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from scores_for_tests import noisy, outcomes
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_curve, roc_auc_score

from decision_service.errors import InputError
from ml.fitted import Array
from ml.metrics import (
    LOWER_IS_BETTER,
    Labels,
    Sweep,
    ece,
    ece_if_calibrated,
    equal_mass_bins,
    evaluate,
    ks,
    resamples,
)

RANKING = ("auc", "gini", "ks", "pr_auc", "recall_at_precision_0.3", "recall_at_precision_0.5")

# Few distinct scores, so that ties are common, and both outcomes.
scored = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 3)), min_size=2, max_size=60
).filter(lambda rows: len({bad for bad, _, _ in rows}) == 2)


def figures(labels: Labels, probabilities: Array, weights: Array | None = None, **options: float) -> dict[str, float]:
    sweep = Sweep(labels, probabilities, **options)  # type: ignore[arg-type]
    found = sweep.figures(np.ones((1, len(labels))) if weights is None else weights[None, :])
    return {name: float(values[0]) for name, values in found.items()}


@settings(deadline=None)
@given(scored)
def test_figures_of_weighted_rows_are_what_scikit_learn_computes(rows: list[tuple[bool, int, int]]) -> None:
    labels, scores, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    labels, scores = labels.astype(int), scores / 12
    weights[np.flatnonzero(labels == 1)[0]] += 1  # both outcomes count
    weights[np.flatnonzero(labels == 0)[0]] += 1
    found = figures(labels, scores, weights)
    area = roc_auc_score(labels, scores, sample_weight=weights)
    precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=weights)
    assert found["auc"] == pytest.approx(area) and found["gini"] == pytest.approx(2 * area - 1)
    assert found["pr_auc"] == pytest.approx(average_precision_score(labels, scores, sample_weight=weights))
    assert found["brier"] == pytest.approx(brier_score_loss(labels, scores, sample_weight=weights))
    for least in (0.3, 0.5):
        expected = recall[precision >= least - 1e-12].max()
        assert found[f"recall_at_precision_{least}"] == pytest.approx(expected)


@settings(deadline=None)
@given(scored)
def test_the_distance_of_distributions_is_what_scipy_computes(rows: list[tuple[bool, int, int]]) -> None:
    labels, scores = np.array([row[0] for row in rows]).astype(int), np.array([row[1] for row in rows]) / 12
    expected = ks_2samp(scores[labels == 1], scores[labels == 0], method="asymp").statistic
    assert figures(labels, scores)["ks"] == pytest.approx(expected)
    assert ks(labels, scores) == pytest.approx(expected)


@settings(deadline=None)
@given(scored, st.floats(0.2, 5))
def test_ranking_figures_stay_under_a_rising_transform(rows: list[tuple[bool, int, int]], power: float) -> None:
    labels, scores = np.array([row[0] for row in rows]).astype(int), np.array([row[1] for row in rows]) / 12
    before, after = figures(labels, scores), figures(labels, scores**power)
    assert [after[name] for name in RANKING] == pytest.approx([before[name] for name in RANKING])


@settings(deadline=None)
@given(scored, st.integers(2, 4))
def test_weights_are_repeated_rows(rows: list[tuple[bool, int, int]], often: int) -> None:
    labels, scores = np.array([row[0] for row in rows]).astype(int), np.array([row[1] for row in rows]) / 12
    once, repeated = figures(labels, scores), figures(np.repeat(labels, often), np.repeat(scores, often))
    assert repeated == pytest.approx(once)


def test_a_stated_base_rate_is_the_rate_of_a_sample_with_fewer_goods_kept() -> None:
    """All bads and a tenth of the goods, measured at the true rate, give the figures of the whole population."""
    labels, chances = outcomes(200_000, seed=1, log_odds=-3.5)
    scores = noisy(chances, seed=2, noise=0.3)
    kept = (labels == 1) | (np.arange(len(labels)) % 10 == 0)
    whole = figures(labels, scores)
    found = figures(labels[kept], scores[kept], base_rate=float(labels.mean()))
    raw = figures(labels[kept], scores[kept])
    for name in ("pr_auc", "brier", "brier_skill", "ece", "recall_at_precision_0.3"):
        assert found[name] == pytest.approx(whole[name], abs=0.01, rel=0.05)
        assert abs(raw[name] - whole[name]) > 3 * abs(found[name] - whole[name])


def test_the_constant_forecast_has_no_skill_and_no_calibration_error() -> None:
    labels = np.array([1] * 30 + [0] * 270)
    found = figures(labels, np.full(300, 0.1))
    assert found["brier_skill"] == pytest.approx(0, abs=1e-12) and found["ece"] == pytest.approx(0, abs=1e-12)
    assert figures(labels, np.full(300, 0.04), base_rate=0.04)["brier_skill"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        pytest.param([0.1] * 10 + [0.9] * 10, [2] * 10 + [7] * 10, id="ties share a bin"),
        pytest.param([0.01 * place for place in range(20)], [place // 2 for place in range(20)], id="equal mass"),
    ],
)
def test_bins_hold_equal_mass(probabilities: list[float], expected: list[int]) -> None:
    assert equal_mass_bins(np.array(probabilities), np.full(20, 0.05)).tolist() == expected


def test_the_order_of_rows_does_not_matter() -> None:
    labels, chances = outcomes(300, seed=3)
    rough = np.round(chances, 2)
    shuffled = np.random.default_rng(0).permutation(300)
    assert figures(labels, rough) == pytest.approx(figures(labels[shuffled], rough[shuffled]))


def test_groups_are_drawn_whole_and_widen_the_interval() -> None:
    labels, chances = outcomes(300, seed=4)
    groups = [f"firm {row}" for row in range(300) for _ in range(4)]
    many, scores = np.repeat(labels, 4), np.repeat(chances, 4)
    (weights, *_) = resamples(many, seed=1, repeats=5, groups=groups)
    assert (weights.reshape(5, 300, 4).std(axis=2) == 0).all()
    alone = evaluate(labels, chances, seed=1)["auc"]
    by_firm, by_row = evaluate(many, scores, seed=1, groups=groups)["auc"], evaluate(many, scores, seed=1)["auc"]
    assert by_firm.high - by_firm.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert by_row.high - by_row.low < 0.6 * (by_firm.high - by_firm.low)


def test_both_outcomes_are_in_every_resample_and_a_stated_rate_fixes_how_many() -> None:
    labels = np.array([1] * 3 + [0] * 200)
    drawn = np.concatenate(list(resamples(labels, seed=1, repeats=500)))
    assert drawn[:, :3].sum(axis=1).min() >= 1 and (drawn.sum(axis=1) == 203).all()
    assert len(set(drawn[:, :3].sum(axis=1))) > 3
    fixed = np.concatenate(list(resamples(labels, seed=1, repeats=50, base_rate=0.02)))
    assert (fixed[:, :3].sum(axis=1) == 3).all()


def test_calibration_error_is_set_against_what_chance_gives() -> None:
    labels, chances = outcomes(2_000, seed=5)
    honest, wrong = evaluate(labels, chances, seed=1), evaluate(labels, chances**0.7, seed=1)
    assert honest["ece"].low == 0.0 and honest["ece"].value <= honest["ece_if_calibrated"].high
    assert wrong["ece"].low > 0.0 and wrong["ece"].value > 2 * wrong["ece_if_calibrated"].high


def test_chance_under_a_stated_rate_is_drawn_at_the_rate_of_the_sample() -> None:
    labels, chances = outcomes(60_000, seed=6, log_odds=-3.5)
    rate = float(labels.mean())
    kept = (labels == 1) | (np.arange(len(labels)) % 10 == 0)
    labels, chances = labels[kept], chances[kept]
    sweep = Sweep(labels, chances, base_rate=rate)
    assert ece(labels, chances) > 0.1
    found = figures(labels, chances, base_rate=rate)["ece"]
    assert ece_if_calibrated(sweep, labels, chances, seed=1).low < found < 0.005


@pytest.mark.parametrize(
    ("labels", "probabilities", "base_rate"),
    [
        pytest.param([0, 0], [0.1, 0.2], None, id="no bad"),
        pytest.param([0, 1], [0.1, np.nan], None, id="no score"),
        pytest.param([0, 1], [0.1, 1.2], None, id="no probability"),
        pytest.param([0, 2], [0.1, 0.2], None, id="no label"),
        pytest.param([0, 1, 1], [0.1, 0.2], None, id="lengths"),
        pytest.param([0, 1], [0.1, 0.2], 1.0, id="no base rate"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: list[int], probabilities: list[float], base_rate: float) -> None:
    with pytest.raises(InputError):
        evaluate(np.array(labels), np.array(probabilities), seed=1, base_rate=base_rate)


def test_the_same_seed_gives_the_same_intervals() -> None:
    labels, chances = outcomes(300, seed=7)
    assert evaluate(labels, chances, seed=1, repeats=50) == evaluate(labels, chances, seed=1, repeats=50)


def test_two_thousand_resamples_of_a_small_sample_take_about_a_second() -> None:
    labels, chances = outcomes(545, seed=8)
    evaluate(labels, chances, seed=1, repeats=2)
    begun = process_time()
    evaluate(labels, chances, seed=1, repeats=2_000)
    assert process_time() - begun < 3


@pytest.mark.slow
def test_five_hundred_resamples_of_a_large_sample_take_seconds() -> None:
    labels, chances = outcomes(200_000, seed=9)
    begun = process_time()
    evaluate(labels, chances, seed=1, repeats=500)
    assert process_time() - begun < 40


@pytest.mark.slow
@pytest.mark.parametrize(("count", "power"), [(545, 1.0), (545, 0.7), (3_000, 0.9)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(count: int, power: float) -> None:
    """200 samples of a known population. KS keeps some of its upward drift: 85 % of its intervals are asked for."""
    everyone, chances = outcomes(1_000_000, seed=10)
    truth = figures(everyone, chances**power)
    hits = dict.fromkeys(truth, 0)
    for sample in range(200):
        labels, chances = outcomes(count, seed=100 + sample)
        for name, found in evaluate(labels, chances**power, seed=sample, repeats=300).items():
            hits[name] = hits.get(name, 0) + (name in truth and found.low <= truth[name] <= found.high)
    assert {name: hits[name] for name in truth if hits[name] < (170 if name == "ks" else 178)} == {}
    assert LOWER_IS_BETTER <= set(truth)


@pytest.mark.slow
def test_intervals_under_a_stated_base_rate_hold_the_truth_too() -> None:
    """All bads and one good in seven of 150 samples, measured at the rate of the population."""
    everyone, chances = outcomes(1_000_000, seed=10, log_odds=-4.3)
    truth, rate = figures(everyone, chances), float(everyone.mean())
    hits = dict.fromkeys(truth, 0)
    for sample in range(150):
        labels, chances = outcomes(12_000, seed=50 + sample, log_odds=-4.3)
        kept = (labels == 1) | (np.random.default_rng(sample).random(len(labels)) < 0.15)
        found = evaluate(labels[kept], chances[kept], seed=sample, repeats=250, base_rate=rate)
        hits = {name: hits[name] + (found[name].low <= truth[name] <= found[name].high) for name in truth}
    assert {name: hit for name, hit in hits.items() if hit < 132} == {}
