"""The initial limit: each bound in turn, each unknown, caps and factor; and claims about all inputs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as some

from decision_service.lending.limits import GRADE_PERCENT, limit_max

CNY = 100
SOUND = {
    "product": "working_capital",
    "grade": "P2",
    "revenue_12m": 60_000_000 * CNY,
    "total_assets": 40_000_000 * CNY,
    "total_liabilities": 20_000_000 * CNY,
    "working_capital_need": 100_000_000 * CNY,
    "industry.limit_multiple_of_revenue": 250_000,
    "industry.max_leverage": 650_000,
    "inv_sales_12m": 5_000_000 * CNY,
    "product.limit_multiple_of_revenue": 300_000,
}
INVOICE = {**SOUND, "product": "invoice_loan", "grade": "insufficient_data", "total_assets": None, "revenue_12m": None}


@dataclass(frozen=True)
class Effects:
    limit_factor: int = 1_000_000
    limit_cap: int | None = None


@pytest.mark.parametrize(
    ("name", "facts", "effects", "limit"),
    [
        ("revenue is the least", {}, Effects(), 15_000_000),
        ("P1 gets a fifth more", {"grade": "P1"}, Effects(), 17_140_000),  # then headroom is the least: 17,142,857.14
        ("P3 gets four fifths", {"grade": "P3"}, Effects(), 12_000_000),
        ("P4 gets half", {"grade": "P4"}, Effects(), 7_500_000),
        ("P5 gets nothing", {"grade": "P5"}, Effects(), 0),
        ("the need is the least", {"working_capital_need": 3_000_000 * CNY}, Effects(), 3_000_000),
        ("no need at all", {"working_capital_need": -5}, Effects(), 0),
        ("headroom is the least", {"total_liabilities": 25_000_000 * CNY}, Effects(), 2_850_000),
        ("no headroom", {"total_liabilities": 30_000_000 * CNY}, Effects(), 0),
        ("revenue below zero", {"revenue_12m": -1}, Effects(), 0),
        ("the cap is the least", {}, Effects(limit_cap=2_000_000 * CNY), 2_000_000),
        ("the cap is halved too", {}, Effects(500_000, 2_000_000 * CNY), 1_000_000),
        ("a yellow card halves", {}, Effects(500_000), 7_500_000),
        ("one fen below a step", {"working_capital_need": 10_000 * CNY - 1}, Effects(), 0),
        ("on a step", {"working_capital_need": 10_000 * CNY}, Effects(), 10_000),
    ],
)
def test_working_capital(name, facts, effects, limit):
    assert limit_max({**SOUND, **facts}, effects) == limit * CNY, name


@pytest.mark.parametrize(
    ("name", "facts", "effects", "limit"),
    [
        ("a multiple of invoiced sales, without a grade", {}, Effects(), 1_500_000),
        ("the product's cap", {}, Effects(limit_cap=1_000_000 * CNY), 1_000_000),
        ("small sales", {"inv_sales_12m": 300_000 * CNY}, Effects(), 90_000),
        ("sales below zero", {"inv_sales_12m": -300_000 * CNY}, Effects(), 0),
    ],
)
def test_invoice_loan(name, facts, effects, limit):
    assert limit_max({**INVOICE, **facts}, effects) == limit * CNY, name


@pytest.mark.parametrize(
    "fact",
    ["grade", "revenue_12m", "total_assets", "total_liabilities", "industry.limit_multiple_of_revenue",
     "industry.max_leverage", "working_capital_need"],
)  # fmt: skip
def test_an_unknown_that_matters_makes_the_limit_unknown(fact):
    assert limit_max({**SOUND, fact: None}, Effects()) is None


@pytest.mark.parametrize("fact", ["inv_sales_12m", "product.limit_multiple_of_revenue"])
def test_an_unknown_that_matters_makes_the_invoice_limit_unknown(fact):
    assert limit_max({**INVOICE, fact: None}, Effects()) is None


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("no grade", {"grade": "insufficient_data"}),
        ("a leverage ceiling of one", {"industry.max_leverage": 1_000_000}),
        ("another product", {"product": "bill_pool"}),
        ("no product", {"product": None}),
    ],
)
def test_no_limit_is_known_for(name, facts):
    assert limit_max({**SOUND, **facts}, Effects()) is None, name


FEN = some.integers(0, 10**14)
FACTS = some.fixed_dictionaries(
    {
        "product": some.just("working_capital"),
        "grade": some.sampled_from(sorted(GRADE_PERCENT)),
        "revenue_12m": FEN,
        "total_assets": FEN,
        "total_liabilities": FEN,
        "working_capital_need": FEN,
        "industry.limit_multiple_of_revenue": some.integers(0, 1_000_000),
        "industry.max_leverage": some.integers(1, 999_999),
    }
)


@given(FACTS, some.integers(0, 1_000_000), some.integers(0, 10**12))
def test_a_limit_is_whole_ten_thousands_within_its_cap_and_leverage(facts, factor, cap):
    limit = limit_max(facts, Effects(factor, cap))
    assert limit is not None and limit % 1_000_000 == 0 and 0 <= limit <= cap
    if limit:
        after = (facts["total_liabilities"] + limit) * 1_000_000
        assert after <= facts["industry.max_leverage"] * (facts["total_assets"] + limit)


@given(FACTS, some.sampled_from(["grade", "revenue_12m", "working_capital_need"]))
def test_a_worse_grade_less_revenue_or_less_need_never_raises_the_limit(facts, fact):
    worse = {"grade": "P5", "revenue_12m": facts["revenue_12m"] // 2, "working_capital_need": 0}[fact]
    before, after = limit_max(facts, Effects()), limit_max({**facts, fact: worse}, Effects())
    assert before is not None and after is not None and after <= before
