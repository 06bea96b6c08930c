"""The profile that a city's models carry names its inputs as decisions record them, of firms as the city has them."""

from __future__ import annotations

import numpy as np
import pytest
from city_for_tests import RULES, firms, place

from decision_service.portrait.invoices import FEATURES
from decision_service.portrait.series import SERIES
from decision_service.portrait.snapshot import INVOICE_LOAN, snapshot
from decision_service.scoring.stability import profile_from_json
from ml.city_training import Sample, natural_profile
from ml.features import read_portraits, read_table

PORTRAITS = read_portraits(RULES)
RECORDS = [firm.records for firm in firms(60)]
TABLE = read_table(RECORDS, PORTRAITS, now=place().delivered)
TEST = Sample(TABLE, np.zeros(60, dtype=int), np.zeros(60, dtype=int), np.zeros(60))
CHANCES = np.where(np.arange(60) < 5, np.nan, np.linspace(0, 0.1, 60))


def recorded(product: str) -> set[str]:
    """The names of the features that a decision on a product records."""
    seen = snapshot(
        RECORDS[0],
        registry=PORTRAITS.registry,
        lists=PORTRAITS.lists,
        industry={},
        product=INVOICE_LOAN,
        now=place().delivered,
    )
    return set(seen.features_for(product))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("pd-xgboost", recorded("working_capital")),
        ("pd-xgboost-invoice", {*(one.name for one in FEATURES), "industry_code"}),
        ("pd-lstm", {*(f"series:{one}" for one in SERIES), "series:months"}),
    ],
)
def test_inputs_have_the_names_that_decisions_record(name: str, names: set[str]) -> None:
    found = natural_profile(name, TEST, PORTRAITS, CHANCES)
    assert set(found.inputs) == names
    assert profile_from_json(found.to_json()) == found


def test_only_firms_with_a_score_count() -> None:
    found = natural_profile("pd-xgboost", TEST, PORTRAITS, CHANCES)
    assert {sum(one.counts) for one in (found.score, *found.inputs.values())} == {55}
    assert found.score.counts[-1] == 0
