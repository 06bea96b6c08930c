"""Properties over generated rules and facts: order never matters, unknown never approves, text and tree agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.errors import FactError, RulebookError
from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.encoding import ENCODERS, Fact, FactType
from decision_service.rulebook.evaluate import ReferenceEngine, truth_of
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.formulas import parse_formula
from decision_service.rulebook.rules import Effects, LimitEffects, Product, Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import combine, limit_effects, set_status
from decision_service.rulebook.syntax import condition_text, parse_condition
from decision_service.vocabulary import Outcome, Reason

COLOURS = ("none", "yellow", "red")
GIVEN = ("product", "amount", "existing", "pd", "gap", "flag", "other", "day")
CATALOGUE = FactCatalogue(
    [
        Fact("product", FactType.CHOICE, choices=("plain", "invoice")),
        Fact("amount", FactType.MONEY, minimum=0, maximum=400),
        Fact("existing", FactType.MONEY, minimum=0, maximum=400),
        Fact("pd", FactType.RATIO, minimum=0, maximum=1_000_000),
        Fact("gap", FactType.RATIO, minimum=0, maximum=1_000_000),
        Fact("flag", FactType.FLAG),
        Fact("other", FactType.FLAG),
        Fact("day", FactType.DATE, minimum=-3, maximum=3),
        Fact("exposure", FactType.MONEY, derived=parse_formula("amount + existing")),
        Fact("card", FactType.CHOICE, choices=COLOURS, source="status", combine="strongest", default="none"),
        Fact("limit_max", FactType.MONEY, source="lending"),
    ]
)
ORDERED = ("<", "<=", "==", "!=", ">=", ">")


def exact_values(name: str) -> st.SearchStrategy[Exact]:
    fact = CATALOGUE[name]
    if fact.type is FactType.CHOICE:
        return st.sampled_from(fact.choices)
    if fact.type is FactType.FLAG:
        return st.integers(0, 1)
    if fact.type is FactType.RATIO:
        return st.sampled_from([0, 1, 499_999, 500_000, 500_001, 1_000_000])
    return st.integers(-3, 3) if fact.type is FactType.DATE else st.sampled_from([0, 1, 199, 200, 201, 400])


@st.composite
def comparison_trees(draw: st.DrawFn, names: tuple[str, ...]) -> Comparison:
    fact = CATALOGUE[draw(st.sampled_from(names))]
    operators = ORDERED if fact.type.ordered else ("==", "!=")
    same = [
        name for name in names if CATALOGUE[name].type is fact.type and fact.type is not FactType.CHOICE
    ]
    kind = draw(st.sampled_from(["literal", "list", "fact"] if same else ["literal", "list"]))
    if kind == "list":
        members = draw(st.lists(exact_values(fact.name), min_size=1, max_size=3, unique=True))
        return Comparison(fact.name, "in", tuple(members))
    operand = FactName(draw(st.sampled_from(same))) if kind == "fact" else draw(exact_values(fact.name))
    return Comparison(fact.name, draw(st.sampled_from(operators)), operand)


def conditions(names: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    return st.recursive(
        comparison_trees(names),
        lambda parts: st.one_of(
            parts.map(Not),
            st.lists(parts, min_size=2, max_size=3).map(lambda some: AllOf(tuple(some))),
            st.lists(parts, min_size=2, max_size=3).map(lambda some: AnyOf(tuple(some))),
        ),
        max_leaves=6,
    )


@st.composite
def rule_lists(draw: st.DrawFn) -> list[Rule]:
    """Rules of every stage, with approvals that match often enough to be worth breaking."""
    status = [
        Rule(f"S-{n}", Stage.STATUS, {}, draw(conditions((*GIVEN, "exposure"))), sets=(("card", colour),))
        for n, colour in enumerate(draw(st.lists(st.sampled_from(COLOURS), max_size=3)))
    ]
    limit = [
        Rule(f"L-{n}", Stage.LIMIT, {}, draw(conditions((*GIVEN, "card"))), effects=Effects(500_000, cap), reason="L")
        for n, cap in enumerate(draw(st.lists(st.sampled_from([100, "existing", 300]), max_size=2)))
    ]
    decision = [
        Rule(f"D-{n}", Stage.DECISION, {}, draw(conditions((*GIVEN, "card", "limit_max"))), outcome, reason="D")
        for n, outcome in enumerate(draw(st.lists(st.sampled_from(Outcome), max_size=3)))
    ]
    sure = Rule("D-SURE", Stage.DECISION, {}, Comparison("amount", ">=", 0), Outcome.APPROVE)
    over = Rule("D-OVER", Stage.DECISION, {}, Comparison("amount", ">", FactName("limit_max")), Outcome.REFER)
    return [*status, *limit, *decision, sure, over]


def fact_tables(known: st.SearchStrategy[bool]) -> st.SearchStrategy[dict[str, Exact | None]]:
    def one(name: str) -> st.SearchStrategy[Exact | None]:
        return known.flatmap(lambda is_known: exact_values(name) if is_known else st.none())

    return st.fixed_dictionaries({name: one(name) for name in GIVEN})


@dataclass(frozen=True)
class Answer:
    outcome: Outcome
    reasons: tuple[Reason, ...]
    card: Exact | None
    effects: LimitEffects


def answer(rules: list[Rule], exact: Mapping[str, Any]) -> Answer:
    products = {"plain": Product("plain", {}, ("pd",), "x", "y"), "invoice": Product("invoice", {}, (), "x", "y")}
    in_force = RulesInForce(CATALOGUE, rules, products=products)
    engine = ReferenceEngine(in_force)
    facts = Facts(CATALOGUE, exact)
    status = engine.evaluate(Stage.STATUS, facts)
    facts = set_status(in_force, status, facts)
    limiting = engine.evaluate(Stage.LIMIT, facts)
    effects = limit_effects(in_force, limiting, facts)
    cap = 1_000 if effects.limit_cap is None else effects.limit_cap
    facts = facts.with_values({"limit_max": cap * effects.limit_factor // 1_000_000})
    results = {Stage.STATUS: status, Stage.LIMIT: limiting, Stage.DECISION: engine.evaluate(Stage.DECISION, facts)}
    return Answer(*combine(in_force, results, facts), facts["card"], effects)


@settings(max_examples=150, deadline=None)
@given(rule_lists(), fact_tables(st.booleans()), st.randoms(use_true_random=False))
def test_no_order_of_rules_or_facts_changes_anything(rules: list[Rule], facts: dict[str, Any], shuffle: Any) -> None:
    shuffled_rules, shuffled_facts = list(rules), list(facts.items())
    shuffle.shuffle(shuffled_rules)
    shuffle.shuffle(shuffled_facts)
    assert answer(shuffled_rules, dict(shuffled_facts)) == answer(rules, facts)


@settings(max_examples=400, deadline=None)
@given(rule_lists(), fact_tables(st.just(True)), st.sets(st.sampled_from(GIVEN), min_size=1))
def test_making_facts_unknown_never_approves_what_was_not_approved(
    rules: list[Rule], facts: dict[str, Any], hidden: set[str]
) -> None:
    before = answer(rules, facts).outcome
    after = answer(rules, {**facts, **dict.fromkeys(hidden)}).outcome
    assert after is not Outcome.APPROVE or before is Outcome.APPROVE


@settings(max_examples=200, deadline=None)
@given(conditions((*GIVEN, "exposure", "card")), fact_tables(st.booleans()))
def test_a_condition_printed_and_read_again_means_the_same(condition: Condition, facts: dict[str, Any]) -> None:
    again = parse_condition(condition_text(condition, CATALOGUE), CATALOGUE)
    assert truth_of(again, Facts(CATALOGUE, facts)) is truth_of(condition, Facts(CATALOGUE, facts))


@settings(max_examples=200, deadline=None)
@given(conditions(GIVEN), fact_tables(st.just(True)), st.sets(st.sampled_from(GIVEN)))
def test_a_condition_that_is_decided_stays_so_whatever_the_unknown_facts_turn_out_to_be(
    condition: Condition, facts: dict[str, Any], hidden: set[str]
) -> None:
    partial = truth_of(condition, Facts(CATALOGUE, {**facts, **dict.fromkeys(hidden)}))
    assert partial is None or partial is truth_of(condition, Facts(CATALOGUE, facts))


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12), st.integers(1, 999), st.integers(1, 999))
def test_derived_facts_are_exact_and_floored(a: int, b: int, p: int, q: int) -> None:
    text = f"{p} / {q} * a - min(a, b) + abs(b) * 0.{q:03d}"
    given_facts = [Fact("a", FactType.MONEY), Fact("b", FactType.MONEY)]
    catalogue = FactCatalogue([*given_facts, Fact("c", FactType.MONEY, derived=parse_formula(text))])
    exact = Fraction(p, q) * a - min(a, b) + abs(b) * Fraction(q, 1000)
    assert Facts(catalogue, {"a": a, "b": b})["c"] == exact.numerator // exact.denominator


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="pdamount <=>!=()[],.0123456789andornotin\n", max_size=80))
def test_any_text_is_a_condition_or_a_problem_never_a_traceback(text: str) -> None:
    try:
        parse_condition(text, CATALOGUE)
    except RulebookError as error:
        assert error.problems


NEAR = st.builds(lambda whole, by: Decimal(whole).scaleb(by), st.integers(-(10**22), 10**22), st.integers(-30, 6))
NUMBERS = NEAR | st.decimals() | st.integers(-(2**65), 2**65)
ANY_VALUE = NUMBERS | st.booleans() | st.sampled_from((*COLOURS, "1", "true"))


@settings(max_examples=400)
@given(st.sampled_from(FactType), ANY_VALUE)
def test_the_short_way_to_an_exact_value_is_the_full_check(kind: FactType, value: Any) -> None:
    fact = Fact("one", kind, choices=COLOURS if kind is FactType.CHOICE else (), minimum=-400, maximum=10**15)
    catalogue = FactCatalogue([fact])
    assert _said(lambda: catalogue.encode("one", value)) == _said(lambda: ENCODERS[kind](fact, value), fact)


def _said(encode: Callable[[], Exact], within: Fact | None = None) -> tuple[type, Exact] | str:
    try:
        exact = encode()
    except FactError:
        return "refused"
    if within is not None and isinstance(exact, int) and not within.minimum <= exact <= within.maximum:
        return "refused"
    return type(exact), exact


@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd"), min_size=1))
def test_changed_facts_are_those_that_would_have_been_made_anew(unknown: set[str], changed: set[str]) -> None:
    given_facts = [Fact(name, FactType.COUNT) for name in "abcd"]
    formulas = {"last": "second + d", "first": "a + b", "second": "2 * first - c"}
    catalogue = FactCatalogue(
        [*(Fact(name, FactType.COUNT, derived=parse_formula(text)) for name, text in formulas.items()), *given_facts]
    )
    before: dict[str, Exact | None] = {name: None if name in unknown else 1 for name in "abcd"}
    after: dict[str, Exact | None] = {name: 7 if name in unknown else None for name in changed}
    assert Facts(catalogue, before).with_values(after) == Facts(catalogue, {**before, **after})
