"""How results combine: status, limit effects, outcome and reasons."""

from __future__ import annotations

from typing import Any

import pytest

from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import LimitEffects, Stage, StageResult
from decision_service.rulebook.ruleset import RESERVED_REASONS, RulesInForce
from decision_service.rulebook.stages import combine, limit_effects, set_status
from decision_service.vocabulary import Outcome, Reason
from tests.rulebook.small_rulebook import TODAY, product_text, ruleset

RULES = ruleset().in_force(TODAY)
ENGINE = ReferenceEngine(RULES)

SOUND: dict[str, Any] = {
    **RULES.parameters("plain", "35"),
    "product": "plain",
    "amount": 300_000_000,
    "existing": 0,
    "pd": 45_000,
    "rating": "B",
    "listed": 0,
    "disputed": 0,
    "overdue": 0,
}


def decide(**changes: Any) -> tuple[Outcome, tuple[Reason, ...], Facts]:
    """All three stages over the sound application with some facts changed."""
    return run(RULES, {**SOUND, **changes})


def run(rules: RulesInForce, exact: dict[str, Any]) -> tuple[Outcome, tuple[Reason, ...], Facts]:
    engine = ReferenceEngine(rules)
    facts = Facts(rules.catalogue, exact)
    status = engine.evaluate(Stage.STATUS, facts)
    facts = set_status(rules, status, facts)
    results = {Stage.STATUS: status}
    for stage in (Stage.LIMIT, Stage.DECISION):
        results[stage] = engine.evaluate(stage, facts)
    outcome, reasons = combine(rules, results, facts)
    return outcome, reasons, facts


APPROVE, REFER, DECLINE = Outcome.APPROVE, Outcome.REFER, Outcome.DECLINE
MISSING = "DATA_MISSING"

OUTCOMES: list[tuple[str, dict[str, Any], Outcome, list[tuple[str, str]]]] = [
    ("a sound application is approved", {}, APPROVE, [("AUTO_OK", "AUTO-1")]),
    ("at the line it is approved", {"amount": 500_000_000}, APPROVE, [("AUTO_OK", "AUTO-1")]),
    ("a fen above the line it is referred", {"amount": 500_000_001}, REFER, [("AMOUNT", "AMT-1")]),
    ("a red card declines", {"listed": 1}, DECLINE, [("CARD", "CARD-1"), ("LISTED", "RED-1")]),
    (
        "a red card above the line declines with both reasons, the strictest first",
        {"listed": 1, "amount": 500_000_001},
        DECLINE,
        [("CARD", "CARD-1"), ("AMOUNT", "AMT-1"), ("LISTED", "RED-1")],
    ),
    (
        "a red card declines although nothing else is known",
        {"listed": 1, "pd": None, "overdue": None, "amount": None, "rating": None},
        DECLINE,
        [("CARD", "CARD-1"), ("LISTED", "RED-1")],
    ),
    ("no approval rule matches", {"pd": 45_001}, REFER, [("NO_APPROVAL", "")]),
    ("a yellow card has no approval and halves", {"overdue": 30}, REFER, [("NO_APPROVAL", ""), ("HALVED", "LIM-2")]),
    ("a required fact is unknown", {"pd": None}, REFER, [(MISSING, "products/plain")]),
    ("the product is unknown", {"product": None}, REFER, [(MISSING, "products")]),
    (
        "an unknown card trigger makes the decline rule unknown, and no limit rule says why it halved",
        {"listed": None},
        REFER,
        [(MISSING, "CARD-1")],
    ),
    (
        "an unknown yellow trigger leaves the card unknown and counts for the limit",
        {"overdue": None, "listed": 1, "disputed": 1, "pd": 50_000},
        REFER,
        [(MISSING, "CARD-1")],
    ),
    (
        "an unknown refer rule is named beside the required fact",
        {"existing": None},
        REFER,
        [(MISSING, "AMT-1"), (MISSING, "products/plain")],
    ),
    ("an unknown parameter of the approval", {"industry.cutoff": None}, REFER, [(MISSING, "AUTO-1")]),
    ("an unknown whitelist alone does not matter here", {"rating": None}, APPROVE, [("AUTO_OK", "AUTO-1")]),
]


@pytest.mark.parametrize(
    ("changes", "outcome", "reasons"), [case[1:] for case in OUTCOMES], ids=[case[0] for case in OUTCOMES]
)
def test_the_strictest_outcome_wins_and_its_reasons_are_given(
    changes: dict[str, Any], outcome: Outcome, reasons: list[tuple[str, str]]
) -> None:
    found = decide(**changes)
    given = [(one.code, one.rule) for one in found[1]]
    assert (found[0], given) == (outcome, reasons)


CARDS = [
    ({}, "none"),
    ({"overdue": 29}, "none"),
    ({"overdue": 30}, "yellow"),
    ({"listed": 1}, "red"),
    ({"listed": 1, "overdue": 30}, "red"),
    ({"listed": 1, "disputed": 1}, "none"),
    ({"overdue": None}, None),
    ({"listed": None}, None),
    ({"listed": None, "overdue": 30}, None),
    ({"listed": 1, "overdue": None}, "red"),
    ({"listed": None, "disputed": 1}, "none"),
]


@pytest.mark.parametrize(("changes", "card"), CARDS)
def test_the_strongest_card_wins_and_an_unknown_trigger_makes_it_unknown(
    changes: dict[str, Any], card: str | None
) -> None:
    assert decide(**changes)[2]["card"] == card


def test_the_strongest_card_wins_whatever_the_rules_are_called() -> None:
    status = ruleset().sources["status.yaml"].replace("YEL-1", "A-YEL").replace("RED-1", "Z-RED")
    assert run(ruleset(status=status).in_force(TODAY), {**SOUND, "listed": 1, "overdue": 30})[2]["card"] == "red"


@pytest.mark.parametrize(("rating", "whitelisted"), [("A", 1), ("B", 0), (None, None)])
def test_a_flag_is_set_like_a_card(rating: str | None, whitelisted: int | None) -> None:
    assert decide(rating=rating)[2]["whitelisted"] == whitelisted


def test_a_status_whose_only_rule_is_unknown_and_weaker_than_the_default_is_unknown() -> None:
    facts = (ruleset().sources["facts.yaml"]).replace("default: none", "default: yellow")
    status = ruleset().sources["status.yaml"].replace("card: red", "card: none").replace("card: yellow", "card: none")
    rules = ruleset(facts=facts, status=status).in_force(TODAY)
    assert run(rules, SOUND)[2]["card"] == "yellow"
    assert run(rules, {**SOUND, "overdue": 30})[2]["card"] == "none"
    assert run(rules, {**SOUND, "overdue": None})[2]["card"] is None


EFFECTS = [
    ((), (), LimitEffects()),
    (("LIM-1",), (), LimitEffects(limit_cap=2_000_000_000)),
    (("LIM-1", "LIM-2"), (), LimitEffects(500_000, 2_000_000_000, 50, ("no_increase", "watch"))),
    ((), ("LIM-2",), LimitEffects(500_000, None, 50, ("no_increase", "watch"))),
]


@pytest.mark.parametrize(("matched", "unknown", "effects"), EFFECTS)
def test_limit_effects_tighten_also_when_unknown(
    matched: tuple[str, ...], unknown: tuple[str, ...], effects: LimitEffects
) -> None:
    assert limit_effects(RULES, StageResult(matched, unknown), Facts(RULES.catalogue, SOUND)) == effects


def test_limit_effects_combine_by_min_max_and_union() -> None:
    more = """\
  - id: LIM-3
    title: {zh: 三, en: three}
    when: years >= 0
    effects: {limit_factor: 0.25, limit_cap: 1_000_000.00, rate_spread_bp: 20, conditions: [audit, watch]}
    effective_from: 2023-10-15
    reference: three
"""
    rules = ruleset(limit=ruleset().sources["limit.yaml"] + more).in_force(TODAY)
    result = StageResult(("LIM-1", "LIM-2", "LIM-3"))
    expected = LimitEffects(250_000, 100_000_000, 50, ("audit", "no_increase", "watch"))
    assert limit_effects(rules, result, Facts(rules.catalogue, SOUND)) == expected


def test_a_cap_that_names_an_unknown_fact_lends_nothing() -> None:
    facts = Facts(RULES.catalogue, {**SOUND, "industry.ceiling": None})
    assert limit_effects(RULES, StageResult(("LIM-1",)), facts).limit_cap == 0


def test_missing_data_names_the_facts_and_what_lies_behind_them() -> None:
    by_rule = {one.rule: one for one in decide(existing=None, overdue=None)[1] if one.code == MISSING}
    assert by_rule["AMT-1"].facts == ("exposure", "existing")
    assert by_rule["products/plain"].facts == ("exposure", "existing")
    assert "the exposure, the existing" in by_rule["AMT-1"].en and "事实exposure、事实existing" in by_rule["AMT-1"].zh
    card = {one.rule: one for one in decide(listed=None)[1] if one.code == MISSING}
    assert card["CARD-1"].facts == ("card", "listed")


def test_a_product_without_its_file_is_never_approved() -> None:
    rules = RulesInForce(RULES.catalogue, [RULES.rule("AUTO-1")], on=TODAY)
    facts = Facts(rules.catalogue, {**SOUND, "card": "none"})
    results = {Stage.DECISION: ReferenceEngine(rules).evaluate(Stage.DECISION, facts)}
    assert results[Stage.DECISION].matched == ("AUTO-1",)
    assert combine(rules, results, facts)[0] is REFER


def test_a_product_may_require_a_fact_that_no_rule_names() -> None:
    sources = {**ruleset().sources, "products/plain.yaml": product_text("plain").replace("[amount,", "[years, amount,")}
    from_sources = ruleset(**{"products/plain": sources["products/plain.yaml"]}).in_force(TODAY)
    assert run(from_sources, SOUND)[0] is REFER
    assert run(from_sources, {**SOUND, "years": 0})[0] is APPROVE


@pytest.mark.parametrize("code", RESERVED_REASONS)
def test_the_platforms_own_codes_have_texts(code: str) -> None:
    given = RULES.reason(code)
    assert (given.code, given.rule, given.facts) == (code, "", ()) and given.zh != code and given.en != code
