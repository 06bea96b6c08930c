"""The golden vectors of the indicators' formulas, and their edges."""

from __future__ import annotations

from fractions import Fraction

import pytest

from decision_service.portrait.formulas import (
    contagion,
    opinion_index,
    penalty_lookback,
    tax_continuity,
    variation,
)


def test_cash_flow_variation_of_eleven_hundreds_and_one_340():
    assert variation([100.0] * 11 + [340.0]) == pytest.approx(0.577350, abs=5e-7)


@pytest.mark.parametrize(
    ("name", "values"),
    [("mean zero", [5.0, -5.0, 0.0]), ("mean below zero", [-1.0, -2.0]), ("a single value", [5.0])],
)
def test_variation_is_unknown_for(name, values):
    assert variation(values) is None, name


def filings(**late: str) -> list[str]:
    return [late.get(f"k{k}", "on_time") for k in range(1, 25)]


@pytest.mark.parametrize(
    ("name", "months", "expected"),
    [
        ("two late, one missing", filings(k3="late_30", k10="late_30", k20="not_filed"), Fraction(921_667, 1_000_000)),
        ("all on time", filings(), Fraction(1)),
        ("nothing filed", ["not_filed"] * 24, Fraction(0)),
        ("all zero returns", ["zero_return"] * 24, Fraction(7, 10)),
        ("six months of a young firm on time", ["on_time"] * 6, Fraction(1)),
        ("a young firm's newest month weighs most", ["not_filed", "on_time"], Fraction(23, 47)),
    ],
)
def test_tax_continuity(name, months, expected):
    assert float(tax_continuity(months)) == pytest.approx(float(expected), abs=5e-7), name


@pytest.mark.parametrize(
    ("name", "penalties", "expected"),
    [
        ("general 6 and serious 18 months ago", [("general", 6), ("serious", 18)], 4.050894),
        ("none", [], 0),
        ("36 months ago still counts", [("minor", 36)], 0.049787),
        ("older than 36 months does not", [("serious", 36.1)], 0),
    ],
)
def test_penalty_lookback(name, penalties, expected):
    assert penalty_lookback(penalties) == pytest.approx(expected, abs=5e-7), name


@pytest.mark.parametrize(
    ("name", "sources", "expected"),
    [
        ("red notable holder, yellow guarantor", [(1.0, 0.5, 1), (0.4, 0.7, 1)], 0.64),
        ("none", [], 0),
        ("red parent", [(1.0, 1.0, 1)], 1.0),
        ("red party over two links of control", [(1.0, 1.0, 2)], 0.5),
    ],
)
def test_contagion(name, sources, expected):
    assert contagion(sources) == pytest.approx(expected), name


def test_opinion_index():
    assert opinion_index([(3, 1, 0), (2, 0.5, 30)]) == pytest.approx(49.0118, abs=5e-5)
    assert opinion_index([]) == 0
