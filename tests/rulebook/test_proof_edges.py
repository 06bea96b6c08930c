"""Proofs at the edges of what rules can say: limits beyond 64 bits, facts behind the limit that rules set, products."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from random import Random

import pytest

from decision_service.lending.limits import Whole, before_rounding, floor_10k, limit
from decision_service.rulebook.conditions import Condition
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.invariants import Claim, Invariant, with_outcome
from decision_service.rulebook.proof.inputs import LIMIT, inputs_of
from decision_service.rulebook.proof.prover import Prover, Verdict
from decision_service.rulebook.proof.world import World
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from decision_service.rulebook.syntax import parse_condition
from decision_service.workbench.reference import judge

TODAY = date(2026, 11, 24)
SHIPPED = load(Path(__file__).resolve().parents[2] / "rules")
CLAIMS = {claim.id: claim for claim in SHIPPED.invariants}
TITLE = "    title: {zh: 新, en: new}\n"
DATED = "    effective_from: 2023-10-15\n    reference: board\n"
INT64 = "92_233_720_368_547_758.07"

Edit = tuple[str, str, str]


def edited(*edits: Edit, **files: str) -> Ruleset:
    """The shipped rules with texts of files replaced, and files added."""
    sources = dict(SHIPPED.sources)
    for path, before, after in edits:
        assert sources[path].count(before) == 1, (path, before)
        sources[path] = sources[path].replace(before, after)
    return load_sources({**sources, **{f"{name}.yaml": text for name, text in files.items()}})


def said(text: str, rules: RulesInForce) -> Condition:
    return parse_condition(text, with_outcome(rules.catalogue))


def verdict(ruleset: Ruleset, claim: Invariant | tuple[str, str]) -> Verdict:
    """On a claim, or on a pair of ``if`` and ``then``."""
    rules = ruleset.in_force(TODAY)
    if isinstance(claim, tuple):
        claim = Invariant("own", Claim.IMPLICATION, given=said(claim[0], rules), then=said(claim[1], rules))
    return Prover(rules, evaluate=judge, limit=limit).prove(claim)


def rule(rule_id: str, stage: str, when: str, gives: str) -> str:
    return f"stage: {stage}\nrules:\n  - id: {rule_id}\n{TITLE}    when: {when}\n    {gives}\n{DATED}"


def without_caps() -> Ruleset:
    text = SHIPPED.sources["limits.yaml"]
    halved = text[text.index("  - id: LIM-03") : text.index("  - id: LIM-05")]
    multiple = "limit_multiple_of_revenue, value: 0.30"
    huge = ("products/invoice_loan.yaml", multiple, "limit_multiple_of_revenue, value: 9_000_000_000_000")
    ranged = '{name: limit_max, type: money, unit: "CNY", range: [0, 1_000_000_000_000.00],'
    wide = ("facts.yaml", ranged, '{name: limit_max, type: money, unit: "CNY",')
    bounded = "{name: product.limit_multiple_of_revenue, type: ratio, range: [0, 5],"
    unbounded = ("facts.yaml", bounded, "{name: product.limit_multiple_of_revenue, type: ratio,")
    return edited(("limits.yaml", text, f"stage: limit\nrules:\n{halved}"), huge, wide, unbounded)


def test_a_limit_without_a_cap_may_be_beyond_64_bits() -> None:
    found = verdict(without_caps(), ("product == invoice_loan and limit_max >= 0", f"limit_max <= {INT64}"))
    assert found.application is not None
    assert (judge(found.rules, found.application.facts(found.rules)).limit or 0) > 2**63


GRADE = '"choice[P1, P2, P3, P4, P5, insufficient_data]", source: portrait,'
GRADE_SET = '"choice[P1, P2, P3, P4, P5, insufficient_data]", source: status, combine: strongest, default: P1,'


def test_a_limit_depends_on_what_lies_behind_a_fact_that_rules_set() -> None:
    better = rule("GR-1", "status", "pd_12m <= 0.01", "sets: {grade: P4}")
    ruleset = edited(("facts.yaml", GRADE, GRADE_SET), grades=better)
    claim = Invariant("own", Claim.MONOTONE, fact="pd_12m", worse="higher", of="limit")
    found = verdict(ruleset, claim)
    assert found.application is not None and found.other is not None
    one, other = (judge(found.rules, each.facts(found.rules)).limit or 0 for each in (found.application, found.other))
    assert other > one


@pytest.mark.parametrize("claim", ["always-decided", "limit-within-product", "data-complete", "unknown-never-approves"])
def test_a_product_without_a_formula_leaves_no_doubt(claim: str) -> None:
    choices = ('"choice[working_capital, invoice_loan]"', '"choice[working_capital, invoice_loan, tech_innovation]"')
    text = SHIPPED.sources["products/working_capital.yaml"].replace("name: working_capital", "name: tech_innovation")
    files = {"products/tech_innovation": text}
    assert verdict(edited(("facts.yaml", *choices), **files), CLAIMS[claim]).proven


EDITS: Mapping[str, tuple[Edit, ...]] = {
    "nothing": (),
    "a rule that does not read the limit": (("never_automatic.yaml", "stale_feeds > 0", "stale_feeds > 1"),),
    "another factor": (("limits.yaml", "limit_factor: 0.5", "limit_factor: 0.6"),),
    "the condition of a cap": (("limits.yaml", "when: product == invoice_loan", "when: amount > 1"),),
    "a card, on which a factor depends": (("cards.yaml", "overdue_days_serious >= 90", "overdue_days_serious > 90"),),
    "the formula of a cap": (("facts.yaml", "1.1 * industry.max_limit_cny", "1.2 * industry.max_limit_cny"),),
    "a number of one product": (
        ("products/invoice_loan.yaml", "multiple_of_revenue, value: 0.30", "multiple_of_revenue, value: 0.31"),
    ),
    "one industry": (("industries.csv", "0.65,1.20,0.50,0.20,5000000,3000000", "0.66,1.20,0.50,0.20,5000000,3000000"),),
    "a policy that nothing of the limit reads": (
        ("parameters.yaml", "model_gap_max, value: 0.10", "model_gap_max, value: 0.11"),
    ),
}
SAME_LIMIT = {"nothing", "a rule that does not read the limit", "a policy that nothing of the limit reads"}


@pytest.mark.parametrize("name", EDITS)
def test_a_limit_is_the_same_only_where_nothing_behind_it_differs(name: str) -> None:
    old, new = SHIPPED.in_force(TODAY), edited(*EDITS[name]).in_force(TODAY)
    inputs = inputs_of(old, new)
    one = World(old, inputs, limit=limit)
    other = World(new, inputs, limit=limit, beside=[one])
    assert other.alike(one).fact(LIMIT) is (name in SAME_LIMIT)
    assert other.fact(LIMIT).value.eq(one.fact(LIMIT).value) is (name in SAME_LIMIT)


def test_what_is_hidden_or_differs_is_not_the_same() -> None:
    rules = SHIPPED.in_force(TODAY)
    inputs = inputs_of(rules)
    plain = World(rules, inputs, limit=limit)
    worse = World(rules, inputs.differing(["pd_12m"], tag="~worse"), limit=limit, beside=[plain])
    hidden = World(rules, inputs.hidden(tag="~hidden"), limit=limit, beside=[plain])
    alike = worse.alike(plain)
    names = ("pd_12m", "amount", "industry.max_leverage", "card", LIMIT)
    assert [alike.fact(name) for name in names] == [False, True, True, True, True]
    assert not alike.rule(rules.rule("PD-003")) and alike.rule(rules.rule("NA-16"))
    assert not any(hidden.alike(plain).fact(name) for name in (*names, "policy.auto_cap", "industry_status"))


def test_a_limit_is_not_higher_where_bound_cap_and_factor_are_not() -> None:
    """What ``World.limit_at_most`` and ``limit_by_order`` rely on; a factor below zero is no such factor."""
    random, numbers, seen = Random(1), Whole({}), 0

    def drawn() -> int:
        size = random.choice((0, 1, 10**6, 10**6 + 1, random.getrandbits(random.choice((8, 30, 70)))))
        return random.choice((-1, 1)) * size

    def amount(bound: int, cap: int, factor: int) -> int:
        found = floor_10k(numbers, before_rounding(numbers, bound, cap=cap, factor=factor))
        assert found is not None
        return found

    for _ in range(20_000):
        bound, cap, factor = drawn(), drawn(), random.choice((0, 1, 500_000, 999_999, 1_000_000))
        found = amount(bound, cap, factor)
        assert 0 <= found <= max(0, min(bound, cap))
        lower = (bound - abs(drawn()), cap - abs(drawn()), max(0, factor - random.choice((0, 1, 10**6))))
        assert amount(*lower) <= found
        seen += amount(*lower) < found
    assert seen > 200
