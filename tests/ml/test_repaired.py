"""A training table does not read what was repaired since, although a snapshot of its moment would."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from city_for_tests import RULES, firms, place

from decision_service.portrait.records import IndicatorValue, ListEntry
from ml.features import read_portraits, read_table

PORTRAITS = read_portraits(RULES)
WHERE = PORTRAITS.names.index("admin_penalty_lookback")


def points(*penalties: ListEntry) -> float:
    records = firms(1)[0].records
    values = (
        *(one for one in records.indicators if one.indicator != "IND14"),
        IndicatorValue("IND14", Decimal("4.5"), place().as_of),
    )
    firm = replace(records, lists=penalties, indicators=values)
    return float(read_table([firm], PORTRAITS, now=place().delivered).indicators[0, WHERE])


def test_a_penalty_that_was_repaired_after_the_moment_of_the_table_is_not_in_it() -> None:
    day = place().as_of
    penalty = ListEntry("P", "list_admin_penalty", day - timedelta(days=90), "serious")
    assert points(penalty) == 4.5
    repaired = replace(penalty, ended_on=day + timedelta(days=30), end_reason="repaired")
    assert points(repaired) == 0.0
