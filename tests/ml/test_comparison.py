"""Is B better: DeLong against the literature's formula and the bootstrap, verdicts, groups, segments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scores_for_tests import noisy, outcomes
from sklearn.metrics import roc_auc_score

from decision_service.errors import InputError
from ml.comparison import BETTER, SAME, WORSE, auc_variance, compare, delong, structural_components, verdict
from ml.metrics import Estimate, Sweep, resamples


def test_a_clearly_better_score_is_better_and_turned_round_it_is_worse() -> None:
    labels, chances = outcomes(2_000, seed=1)
    blurred = noisy(chances, seed=1, noise=1.5)
    better, worse = compare(labels, blurred, chances, seed=1), compare(labels, chances, blurred, seed=1)
    assert better.better == ("auc", "pr_auc", "brier") and better.worse == ()
    assert worse.worse == ("auc", "pr_auc", "brier") and worse.better == ()
    assert worse.delong.difference.value == pytest.approx(-better.delong.difference.value)
    assert better.delong.p_value < 1e-6


def test_a_difference_inside_its_interval_is_no_difference() -> None:
    labels, chances = outcomes(300, seed=2)
    found = compare(labels, noisy(chances, seed=3, noise=0.3), noisy(chances, seed=4, noise=0.3), seed=1)
    assert found.figures["auc"].difference.value != 0
    assert {found.figures[name].verdict for name in ("auc", "pr_auc", "brier")} == {SAME}


def test_a_rising_transform_changes_no_ranking_but_calibration() -> None:
    labels, chances = outcomes(2_000, seed=5)
    found = compare(labels, chances, chances**0.6, seed=1)
    assert found.figures["auc"].verdict == found.figures["pr_auc"].verdict == SAME
    assert found.delong.p_value == 1.0 and found.delong.difference.value == pytest.approx(0)
    assert found.worse == ("brier",) and found.figures["ece"].verdict == WORSE


def test_the_auc_differs_only_if_both_tests_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, chances = outcomes(2_000, seed=1)
    blurred = noisy(chances, seed=1, noise=1.5)
    doubtful = delong(labels, chances, chances)
    monkeypatch.setattr("ml.comparison.delong", lambda *_, **__: doubtful)
    found = compare(labels, blurred, chances, seed=1)
    assert found.figures["auc"].difference.low > 0 and found.figures["auc"].verdict == SAME
    assert found.better == ("pr_auc", "brier")


@pytest.mark.parametrize(
    ("name", "low", "high", "expected"),
    [
        ("auc", 0.01, 0.02, BETTER), ("auc", -0.02, -0.01, WORSE), ("auc", -0.01, 0.01, SAME), ("auc", 0.0, 0.1, SAME),
        ("brier", 0.01, 0.02, WORSE), ("brier", -0.02, -0.01, BETTER), ("ece", np.nan, np.nan, SAME),
    ],
)  # fmt: skip
def test_verdicts(name: str, low: float, high: float, expected: str) -> None:
    assert verdict(name, Estimate((low + high) / 2, low, high)) == expected


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=4, max_size=40).filter(
        lambda rows: 2 <= sum(bad for bad, _ in rows) <= len(rows) - 2
    )
)
def test_structural_components_are_what_their_definition_says(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([row[0] for row in rows]).astype(int), np.array([row[1] for row in rows], dtype=float)
    area, on_bads, on_goods = structural_components(labels, scores)
    bad, good = scores[labels == 1], scores[labels == 0]
    wins = (bad[:, None] > good[None, :]) + 0.5 * (bad[:, None] == good[None, :])
    assert area == pytest.approx(roc_auc_score(labels, scores))
    assert on_bads == pytest.approx(wins.mean(axis=1)) and on_goods == pytest.approx(wins.mean(axis=0))
    expected = wins.mean(axis=1).var(ddof=1) / len(bad) + wins.mean(axis=0).var(ddof=1) / len(good)
    assert auc_variance(labels, scores) == pytest.approx(expected)


def test_delong_and_the_paired_bootstrap_agree() -> None:
    labels, chances = outcomes(1_500, seed=6)
    first, second = noisy(chances, seed=7, noise=1.0), noisy(chances, seed=8, noise=0.8)
    found = compare(labels, first, second, seed=1, repeats=2_000)
    by_bootstrap, by_formula = found.figures["auc"].difference, found.delong.difference
    assert by_bootstrap.value == pytest.approx(by_formula.value)
    assert by_bootstrap.high - by_bootstrap.low == pytest.approx(by_formula.high - by_formula.low, rel=0.08)


def test_repeated_rows_of_a_firm_tell_no_more_than_one() -> None:
    labels, chances = outcomes(400, seed=9)
    first, second = noisy(chances, seed=10, noise=1.0), noisy(chances, seed=11, noise=0.8)
    groups = [f"firm {row}" for row in range(400) for _ in range(5)]
    many = [np.repeat(one, 5) for one in (labels, first, second)]
    alone, grouped, naive = delong(labels, first, second), delong(*many, groups=groups), delong(*many)
    assert grouped.p_value == pytest.approx(alone.p_value) and naive.p_value < alone.p_value
    assert auc_variance(many[0], many[1], groups=groups) == pytest.approx(auc_variance(labels, first))


def test_the_variance_by_groups_of_both_outcomes_is_that_of_the_bootstrap() -> None:
    random = np.random.default_rng(12)
    firm = np.repeat(np.arange(250), 4)
    risk = np.repeat(random.normal(size=250), 4) + 0.5 * random.normal(size=1000)
    labels = (random.random(1000) < 1 / (1 + np.exp(1 - 1.5 * risk))).astype(int)
    scores = 1 / (1 + np.exp(-risk - random.normal(size=1000)))
    sweep = Sweep(labels, scores)
    groups = firm.astype(str).tolist()
    blocks = [sweep.figures(drawn)["auc"] for drawn in resamples(labels, seed=1, repeats=3000, groups=groups)]
    assert np.sqrt(auc_variance(labels, scores, groups=groups)) == pytest.approx(np.concatenate(blocks).std(), rel=0.1)


def test_segments_with_too_few_bads_have_counts_and_no_figure() -> None:
    labels, chances = outcomes(2_000, seed=13)
    size = ["small" if row < 40 else "large" for row in range(2_000)]
    found = compare(labels, noisy(chances, seed=1, noise=1.5), chances, seed=1, repeats=300, segments={"size": size})
    (large, pair), (small, none) = found.segments
    assert (large.value, len(large.rows), small.value, len(small.rows)) == ("large", 1960, "small", 40)
    assert pair is not None and pair.verdict == BETTER and none is None
    assert large.bads + small.bads == found.bads


def test_too_few_for_a_variance_is_said() -> None:
    with pytest.raises(InputError, match="too few"):
        compare(np.array([1, 0, 0, 0]), np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1]), seed=1)
    with pytest.raises(InputError, match="one group"):
        delong(np.array([1, 1, 0, 0]), np.arange(4.0), -np.arange(4.0), groups=["a", "a", "b", "c"])


@pytest.mark.slow
def test_no_difference_is_found_where_there_is_none_in_about_nineteen_of_twenty_samples() -> None:
    found = []
    for sample in range(300):
        labels, chances = outcomes(600, seed=1000 + sample)
        first, second = (noisy(chances, seed=5000 + 2 * sample + one, noise=0.8) for one in (0, 1))
        found.append(compare(labels, first, second, seed=sample, repeats=400))
    assert sum(one.delong.p_value < 0.05 for one in found) <= 26
    assert sum(one.figures["auc"].verdict != SAME for one in found) <= 26
    assert sum(bool(one.worse) for one in found) <= 36
