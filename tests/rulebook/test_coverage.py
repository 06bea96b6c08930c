"""Coverage of comparisons: truth values, what decides a rule (MC/DC), boundaries on both sides, members of lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Not, comparisons
from decision_service.rulebook.coverage import ComparisonCoverage, Coverage, Probe, decides, truth_with
from decision_service.rulebook.evaluate import Truth, truth_of
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.syntax import parse_condition
from decision_service.vocabulary import Outcome
from tests.rulebook.small_rulebook import ruleset

CATALOGUE = ruleset().catalogue
T, F, U = True, False, None


def rule(text: str) -> Rule:
    return Rule("R", Stage.DECISION, {}, parse_condition(text, CATALOGUE), outcome=Outcome.REFER)


def facts(**given: int | str | None) -> Facts:
    return Facts(CATALOGUE, given)


DECIDING: list[tuple[str, tuple[Truth, ...], tuple[bool, ...]]] = [
    ("years > 1", (T,), (T,)),
    ("years > 1", (U,), (T,)),
    ("not (years > 1)", (F,), (T,)),
    ("years > 1 and overdue > 1", (T, T), (T, T)),
    ("years > 1 and overdue > 1", (F, T), (T, F)),
    ("years > 1 and overdue > 1", (F, F), (F, F)),
    ("years > 1 and overdue > 1", (T, U), (F, T)),
    ("years > 1 or overdue > 1", (F, F), (T, T)),
    ("years > 1 or overdue > 1", (T, F), (T, F)),
    ("years > 1 or overdue > 1", (T, T), (F, F)),
    ("years > 1 or overdue > 1", (U, F), (T, F)),
    ("listed == true and not (years > 1 or overdue > 1)", (T, F, F), (T, T, T)),
    ("listed == true and not (years > 1 or overdue > 1)", (T, T, F), (F, T, F)),
    ("listed == true and not (years > 1 or overdue > 1)", (U, T, F), (F, F, F)),
]


@pytest.mark.parametrize(("text", "truths", "expected"), DECIDING)
def test_a_comparison_decides_if_the_others_let_it(
    text: str, truths: tuple[Truth, ...], expected: tuple[bool, ...]
) -> None:
    assert decides(rule(text).when, truths) == expected


SHAPES = [
    "{a} and {b}",
    "{a} or {b}",
    "not {a} and {b}",
    "not ({a} or {b}) and {c}",
    "{a} and ({b} or not {c})",
    "not ({a} and not ({b} or {c}))",
]
LETTERS = {"a": "(listed == true)", "b": "(disputed == true)", "c": "(rating == A)"}
VALUES: dict[str, tuple[int | str | None, ...]] = {"listed": (1, 0, U), "disputed": (1, 0, U), "rating": ("A", "B", U)}


@pytest.mark.parametrize("shape", SHAPES)
def test_truth_by_given_truths_is_the_evaluators_and_pairs_of_deciding_cases_differ(shape: str) -> None:
    when = rule(shape.format(**LETTERS)).when
    shown: dict[int, list[tuple[Truth, Truth]]] = {}
    for values in itertools.product(*VALUES.values()):
        table = facts(**dict(zip(VALUES, values)))
        truths = tuple(truth_of(one, table) for one in comparisons(when))
        assert truth_with(when, iter(truths)) is truth_of(when, table)
        for place, deciding in enumerate(decides(when, truths)):
            if deciding:
                shown.setdefault(place, []).append((truths[place], truth_of(when, table)))
    for pairs in shown.values():
        assert {truth for _, truth in pairs} == {T, F, U}, "the rule follows a comparison that decides"
        assert len({(own is truth) for own, truth in pairs if own is not None}) == 1, "always in the same direction"


STATES: list[tuple[str, dict[str, int | str | None], int, set[str]]] = [
    ("years <= 3", {"years": 3}, 0, {"true", "decides_true", "at"}),
    ("years <= 3", {"years": 4}, 0, {"false", "decides_false", "above"}),
    ("years <= 3", {"years": 2}, 0, {"true", "decides_true"}),
    ("years < 3", {"years": 3}, 0, {"false", "decides_false", "at"}),
    ("years < 3", {"years": 2}, 0, {"true", "decides_true", "below"}),
    ("years >= 3", {"years": 2}, 0, {"false", "decides_false", "below"}),
    ("years >= 3", {"years": 4}, 0, {"true", "decides_true"}),
    ("years > 3", {"years": 4}, 0, {"true", "decides_true", "above"}),
    ("years == 3", {"years": 4}, 0, {"false", "decides_false", "above"}),
    ("years != 3", {"years": 2}, 0, {"true", "decides_true", "below"}),
    ("years <= 3", {"years": None}, 0, {"unknown"}),
    ("years <= 3 and listed == true", {"years": 3, "listed": 0}, 0, {"true"}),
    ("years <= 3 and listed == true", {"years": 3, "listed": None}, 0, {"true"}),
    ("years <= 3 and listed == true", {"years": 3, "listed": 1}, 1, {"true", "decides_true"}),
    ("exposure <= policy.line", {"amount": 7, "existing": 4, "policy.line": 10}, 0,
     {"false", "decides_false", "above"}),
    ("exposure <= policy.line", {"amount": 7, "existing": 3, "policy.line": 10}, 0, {"true", "decides_true", "at"}),
    ("exposure <= policy.line", {"amount": 7, "policy.line": 10}, 0, {"unknown"}),
    ("rating in [A, B]", {"rating": "B"}, 0, {"true", "decides_true", "is B"}),
    ("rating in [A, B]", {"rating": "D"}, 0, {"false", "decides_false"}),
    ("rating == A", {"rating": "A"}, 0, {"true", "decides_true"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "given", "place", "expected"), STATES)
def test_facts_show_states_of_a_comparison(
    text: str, given: dict[str, int | str | None], place: int, expected: set[str]
) -> None:
    assert Probe(rule(text), CATALOGUE).shown(facts(**given))[place] == expected


APPLICABLE = [
    ("years <= 3", {"at", "above"}),
    ("years > 3", {"at", "above"}),
    ("years < 3", {"below", "at"}),
    ("years >= 3", {"below", "at"}),
    ("years == 3", {"below", "at", "above"}),
    ("established >= 2020-01-01", {"below", "at"}),
    ("rating == A", set()),
    ("listed == true", set()),
    ("rating in [A, B]", {"is A", "is B"}),
]


def counted(one: Rule, tables: Iterable[tuple[str, Facts]]) -> ComparisonCoverage:
    coverage = Coverage([one], CATALOGUE)
    for name, table in tables:
        coverage.add(name, RulesInForce(CATALOGUE, [one]), table)
    (found,) = coverage.comparisons()
    return found


@pytest.mark.parametrize(("text", "boundaries"), APPLICABLE)
def test_only_states_that_a_comparison_can_have_are_missing_without_cases(text: str, boundaries: set[str]) -> None:
    found = counted(rule(text), [])
    assert set(found.missing) == {"true", "false", "unknown", "decides_true", "decides_false"} | boundaries
    assert not found.paired


def test_states_are_counted_with_the_first_case_that_shows_them() -> None:
    tables = [("one", facts(years=3)), ("two", facts(years=4)), ("three", facts(years=9)), ("four", facts())]
    found = counted(rule("years <= 3"), tables)
    assert {state: (seen.cases, seen.first) for state, seen in found.states.items()} == {
        "true": (1, "one"), "false": (2, "two"), "unknown": (1, "four"), "decides_true": (1, "one"),
        "decides_false": (2, "two"), "at": (1, "one"), "above": (1, "two"),
    }  # fmt: skip
    assert found.paired and not found.missing


def test_a_rule_that_was_not_in_force_is_not_counted() -> None:
    coverage = Coverage([rule("years <= 3")], CATALOGUE)
    coverage.add("before", RulesInForce(CATALOGUE, []), facts(years=3))
    (found,) = coverage.comparisons()
    assert found.states["true"].cases == 0


def test_every_kind_of_condition_is_walked() -> None:
    one = Comparison("years", ">", 1)
    nested: Condition = Not(AnyOf((AllOf((one, one)), one)))
    assert decides(nested, (True, True, False)) == (True, True, False)
