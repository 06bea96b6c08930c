"""Invoice facts and features: what is counted, what is unknown, boundaries of the windows."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import pytest

from decision_service.portrait.invoices import FEATURES, InvoiceView, invoice_facts, invoice_features
from decision_service.portrait.records import Counterparty, EnterpriseRecords, Month, Registration

AS_OF = date(2020, 3, 1)
REGISTRATION = Registration("91350100M000100Y43", "n", "company", "active", None, "51", "2017")


def month(back: int, **fields: int) -> Month:
    """The month that lies ``back`` months before February 2020."""
    index = 2020 * 12 + 1 - back
    return Month(date(index // 12, index % 12 + 1, 1), **fields)


def view(months: list[Month], counterparties: list[Counterparty] | None = None) -> InvoiceView:
    by_date = tuple(sorted(months, key=lambda m: m.month))
    return InvoiceView.of(EnterpriseRecords(REGISTRATION, by_date, tuple(counterparties or ())), AS_OF)


def even(sales: int = 10_000, count: int = 24) -> list[Month]:
    return [
        month(k, sales=sales, purchases=5_000, sales_invoices=3, void_invoices=1, negative_invoices=0)
        for k in range(count)
    ]


def sold(*amounts: int, end: date = date(2020, 3, 1)) -> list[Counterparty]:
    return [Counterparty("sales", f"c{n}", end, amount) for n, amount in enumerate(amounts)]


FACT_CASES = [
    ("nothing delivered: everything is unknown", [], [], "inv_months", None),
    ("nothing delivered: sales are unknown, not zero", [], [], "inv_sales_12m", None),
    ("24 months of history", even(), [], "inv_months", 24),
    ("history counts from the first month with trade", [month(40, sales=5)] + even(), [], "inv_months", 41),
    (
        "reported months without trade are no history",
        [month(k, sales=0, purchases=0) for k in range(3)],
        [],
        "inv_months",
        0,
    ),
    ("twelve active months", even(), [], "inv_active_months", 12),
    ("a month of zero is not active", [month(0, sales=0)] + even()[1:], [], "inv_active_months", 11),
    ("a negative month is not active", [month(0, sales=-5)] + even()[1:], [], "inv_active_months", 11),
    ("one fen makes a month active", [month(0, sales=1)] + even()[1:], [], "inv_active_months", 12),
    ("the thirteenth month back is outside the year", [month(12, sales=7)], [], "inv_active_months", None),
    ("sales of twelve months are exact", even(sales=10_001), [], "inv_sales_12m", Decimal("1200.12")),
    (
        "the month of the decision itself is left out",
        even() + [month(-1, sales=999)],
        [],
        "inv_sales_12m",
        Decimal("1200"),
    ),
    ("even sales do not vary", even(), [], "inv_volatility", Decimal("0")),
    (
        "eleven of 1.00 and one of 3.40",
        [month(k, sales=340 if k == 4 else 100) for k in range(12)],
        [],
        "inv_volatility",
        Decimal("0.577350"),
    ),
    ("nine months are enough for volatility", even(count=9), [], "inv_volatility", Decimal("0")),
    ("eight months are not", even(count=8), [], "inv_volatility", None),
    ("no sales: volatility is unknown", even(sales=0), [], "inv_volatility", None),
    ("growth of one half", even(150)[:12] + even(100)[12:], [], "inv_growth", Decimal("0.5")),
    ("growth needs both years in full", even(count=23), [], "inv_growth", None),
    ("growth from nothing is unknown", even(150)[:12] + even(0)[12:], [], "inv_growth", None),
    (
        "a net-negative year is a loss of all sales, not more",
        even(-150)[:12] + even(100)[12:],
        [],
        "inv_growth",
        Decimal("-1"),
    ),
    ("one void beside three valid invoices", even(), [], "inv_void_ratio", Decimal("0.25")),
    (
        "no invoices: no share of void ones",
        [month(0, sales=0, sales_invoices=0, void_invoices=0)],
        [],
        "inv_void_ratio",
        None,
    ),
    ("void not reported: unknown", [month(0, sales=0, sales_invoices=2)], [], "inv_void_ratio", None),
    (
        "one red-letter invoice of four",
        [month(0, sales_invoices=4, negative_invoices=1)],
        [],
        "inv_negative_ratio",
        Decimal("0.25"),
    ),
    ("no counterparties delivered: customers unknown", even(), [], "inv_customers", None),
    ("customers with a net amount above zero", even(), sold(5, 1, 0, -3), "inv_customers", 2),
    ("customers only: suppliers are zero", even(), sold(5), "inv_suppliers", 0),
    (
        "a list of counterparties over a year old is unknown",
        even(),
        sold(5, end=date(2019, 2, 1)),
        "inv_customers",
        None,
    ),
    ("a list exactly a year old still counts", even(), sold(5, end=date(2019, 3, 1)), "inv_customers", 1),
    ("a list from the future is not seen", even(), sold(5, end=date(2020, 4, 1)), "inv_customers", None),
    ("five of six equal customers", even(), sold(*[7] * 6), "inv_top5_share", Decimal("0.833333")),
    ("no net sales to anyone: concentration unknown", even(), sold(-1), "inv_top5_share", None),
]


@pytest.mark.parametrize(
    ("months", "partners", "fact", "expected"), [case[1:] for case in FACT_CASES], ids=[case[0] for case in FACT_CASES]
)
def test_invoice_fact(months: list[Month], partners: list[Counterparty], fact: str, expected: object) -> None:
    assert invoice_facts(view(months, partners))[fact] == expected


FEATURE_CASES = [
    ("sales in CNY", even(), "inv_sales_24m", 2400.0),
    ("no gap", even(), "inv_longest_gap", 0.0),
    (
        "a gap of two months is longer than one of one",
        [month(0, sales=0), month(1, sales=1), month(2, sales=0), month(3, sales=-1)],
        "inv_longest_gap",
        2.0,
    ),
    ("months not reported are no gap", [month(0, sales=1), month(5, sales=1)], "inv_longest_gap", 0.0),
    ("nothing reported: the gap is unknown", [], "inv_longest_gap", math.nan),
    ("active months of 24", even(count=20), "inv_active_24m", 20.0),
    ("volatility of 24 months needs nine", even(count=8), "inv_volatility_24m", math.nan),
]


@pytest.mark.parametrize(
    ("months", "name", "expected"), [case[1:] for case in FEATURE_CASES], ids=[case[0] for case in FEATURE_CASES]
)
def test_invoice_feature(months: list[Month], name: str, expected: float) -> None:
    assert invoice_features(view(months))[name] == pytest.approx(expected, nan_ok=True)


def test_every_declared_feature_is_delivered_as_a_float_in_order() -> None:
    features = invoice_features(view([]))
    assert list(features) == [feature.name for feature in FEATURES]
    assert all(isinstance(value, float) for value in features.values())


def test_the_order_of_counterparties_does_not_matter() -> None:
    partners = sold(5, 9, 2, 7, 1, 3)
    assert invoice_facts(view(even(), partners)) == invoice_facts(view(even(), partners[::-1]))
