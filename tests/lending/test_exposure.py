"""Exposure over all banks: secured parts, reservations, groups, lenders, first loans, and what is not known."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from decision_service.lending.exposure import (
    Holding,
    beyond_reports,
    controls,
    exposure_facts,
    group_members,
    unsecured,
)
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
SELF, PARENT = "91350100M000100Y43", "91350100MA0000001K"


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


def group(*links: tuple[str, str], customer: str = "S") -> tuple[str, ...] | None:
    """The group over links that are read from both ends."""
    return group_members(customer, lambda some: {two for one, two in (*links, *map(swapped, links)) if one in some})


def swapped(link: tuple[str, str]) -> tuple[str, str]:
    return link[1], link[0]


def chain(length: int) -> list[tuple[str, str]]:
    return [("S" if step == 0 else f"C{step}", f"C{step + 1}") for step in range(length)]


def star(members: int) -> list[tuple[str, str]]:
    return [(f"C{number}", "P:1") for number in range(members - 1)] + [("S", "P:1")]


@pytest.mark.parametrize(
    ("name", "links", "members"),
    [
        ("nobody", [], ()),
        ("a parent told by the child", [("S", "P")], ("P",)),
        ("a child told by the child", [("C", "S")], ("C",)),
        ("a sister under one parent", [("S", "P"), ("C", "P")], ("C", "P")),
        ("a sister under one person", [("S", "P:1"), ("C", "P:1")], ("C", "P:1")),
        ("a sister told by the parent", [("P", "S"), ("P", "C")], ("C", "P")),
        ("the sister's own child", [("S", "P"), ("C", "P"), ("D", "C")], ("C", "D", "P")),
        ("a ring ends", [("S", "P"), ("P", "C"), ("C", "S")], ("C", "P")),
        ("a group of others", [("C", "P")], ()),
        ("six links away", chain(6), ("C1", "C2", "C3", "C4", "C5", "C6")),
        ("seven links away", chain(7), None),
        ("more than 200 with the customer", star(200), None),
    ],
)
def test_the_group_is_what_control_links_join_from_either_end(name, links, members):
    assert group(*links) == members, name


def test_a_group_of_200_with_the_customer_is_whole():
    found = group(*star(199))
    assert found is not None and len(found) == 199


def test_a_group_too_large_to_read_is_unknown():
    assert group_members("S", lambda some: None) is None
    found = facts(ExposureState(group=None))
    assert found["group_exposure_others"] is None and found["exposure_existing"] == 0


@pytest.mark.parametrize(
    ("name", "link", "expected"),
    [
        ("a parent", Relation(PARENT, "parent"), True),
        ("a controlling person", Relation("P:1", "controller_person"), True),
        ("a controlled firm", Relation(PARENT, "control"), True),
        ("half is no control", Relation(PARENT, "holding", Decimal("0.5")), False),
        ("more than half is", Relation(PARENT, "holding", Decimal("0.500001")), True),
        ("a holding of unknown share may be", Relation(PARENT, "holding"), True),
        ("a guarantor is no group", Relation(PARENT, "guarantee"), False),
        ("one legal representative is no control", Relation(PARENT, "same_legal_representative"), False),
    ],
)
def test_links_of_control(name, link, expected):
    assert controls(link) is expected, name


def held(amount: int, *, contract: str = "C-1", changed: int = 0) -> Holding:
    return Holding("bank-1", contract, amount, NOW + timedelta(hours=changed))


def told(amount: int, contract: str, *, bank: str = "bank-1", later: int = -1) -> tuple[CreditLine, datetime]:
    return CreditLine(bank, contract, amount, 0, 0), NOW + timedelta(hours=later)


REPORTED: dict[str, tuple[list[Holding], list[tuple[CreditLine, datetime]], int]] = {
    "nothing is reported": ([held(5)], [], 5),
    "another contract is reported": ([held(5)], [told(5, "C-2")], 5),
    "another bank reports the same number": ([held(5)], [told(5, "C-1", bank="bank-2")], 5),
    "no contract is named": ([held(5, contract="")], [told(5, "C-1")], 5),
    "a later report covers it, whatever it says": ([held(5)], [told(0, "C-1", later=1)], 0),
    "of an earlier report the larger counts": ([held(5)], [told(3, "C-1")], 2),
    "an earlier report may be the larger": ([held(5)], [told(7, "C-1")], 0),
    "a report of the same moment is not later": ([held(5)], [told(3, "C-1", later=0)], 2),
    "two decisions under one contract": ([held(5), held(4)], [told(3, "C-1")], 6),
    "its last act counts": ([held(5), held(4, changed=2)], [told(3, "C-1", later=1)], 6),
}


@pytest.mark.parametrize(("holdings", "lines", "beyond"), REPORTED.values(), ids=REPORTED.keys())
def test_what_banks_do_not_report_counts_beside_what_they_do(holdings, lines, beyond):
    assert beyond_reports(holdings, lines) == beyond
