"""The steps of a limit lead to the limit that decisions use, for all inputs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from decision_service.lending.limit_steps import bounds
from decision_service.lending.limits import Whole, floor_10k, limit_max
from tests.lending.test_limits import INVOICE, SOUND, Effects

MONEY = some.none() | some.integers(-(10**13), 10**13)
RATIO = some.none() | some.integers(-10, 2_000_000)
FACTS = some.fixed_dictionaries(
    {
        "product": some.sampled_from(["working_capital", "invoice_loan", "bill_pool"]),
        "grade": some.sampled_from(["P1", "P2", "P3", "P4", "P5", "insufficient_data", None]),
        **dict.fromkeys(
            ["revenue_12m", "total_assets", "total_liabilities", "working_capital_need", "inv_sales_12m"], MONEY
        ),
        **dict.fromkeys(
            ["industry.limit_multiple_of_revenue", "industry.max_leverage", "product.limit_multiple_of_revenue"], RATIO
        ),
    }
)


@given(FACTS, some.integers(0, 1_000_000), some.none() | some.integers(0, 10**12))
def test_the_least_bound_capped_and_factored_is_the_limit(facts, factor, cap):
    numbers = Whole(facts)
    bound = numbers.least([one.value for one in bounds(facts)])
    limit = limit_max(facts, Effects(factor, cap))
    assert (bound is None) == (limit is None)
    if bound is not None:
        assert floor_10k(numbers, (bound if cap is None else min(bound, cap)) * factor // 1_000_000) == limit


@pytest.mark.parametrize(
    ("name", "facts", "values"),
    [
        ("three bounds of a working-capital loan", SOUND, [15_000_000_00, 17_142_857_14, 100_000_000_00]),
        ("the grade's factor is part of its bound", {**SOUND, "grade": "P4"}, [7_500_000_00, 17_142_857_14, 10**10]),
        ("an unknown grade", {**SOUND, "grade": None}, [None, 17_142_857_14, 100_000_000_00]),
        ("one bound of an invoice loan", INVOICE, [1_500_000_00]),
        ("no formula, no bound", {**SOUND, "product": "bill_pool"}, []),
    ],
)
def test_each_bound_tells_its_amount_and_reads_what_it_says(name, facts, values):
    found = bounds(facts)
    assert [one.value for one in found] == values, name
    assert all(set(one.title) == set(one.formula) == {"zh", "en"} for one in found)
    for one in found:
        others = {fact: value if fact in (*one.inputs, "product") else None for fact, value in facts.items()}
        assert one in bounds(others), f"{one.name} reads more than it says"
