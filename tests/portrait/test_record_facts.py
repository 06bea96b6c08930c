"""Facts from records: tax ratings, arrears, related parties, control, industry, statements, circular trade, feeds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sample_firm import AS_OF, FEEDS, LISTS, NOW, months, records, registration, seen

from decision_service.portrait.feeds import COUNTED
from decision_service.portrait.financials import turnover, working_capital_need
from decision_service.portrait.industry import industry_2017, industry_code
from decision_service.portrait.records import (
    ControlChange,
    Counterparty,
    Financials,
    ListEntry,
    Overdue,
    Relation,
    TaxRating,
)
from decision_service.portrait.relations import contagion_index

OTHER = "91350100MA0000000L"


def stale(*kinds: str, days: int = 500) -> dict[str, Any]:
    return {**FEEDS, **dict.fromkeys(kinds, NOW - timedelta(days=days))}


def rating(year: int, letter: str, **changes: Any) -> TaxRating:
    return TaxRating(year, letter, **{"published_on": date(year + 1, 4, 15), **changes})


A_CHAIN = (rating(2023, "A"), rating(2024, "A"), rating(2025, "A"))


@pytest.mark.parametrize(
    ("name", "ratings", "letter", "years"),
    [
        ("three years of A", A_CHAIN, "A", 3),
        ("a gap breaks the chain", (rating(2022, "A"), *A_CHAIN[1:]), "A", 2),
        ("B now", (*A_CHAIN[:2], rating(2025, "B")), "B", 0),
        ("no rating at all", (), "unrated", 0),
        ("the newest year was not rated", A_CHAIN[:2], "unrated", 0),
        ("D stands until replaced", (rating(2023, "D"),), "D", 0),
        ("C stands until replaced", (rating(2022, "C"),), "C", 0),
        ("lowered today", (*A_CHAIN[:2], rating(2025, "A", changed_on=AS_OF, changed_to="B")), "B", 0),
        (
            "lowered tomorrow",
            (*A_CHAIN[:2], rating(2025, "A", changed_on=AS_OF + timedelta(days=1), changed_to="B")),
            "A",
            3,
        ),
        ("published tomorrow", (*A_CHAIN, rating(2026, "D", published_on=AS_OF + timedelta(days=1))), "A", 3),
        ("published today", (*A_CHAIN, rating(2026, "D", published_on=AS_OF)), "D", 0),
    ],
)
def test_tax_ratings(name, ratings, letter, years):
    facts = seen(tax_ratings=ratings).facts
    assert (facts["tax_rating"], facts["tax_rating_a_years"]) == (letter, years), name


def test_a_direct_judgement_is_told():
    assert seen(tax_ratings=(rating(2025, "D", basis="direct"),)).facts["tax_rating_basis"] == "direct"


def test_ratings_are_unknown_when_their_feed_is_over_480_days_old():
    names = ("tax_rating", "tax_rating_basis", "tax_rating_a_years")
    fresh, old = seen(feeds=stale("tax_ratings", days=480)), seen(feeds=stale("tax_ratings", days=481))
    assert all(fresh.facts[name] is not None for name in names) and all(old.facts[name] is None for name in names)


@pytest.mark.parametrize(
    ("name", "ratings", "delivered", "letter"),
    [
        ("delivered on the first of May", A_CHAIN[:2], date(2026, 5, 1), "unrated"),
        ("delivered a day before", A_CHAIN[:2], date(2026, 4, 30), None),
        ("delivered a day before, never rated", (), date(2026, 4, 30), None),
        ("delivered a day before, with the newest rating in it", A_CHAIN, date(2026, 4, 30), "A"),
        ("a D that may have been replaced", (rating(2024, "D"),), date(2026, 4, 30), None),
        ("a D that stands", (rating(2024, "D"),), date(2026, 5, 1), "D"),
    ],
)
def test_a_feed_older_than_the_last_publication_knows_no_newest_rating(name, ratings, delivered, letter):
    noon = datetime.combine(delivered, time(12), NOW.tzinfo)
    facts = seen(tax_ratings=ratings, feeds={**FEEDS, "tax_ratings": noon}).facts
    assert facts["tax_rating"] == letter, name
    assert (facts["tax_rating_a_years"] is None) == (letter is None), name


def test_until_the_end_of_april_the_ratings_of_the_year_before_last_are_the_newest():
    feeds = dict.fromkeys(FEEDS, datetime(2025, 5, 2, tzinfo=NOW.tzinfo))
    spring, may = (
        seen(now=datetime(2026, *day, 4, tzinfo=NOW.tzinfo), tax_ratings=A_CHAIN[:2], feeds=feeds).facts
        for day in ((4, 30), (5, 1))
    )
    assert (spring["tax_rating"], may["tax_rating"]) == ("A", None)


def overdue(days: int, cured_on: str | None = None, **changes: Any) -> Overdue:
    cured = date.fromisoformat(cured_on) if cured_on else None
    return Overdue("o", "B01", **{"started_on": date(2025, 1, 9), "max_days": days, "cured_on": cured, **changes})


@pytest.mark.parametrize(
    ("name", "episodes", "fresh", "serious", "recent"),
    [
        ("none", [], True, 0, 0),
        ("uncured counts for both", [overdue(95, started_on=AS_OF - timedelta(days=90))], True, 95, 95),
        ("uncured lasts until today", [overdue(89, started_on=AS_OF - timedelta(days=90))], True, 90, 90),
        ("begun today", [overdue(0, started_on=AS_OF)], True, 0, 0),
        ("cured lasts no longer", [overdue(12, "2026-11-24")], True, 12, 12),
        ("cured six months ago less a day", [overdue(45, "2026-05-25")], True, 45, 45),
        ("cured six months ago", [overdue(45, "2026-05-24")], True, 45, 0),
        ("cured a year ago less a day", [overdue(95, "2025-11-25")], True, 95, 0),
        ("cured a year ago", [overdue(95, "2025-11-24")], True, 0, 0),
        ("the longest counts", [overdue(12, "2026-11-23"), overdue(95, "2025-12-24")], True, 95, 12),
        ("cured tomorrow is uncured", [overdue(95, "2026-11-25")], True, 684, 684),
        ("starts tomorrow", [overdue(95, started_on=AS_OF + timedelta(days=1))], True, 0, 0),
        ("a silent stale feed", [], False, None, None),
        ("arrears stay known on a stale feed", [overdue(95)], False, 684, 684),
    ],
)
def test_arrears(name, episodes, fresh, serious, recent):
    facts = seen(overdues=tuple(episodes), feeds=FEEDS if fresh else stale("overdues", days=8)).facts
    assert (facts["overdue_days_serious"], facts["overdue_days_recent"]) == (serious, recent), name


@pytest.mark.parametrize(
    ("name", "episodes", "fresh", "expected"),
    [
        ("none", [], True, False),
        ("written off", [overdue(400, written_off=True)], True, True),
        ("written off and cured", [overdue(400, "2026-11-24", written_off=True)], True, False),
        ("a silent stale feed", [], False, None),
        ("known on a stale feed", [overdue(400, written_off=True)], False, True),
    ],
)
def test_written_off(name, episodes, fresh, expected):
    feeds = FEEDS if fresh else stale("overdues", days=8)
    assert seen(overdues=tuple(episodes), feeds=feeds).facts["written_off_uncured"] is expected, name


RED = (ListEntry("r", "list_court_dishonest", date(2026, 1, 5)),)
RED_WAGES = (ListEntry("r", "list_wage_arrears", date(2026, 1, 5)),)
YELLOW = (ListEntry("y", "list_executee", date(2026, 1, 5)),)
UNDECLARED = (ListEntry("u", "list_new", date(2026, 1, 5)),)
DISPUTED = (replace(RED[0], disputed_on=date(2026, 6, 1)),)


@pytest.mark.parametrize(
    ("name", "link", "entries", "parent", "controller"),
    [
        ("a red parent", Relation(OTHER, "parent"), RED, True, False),
        ("a yellow parent", Relation(OTHER, "parent"), YELLOW, False, False),
        ("a parent whose red is disputed", Relation(OTHER, "parent"), DISPUTED, False, False),
        ("a red holder of 51 percent", Relation(OTHER, "holding", Decimal("0.51")), RED, True, False),
        ("a red holder of half", Relation(OTHER, "holding", Decimal("0.50")), RED, False, False),
        ("a red sister", Relation(OTHER, "control"), RED, False, False),
        ("a red guarantor", Relation(OTHER, "guarantee"), RED, False, False),
        ("a dishonest controller", Relation("P:1", "controller_person"), RED, False, True),
        ("a controller red for wages", Relation("P:1", "controller_person"), RED_WAGES, True, False),
        ("nobody related", Relation("P:2", "controller_person"), (), False, False),
    ],
)
def test_red_cards_of_related_parties(name, link, entries, parent, controller):
    facts = seen(relations=(link,), related_lists={link.other: entries}, cards={OTHER: False}).facts
    assert (facts["parent_red"], facts["controller_dishonest"]) == (parent, controller), name


@pytest.mark.parametrize(
    ("name", "link", "card", "expected"),
    [
        ("red by its own records", Relation(OTHER, "parent"), True, True),
        ("not red", Relation(OTHER, "parent"), False, False),
        ("perhaps red", Relation(OTHER, "parent"), None, None),
        ("a red controlling firm", Relation(OTHER, "controller_person"), True, True),
        ("a red holder of 51 percent", Relation(OTHER, "holding", Decimal("0.51")), True, True),
        ("a red holder of half", Relation(OTHER, "holding", Decimal("0.50")), True, False),
        ("a red holder of unknown share", Relation(OTHER, "holding"), True, None),
        ("perhaps a red holder of unknown share", Relation(OTHER, "holding"), None, None),
        ("a holder of unknown share that is not red", Relation(OTHER, "holding"), False, False),
        ("a red guarantor", Relation(OTHER, "guarantee"), True, False),
        ("a red firm below", Relation(OTHER, "control"), True, False),
    ],
)
def test_a_red_card_by_the_rules_passes_from_above_only(name, link, card, expected):
    assert seen(relations=(link,), cards={OTHER: card}).facts["parent_red"] is expected, name


def test_a_parent_of_whom_nothing_is_on_record_may_be_red():
    assert seen(relations=(Relation(OTHER, "parent"),)).facts["parent_red"] is None


@pytest.mark.parametrize(
    ("name", "link", "parent", "controller"),
    [
        ("a holder of unknown share, red by lists", Relation("P:1", "holding"), None, False),
        ("a controlling person on a list not declared", Relation("P:2", "controller_person"), None, None),
        ("a parent on a list not declared", Relation("P:2", "parent"), None, False),
        ("one that is also on a red list", Relation("P:3", "parent"), True, False),
        ("a guarantor on a list not declared", Relation("P:2", "guarantee"), False, False),
    ],
)
def test_what_may_be_a_red_card_is_never_none(name, link, parent, controller):
    lists = {"P:1": RED, "P:2": UNDECLARED, "P:3": RED + UNDECLARED}
    facts = seen(relations=(link,), related_lists=lists).facts
    assert (facts["parent_red"], facts["controller_dishonest"]) == (parent, controller), name


@pytest.mark.parametrize("kind", ["relations", "lists"])
def test_not_red_is_known_only_while_relations_and_lists_are_fresh(kind):
    quiet = seen(feeds=stale(kind, days=8)).facts
    assert quiet["parent_red"] is None and quiet["controller_dishonest"] is None
    loud = seen(
        feeds=stale(kind, days=8), relations=(Relation(OTHER, "parent"),), related_lists={OTHER: RED}
    ).facts
    assert loud["parent_red"] is True


@pytest.mark.parametrize(
    ("name", "changes", "entries", "fresh", "expected"),
    [
        ("no predecessor", {}, (), False, False),
        ("a red one", {"predecessor_uscc": OTHER}, RED, True, True),
        ("a red one that was reviewed", {"predecessor_uscc": OTHER, "predecessor_reviewed": True}, RED, True, False),
        ("a yellow one", {"predecessor_uscc": OTHER}, YELLOW, True, False),
        ("one on a list not declared", {"predecessor_uscc": OTHER}, UNDECLARED, True, None),
        ("a silent one on a stale feed", {"predecessor_uscc": OTHER}, (), False, None),
        ("a red one on a stale feed", {"predecessor_uscc": OTHER}, RED, False, True),
    ],
)
def test_predecessor(name, changes, entries, fresh, expected):
    feeds = FEEDS if fresh else stale("lists", days=8)
    facts = seen(registration=registration(**changes), related_lists={OTHER: entries}, feeds=feeds).facts
    assert facts["predecessor_red"] is expected, name


HOPS = [
    ("a red parent", {OTHER: "parent"}, {}, {OTHER: RED}, 1.0),
    ("a yellow parent", {OTHER: "parent"}, {}, {OTHER: YELLOW}, 0.4),
    ("same legal representative", {OTHER: "same_legal_representative"}, {}, {OTHER: RED}, 0.6),
    ("two links of control away", {OTHER: "parent"}, {OTHER: {"S": "control"}}, {"S": RED}, 0.5),
    ("guarantee of a guarantor", {OTHER: "guarantee"}, {OTHER: {"S": "guarantee"}}, {"S": RED}, 0.245),
    ("a near party reached again is counted once", {OTHER: "parent", "S": "parent"}, {OTHER: {"S": "control"}},
     {"S": YELLOW}, 0.4),
    ("the stronger of two paths counts", {OTHER: "parent", "S": "guarantee"}, {OTHER: {"S": "control"}},
     {"S": RED}, 0.7),
    ("the firm itself is no relation", {OTHER: "parent"}, {OTHER: {"91350100M000100Y43": "control"}},
     {"91350100M000100Y43": RED}, 0.0),
    ("an unknown kind of link", {OTHER: "neighbour"}, {}, {OTHER: RED}, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "near", "far", "lists", "expected"), HOPS)
def test_contagion_over_two_hops(name, near, far, lists, expected):
    firm = records(
        relations=tuple(Relation(other, link) for other, link in near.items()),
        related_relations={one: tuple(Relation(*edge) for edge in edges.items()) for one, edges in far.items()},
        related_lists=lists,
    )
    assert contagion_index(firm, LISTS, AS_OF) == pytest.approx(expected), name


@pytest.mark.parametrize(
    ("share", "expected"), [("0.19", 0.0), ("0.20", 0.5), ("0.50", 0.5), ("0.51", 1.0), (None, 0.5)]
)
def test_contagion_by_holding(share, expected):
    link = Relation(OTHER, "holding", None if share is None else Decimal(share))
    firm = records(relations=(link,), related_lists={OTHER: RED})
    assert contagion_index(firm, LISTS, AS_OF) == expected


@pytest.mark.parametrize(
    ("name", "days", "fresh", "expected"),
    [
        ("none", [], True, 0),
        ("90 days ago", [AS_OF - timedelta(days=90)], True, 1),
        ("91 days ago", [AS_OF - timedelta(days=91)], True, 0),
        ("twice on one day", [AS_OF, AS_OF], True, 1),
        ("a silent stale feed", [], False, None),
        ("known on a stale feed", [AS_OF], False, 1),
    ],
)
def test_control_changes_of_90_days(name, days, fresh, expected):
    changes = tuple(ControlChange(day, "controller") for day in days)
    feeds = FEEDS if fresh else stale("control_changes", days=8)
    assert seen(control_changes=changes, feeds=feeds).facts["control_changes_90d"] == expected, name


@pytest.mark.parametrize(
    ("code", "version", "expected"),
    [
        ("82", "2017", "82"),  # other services
        ("82", "2011", "83"),  # education
        ("90", "2011", "91"),  # the Party's organs: not the entertainment of 2017
        ("78", "2011", "78"),
        ("79", "2011", "80"),
        ("96", "2011", "97"),
        ("97", "2011", None),
        ("59", "2011", "59"),
        ("58", "2011", None),  # split in two
        ("58", "2017", "58"),
        ("05", "2011", "05"),
        ("35", "", None),
        ("35", "1994", None),
        ("", "2017", None),
        ("98", "2017", None),
        ("00", "2017", None),
        ("5", "2017", None),
        ("A3", "2011", None),
    ],
)
def test_industry_by_the_classification_of_2017(code, version, expected):
    assert industry_2017(code, version) == expected
    assert industry_code(registration(industry_code=code, classification_version=version)) == expected


@pytest.mark.parametrize(
    ("version", "expected"), [("2017", "gbt_2017"), ("2011", "gbt_2011"), ("", "unstated"), ("1994", "unstated")]
)
def test_the_classification_is_told(version, expected):
    found = seen(registration=registration(classification_version=version))
    assert found.facts["industry_classification"] == expected


def test_a_stale_register_says_nothing_good():
    facts = seen(feeds=stale("registrations", days=8)).facts
    names = ("registration_status", "public_sector", "bank_related", "name_code_mismatch")
    assert [facts[name] for name in names] == [None] * 4
    gone = seen(feeds=stale("registrations", days=8), registration=registration(registration_status="revoked"))
    assert gone.facts["registration_status"] == "revoked"


@pytest.mark.parametrize(
    ("name", "feeds", "expected"),
    [
        ("all fresh", FEEDS, 0),
        ("none delivered", {}, len(COUNTED)),
        ("exposures a day old", {**FEEDS, "exposures": NOW - timedelta(hours=24)}, 0),
        ("exposures a second older", {**FEEDS, "exposures": NOW - timedelta(hours=24, seconds=1)}, 1),
        ("months 45 days old", {**FEEDS, "months": NOW - timedelta(days=45)}, 0),
        ("months 46 days old", {**FEEDS, "months": NOW - timedelta(days=46)}, 1),
    ],
)
def test_stale_feeds(name, feeds, expected):
    assert seen(feeds=feeds).facts["stale_feeds"] == expected, name


@pytest.mark.parametrize(
    ("name", "entries", "fresh", "expected"),
    [
        ("none", (), True, False),
        ("under dispute", DISPUTED, True, True),
        ("ruled", (replace(DISPUTED[0], dispute_ruled_on=AS_OF),), True, False),
        ("ended since", (replace(DISPUTED[0], ended_on=AS_OF),), True, False),
        ("of a list not declared", (replace(DISPUTED[0], list_name="list_x"),), True, True),
        ("silence of a stale feed", (), False, None),
    ],
)
def test_disputed_data(name, entries, fresh, expected):
    feeds = FEEDS if fresh else stale("lists", days=8)
    assert seen(lists=entries, feeds=feeds).facts["disputed_data"] is expected, name


STATEMENTS = Financials(
    date(2026, 9, 30),
    total_assets=4_000_000_000,
    total_liabilities=2_000_000_000,
    revenue_last_year=20_315_740_000,  # 20,315.74 ten thousand CNY
    operating_margin=Decimal("0.0444542"),
    growth=Decimal("0.7966365"),
    inventory_days=Decimal("19.328"),
    receivable_days=Decimal("21.662"),
    payable_days=Decimal("0.019"),
    prepaid_days=Decimal("34.641"),
    advance_receipt_days=Decimal("1.410"),
    own_funds=0,
    working_capital_loans=0,
    other_sources=0,
)


def test_working_capital_need_equals_the_published_worksheet():
    turns = turnover(*(Decimal(days) for days in ("19.328", "21.662", "0.019", "34.641", "1.410")))
    assert turns is not None and round(turns, 4) == Decimal("4.8516")
    need = working_capital_need(
        Decimal("20315.74"), margin=Decimal("0.0444542"), growth=Decimal("0.7966365"), turnovers=turns
    )
    assert round(need, 2) == Decimal("7188.82")


def test_working_capital_need_of_the_statements_less_other_sources():
    gross = seen(financials=STATEMENTS).facts["working_capital_need"]
    assert isinstance(gross, Decimal) and round(gross / 10_000, 2) == Decimal("7188.82")
    sources = {"own_funds": 100, "working_capital_loans": 20, "other_sources": 3}
    assert seen(financials=replace(STATEMENTS, **sources)).facts["working_capital_need"] == gross - Decimal("1.23")


@pytest.mark.parametrize(
    "field",
    ["operating_margin", "growth", "inventory_days", "receivable_days", "payable_days", "prepaid_days",
     "advance_receipt_days", "own_funds", "working_capital_loans", "other_sources"],
)  # fmt: skip
def test_the_need_is_unknown_without(field):
    assert seen(financials=replace(STATEMENTS, **{field: None})).facts["working_capital_need"] is None


def test_the_need_is_unknown_when_cash_comes_in_before_it_goes_out():
    assert seen(financials=replace(STATEMENTS, payable_days=Decimal(400))).facts["working_capital_need"] is None


@pytest.mark.parametrize(
    ("name", "period_end", "assets"),
    [
        ("200 days old", AS_OF - timedelta(days=200), Decimal("40000000.00")),
        ("201 days old", AS_OF - timedelta(days=201), None),
        ("of the future", AS_OF + timedelta(days=1), None),
    ],
)
def test_age_of_statements(name, period_end, assets):
    assert seen(financials=replace(STATEMENTS, period_end=period_end)).facts["total_assets"] == assets, name


def trade(direction: str, amount: int, other: str = "x", end: date = date(2026, 11, 1)) -> Counterparty:
    return Counterparty(direction, other, end, amount)


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("no counterparty", (), False),
        ("customers only", (trade("sales", 100),), False),
        ("both ways, like amounts", (trade("sales", 100), trade("purchases", 90)), True),
        ("both ways, unlike amounts", (trade("sales", 100), trade("purchases", 89)), False),
        (
            "both ways, a fifth of sales",
            (trade("sales", 100), trade("purchases", 100), trade("sales", 400, "y")),
            True,
        ),
        (
            "both ways, less than a fifth of sales",
            (trade("sales", 100), trade("purchases", 100), trade("sales", 401, "y")),
            False,
        ),
        ("only old rows", (trade("sales", 100, end=date(2026, 6, 1)),), None),
    ],
)
def test_circular_invoices(name, rows, expected):
    assert seen(counterparties=rows).facts["circular_invoices"] is expected, name


def test_circular_invoices_are_unknown_when_counterparties_were_never_delivered():
    feeds = {kind: moment for kind, moment in FEEDS.items() if kind != "counterparties"}
    assert seen(counterparties=(), feeds=feeds).facts["circular_invoices"] is None


@pytest.mark.parametrize(
    ("name", "sales", "expected"),
    [
        ("twelve months exactly", [999] * 12 + [101] * 12, Decimal("12.12")),
        ("months not reported add nothing", [None] * 3 + [101] * 9, Decimal("9.09")),
        ("returns above sales", [-101] * 12, Decimal("-12.12")),
        ("nothing reported", [], None),
    ],
)
def test_revenue(name, sales, expected):
    assert seen(months=months(sales)).facts["revenue_12m"] == expected, name


def test_revenue_is_unknown_when_the_newest_month_is_over_45_days_old():
    assert seen(months=months([101] * 24)[:-1]).facts["revenue_12m"] is None
