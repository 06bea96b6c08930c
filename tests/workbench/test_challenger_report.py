"""What challengers say of decisions, counted: distributions, PSI, ranks, flips and the rules behind them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from decision_service.store import Challenged, ChallengerResult
from decision_service.workbench.challenger_report import report
from decision_service.workbench.shadow_compare import Pairs

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SUBJECT = "pd-xgboost/2"
RULES = Pairs(differing={"AUTO-001": ("matched", "missed"), "PD-02": ("missed", "matched")}).written()


def said(
    number: int, was: int | None, now: int | None, outcome: str = "APPROVE", status: str = "compared"
) -> Challenged:
    rules = Pairs().written() if outcome == "APPROVE" else RULES
    result = ChallengerResult(SUBJECT, number, status, was, now, was, now, outcome, rules)
    return Challenged(f"d{number}", "working_capital", "APPROVE", NOW, result)


def test_the_same_scores_have_no_psi_the_same_ranks_and_no_flip() -> None:
    found = report(SUBJECT, [said(number, number * 10, number * 10) for number in range(200)])
    assert found.own is not None and found.own.psi == 0.0 and found.own.rank_correlation == pytest.approx(1.0)
    assert (found.compared, found.flipped, found.rules) == (200, 0, ())
    assert found.summary == "200 live decisions, 0 outcomes would flip (0.00%), PSI 0.0000, rank correlation 1.0000"


def test_scores_that_moved_are_told_and_flips_name_their_rules() -> None:
    random = np.random.default_rng(1)
    active = random.integers(1_000, 50_000, size=500)
    outcomes = ["REFER"] * 5 + ["APPROVE"] * 495
    results = [said(row, int(active[row]), int(60_000 - active[row]), one) for row, one in enumerate(outcomes)]
    found = report(SUBJECT, results)
    assert found.blend is not None and found.blend.rank_correlation == pytest.approx(-1.0)
    assert found.blend.psi is not None and found.blend.psi > 0.25
    assert found.flipped == 5 and found.outcomes == (("APPROVE", "APPROVE", 495), ("APPROVE", "REFER", 5))
    assert found.rules == (("AUTO-001", 5), ("PD-02", 5))
    assert found.flips[0].rules == (("AUTO-001", "matched", "missed"), ("PD-02", "missed", "matched"))


@pytest.mark.parametrize(("count", "judged"), [(199, False), (200, True)])
def test_the_psi_of_too_few_decisions_is_not_told(count: int, judged: bool) -> None:
    found = report(SUBJECT, [said(number, number * 10, 40_000 - number) for number in range(count)])
    assert found.own is not None and (found.own.psi is not None) is judged
    assert ("PSI not judged below 200" in found.summary) is not judged


def test_what_is_left_out_is_counted_by_why_and_a_lost_score_is_told() -> None:
    results = [said(1, None, None, status="same version"), said(2, 7, 9, status="erased"), said(3, 10, None, "REFER")]
    found = report(SUBJECT, results)
    assert (found.compared, found.left_out, found.unknown) == (1, {"erased": 1, "same version": 1}, 1)
    assert found.own is None and found.flipped == 1


def test_nothing_is_said_of_nothing() -> None:
    assert report(SUBJECT, []).summary == f"0 live decisions scored by {SUBJECT}"
