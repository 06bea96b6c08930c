"""Facts: exact encoding, refusals, derived values."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from decision_service.errors import FactError
from decision_service.rulebook.facts import Fact, FactCatalogue, Facts, FactType
from decision_service.rulebook.formulas import parse_formula
from tests.rulebook.small_rulebook import ruleset

CATALOGUE = ruleset().catalogue

ADMITTED = [
    ("amount", Decimal("5000000.01"), 500_000_001),
    ("amount", Decimal("0.01"), 1),
    ("amount", Decimal("1E+3"), 100_000),
    ("amount", Decimal("12.3400"), 1_234),
    ("amount", 7, 700),
    ("amount", "3000000.00", 300_000_000),
    ("pd", Decimal("0.123456"), 123_456),
    ("pd", Decimal("0"), 0),
    ("pd", Decimal("0e-999999"), 0),
    ("pd", 1, 1_000_000),
    ("years", 3, 3),
    ("years", Decimal("3.000"), 3),
    ("overdue", 90, 90),
    ("listed", True, 1),
    ("listed", "false", 0),
    ("established", date(1970, 1, 2), 1),
    ("established", "1969-12-31", -1),
    ("rating", "D", "D"),
]


@pytest.mark.parametrize(("name", "value", "exact"), ADMITTED)
def test_a_value_is_encoded_exactly_and_decoded_to_the_same(name: str, value: object, exact: object) -> None:
    assert CATALOGUE.encode(name, value) == exact
    assert CATALOGUE.encode(name, CATALOGUE.decode(name, CATALOGUE.encode(name, value))) == exact


REFUSED = [
    ("a third decimal of money", "amount", Decimal("0.011"), "more than 2 decimal places"),
    ("a seventh decimal of a ratio", "pd", Decimal("0.1234567"), "more than 6 decimal places"),
    ("a tiny exponent", "pd", Decimal("1e-999999999"), "more than 6 decimal places"),
    ("a huge exponent", "amount", Decimal("1e999999999"), "too large"),
    ("a huge whole number", "years", 10**400, "too large"),
    ("a count beyond 64 bits", "product.term", 2**63, "too large"),
    ("money beyond 64 bits in fen", "industry.ceiling", Decimal("92233720368547758.08"), "too large"),
    ("NaN", "pd", Decimal("NaN"), "not a number"),
    ("a signalling NaN", "pd", Decimal("sNaN"), "not a number"),
    ("infinity", "amount", Decimal("Infinity"), "not a number"),
    ("a float", "pd", 0.5, "not an exact number"),
    ("a flag as a count", "years", True, "not an exact number"),
    ("text as money", "amount", "much", "is not a number"),
    ("an exponent in text", "amount", "1e3", "is not a number"),
    ("a fraction of a year", "years", Decimal("2.5"), "more than 0 decimal places"),
    ("one fen below the range", "amount", Decimal("0.00"), "out of range"),
    ("one fen above the range", "amount", Decimal("1000000000.01"), "out of range"),
    ("above the range of a ratio", "pd", Decimal("1.000001"), "out of range"),
    ("below the range of a count", "years", -1, "out of range"),
    ("a count as a flag", "listed", 1, "not a flag"),
    ("a word as a flag", "listed", "yes", "not a flag"),
    ("a moment as a date", "established", datetime(2024, 1, 1), "not a date"),
    ("a date that does not exist", "established", "2023-02-29", "does not exist"),
    ("an undeclared choice", "rating", "E", "use one of A, B, D"),
    ("a choice in other case", "rating", "a", "use one of A, B, D"),
    ("an empty choice", "rating", "", "use one of A, B, D"),
    ("a list", "rating", ["A"], "use one of A, B, D"),
    ("an undeclared fact", "colour", "red", "not declared"),
]


@pytest.mark.parametrize(("name", "value", "why"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_a_declaration_does_not_admit_is_refused(name: str, value: object, why: str) -> None:
    with pytest.raises(FactError) as caught:
        CATALOGUE.encode(name, value)
    assert why in str(caught.value) and name in str(caught.value) and caught.value.remedy


TEXTS = [
    ("amount", 500_000_001, "en", "5,000,000.01"),
    ("pd", 45_000, "en", "0.045"),
    ("pd", 0, "en", "0"),
    ("pd", 1_000_000, "en", "1"),
    ("years", 120, "en", "120"),
    ("listed", 1, "zh", "是"),
    ("listed", 0, "en", "no"),
    ("established", 19_753, "en", "2024-01-31"),
    ("rating", "A", "en", "A"),
    ("rating", None, "zh", "未知"),
    ("rating", None, "en", "unknown"),
]


@pytest.mark.parametrize(("name", "exact", "lang", "text"), TEXTS)
def test_a_value_reads_well(name: str, exact: object, lang: str, text: str) -> None:
    assert CATALOGUE.text(name, exact, lang) == text  # type: ignore[arg-type]


FORMULAS = [
    ("1.2 * a", {"a": 17_500}, 21_000),
    ("1.1 * a", {"a": 1}, 1),
    ("a / 3", {"a": 1_000_000}, 333_333),
    ("-a / 3", {"a": 1_000_000}, -333_334),
    ("abs(a - b)", {"a": 100_000, "b": 350_000}, 250_000),
    ("min(a, 2 * b, 0.3)", {"a": 900_000, "b": 200_000}, 300_000),
    ("max(a, n / 2)", {"a": 900_000, "n": 3}, 1_500_000),
    ("(a + b) * 0.5 - 0.1", {"a": 1_000_000, "b": 0}, 400_000),
    ("-(a - b)", {"a": 1, "b": 3}, 2),
    ("min(a, b) * 3 / 7", {"a": 7, "b": 8}, 3),
]


@pytest.mark.parametrize(("text", "given", "expected"), FORMULAS)
def test_a_derived_fact_is_computed_exactly_and_floored(text: str, given: dict[str, int], expected: int) -> None:
    catalogue = _with_formula(text)
    assert Facts(catalogue, given)["derived"] == expected


def _with_formula(text: str) -> FactCatalogue:
    given = [Fact("a", FactType.RATIO), Fact("b", FactType.RATIO), Fact("n", FactType.COUNT)]
    return FactCatalogue([*given, Fact("derived", FactType.RATIO, derived=parse_formula(text))])


@pytest.mark.parametrize("text", ["a + b", "min(a, b)", "max(a, b)", "a * 0 + b"])
def test_a_derived_fact_is_unknown_when_one_input_is(text: str) -> None:
    assert Facts(_with_formula(text), {"a": 5})["derived"] is None


BAD_FORMULAS = ["a * b", "a / b", "a / 0", "a +", "min(a)", "abs(a, b)", "sqrt(a)", "1e3 * a", "a ** 2", "", "a" * 600]


@pytest.mark.parametrize("text", BAD_FORMULAS)
def test_a_formula_that_is_not_linear_or_not_readable_is_refused(text: str) -> None:
    with pytest.raises(FactError) as caught:
        parse_formula(text)
    assert caught.value.remedy


def test_a_derived_value_outside_its_range_is_unknown() -> None:
    narrow = Fact("twice", FactType.COUNT, minimum=0, maximum=10, derived=parse_formula("2 * n"))
    catalogue = FactCatalogue([Fact("n", FactType.COUNT), narrow])
    assert Facts(catalogue, {"n": 5})["twice"] == 10
    assert Facts(catalogue, {"n": 6})["twice"] is None
    assert Facts(FactCatalogue([Fact("n", FactType.COUNT), Fact("twice", FactType.COUNT, derived=narrow.derived)]),
                 {"n": 2**62})["twice"] is None


def test_derived_facts_may_build_on_derived_facts_in_any_order_of_declaration() -> None:
    last = Fact("c", FactType.COUNT, derived=parse_formula("b + 1"))
    middle = Fact("b", FactType.COUNT, derived=parse_formula("a + 1"))
    assert Facts(FactCatalogue([last, middle, Fact("a", FactType.COUNT)]), {"a": 1})["c"] == 3


@pytest.mark.parametrize("formulas", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b + 1", "b": "c", "c": "2 * a"}])
def test_derived_facts_in_a_circle_are_refused(formulas: dict[str, str]) -> None:
    with pytest.raises(FactError, match="circle"):
        FactCatalogue(Fact(name, FactType.COUNT, derived=parse_formula(text)) for name, text in formulas.items())


def test_facts_hold_every_declared_fact_and_none_is_unknown() -> None:
    facts = Facts.of(CATALOGUE, {"amount": Decimal("1.00"), "pd": None})
    assert set(facts) == set(CATALOGUE)
    assert facts["pd"] is None and facts["rating"] is None
    assert facts.known() == {"amount": 100}


def test_changed_facts_are_new_and_derived_again() -> None:
    facts = Facts.of(CATALOGUE, {"amount": 1, "existing": 2})
    changed = facts.with_values({"existing": None})
    assert (facts["exposure"], changed["exposure"]) == (300, None)
    assert changed.with_values({"existing": 5})["exposure"] == 105


def test_a_derived_fact_that_is_given_is_refused_or_computed_again() -> None:
    with pytest.raises(FactError, match="derived"):
        Facts.of(CATALOGUE, {"exposure": 5})
    assert Facts(CATALOGUE, {"amount": 1, "existing": 2, "exposure": 99})["exposure"] == 3


def test_an_undeclared_fact_is_refused() -> None:
    with pytest.raises(FactError, match="colour"):
        Facts(CATALOGUE, {"colour": "red"})
    with pytest.raises(FactError, match="colour"):
        Facts.of(CATALOGUE, {}).with_values({"colour": "red"})
