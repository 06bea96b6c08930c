"""Claims about the shipped rules, held against every shipped case: what may never happen when one fact changes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from decision_service.portrait.overdues import BELOW_RED_DAYS
from decision_service.rulebook.cases import case_facts, load_cases
from decision_service.rulebook.conditions import facts_named
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import combine, set_status
from decision_service.vocabulary import Outcome

FOLDER = Path(__file__).resolve().parents[2] / "rules"
RULESET = load(FOLDER)
AMPLE = 100_000_000_000
"""A limit, in fen, that never binds: the claims are about rules, not about the limit's formula."""
RED = {
    "list_court_dishonest": "active",
    "list_samr_illegal": "active",
    "list_tax_major": "active",
    "list_wage_arrears": "active",
    "list_other_serious": "active",
    "registration_status": "revoked",
    "overdue_days_serious": 90,
    "written_off_uncured": 1,
    "controller_dishonest": 1,
}


def situations() -> Iterator[tuple[RulesInForce, Facts]]:
    """The facts of every case that gives facts, not records."""
    for case in load_cases(FOLDER, RULESET):
        rules = RULESET.in_force(case.as_of)
        if not case.records and rules.rules(Stage.DECISION):
            yield rules, case_facts(case, rules).with_values({"limit_max": AMPLE})


@cache
def engine(rules: RulesInForce) -> ReferenceEngine:
    return ReferenceEngine(rules)


def outcome(rules: RulesInForce, facts: Facts) -> Outcome:
    status = engine(rules).evaluate(Stage.STATUS, facts)
    facts = set_status(rules, status, facts)
    decision = engine(rules).evaluate(Stage.DECISION, facts)
    return combine(rules, {Stage.STATUS: status, Stage.DECISION: decision}, facts)[0]


SITUATIONS = tuple(situations())


def test_there_are_approvals_to_lose() -> None:
    assert sum(outcome(rules, facts) is Outcome.APPROVE for rules, facts in SITUATIONS) > 50


@pytest.mark.parametrize("fact, value", RED.items())
def test_a_red_trigger_declines_whatever_else_is_known(fact: str, value: int | str) -> None:
    for rules, facts in SITUATIONS:
        assert outcome(rules, facts.with_values({fact: value})) is Outcome.DECLINE


def test_arrears_under_dispute_are_the_worst_that_no_rule_makes_red() -> None:
    def card(rules: RulesInForce, facts: Facts, days: int) -> object:
        changed = facts.with_values({"overdue_days_serious": days, "overdue_days_recent": days})
        return set_status(rules, engine(rules).evaluate(Stage.STATUS, changed), changed).known().get("card")

    spotless = [one for one in SITUATIONS if card(*one, 0) == "none"]
    assert len(spotless) > 50
    for rules, facts in spotless:
        assert (card(rules, facts, BELOW_RED_DAYS), card(rules, facts, BELOW_RED_DAYS + 1)) == ("yellow", "red")


@pytest.mark.parametrize("existing", [500_000_000, 500_000_001, 10**13])
def test_exposure_above_five_million_never_approves(existing: int) -> None:
    for rules, facts in SITUATIONS:
        changed = facts.with_values({"exposure_existing": existing, "policy.auto_cap": 10**13, "amount": 1})
        assert outcome(rules, changed) is not Outcome.APPROVE


def test_a_higher_probability_of_default_never_improves_the_outcome() -> None:
    for rules, facts in SITUATIONS:
        path = [0, 10_000, 20_000, 20_001, 24_000, 24_001, 75_000, 75_001, 80_001, 200_001, 1_000_000]
        seen = [outcome(rules, facts.with_values({"pd_12m": pd_12m})) for pd_12m in path]
        assert seen == sorted(seen)


@pytest.mark.parametrize(
    "fact",
    sorted({name for rule in RULESET.rules for name in facts_named(rule.when)} - {"card", "whitelisted", "product"}),
)
def test_making_a_fact_unknown_never_approves_what_was_not_approved(fact: str) -> None:
    for rules, facts in SITUATIONS:
        if rules.catalogue[fact].derived is None and outcome(rules, facts.with_values({fact: None})) is Outcome.APPROVE:
            assert outcome(rules, facts) is Outcome.APPROVE


def test_nothing_is_approved_while_automatic_approval_is_off() -> None:
    for rules, facts in SITUATIONS:
        assert outcome(rules, facts.with_values({"policy.auto_approval": "disabled"})) is not Outcome.APPROVE


def test_an_unknown_product_is_never_approved() -> None:
    for rules, facts in SITUATIONS:
        assert outcome(rules, facts.with_values({"product": None})) is not Outcome.APPROVE


def test_being_whitelisted_never_makes_an_outcome_stricter() -> None:
    for rules, facts in SITUATIONS:
        if facts["tax_rating_a_years"] == 0:
            assert outcome(rules, facts.with_values({"tax_rating_a_years": 3})) <= outcome(rules, facts)
