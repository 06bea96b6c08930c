"""What the shipped rules can never do, over generated fact tables with unknowns and boundary values."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import Facts, FactType
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import combine, limit_effects, set_status
from decision_service.vocabulary import Outcome

ON = date(2026, 6, 1)
LINE_FEN = 500_000_000
RULESET = load(Path(__file__).parents[2] / "rules")
RULES = RULESET.in_force(ON)
ENGINE = ReferenceEngine(RULES)
GIVEN = tuple(fact for fact in RULES.catalogue.values() if fact.derived is None and fact.combine is None)

SOUND = {
    "product": "working_capital",
    "amount": 300_000_000,
    "exposure_existing": 0,
    "exposure_pending": 0,
}


def assessed(rules: RulesInForce, engine: ReferenceEngine, table: dict) -> tuple[Outcome, tuple, Facts]:
    """All three stages by the reference evaluator."""
    facts = Facts(rules.catalogue, table)
    status = engine.evaluate(Stage.STATUS, facts)
    facts = set_status(rules, status, facts)
    limit = engine.evaluate(Stage.LIMIT, facts)
    limit_effects(rules, limit, facts)
    results = {Stage.STATUS: status, Stage.LIMIT: limit, Stage.DECISION: engine.evaluate(Stage.DECISION, facts)}
    outcome, reasons = combine(rules, results, facts)
    return outcome, reasons, facts


def healthy(rng: random.Random) -> dict:
    """A table on which every rule can be decided and most tables approve: weakest choice, small numbers."""
    table = {}
    for fact in GIVEN:
        if fact.type is FactType.CHOICE:
            table[fact.name] = fact.choices[0]
        elif fact.type is FactType.FLAG:
            table[fact.name] = 0
        else:
            table[fact.name] = 0
    table.update(RULES.parameters("working_capital", "35"))
    table.update(SOUND)
    table.update(
        industry_status="covered", models_status="ok", grade="P1", limit_max=10**12, term_months=12,
        years_in_operation=9_000_000, tax_continuity_index=950_000, portrait_coverage=1_000_000,
        pd_12m=rng.choice((1_000, 10_000)), amount=rng.choice((1, 100_000_000, 500_000_000, 500_000_001)),
    )  # fmt: skip
    return table


def disturbed(rng: random.Random) -> dict:
    """A healthy table with a few facts changed to anything admitted, or made unknown."""
    table = healthy(rng)
    for fact in rng.sample(GIVEN, rng.choice((0, 0, 1, 2, 4))):
        table[fact.name] = any_value(rng, fact)
    return table


def any_value(rng: random.Random, fact):
    """Any value that a fact admits, or unknown."""
    if rng.random() < 0.3:
        return None
    if fact.type is FactType.CHOICE:
        return rng.choice(fact.choices)
    if fact.type is FactType.FLAG:
        return rng.choice((0, 1))
    return rng.choice((0, 1, 89, 90, 499_999_999, 500_000_000, 500_000_001, 10**12))


seeds = st.integers(0, 2**32)
many = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_healthy_table_is_approved_so_that_the_properties_below_mean_something():
    outcome, reasons, _ = assessed(RULES, ENGINE, {**healthy(random.Random(0)), "amount": 100_000_000})
    assert outcome is Outcome.APPROVE, reasons


@many
@given(seeds)
def test_a_red_card_is_never_anything_but_decline(seed):
    rng = random.Random(seed)
    table = disturbed(rng)
    trigger = rng.choice(("list_court_dishonest", "list_samr_illegal", "list_tax_major", "list_wage_arrears"))
    outcome, _, facts = assessed(RULES, ENGINE, {**table, trigger: "active"})
    assert facts["card"] == "red" and outcome is Outcome.DECLINE


@many
@given(seeds)
def test_above_five_million_is_never_approved(seed):
    outcome, _, facts = assessed(RULES, ENGINE, disturbed(random.Random(seed)))
    total = facts["exposure_total"]
    assert total is not None and total <= LINE_FEN or outcome is not Outcome.APPROVE


@many
@given(seeds)
def test_making_any_facts_unknown_never_makes_approve(seed):
    rng = random.Random(seed)
    table = disturbed(rng)
    before, _, _ = assessed(RULES, ENGINE, table)
    hidden = rng.sample(sorted(table), rng.choice((1, 2, 5)))
    after, _, _ = assessed(RULES, ENGINE, {**table, **dict.fromkeys(hidden)})
    assert after is not Outcome.APPROVE or before is Outcome.APPROVE


@many
@given(seeds)
def test_the_order_of_rules_and_facts_never_matters(seed):
    rng = random.Random(seed)
    table = disturbed(rng)
    shuffled_rules = list(RULESET.rules)
    rng.shuffle(shuffled_rules)
    other = RulesInForce(
        RULES.catalogue,
        shuffled_rules,
        on=ON,
        reasons=RULES.reasons,
        products=RULES.products,
    )
    shuffled_table = dict(rng.sample(sorted(table.items()), len(table)))
    first = assessed(RULES, ENGINE, table)
    assert assessed(other, ReferenceEngine(other), shuffled_table)[:2] == first[:2]


@pytest.mark.parametrize(
    ("amount", "approved"), [(499_999_999, True), (500_000_000, True), (500_000_001, False), (500_000_002, False)]
)
def test_the_five_million_line_is_exact_to_the_fen(amount, approved):
    outcome, reasons, _ = assessed(RULES, ENGINE, {**healthy(random.Random(1)), "amount": amount})
    assert (outcome is Outcome.APPROVE) is approved, reasons
    assert approved or any(one.code == "AMT_OVER_5M" for one in reasons)


def test_there_are_exactly_78_industries_and_19_excluded_and_no_default_row():
    assert len(list(RULESET.industries.keys())) == 78 and len(RULESET.excluded_industries) == 19
    assert RULES.industry_status("35") == "covered"
    assert RULES.industry_status("70") == "excluded"
    assert RULES.industry_status("99") == "unknown"
    assert not [name for name in RULES.parameters("working_capital", "99") if name.startswith("industry.")]
