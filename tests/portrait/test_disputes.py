"""Objections in the portrait: marks on records, values worked out again, what a training set may read."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sample_firm import AS_OF, SOUND, indicator, records, seen

from decision_service.portrait.disputes import digest_of, for_training, marked, spoken
from decision_service.portrait.records import IndicatorValue, ListEntry, Mark, Overdue, TaxRating

HALF_YEAR, YEAR_AND_HALF = AS_OF - timedelta(days=183), AS_OF - timedelta(days=548)
GENERAL = ListEntry("P1", "list_admin_penalty", HALF_YEAR, "general")
SERIOUS = ListEntry("P2", "list_admin_penalty", YEAR_AND_HALF, "serious")
ABNORMAL = ListEntry("A1", "list_abnormal_operation", HALF_YEAR)
COURT = ListEntry("C1", "list_court_dishonest", HALF_YEAR)
ARREARS = Overdue("O1", "bank", HALF_YEAR, 120, AS_OF - timedelta(days=30))
DIRECT = TaxRating(2025, "D", date(2026, 4, 15), "direct")


def with_value(name: str, value: Any, observed_on: date = AS_OF - timedelta(days=1)) -> tuple[IndicatorValue, ...]:
    return tuple(indicator(one, value if one == name else sound, observed_on) for one, sound in SOUND.items())


def mark(record: Any, kind: str = "lists", effect: str = "struck", **changes: Any) -> Mark:
    key = getattr(record, "record_id", None) or str(getattr(record, "year", ""))
    return Mark(kind, key, effect, AS_OF, getattr(record, "list_name", ""), **changes)


def test_penalties_make_the_golden_value_and_the_repaired_one_drops_out() -> None:
    """General 6 months and serious 18 months ago: 4.050894."""
    values = with_value("IND14", "4.050894")
    assert seen(lists=(GENERAL, SERIOUS), indicators=values).features["admin_penalty_lookback"] == 4.050894
    repaired = replace(SERIOUS, ended_on=AS_OF, end_reason="repaired")
    left = seen(lists=(GENERAL, repaired), indicators=values).features["admin_penalty_lookback"]
    assert left == pytest.approx(3 * math.exp(-0.5), abs=2e-3)
    later = with_value("IND14", "1.8", AS_OF)
    repaired_before = replace(SERIOUS, ended_on=AS_OF - timedelta(days=1), end_reason="repaired")
    assert seen(lists=(GENERAL, repaired_before), indicators=later).features["admin_penalty_lookback"] == 1.8


WORKED_OUT: dict[str, tuple[str, Any, dict[str, Any], float]] = {
    "a penalty under dispute": ("IND14", 4, {"lists": (replace(GENERAL, disputed_on=AS_OF),)}, 0.0),
    "struck from the abnormal list": ("IND17", 2, {"marks": (mark(ABNORMAL),)}, 0.0),
    "struck, and another entry stands": (
        "IND17",
        3,
        {"lists": (ABNORMAL,), "marks": (mark(ListEntry("S1", "list_samr_illegal", HALF_YEAR)),)},
        2.0,
    ),
    "another was removed within a year": (
        "IND17",
        2,
        {
            "lists": (replace(ABNORMAL, record_id="A2", ended_on=AS_OF, end_reason="removed"),),
            "marks": (mark(ABNORMAL),),
        },
        1.0,
    ),
    "arrears under dispute": (
        "IND22",
        120,
        {"overdues": (ARREARS,), "marks": (mark(ARREARS, "overdues", "disputed"),)},
        0.0,
    ),
    "a rating under dispute": (
        "IND19",
        0,
        {
            "tax_ratings": (TaxRating(2024, "B", date(2025, 4, 15)), DIRECT),
            "marks": (mark(DIRECT, "tax_ratings", "disputed"),),
        },
        85.0,
    ),
    "what a court's entry is in": ("IND15", 20, {"marks": (mark(COURT),)}, math.nan),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value", "changes", "expected"), WORKED_OUT.values(), ids=WORKED_OUT.keys())
def test_values_that_may_contain_it_are_worked_out_again_or_not_known(
    name: str, value: Any, changes: dict[str, Any], expected: float
) -> None:
    found = seen(indicators=with_value(name, value), **changes)
    feature = next(one for one in found.features if one == NAMES[name])
    assert found.features[feature] == pytest.approx(expected, nan_ok=True)


NAMES = {
    "IND14": "admin_penalty_lookback",
    "IND15": "enforcement_amount_ratio",
    "IND17": "registration_abnormal_status",
    "IND19": "tax_credit_rating",
    "IND22": "max_overdue_days_24m",
}


@pytest.mark.parametrize("name", NAMES)
def test_without_a_fresh_feed_they_are_not_known(name: str) -> None:
    marks = tuple(mark(one, kind) for one, kind in ((GENERAL, "lists"), (ABNORMAL, "lists"), (COURT, "lists"),
                                                    (ARREARS, "overdues"), (DIRECT, "tax_ratings")))  # fmt: skip
    found = seen(indicators=with_value(name, 10), marks=marks, feeds={})
    assert math.isnan(float(found.features[NAMES[name]])) and found.facts[f"{NAMES[name]}_status"] == "stale"


def test_a_value_that_came_after_the_ruling_counts() -> None:
    struck = replace(mark(COURT), since=AS_OF - timedelta(days=2))
    assert seen(indicators=with_value("IND15", 20), marks=(struck,)).features["enforcement_amount_ratio"] == 20
    disputed = replace(struck, effect="disputed")
    found = seen(indicators=with_value("IND15", 20), marks=(disputed,))
    assert math.isnan(float(found.features["enforcement_amount_ratio"])), "its source does not know of the dispute"
    assert found.facts["disputed_data"] is True


RED_FACTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "arrears": (
        {"overdues": (ARREARS,), "marks": (mark(ARREARS, "overdues", "disputed"),)},
        {"overdue_days_serious": 89, "overdue_days_recent": 89, "written_off_uncured": False},
    ),
    "written off": (
        {
            "overdues": (replace(ARREARS, cured_on=None, written_off=True),),
            "marks": (mark(ARREARS, "overdues", "disputed"),),
        },
        {"overdue_days_recent": 89, "written_off_uncured": False},
    ),
    "others that are not disputed count": (
        {"overdues": (ARREARS, replace(ARREARS, record_id="O2")), "marks": (mark(ARREARS, "overdues", "disputed"),)},
        {"overdue_days_serious": 120},
    ),
    "a D by direct judgement": (
        {"tax_ratings": (DIRECT,), "marks": (mark(DIRECT, "tax_ratings", "disputed"),)},
        {"tax_rating": "D", "tax_rating_basis": "score"},
    ),
}


@pytest.mark.parametrize(("changes", "expected"), RED_FACTS.values(), ids=RED_FACTS.keys())
def test_what_is_under_dispute_makes_no_red_card(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    facts = seen(**changes).facts
    assert {name: facts[name] for name in expected} == expected and facts["disputed_data"] is True


def test_marks_touch_only_what_they_name_and_only_what_it_said_then() -> None:
    assert marked("lists", [GENERAL, SERIOUS], [mark(GENERAL)]) == [SERIOUS]
    assert marked("overdues", [ARREARS], [mark(GENERAL)]) == [ARREARS]
    said = mark(GENERAL, digest=digest_of(GENERAL))
    corrected = replace(GENERAL, severity="minor")
    assert marked("lists", [GENERAL], [said]) == [] and marked("lists", [corrected], [said]) == [corrected]
    disputed = marked("lists", [GENERAL], [mark(GENERAL, effect="disputed")])
    assert disputed == [replace(GENERAL, disputed_on=AS_OF)] and digest_of(disputed[0]) == digest_of(GENERAL)


def test_what_a_record_says_is_told_apart_and_its_spelling_is_not() -> None:
    value = IndicatorValue("IND01", Decimal("50"), AS_OF)
    again = IndicatorValue("IND01", Decimal("50.00"), AS_OF - timedelta(days=9))
    assert digest_of(value) == digest_of(again) != digest_of(value._replace(value=Decimal(51)))
    assert len({digest_of(one) for one in (GENERAL, SERIOUS, ABNORMAL, COURT, ARREARS, DIRECT)}) == 6


def test_evidence_names_the_records_that_spoke() -> None:
    old = replace(SERIOUS, record_id="P3", listed_on=date(2015, 1, 1), ended_on=date(2016, 1, 1))
    future = replace(GENERAL, record_id="P4", listed_on=AS_OF + timedelta(days=1))
    repaired = replace(GENERAL, record_id="P5", ended_on=AS_OF, end_reason="repaired")
    firm = records(lists=(GENERAL, old, future, repaired), overdues=(ARREARS,), related_lists={"X": (COURT,), "Y": ()})
    found = spoken(firm, AS_OF)
    assert found["lists"] == {"P1": digest_of(GENERAL)} and found["overdues"].keys() == {"O1"}
    assert found["tax_ratings"].keys() == {"2023", "2024", "2025"}
    assert found["related"] == {"X": {"C1": digest_of(COURT)}}
    assert spoken(records(tax_ratings=()), AS_OF) == {}


def test_a_training_set_of_an_earlier_moment_does_not_read_what_was_repaired_since() -> None:
    """At its moment the penalty was in force: a snapshot of it, taken now, must not tell."""
    repaired = replace(GENERAL, ended_on=AS_OF, end_reason="repaired")
    then = replace(records(lists=(repaired, SERIOUS), indicators=with_value("IND14", "4.050894")), related_lists={})
    before = AS_OF - timedelta(days=1)
    moment = records().feeds["lists"] - timedelta(days=1)

    def read(firm: Any) -> Any:
        return seen(moment, lists=firm.lists, indicators=firm.indicators, marks=firm.marks)

    assert read(then).as_of == before and read(then).features["admin_penalty_lookback"] == 4.050894
    trained = read(for_training(then))
    assert trained.features["admin_penalty_lookback"] == pytest.approx(10 * math.exp(-1.5), abs=1e-2)
    assert for_training(records()) == records(), "nothing is left out of a firm without repairs"


def test_what_is_struck_or_disputed_and_what_parties_had_repaired_is_left_out_of_training() -> None:
    disputed = replace(COURT, disputed_on=AS_OF)
    theirs = replace(COURT, record_id="C2", ended_on=AS_OF, end_reason="repaired")
    firm = records(
        lists=(disputed, SERIOUS),
        overdues=(ARREARS,),
        related_lists={"X": (COURT, theirs)},
        marks=(mark(COURT, effect="disputed"), mark(ARREARS, "overdues", "disputed")),
    )
    found = for_training(firm)
    assert found.lists == (SERIOUS,) and found.overdues == () and found.related_lists == {"X": (COURT,)}
