"""Lint's answers about all applications are those of trying every one of them, unknowns and switches included."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.evaluate import ReferenceEngine, truth_of
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.formulas import parse_formula
from decision_service.rulebook.parameters import ParameterRow, ParameterTable
from decision_service.rulebook.proof.analysis import Analysis, always_true, never_true
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.boundaries import is_open, openings
from decision_service.rulebook.proof.redundancy import idle_parts
from decision_service.rulebook.rules import Product, Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import combine, set_status
from decision_service.vocabulary import Outcome
from tests.rulebook.small_rulebook import TODAY

CATALOGUE = FactCatalogue(
    [
        Fact("product", FactType.CHOICE, choices=("one", "two"), source="application"),
        Fact("a", FactType.COUNT, minimum=0, maximum=3, source="application"),
        Fact("b", FactType.COUNT, minimum=0, maximum=3, source="application"),
        Fact("c", FactType.CHOICE, choices=("x", "y"), source="application"),
        Fact("sum", FactType.COUNT, minimum=0, maximum=5, source="derived", derived=parse_formula("a + b")),
        Fact("mark", FactType.CHOICE, choices=("none", "low", "high"), source="status", combine="max", default="none"),
        Fact("limit_max", FactType.MONEY, source="lending"),
        Fact("policy.line", FactType.COUNT, source="parameter"),
        Fact("policy.switch", FactType.CHOICE, choices=("on", "off"), source="parameter"),
    ]
)
ROWS = ParameterTable([ParameterRow("policy", {"policy.line": 2, "policy.switch": "on"}, TODAY)])
COMPARISONS = (
    *(Comparison(name, operator, value) for name in ("a", "b", "sum") for operator in ("<", ">=") for value in (1, 3)),
    *(Comparison("a", operator, FactName(name)) for operator in ("<=", ">") for name in ("b", "policy.line")),
    *(Comparison("c", operator, value) for operator in ("==", "!=") for value in ("x", "y")),
    *(Comparison("mark", operator, value) for operator in ("==", "!=") for value in ("none", "high")),
    Comparison("policy.switch", "==", "off"),
    Comparison("a", "in", (1, 2)),
)
PRODUCTS = {name: Product(name, {}, (), "", "") for name in ("one", "two")}
STATUS = (
    Rule("S-1", Stage.STATUS, {}, Comparison("a", ">=", 3), sets=(("mark", "high"),)),
    Rule("S-2", Stage.STATUS, {}, Comparison("c", "==", "x"), sets=(("mark", "low"),)),
)


def condition(chance: random.Random, depth: int) -> Condition:
    """A condition of comparisons, nested at most so deep."""
    kind = chance.choice(["comparison", "all", "all", "any", "not"]) if depth else "comparison"
    if kind == "comparison":
        return replace(chance.choice(COMPARISONS))  # an object of its own: parts are told apart by identity below
    if kind == "not":
        return Not(condition(chance, depth - 1))
    parts = tuple(condition(chance, depth - 1) for _ in range(chance.randint(2, 3)))
    return AllOf(parts) if kind == "all" else AnyOf(parts)


def rules_with(*conditions: Condition) -> tuple[RulesInForce, list[Rule]]:
    """Decision rules with these conditions, beside the two status rules."""
    made = [
        Rule(f"D-{number}", Stage.DECISION, {}, when, outcome=Outcome.REFER, reason="R")
        for number, when in enumerate(conditions)
    ]
    return in_force(made), made


def in_force(made: Iterable[Rule]) -> RulesInForce:
    """Decision rules beside the two status rules."""
    return RulesInForce(CATALOGUE, [*STATUS, *made], on=TODAY, policy=ROWS, products=PRODUCTS)


def every_table(rules: RulesInForce) -> Iterator[Facts]:
    """The facts after the status rules of every application there can be, in each position of the switch."""
    numbers: tuple[Exact | None, ...] = (None, 0, 1, 2, 3)
    for a, b, c, switch in product(numbers, numbers, (None, "x", "y"), ("on", "off")):
        yield judged(rules, {"product": "one", "a": a, "b": b, "c": c, "policy.line": 2, "policy.switch": switch})


def judged(rules: RulesInForce, values: dict[str, Exact | None]) -> Facts:
    """The facts with what the status rules set."""
    facts = Facts(CATALOGUE, values)
    return set_status(rules, ReferenceEngine(rules).evaluate(Stage.STATUS, facts), facts)


def evaluate(rules: RulesInForce, facts: Facts) -> Any:
    """What ``Analysis`` asks of the reference."""
    facts = judged(rules, dict(facts))
    found = ReferenceEngine(rules).evaluate(Stage.DECISION, facts)
    outcome, _ = combine(rules, {Stage.DECISION: found}, facts)
    return SimpleNamespace(facts=facts, matched=found.matched, unknown=found.unknown, outcome=outcome)


def no_limit(numbers: Any, /, *, cap: Any, factor: Any) -> Any:
    """There is no limit in these rules."""
    return numbers.by_choice("product", {})


def analysed(rules: RulesInForce) -> Analysis:
    return Analysis(rules, evaluate=evaluate, limit=no_limit)


def replaced(whole: Condition) -> Iterator[tuple[Condition, bool]]:
    """A condition with one of its parts, at whatever depth, always true or always false where its facts are known."""
    if isinstance(whole, Not):
        yield from ((Not(part), always) for part, always in replaced(whole.part))
    elif not isinstance(whole, Comparison):
        for place, part in enumerate(whole.parts):
            for other, always in ((always_true(part), True), (never_true(part), False), *replaced(part)):
                yield type(whole)((*whole.parts[:place], other, *whole.parts[place + 1 :])), always


@pytest.mark.parametrize("seed", range(40))
def test_reach_implication_and_idle_parts_are_those_of_trying_everything(seed: int) -> None:
    chance = random.Random(seed)
    rules, (one, other) = rules_with(condition(chance, 2), condition(chance, 1))
    tables = list(every_table(rules))
    truths = [(truth_of(one.when, facts), truth_of(other.when, facts)) for facts in tables]
    analysis = analysed(rules)
    reachable = any(first is True for first, _ in truths)
    follows = all(second is True for first, second in truths if first is True)
    not_false = all(second is not False for first, second in truths if first is not False)
    idle = [
        changed for changed, _ in replaced(one.when)
        if all(truth_of(changed, facts) is first for facts, (first, _) in zip(tables, truths))
    ]
    assert analysis.reachable(one) is reachable
    assert analysis.same_truth(one.when, other.when) is all(first is second for first, second in truths)
    if reachable:
        assert analysis.implies(one, other, unknown=False) is follows
        assert analysis.implies(one, other, unknown=True) is (follows and not_false)
        assert bool(list(idle_parts(analysis, one))) is bool(idle)


@pytest.mark.parametrize("seed", range(40, 80))
def test_without_its_idle_parts_a_condition_says_the_same(seed: int) -> None:
    chance = random.Random(seed)
    rules, (one,) = rules_with(AllOf((condition(chance, 1), condition(chance, 1), condition(chance, 1))))
    analysis = analysed(rules)
    if not analysis.reachable(one):
        return
    idle = {id(found.part): found for found in idle_parts(analysis, one)}

    def without(whole: Condition) -> Condition:
        if (found := idle.get(id(whole))) is not None:
            return always_true(whole) if found.always else never_true(whole)
        if isinstance(whole, Not):
            return Not(without(whole.part))
        return whole if isinstance(whole, Comparison) else type(whole)(tuple(map(without, whole.parts)))

    lean = without(one.when)
    assert all(truth_of(lean, facts) is truth_of(one.when, facts) for facts in every_table(rules))


LEAVE_OPEN = (("<", ">"), ("<", ">="), ("<=", ">"))


@pytest.mark.parametrize("seed", range(60))
def test_gaps_vetoes_and_open_boundaries_are_those_of_trying_everything(seed: int) -> None:
    chance = random.Random(1000 + seed)
    below, above = chance.choice(LEAVE_OPEN)
    strict = (Outcome.REFER, Outcome.DECLINE)
    sides = Comparison("a", below, 2), Comparison("a", above, 2)
    made = [
        Rule("D-1", Stage.DECISION, {}, AllOf((sides[0], condition(chance, 1))), chance.choice(strict)),
        Rule("D-2", Stage.DECISION, {}, AllOf((sides[1], condition(chance, 0))), chance.choice(strict)),
        Rule("D-3", Stage.DECISION, {}, condition(chance, 1), Outcome.APPROVE),
    ]
    rules = in_force(made)
    tried = {_key(facts): evaluate(rules, facts) for facts in every_table(rules)}
    analysis = analysed(rules)
    decided = all(found.matched or found.unknown for found in tried.values())
    approves = any(found.outcome is Outcome.APPROVE for found in tried.values())
    assert (analysis.gap("one") is None) is decided
    if analysis.reachable(made[2]):
        assert (analysis.outweighing(made[2]) == ()) is approves
    # The rules may name further boundaries of their own: that of the two comparisons with 2 is looked at.
    about_two = [
        is_open(analysis, one) is not None
        for one in openings(analysis)
        if one.offset == 2 and (one.below.rule.id, one.above.rule.id) == ("D-1", "D-2") and not one.below.place
        and not one.above.place
    ]
    assert about_two == ([_left_open(made, tried)] if (below, above) == ("<", ">") else [])


def _key(facts: Facts) -> tuple[Exact | None, ...]:
    return tuple(facts[name] for name in ("a", "b", "c", "policy.switch"))


def _left_open(made: list[Rule], tried: dict[tuple[Exact | None, ...], Any]) -> bool:
    """Whether on 2 neither rule matches, to each side its own does, and what follows is milder than both."""
    mildest = min(rule.outcome for rule in made[:2] if rule.outcome is not None)
    for (a, *others), found in tried.items():
        if a == 2 and all(truth_of(rule.when, found.facts) is False for rule in made[:2]):
            sides = "D-1" in tried[1, *others].matched and "D-2" in tried[3, *others].matched
            if sides and (found.outcome < mildest or not (found.matched or found.unknown)):
                return True
    return False


def test_an_application_that_is_found_is_one() -> None:
    rules, (one, other) = rules_with(Comparison("a", ">=", 3), Comparison("mark", "==", "high"))
    analysis = analysed(rules)
    found = analysis.both(one, other)
    assert isinstance(found, Application)
    assert set(analysis.assess(found).matched) == {"D-0", "D-1"}


@pytest.mark.parametrize(
    "parts, excluding, whatever",
    [
        ((Comparison("a", "<", 1), Comparison("b", "<", 3), Comparison("a", ">=", 3)), (0, 2), True),
        ((Comparison("a", ">=", 3), Comparison("a", "<=", FactName("policy.line"))), (0, 1), False),
        ((Comparison("a", ">=", 3), Comparison("mark", "==", "none")), (0, 1), True),
        ((Comparison("b", "<", 1), Comparison("a", "<", 0)), (1,), False),
    ],
    ids=["two of three parts", "a parameter in force", "what the status rules set", "the range of a fact"],
)
def test_what_excludes_each_other_is_named(
    parts: tuple[Condition, ...], excluding: tuple[int, ...], whatever: bool
) -> None:
    rules, (one,) = rules_with(AllOf(parts))
    analysis = analysed(rules)
    assert not analysis.reachable(one)
    assert analysis.clashing(one) == (tuple(parts[place] for place in excluding), whatever)
