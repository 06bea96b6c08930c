"""The condition language: what each text means, and what each mistake says."""

from __future__ import annotations

import pytest

from decision_service.errors import Problem, RulebookError
from decision_service.rulebook.conditions import AllOf, Comparison, Condition, FactName, Not, comparisons
from decision_service.rulebook.syntax import condition_text, parse_condition
from decision_service.rulebook.yamltree import read_yaml
from tests.rulebook.small_rulebook import ruleset

CATALOGUE = ruleset().catalogue


def shape(condition: Condition) -> object:
    """A condition without the texts, as nested tuples."""
    if isinstance(condition, Comparison):
        return (condition.fact, condition.operator, condition.operand)
    if isinstance(condition, Not):
        return ("not", shape(condition.part))
    return ("and" if isinstance(condition, AllOf) else "or", *map(shape, condition.parts))


A, B, C = ("pd", "<=", 650_000), ("rating", "==", "A"), ("listed", "!=", 1)

READ = [
    ("amount <= 5_000_000", ("amount", "<=", 500_000_000)),
    ("amount > 0.01", ("amount", ">", 1)),
    ("amount<5_000_000.01", ("amount", "<", 500_000_001)),
    ("product.term >= -3", ("product.term", ">=", -3)),
    ("established < 1970-01-11", ("established", "<", 10)),
    ("listed == true", ("listed", "==", 1)),
    ("rating in [A, D]", ("rating", "in", ("A", "D"))),
    ("years in [1, 2, 30]", ("years", "in", (1, 2, 30))),
    ("pd <= industry.cutoff", ("pd", "<=", FactName("industry.cutoff"))),
    ("listed != disputed", ("listed", "!=", FactName("disputed"))),
    ("industry_status == unknown", ("industry_status", "==", "unknown")),
    ("pd <= 0.65 and rating == A and listed != true", ("and", A, B, C)),
    ("pd <= 0.65 or rating == A and listed != true", ("or", A, ("and", B, C))),
    ("(pd <= 0.65 or rating == A) and listed != true", ("and", ("or", A, B), C)),
    ("not pd <= 0.65 and rating == A", ("and", ("not", A), B)),
    ("not (pd <= 0.65 and rating == A)", ("not", ("and", A, B))),
    ("not not pd <= 0.65", ("not", ("not", A))),
    ("((pd <= 0.65))", A),
    ("  pd\n  <=\t0.65 ", A),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_a_text_means_its_condition(text: str, expected: object) -> None:
    assert shape(parse_condition(text, CATALOGUE)) == expected


YAML = [
    ("[pd <= 0.65, rating == A]", ("and", A, B)),
    ("{all: [pd <= 0.65, rating == A]}", ("and", A, B)),
    ("{any: [pd <= 0.65, {all: [rating == A, listed != true]}]}", ("or", A, ("and", B, C))),
    ("{none: [pd <= 0.65, rating == A]}", ("not", ("or", A, B))),
    ("{none: [pd <= 0.65]}", ("not", A)),
    ("{all: [pd <= 0.65], none: [rating == A]}", ("and", A, ("not", B))),
    ("any:\n  - pd <= 0.65\n  - 'rating in [A, D]'\n", ("or", A, ("rating", "in", ("A", "D")))),
]


@pytest.mark.parametrize(("text", "expected"), YAML)
def test_yaml_joins_conditions_with_all_any_and_none(text: str, expected: object) -> None:
    problems: list[Problem] = []
    node = read_yaml(text, file="x.yaml", problems=problems)
    assert node is not None and not problems
    assert shape(parse_condition(node, CATALOGUE)) == expected


@pytest.mark.parametrize("text", [text for text, _ in READ])
def test_a_condition_printed_and_read_again_is_the_same(text: str) -> None:
    condition = parse_condition(text, CATALOGUE)
    assert shape(parse_condition(condition_text(condition, CATALOGUE), CATALOGUE)) == shape(condition)


def test_each_comparison_carries_its_own_text() -> None:
    condition = parse_condition("pd<=0.650 and not (amount > 5000000 or rating in [A,D])", CATALOGUE)
    assert [one.text for one in comparisons(condition)] == ["pd <= 0.65", "amount > 5_000_000.00", "rating in [A, D]"]


MISTAKES = [
    ("amunt <= 5", "unknown fact 'amunt'; did you mean amount?"),
    ("colour == red", "unknown fact 'colour'; declare it in facts.yaml"),
    ("pd <= industry.cutof", "unknown fact 'industry.cutof'; did you mean industry.cutoff"),
    ("amount => 5", "unknown operator '=>'; use one of <, <=, ==, !=, >=, >, in"),
    ("amount = 5", "unknown operator '='"),
    ("pd <> 0.5", "unknown operator '<>'"),
    ("amount between 5", "unknown operator 'between'"),
    ("amount <= 0.001", "more than 2 decimal places"),
    ("pd <= 1e-07", "write the number out, without an exponent"),
    ("pd <= 5e1", "without an exponent"),
    ("pd <= 1.1", "out of range; give a value from 0 to 1"),
    ("years <= 201", "out of range"),
    ("years <= 2.5", "more than 0 decimal places"),
    ("pd <= .5", "is not a number"),
    ("pd <= 5.", "is not a number"),
    ("amount <= 5__000", "is not a number"),
    ("amount <= 99999999999999999999999999999999999999999999", "too many digits"),
    ("rating == E", "use one of A, B, D"),
    ("rating == true", "use one of A, B, D"),
    ("rating < B", "'rating' is a choice and has no order for '<'; use ==, != or in"),
    ("card >= yellow", "has no order for '>='"),
    ("listed > false", "'listed' is a flag"),
    ("listed == yes", "'yes' is not a literal; write true or false"),
    ("listed == 1", "not a flag"),
    ("listed == null", "'null' is not a literal"),
    ("years == true", "not an exact number"),
    ("amount <= pd", "'amount' is a money and 'pd' a ratio; compare facts of the same type"),
    ("years <= overdue", "'years' is a count and 'overdue' a days"),
    ("established <= 2023-02-30", "does not exist"),
    ("established <= 20230228", "is not a date"),
    ("amount <= 2024-01-31", "not an exact number"),
    ("rating in A", "'in' takes a list"),
    ("rating == [A, B]", "'in' takes a list"),
    ("rating in []", "is empty"),
    ("rating in [A, A]", "twice"),
    ("years in [1, overdue]", "a days"),
    ("years in [1, product.term]", "use literals"),
    ("rating == 'A'", "choices without quotes"),
    ("listed", "ends too early"),
    ("pd <=", "ends too early"),
    ("pd <= 0.5 and", "ends too early"),
    ("(pd <= 0.5", "ends too early"),
    ("", "ends too early"),
    ("pd <= 0.5)", "unexpected ')' at column 10"),
    ("5 <= years", "unexpected '5' at column 1"),
    ("1 <= years <= 3", "unexpected '1'"),
    ("pd <= 0.5 rating == A", "unexpected 'rating'"),
    ("pd * 2 <= 0.5", "unexpected '*'"),
    ("pd <= 0.5 && rating == A", "unexpected '&&'"),
    ("pd <= 0.5; drop", "unexpected ';'"),
    ("pd <= 0.5\x00", "unexpected '\x00'"),
    ("pd <= ０.５", "unexpected '０'"),
    ("金额 <= 5", "unexpected '金'"),
    ("not " * 100 + "pd <= 0.5", "parentheses and negations"),
    ("(" * 5000, "characters long"),
    ("(" * 1000 + "pd <= 0.5" + ")" * 1000, "parentheses and negations"),
    (" and ".join(["pd <= 0.5"] * 1000), "characters long"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[f"{text[:30]}" for text, _ in MISTAKES])
def test_a_mistake_is_named_with_its_remedy(text: str, message: str) -> None:
    with pytest.raises(RulebookError) as caught:
        parse_condition(text, CATALOGUE, file="rules/cards.yaml", line=14)
    assert message in str(caught.value)
    assert all(problem.remedy and problem.line == 14 for problem in caught.value.problems)


def test_every_mistake_of_a_condition_is_named_at_once() -> None:
    with pytest.raises(RulebookError) as caught:
        parse_condition("amunt <= 5 and not (rating == E or pd <= 7) and years == 1", CATALOGUE)
    assert len(caught.value.problems) == 3


YAML_MISTAKES = [
    ("{both: [pd <= 0.5]}", "unknown key 'both'"),
    ("{all: pd <= 0.5}", "'all' is not a list"),
    ("{all: []}", "'all' is not a list"),
    ("{}", "a condition is empty"),
    ("[]", "'all' is not a list"),
    ("{all: [pd <= 0.5, {any: [amunt > 3]}, rating == E]}", "unknown fact 'amunt'"),
]


@pytest.mark.parametrize(("text", "message"), YAML_MISTAKES)
def test_a_mistake_in_yaml_is_named(text: str, message: str) -> None:
    node = read_yaml(text, file="x.yaml", problems=[])
    assert node is not None
    with pytest.raises(RulebookError) as caught:
        parse_condition(node, CATALOGUE)
    assert message in str(caught.value)
