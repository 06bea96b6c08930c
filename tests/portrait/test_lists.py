"""Lists: terms by date, half-open ends, repair, dispute, silence of a feed; mistakes in the file."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sample_firm import LISTS, RULES

from decision_service.errors import RulebookError
from decision_service.portrait.lists import Lists
from decision_service.portrait.records import ListEntry

TEXT = (RULES / "lists.yaml").read_text("utf-8")
COURT, PENALTY, ABNORMAL = "list_court_dishonest", "list_admin_penalty", "list_abnormal_operation"


def entry(name: str = COURT, listed_on: str = "2022-07-01", **changes: Any) -> ListEntry:
    days = {key: date.fromisoformat(value) for key, value in changes.items() if key.endswith("_on")}
    return ListEntry("r", name, date.fromisoformat(listed_on), **{**changes, **days})


def status(*entries: ListEntry, on: str, name: str = COURT, fresh: bool = True) -> str | None:
    return LISTS.statuses(entries, date.fromisoformat(on), fresh=fresh)[name]


CASES = [
    ("the day before listing", COURT, {}, "2022-06-30", "none"),
    ("the day of listing", COURT, {}, "2022-07-01", "active"),
    ("the last day of two years", COURT, {}, "2024-06-30", "active"),
    ("two years later", COURT, {}, "2024-07-01", "none"),
    ("the source's own end is later", COURT, {"ends_on": "2025-07-01"}, "2025-06-30", "active"),
    ("on the source's own end", COURT, {"ends_on": "2025-07-01"}, "2025-07-01", "none"),
    ("a scheduled end before listing ends nothing", COURT, {"ends_on": "2022-06-30"}, "2030-01-01", "active"),
    ("but the actual end holds", COURT, {"ends_on": "2022-06-30", "ended_on": "2023-03-05"}, "2023-03-05", "none"),
    ("a scheduled end on the day of listing", COURT, {"ends_on": "2022-07-01"}, "2022-07-01", "none"),
    ("the day before performance", COURT, {"ended_on": "2023-03-05"}, "2023-03-04", "active"),
    ("on the day of performance", COURT, {"ended_on": "2023-03-05"}, "2023-03-05", "none"),
    ("an actual end after the scheduled one changes nothing", COURT, {"ended_on": "2030-01-01"}, "2024-07-01", "none"),
    ("no fixed term", ABNORMAL, {}, "2050-01-01", "active"),
    ("no fixed term, removed", ABNORMAL, {"ended_on": "2024-01-02"}, "2024-01-02", "none"),
    ("general penalty before order 58: three years", PENALTY, {"severity": "general"}, "2025-06-30", "active"),
    ("general penalty before order 58 is over", PENALTY, {"severity": "general"}, "2025-07-01", "none"),
    ("minor penalty: three months", PENALTY, {"severity": "minor"}, "2022-09-30", "active"),
    ("minor penalty is over", PENALTY, {"severity": "minor"}, "2022-10-01", "none"),
    ("a penalty of unknown severity ends only when removed", PENALTY, {}, "2040-01-01", "active"),
    ("before the dispute", COURT, {"disputed_on": "2023-01-09"}, "2023-01-08", "active"),
    ("on the day of the dispute", COURT, {"disputed_on": "2023-01-09"}, "2023-01-09", "disputed"),
    (
        "on the day of the ruling",
        COURT,
        {"disputed_on": "2023-01-09", "dispute_ruled_on": "2023-01-29"},
        "2023-01-29",
        "active",
    ),
    ("a disputed entry that has ended", COURT, {"disputed_on": "2023-01-09"}, "2024-07-01", "none"),
]


@pytest.mark.parametrize(("name", "list_name", "changes", "on", "expected"), CASES)
def test_status_on_a_date(name, list_name, changes, on, expected):
    assert status(entry(list_name, **changes), on=on, name=list_name) == expected, name


@pytest.mark.parametrize(
    ("name", "listed_on", "on", "expected"),
    [
        ("listed on the last day of order 58", "2026-03-31", "2027-04-01", "active"),
        ("listed on the first day of order 36: last day", "2026-04-01", "2027-03-31", "active"),
        ("listed on the first day of order 36: one year", "2026-04-01", "2027-04-01", "none"),
    ],
)
def test_the_term_is_the_one_in_force_on_the_day_of_listing(name, listed_on, on, expected):
    found = entry(PENALTY, listed_on, severity="general")
    assert status(found, on=on, name=PENALTY) == expected, name


def test_an_end_on_the_last_day_of_a_short_month():
    assert status(entry(PENALTY, "2023-11-30", severity="minor"), on="2024-02-28", name=PENALTY) == "active"
    assert status(entry(PENALTY, "2023-11-30", severity="minor"), on="2024-02-29", name=PENALTY) == "none"


def test_an_undisputed_entry_beats_a_disputed_one_in_either_order():
    both = (entry(disputed_on="2023-01-09"), entry(listed_on="2022-08-01"))
    assert status(*both, on="2023-02-01") == status(*reversed(both), on="2023-02-01") == "active"


@pytest.mark.parametrize(
    ("name", "entries", "expected"),
    [
        ("silence is unknown", [], None),
        ("an active entry stays known", [entry()], "active"),
        ("a disputed one may hide another", [entry(disputed_on="2022-08-01")], None),
        ("an ended one says nothing of today", [entry(ended_on="2022-08-01")], None),
    ],
)
def test_a_stale_feed(name, entries, expected):
    assert status(*entries, on="2023-02-01", fresh=False) == expected, name


def test_an_entry_of_an_undeclared_list_leaves_silent_lists_unknown():
    found = LISTS.statuses([entry("list_of_tomorrow"), entry()], date(2023, 2, 1), fresh=True)
    assert found[COURT] == "active" and found[ABNORMAL] is None


@pytest.mark.parametrize(
    ("name", "entries", "card"),
    [
        ("none", [], None),
        ("red", [entry()], "red"),
        ("yellow", [entry(ABNORMAL)], "yellow"),
        ("red beats yellow", [entry(ABNORMAL), entry()], "red"),
        ("a disputed red is yellow", [entry(disputed_on="2022-08-01")], "yellow"),
        ("an ended red is none", [entry(ended_on="2022-08-01")], None),
        ("an undeclared list gives no card", [entry("list_of_tomorrow")], None),
    ],
)
def test_card(name, entries, card):
    assert LISTS.card(entries, date(2023, 2, 1)) == card, name


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("not YAML", "lists:", "lists: [", "is not YAML"),
        ("no lists", "lists:", "tables:", "key 'lists'"),
        ("unknown card", "card: red", "card: pink", "card is 'pink'"),
        ("label in one language", "label: {zh: 失信被执行人, en", "label: {zh: 失信被执行人, fr", "label needs zh and en"),
        ("months as text", "max_months: 24", "max_months: two", "'two' is not a number of months"),
        ("negative months", "min_months: 0, max_months: 24", "min_months: -1, max_months: 24", "'-1' is not a number"),
        ("no date", "effective_from: 2013-10-01", "effective_from: soon", "'soon' is not a date"),
        ("most below least", "min_months: 12, max_months: 36", "min_months: 48, max_months: 36", "lies below"),
        ("no name", "- name: list_court_dishonest", "- title: x", "no name"),
        ("a card that is a date", "card: red", "card: 2023-13-45", "card is '2023-13-45'"),
        ("a card that is a list", "card: red", "card: [red]", "card is a list"),
        ("a date that does not exist", "effective_from: 2013-10-01", "effective_from: 2013-02-30", "is not a date"),
        ("months as a clock reads them", "max_months: 24", "max_months: 1:30", "'1:30' is not a number of months"),
        ("half a month", "max_months: 24", "max_months: 24.5", "'24.5' is not a number of months"),
        ("a misspelt key", "max_months: 24", "max_month: 24", "unknown key 'max_month'"),
        ("ends before it begins", "reference: 失信", "effective_to: 2013-10-01, reference: 失信", "is not after"),
        ("severity as a list", "{severity: any,", "{severity: [any],", "severity is missing or no text"),
        ("a list twice", "list_samr_illegal", "list_court_dishonest", "list_court_dishonest stands twice"),
        ("a label that is a list", "{zh: 失信被执行人, en:", "{zh: [x], en:", "label needs zh and en"),
        ("nested too deep to read", "lists:", "lists:\n  - " + "[" * 5_000 + "\nmore:", "is not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line(name, old, new, message):
    assert old in TEXT, name
    with pytest.raises(RulebookError) as caught:
        Lists.from_yaml(TEXT.replace(old, new, 1))
    assert message in str(caught.value) and "lists.yaml:" in str(caught.value), name


def test_all_mistakes_of_all_lists_are_reported_at_once():
    with pytest.raises(RulebookError) as caught:
        Lists.from_yaml(TEXT.replace("card: red", "card: pink"))
    assert len(caught.value.problems) == TEXT.count("card: red") > 1


@pytest.mark.parametrize("text", ["", "5", "- 1", "lists: 5", "lists: {}", "lists: [5]", "lists:\n  - {periods: 5}"])
def test_what_is_no_file_of_lists_is_refused(text):
    with pytest.raises(RulebookError, match="lists.yaml:"):
        Lists.from_yaml(text)


def test_a_byte_order_mark_is_no_part_of_the_file():
    assert list(Lists.from_yaml("\ufeff" + TEXT)) == list(LISTS)


def test_a_mistake_has_the_line_of_its_list():
    with pytest.raises(RulebookError) as caught:
        Lists.from_yaml("lists:\n  - name: a\n    card: red\n    label: {zh: 甲, en: a}\n")
    assert str(caught.value) == "lists.yaml:2: a: no periods; declare at least one period"
