"""The reference evaluator: three-valued truth, stage results, traces, speed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from decision_service.rulebook.evaluate import ComparisonTrace, ReferenceEngine, truth_of, unknown_facts
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import Rule, Stage, StageResult
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.syntax import parse_condition
from tests.rulebook.small_rulebook import TODAY, ruleset

CATALOGUE = ruleset().catalogue

COMPARISONS = [
    ("pd < 0.5", {"pd": 499_999}, True),
    ("pd < 0.5", {"pd": 500_000}, False),
    ("pd <= 0.5", {"pd": 500_000}, True),
    ("pd <= 0.5", {"pd": 500_001}, False),
    ("pd >= 0.5", {"pd": 500_000}, True),
    ("pd >= 0.5", {"pd": 499_999}, False),
    ("pd > 0.5", {"pd": 500_001}, True),
    ("pd > 0.5", {"pd": 500_000}, False),
    ("pd == 0.5", {"pd": 500_000}, True),
    ("pd != 0.5", {"pd": 500_000}, False),
    ("pd == 0.5", {}, None),
    ("pd != 0.5", {}, None),
    ("rating in [A, B]", {"rating": "B"}, True),
    ("rating in [A, B]", {"rating": "D"}, False),
    ("rating in [A, B]", {}, None),
    ("listed == disputed", {"listed": 1, "disputed": 1}, True),
    ("listed == disputed", {"listed": 1}, None),
    ("listed != disputed", {"disputed": 1}, None),
    ("pd <= industry.cutoff", {"pd": 45_000, "industry.cutoff": 45_000}, True),
    ("pd <= industry.cutoff", {"pd": 45_001, "industry.cutoff": 45_000}, False),
    ("pd < industry.cutoff", {"pd": 45_000, "industry.cutoff": 45_000}, False),
    ("pd > industry.cutoff", {"pd": 45_001, "industry.cutoff": 45_000}, True),
    ("pd >= industry.cutoff", {"pd": 45_000, "industry.cutoff": 45_001}, False),
    ("amount <= existing", {"amount": 2**62, "existing": 2**62 + 1}, True),
]


@pytest.mark.parametrize(("text", "given", "truth"), COMPARISONS)
def test_a_comparison_is_exact_at_its_boundary_and_unknown_without_a_value(
    text: str, given: dict[str, Any], truth: bool | None
) -> None:
    assert truth_of(parse_condition(text, CATALOGUE), Facts(CATALOGUE, given)) is truth


T, F, U = "years == 1", "years == 2", "rating == A"  # years is 1, rating is unknown
KLEENE = [
    (f"{T} and {T}", True),
    (f"{T} and {U}", None),
    (f"{F} and {U}", False),
    (f"{U} and {F}", False),
    (f"{U} and {U}", None),
    (f"{T} or {U}", True),
    (f"{U} or {T}", True),
    (f"{F} or {U}", None),
    (f"{F} or {F}", False),
    (f"not {U}", None),
    (f"not {T}", False),
    (f"not ({U} and {F})", True),
    (f"({U} or {F}) and {F}", False),
]


@pytest.mark.parametrize(("text", "truth"), KLEENE)
def test_unknown_follows_three_valued_logic(text: str, truth: bool | None) -> None:
    assert truth_of(parse_condition(text, CATALOGUE), Facts(CATALOGUE, {"years": 1})) is truth


NAMED = [
    ("rating == A", {}, ("rating",)),
    ("rating == A and pd > 0.5", {"pd": 1}, ()),
    ("rating == A and pd > 0.5", {"pd": 900_000}, ("rating",)),
    ("(rating == A or years == 1) and pd > 0.5", {"years": 1}, ("pd",)),
    ("pd > industry.cutoff", {}, ("industry.cutoff", "pd")),
    ("pd > industry.cutoff", {"pd": 1}, ("industry.cutoff",)),
    ("not (listed == true)", {}, ("listed",)),
    ("exposure > 5", {"amount": 1}, ("exposure",)),
]


@pytest.mark.parametrize(("text", "given", "names"), NAMED)
def test_only_the_facts_that_keep_a_condition_unknown_are_named(
    text: str, given: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert unknown_facts(parse_condition(text, CATALOGUE), Facts(CATALOGUE, given)) == names


def test_a_stage_result_lists_matched_and_unknown_rules_by_id() -> None:
    rules = ruleset().in_force(TODAY)
    facts = Facts(CATALOGUE, {"listed": 1, "disputed": 0, "overdue": 30})
    assert ReferenceEngine(rules).evaluate(Stage.STATUS, facts) == StageResult(("RED-1", "YEL-1"), ("WL-1",))
    assert ReferenceEngine(rules).evaluate(Stage.STATUS, dict(facts)) == StageResult(("RED-1", "YEL-1"), ("WL-1",))


def test_a_trace_shows_every_rule_with_what_was_seen_on_both_sides() -> None:
    rules = ruleset().in_force(TODAY)
    given = {"amount": 500_000_001, "existing": 0, "policy.line": 500_000_000, "card": "none"}
    by_id = {trace.rule: trace for trace in ReferenceEngine(rules).explain(Stage.DECISION, Facts(CATALOGUE, given))}
    assert list(by_id) == ["AMT-1", "AUTO-1", "CARD-1"]
    assert (by_id["AMT-1"].truth, by_id["AUTO-1"].truth, by_id["CARD-1"].truth) == (True, False, False)
    assert by_id["AUTO-1"].comparisons == (
        ComparisonTrace("exposure <= policy.line", "exposure", "<=", "5,000,000.01", "5,000,000.00", False),
        ComparisonTrace("pd <= industry.cutoff", "pd", "<=", "unknown", "unknown", None),
        ComparisonTrace("card == none", "card", "==", "none", "none", True),
    )
    zh = ReferenceEngine(rules).explain(Stage.DECISION, Facts(CATALOGUE, given), lang="zh")
    assert zh[1].comparisons[1].left == "未知"


def test_a_trace_shows_lists() -> None:
    rule = Rule("X-1", Stage.DECISION, {}, parse_condition("rating in [A, B]", CATALOGUE))
    (trace,) = ReferenceEngine(RulesInForce(CATALOGUE, [rule])).explain(
        Stage.DECISION, Facts(CATALOGUE, {"rating": "D"})
    )
    assert (trace.comparisons[0].left, trace.comparisons[0].right, trace.truth) == ("D", "[A, B]", False)


def test_sixty_rules_take_less_than_a_hundred_microseconds() -> None:
    text = "pd <= 0.5 and rating in [A, B] and not (listed == true or exposure > 5_000_000)"
    rules = [Rule(f"R-{n}", Stage.DECISION, {}, parse_condition(text, CATALOGUE)) for n in range(60)]
    engine = ReferenceEngine(RulesInForce(CATALOGUE, rules))
    facts = Facts(CATALOGUE, {"pd": 1, "rating": "A", "listed": 0, "amount": 1, "existing": 1})
    assert len(engine.evaluate(Stage.DECISION, facts).matched) == 60
    assert min(_seconds(engine, facts) for _ in range(20)) < 100e-6


def _seconds(engine: ReferenceEngine, facts: Facts) -> float:
    started = time.perf_counter()
    for _ in range(20):
        engine.evaluate(Stage.DECISION, facts)
    return (time.perf_counter() - started) / 20
