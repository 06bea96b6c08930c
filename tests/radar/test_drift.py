"""Figures of one day: no colour by chance or from few, the colours of W8, calibration, the warning of a product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from decision_service.radar.drift import (
    FEW,
    NO_OUTCOMES,
    NO_PROFILE,
    Evidence,
    Measure,
    Outcomes,
    Subject,
    Tally,
    measures,
    total,
    warning,
)
from decision_service.radar.levels import Alert
from decision_service.scoring.stability import profile

RANDOM = np.random.default_rng(5)
TRAINED = RANDOM.normal(size=(5_000, 2))
TRAINED[::10, 1] = np.nan
PROFILE = profile(TRAINED, ("leverage", "growth"), RANDOM.beta(1, 30, 5_000))
ALL, TREES = Subject("working_capital"), Subject("working_capital", "pd-xgboost/3", "sha256:aa")
RED = Alert((0, 0, 0))


def scored(scores: np.ndarray, matrix: np.ndarray) -> Tally:
    inputs = {name: tuple(map(int, PROFILE.inputs[name].of(matrix[:, at]))) for at, name in enumerate(PROFILE.inputs)}
    n = len(scores)
    return Tally(n, n, 0, n, 0, 0, tuple(map(int, PROFILE.score.of(scores))), inputs)


def judged(tally: Tally, **changes: object) -> dict[tuple[str, str], Measure]:
    found = measures(TREES, replace(Evidence(tally, Tally(), None, PROFILE), **changes), {})
    return {(one.kind, one.name): one for one in found}


def same(n: int, seed: int) -> Tally:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(n, 2))
    matrix[random.random(n) < 0.1, 1] = np.nan
    return scored(random.beta(1, 30, n), matrix)


def test_samples_without_a_change_raise_no_colour_whatever_their_size() -> None:
    found = [one for seed in range(300) for one in judged(same((200, 300, 1_000)[seed % 3], seed)).values()]
    assert {one.level for one in found} == {"none"}
    assert max(one.value for one in found if one.kind == "score") > 0.10
    of_300 = [one for one in found if one.kind == "score" and one.n == 300]
    assert np.mean([one.value for one in of_300]) == pytest.approx(of_300[0].expected, rel=0.25)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_of_few_decisions_nothing_is_said(shift: float) -> None:
    tally = scored(RANDOM.beta(1, 30, 199), RANDOM.normal(size=(199, 2)) + shift)
    found = judged(tally)
    assert {one.note for one in found.values()} == {FEW, NO_OUTCOMES}
    assert all(one.value is None and one.level == "none" for one in found.values())


def test_few_decisions_do_not_lower_an_alert() -> None:
    tally = scored(RANDOM.beta(1, 30, 50), RANDOM.normal(size=(50, 2)))
    found = measures(TREES, Evidence(tally, Tally(), None, PROFILE), {("score", "score"): RED})
    assert found[0].alert == RED and found[0].level == "none"


def test_scores_that_doubled_are_red_and_inputs_that_stayed_are_not() -> None:
    tally = same(2_000, 1)
    moved = replace(tally, score=tuple(map(int, PROFILE.score.of(2 * RANDOM.beta(1, 30, 2_000)))))
    found = judged(moved)
    assert (found["score", "score"].level, found["score", "score"].alert.colour) == ("red", "red")
    assert found["input", "leverage"].level == found["missing", "growth"].level == "none"


def test_values_that_are_no_longer_delivered_are_told_as_missing() -> None:
    random = np.random.default_rng(2)
    matrix = random.normal(size=(1_000, 2))
    matrix[random.random(1_000) < 0.28, 1] = np.nan
    found = judged(scored(random.beta(1, 30, 1_000), matrix))["missing", "growth"]
    assert (found.level, found.expected) == ("orange", 0.1) and found.value == pytest.approx(0.28, abs=0.04)
    assert found.high < 0.15


@pytest.mark.parametrize(
    ("approved", "level"),
    [(300, "none"), (400, "none"), (401, "yellow"), (451, "orange"), (501, "red"), (99, "red"), (100, "orange")],
)
def test_the_share_of_approvals_is_held_against_the_weeks_before(approved: int, level: str) -> None:
    window, base = Tally(1_200, 1_000, approved), Tally(4_000, 4_000, 1_200)
    found = measures(ALL, Evidence(window, base, None, None), {})
    assert (found[0].kind, found[0].level, found[0].expected) == ("approval", level, 0.3)


def test_decisions_while_the_switch_was_off_do_not_count_as_referred() -> None:
    window, base = Tally(5_000, 150, 40), Tally(4_000, 4_000, 1_200)
    found = measures(ALL, Evidence(window, base, None, None), {("approval", ""): RED})
    assert (found[0].note, found[0].level, found[0].alert.colour) == (FEW, "none", "red")


def test_models_that_fail_are_missing_scores() -> None:
    window, base = Tally(1_000, scored=600), Tally(4_000, scored=3_990)
    found = measures(ALL, Evidence(window, base, None, None), {})[1]
    assert (found.kind, found.name, found.level, found.value) == ("missing", "score", "red", 0.4)


@pytest.mark.parametrize(
    ("defaults", "level"), [(20, "none"), (31, "none"), (40, "yellow"), (4, "yellow"), (500, "yellow")]
)
def test_defaults_are_held_against_the_scores_of_the_same_decisions(defaults: int, level: str) -> None:
    known = Outcomes(1_000, 20 * 1_000_000, defaults)
    (*_, found) = measures(ALL, Evidence(Tally(), Tally(), known, None), {})
    assert (found.kind, found.level, found.expected) == ("calibration", level, 0.02)
    assert found.value == defaults / 1_000 and found.low < 0.02 < found.high


def test_a_version_without_profile_is_told_and_not_judged() -> None:
    found = measures(TREES, Evidence(same(500, 1), Tally(), None, None), {})
    told = [(one.kind, one.note, one.n) for one in found]
    assert told == [("score", NO_PROFILE, 500), ("calibration", NO_OUTCOMES, 0)]


def test_the_warning_is_the_worst_of_scores_and_approvals_and_of_nothing_else() -> None:
    yellow = Measure("approval", "", 500, 500, 0.4, level="yellow", alert=Alert((0, -1, -1)))
    red = Measure("input", "growth", 500, 500, 0.4, level="red", alert=RED)
    found = warning([(ALL, yellow), (TREES, red)], {})
    assert (found.level, found.alert.colour) == ("yellow", "yellow")
    lowered = Measure("score", "score", 700, 500, 0.1, level="none", alert=RED)
    found = warning([(ALL, yellow), (TREES, lowered)], {})
    assert (found.level, found.alert.colour, found.n) == ("yellow", "red", 700)


def test_days_add_up() -> None:
    one, other = same(300, 1), same(400, 2)
    both = total([one, other, Tally()])
    assert (both.decisions, sum(both.score), sum(both.inputs["growth"])) == (700, 700, 700)
