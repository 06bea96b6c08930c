"""Indicators: what is calculated, what arrives, and what no record means."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sample_firm import AS_OF, FEEDS, NOW, REGISTRY, SOUND, indicator, month, months, records, registration, sight

from decision_service.portrait.calculators import Indicator
from decision_service.portrait.indicators import indicator_values
from decision_service.portrait.records import ControlChange, Counterparty, ListEntry, Relation

SALES = [100] * 24
YEAR_BEFORE = [100] * 12


def value_of(name: str, *, code: str | None = None, **changes) -> Indicator:
    return indicator_values(sight(records(**changes), code=code), REGISTRY)[name]


def delivered_without(name: str, **extra):
    return tuple(indicator(key, value) for key, value in {**SOUND, **extra}.items() if key != name)


CALCULATIONS = [
    ("eleven months of 100 and one of 340", "IND02", {"months": months(YEAR_BEFORE + [100] * 11 + [340])}, "0.577350"),
    ("nine of twelve months suffice for volatility", "IND02", {"months": months([None] * 3 + [100] * 9)}, "0.000000"),
    ("a third more is a third more", "IND09", {"months": months([300] * 12 + [400] * 12)}, "33.333333"),
    ("nothing sold any more is minus 100 percent", "IND09", {"months": months([300] * 12 + [0] * 12)}, "-100.000000"),
    ("twelve active months", "IND10", {"months": months(SALES)}, "12"),
    ("a month of zero is not active", "IND10", {"months": months(SALES[:-1] + [0])}, "11"),
    ("a net negative month is not active", "IND10", {"months": months(SALES[:-1] + [-1])}, "11"),
    ("one fen makes a month active", "IND10", {"months": months(SALES[:-1] + [1])}, "12"),
    ("a month not reported is not active", "IND10", {"months": months([None] + [100] * 11)}, "11"),
    (
        "established 2,922 days before the date is 8 years",
        "IND28",
        {"registration": registration(established_on=AS_OF - timedelta(days=2922))},
        "8.000000",
    ),
    ("established today is 0 years", "IND28", {"registration": registration(established_on=AS_OF)}, "0.000000"),
    (
        "red notable holder and yellow guarantor",
        "IND29",
        {
            "relations": (
                Relation("P:1", "holding", Decimal("0.2")),
                Relation("91350100M000100Y43X", "guarantee"),
            ),
            "related_lists": {
                "P:1": (ListEntry("a", "list_court_dishonest", date(2026, 1, 5)),),
                "91350100M000100Y43X": (ListEntry("b", "list_executee", date(2026, 1, 5)),),
            },
        },
        "0.640000",
    ),
    (
        "five of six equal customers",
        "IND31",
        {"counterparties": tuple(Counterparty("sales", f"c{k}", date(2026, 11, 1), 7) for k in range(6))},
        "83.333333",
    ),
    (
        "purchases and returns are no customers",
        "IND31",
        {
            "counterparties": (
                Counterparty("sales", "a", date(2026, 11, 1), 7),
                Counterparty("purchases", "b", date(2026, 11, 1), 70),
                Counterparty("sales", "c", date(2026, 11, 1), -7),
            )
        },
        "100.000000",
    ),
    (
        "changes of one day count once, 24 months count, older and later ones do not",
        "IND32",
        {
            "control_changes": (
                ControlChange(date(2026, 5, 1), "controller"),
                ControlChange(date(2026, 5, 1), "shareholding"),
                ControlChange(date(2024, 11, 24), "shareholding"),
                ControlChange(date(2024, 11, 23), "shareholding"),
                ControlChange(date(2026, 11, 25), "shareholding"),
            )
        },
        "2",
    ),
    ("no change of control on a fresh feed is zero", "IND32", {}, "0"),
    ("no value delivered: continuity from the months", "IND07", {"indicators": delivered_without("IND07")}, "1.000000"),
]


@pytest.mark.parametrize(("name", "indicator_id", "changes", "expected"), CALCULATIONS)
def test_calculated(name, indicator_id, changes, expected):
    found = value_of(indicator_id, **changes)
    assert found.status == "ok", name
    assert found.value is not None and round(found.value, 6) == Decimal(expected), name
    assert "calculated" in found.flags


UNKNOWN = [
    ("eight of twelve months are too few", "IND02", {"months": months([None] * 4 + [100] * 8)}, "missing"),
    ("sales of zero have no variation", "IND02", {"months": months([0] * 24)}, "missing"),
    ("no months at all", "IND02", {"months": ()}, "missing"),
    ("newest month over 45 days old", "IND02", {"months": months(SALES)[:-1]}, "stale"),
    ("newest month over 45 days old, activity", "IND10", {"months": months(SALES)[:-1]}, "stale"),
    ("23 months of a young firm", "IND09", {"months": months(SALES[:-1])}, "not_applicable"),
    ("24 months with a hole", "IND09", {"months": months([100] * 5 + [None] + [100] * 18)}, "missing"),
    ("nothing sold the year before", "IND09", {"months": months([0] * 12 + [100] * 12)}, "missing"),
    ("no date of establishment", "IND28", {"registration": registration(established_on=None)}, "missing"),
    (
        "established tomorrow",
        "IND28",
        {"registration": registration(established_on=AS_OF + timedelta(days=1))},
        "missing",
    ),
    ("relations eight days old", "IND29", {"feeds": {**FEEDS, "relations": NOW - timedelta(days=8)}}, "stale"),
    ("lists eight days old", "IND29", {"feeds": {**FEEDS, "lists": NOW - timedelta(days=8)}}, "stale"),
    ("relations never delivered", "IND29", {"feeds": {k: v for k, v in FEEDS.items() if k != "relations"}}, "missing"),
    ("no counterparties", "IND31", {"counterparties": ()}, "imputed"),
    (
        "counterparties 101 days old",
        "IND31",
        {"counterparties": (Counterparty("sales", "a", AS_OF - timedelta(days=101), 7),)},
        "stale",
    ),
    (
        "control changes eight days old",
        "IND32",
        {"feeds": {**FEEDS, "control_changes": NOW - timedelta(days=8)}},
        "stale",
    ),
    (
        "control changes never delivered",
        "IND32",
        {"feeds": {k: v for k, v in FEEDS.items() if k != "control_changes"}},
        "missing",
    ),
    (
        "no value, and one month's filing not reported",
        "IND07",
        {"indicators": delivered_without("IND07"), "months": (month(0, sales=1),)},
        "missing",
    ),
]


@pytest.mark.parametrize(("name", "indicator_id", "changes", "status"), UNKNOWN)
def test_not_calculated(name, indicator_id, changes, status):
    found = value_of(indicator_id, **changes)
    assert (found.value, found.status) == (None, status), name


def test_sales_of_a_seasonal_industry_are_divided_by_their_month():
    factors = REGISTRY.seasons.factors("03", AS_OF)
    sales = [round(1_000_000 * factors[month(23 - k).month.month - 1]) for k in range(24)]
    even, raw = value_of("IND02", code="03", months=months(sales)), value_of("IND02", months=months(sales))
    assert even.value is not None and even.value < Decimal("0.000001") and "seasonal" in even.flags
    assert raw.value is not None and raw.value > Decimal("0.15")


@pytest.mark.parametrize(
    ("name", "idle", "code", "expected"),
    [
        ("three idle off-season months", (5, 6, 7), "03", 12),
        ("five idle off-season months: four are excused", (4, 5, 6, 7, 8), "03", 11),
        ("an idle peak month", (12,), "03", 11),
        ("idle months of an industry without season", (5, 6, 7), "35", 9),
        ("a whole idle year is not excused", tuple(range(1, 13)), "03", 0),
    ],
)
def test_off_season_months_are_excused(name, idle, code, expected):
    sales = [0 if month(23 - k).month.month in idle else 100 for k in range(24)]
    assert value_of("IND10", code=code, months=months(sales)).value == expected, name


def test_a_young_firm_renormalises_the_weights_of_its_months():
    young = registration(established_on=date(2026, 5, 20))
    filed = tuple(one._replace(tax_filing="zero_return") for one in months([5] * 6))
    found = value_of("IND07", registration=young, months=filed, indicators=delivered_without("IND07"))
    assert found.value == Decimal("0.7") and "short_history" in found.flags


@pytest.mark.parametrize(
    ("name", "value", "status", "flag"),
    [
        ("the lowest valid value", Decimal(0), "ok", None),
        ("below the lowest", Decimal("-0.01"), "missing", "invalid"),
        ("the highest valid value", Decimal(500), "ok", None),
        ("above the highest is invalid, not clipped", Decimal("500.01"), "missing", "invalid"),
        ("not a number", Decimal("NaN"), "missing", "invalid"),
        ("infinite", Decimal("Infinity"), "missing", "invalid"),
        ("empty", None, "missing", None),
    ],
)
def test_validity_bounds(name, value, status, flag):
    row = indicator("IND01", 0)._replace(value=value)
    found = value_of("IND01", indicators=(row,))
    assert found.status == status and (found.value is not None) == (status == "ok"), name
    assert found.flags == ((flag,) if flag else ()), name


@pytest.mark.parametrize(
    ("name", "observed_on", "status"),
    [
        ("exactly the greatest age", AS_OF - timedelta(days=200), "ok"),
        ("one day older", AS_OF - timedelta(days=201), "stale"),
        ("today", AS_OF, "ok"),
        ("tomorrow is the future", AS_OF + timedelta(days=1), "missing"),
    ],
)
def test_age_of_an_arriving_value(name, observed_on, status):
    found = value_of("IND01", indicators=(indicator("IND01", 50, observed_on),))
    assert found.status == status and (found.value is None) == (status != "ok"), name


def test_a_count_that_is_not_whole_is_invalid():
    assert value_of("IND16", indicators=(indicator("IND16", "2.5"),)).flags == ("invalid",)


@pytest.mark.parametrize(
    ("name", "indicator_id", "feed_age_days", "status", "value"),
    [
        ("required: missing, however fresh", "IND01", 0, "missing", None),
        ("imputed", "IND03", 0, "imputed", None),
        ("no patents: not applicable", "IND08", 60, "not_applicable", None),
        ("no patents on a stale feed: missing", "IND08", 61, "missing", None),
        ("no penalty is zero", "IND14", 7, "ok", 0),
        ("no penalty on a stale feed: missing", "IND14", 8, "missing", None),
        ("no opinion is zero for three days", "IND18", 3, "ok", 0),
        ("no opinion after four days: missing", "IND18", 4, "missing", None),
        ("no case is good news", "IND13", 7, "not_applicable", None),
        ("no case on a stale feed: missing", "IND13", 8, "missing", None),
    ],
)
def test_absence_means_something_only_on_a_fresh_feed(name, indicator_id, feed_age_days, status, value):
    feeds = {**FEEDS, "indicators": NOW - timedelta(days=feed_age_days)}
    found = value_of(indicator_id, indicators=delivered_without(indicator_id), feeds=feeds)
    assert (found.status, found.value) == (status, value), name


def test_absence_means_nothing_on_a_feed_never_delivered():
    feeds = {kind: moment for kind, moment in FEEDS.items() if kind != "indicators"}
    found = indicator_values(sight(records(indicators=(), feeds=feeds)), REGISTRY)
    assert [found[name].status for name in ("IND08", "IND13", "IND14")] == ["missing"] * 3


def test_the_calculation_wins_over_a_value_that_arrives():
    found = value_of("IND10", months=months(SALES), indicators=(indicator("IND10", 3),))
    assert (found.value, found.flags) == (12, ("calculated",))


def test_a_value_that_arrives_stands_in_for_a_calculation_that_cannot_be_made():
    found = value_of("IND10", months=(), indicators=(indicator("IND10", 3),))
    assert (found.value, found.status, found.flags) == (3, "ok", ())


def test_a_delivered_continuity_wins_over_the_months():
    assert value_of("IND07", indicators=(indicator("IND07", "0.5"),)).value == Decimal("0.5")
