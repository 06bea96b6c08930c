"""Exposure over all banks: secured parts, reservations, groups, lenders, first loans, and what is not known."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from decision_service.lending.exposure import exposure_facts, group_members, unsecured
from decision_service.portrait.records import (
    CreditLine,
    EnterpriseRecords,
    IndicatorValue,
    Overdue,
    Registration,
    Relation,
)
from decision_service.store import ExposureState

NOW = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)
FEEDS = dict.fromkeys(("exposures", "relations", "overdues"), NOW)
SELF, SISTER, PARENT = "91350100M000100Y43", "91350100MA0000000L", "91350100MA0000001K"


def firm(**changes: Any) -> EnterpriseRecords:
    registration = Registration(SELF, "示例企业", "company", "active", None, "35", "2017")
    return EnterpriseRecords(**{"registration": registration, "feeds": FEEDS, **changes})


def line(drawn: int, undrawn: int = 0, secured: int = 0) -> CreditLine:
    return CreditLine("B01", "1", drawn, undrawn, secured)


def facts(state: ExposureState = ExposureState(), client_id: str = "bank-1", **changes: Any) -> dict[str, Any]:
    return exposure_facts(firm(**changes), state, client_id=client_id, now=NOW)


@pytest.mark.parametrize(
    ("name", "one", "fen"),
    [
        ("drawn and committed add up", line(100, 50), 150),
        ("the secured part is left out", line(100, 50, 120), 30),
        ("more security than loan is nothing, not less", line(100, 0, 120), 0),
    ],
)
def test_what_of_a_line_counts(name, one, fen):
    assert unsecured(one) == fen, name


def test_lines_of_all_banks_and_reservations_are_summed_to_the_fen():
    state = ExposureState(reserved=1, group_reserved=7, own_lines=(line(100_000_000), line(1, 1)), lines=(line(93),))
    found = facts(state)
    assert found["exposure_existing"] == Decimal("1000000.02")
    assert found["exposure_pending"] == Decimal("0.01")
    assert found["group_exposure_others"] == Decimal("1.00")


@pytest.mark.parametrize(
    ("name", "feed", "age", "existing", "group"),
    [
        ("banks reported a day ago", "exposures", timedelta(hours=24), True, True),
        ("a second longer ago", "exposures", timedelta(hours=24, seconds=1), False, False),
        ("relations seven days old", "relations", timedelta(days=7), True, True),
        ("relations older", "relations", timedelta(days=7, seconds=1), True, False),
    ],
)
def test_a_stale_feed_makes_the_sum_unknown(name, feed, age, existing, group):
    found = facts(feeds={**FEEDS, feed: NOW - age})
    assert (found["exposure_existing"] is not None) == existing, name
    assert (found["group_exposure_others"] is not None) == group, name
    assert found["exposure_pending"] == 0


def test_nothing_delivered_is_unknown():
    found = facts(feeds={})
    assert [found[name] for name in ("exposure_existing", "group_exposure_others", "first_time_borrower")] == [None] * 3


@pytest.mark.parametrize(
    ("name", "clients", "count"),
    [("only the one that asks", (), 1), ("asked before", ("bank-1",), 1), ("and two others", ("bank-2", "bank-3"), 3)],
)
def test_lenders_of_30_days_include_the_one_that_asks(name, clients, count):
    assert facts(ExposureState(clients=clients))["lenders_30d"] == count, name


@pytest.mark.parametrize(
    ("name", "state", "changes", "expected"),
    [
        ("nothing on record", ExposureState(), {}, True),
        ("a line", ExposureState(own_lines=(line(1),)), {}, False),
        ("old arrears", ExposureState(), {"overdues": (Overdue("o", "B", NOW.date(), 3),)}, False),
        (
            "a credit history",
            ExposureState(),
            {"indicators": (IndicatorValue("IND22", Decimal(0), NOW.date()),)},
            False,
        ),
        (
            "a history that does not apply",
            ExposureState(),
            {"indicators": (IndicatorValue("IND22", None, NOW.date(), "not_applicable"),)},
            True,
        ),
        ("silence of a stale feed", ExposureState(), {"feeds": {**FEEDS, "overdues": NOW - timedelta(days=8)}}, None),
        ("a line is known whatever the feed's age", ExposureState(own_lines=(line(1),)), {"feeds": {}}, False),
    ],
)
def test_first_time_borrower(name, state, changes, expected):
    assert facts(state, **changes)["first_time_borrower"] is expected, name


@pytest.mark.parametrize(
    ("name", "near", "far", "members"),
    [
        ("nobody", (), {}, ()),
        ("a parent", (Relation(PARENT, "parent"),), {}, (PARENT,)),
        ("a guarantor is no group", (Relation(PARENT, "guarantee"),), {}, ()),
        ("half is no control", (Relation(PARENT, "holding", Decimal("0.5")),), {}, ()),
        ("more than half is", (Relation(PARENT, "holding", Decimal("0.500001")),), {}, (PARENT,)),
        ("a holding of unknown share is not", (Relation(PARENT, "holding"),), {}, ()),
        (
            "a sister through the parent",
            (Relation(PARENT, "parent"),),
            {PARENT: (Relation(SISTER, "control"), Relation(SELF, "control"))},
            (SISTER, PARENT),
        ),
        (
            "a sister through the controlling person",
            (Relation("P:1", "controller_person"),),
            {"P:1": (Relation(SISTER, "control"),)},
            (SISTER, "P:1"),
        ),
        (
            "what a guarantor controls is no group",
            (Relation(PARENT, "guarantee"),),
            {PARENT: (Relation(SISTER, "control"),)},
            (),
        ),
    ],
)
def test_group_members(name, near, far, members):
    assert group_members(firm(relations=near, related_relations=far)) == members, name
