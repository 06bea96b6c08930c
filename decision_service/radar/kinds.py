"""The feed kinds: which columns a file has, what each may hold, and which record a row becomes.

Columns are ``uscc`` and the fields of the record types in ``portrait/records.py``, under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from decision_service.portrait import records
from decision_service.portrait.invoice_totals import Invoice
from decision_service.radar.cells import (
    Parser,
    boolean,
    choice,
    code,
    day,
    decimal,
    declared,
    first_of_month,
    money,
    party,
    pattern,
    whole,
    words,
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column. An empty cell is an error where ``required``, else it becomes ``empty``.

    ``past`` marks a date that cannot lie after the delivery; a later one is reported, the row is kept.
    """

    name: str
    parse: Parser
    required: bool = False
    empty: Any = None
    past: bool = False


USCC = Column("uscc", code, required=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """One feed kind. ``absence_counts``: no row means none exist, so a delivery with rejects is not complete.

    ``owner`` is the first column: whose record a row is.
    """

    name: str
    record: Callable[..., Any]
    columns: tuple[Column, ...]
    key: Callable[[Any], str]
    absence_counts: bool = False
    check: Callable[[Any], str | None] = lambda record: None
    owner: Column = USCC


_PARTY = Column("uscc", party, required=True)
_OPTIONAL_MONEY = money()
_POSITIVE = money(negative=False)
_NAME = words(200)
_ID = words(100)
_DIRECTION = choice("sales", "purchases")
_LIST = pattern(r"[a-z][a-z0-9_]{2,60}", "the name of a list such as list_court_dishonest")
_INDICATOR = pattern(r"IND(0[1-9]|[12]\d|3[0-2])", "an indicator from IND01 to IND32")
_DAYS = decimal("-100000", "100000")


def _month_problem(month: records.Month) -> str | None:
    if month.negative_invoices and month.sales_invoices is not None and month.negative_invoices > month.sales_invoices:
        return "more negative_invoices than sales_invoices (which counts them too)"
    return None


def _overdue_problem(overdue: records.Overdue) -> str | None:
    return _order(overdue.started_on, overdue.cured_on, "cured_on lies before started_on")


def _entry_problem(entry: records.ListEntry) -> str | None:
    return _order(entry.listed_on, entry.ended_on, "ended_on lies before listed_on") or _order(
        entry.listed_on, entry.ends_on, "ends_on lies before listed_on"
    )


def _order(first: date, second: date | None, what: str) -> str | None:
    return what if second is not None and second < first else None


def _rating_problem(rating: records.TaxRating) -> str | None:
    if (rating.changed_on is None) != (rating.changed_to is None):
        return "changed_on and changed_to belong together"
    return None


_REGISTRATIONS = Kind(
    "registrations",
    records.Registration,
    (
        Column("name", _NAME, required=True),
        Column(
            "entity_type",
            choice("company", "partnership", "sole_proprietorship", "individual_business"),
            required=True,
        ),
        Column("registration_status", choice("active", "revoked", "cancelled", "bankruptcy"), required=True),
        Column("established_on", day, past=True),
        # An unknown code is kept: the rules refer it, and losing the row would lose the enterprise.
        Column("industry_code", pattern(r"[0-9A-Z]{1,6}", "an industry code"), empty=""),
        Column("classification_version", choice("2017", "2011"), empty=""),
        Column("public_sector", boolean, empty=False),
        Column("bank_related", boolean, empty=False),
        Column("name_code_mismatch", boolean, empty=False),
        Column("predecessor_uscc", code),
        Column("predecessor_reviewed", boolean, empty=False),
    ),
    key=lambda record: "",
)
_MONTHS = Kind(
    "months",
    records.Month,
    (
        Column("month", first_of_month, required=True, past=True),
        Column("sales", _OPTIONAL_MONEY),
        Column("purchases", _OPTIONAL_MONEY),
        *(
            Column(name, whole())
            for name in (
                "sales_invoices",
                "void_invoices",
                "negative_invoices",
                "purchase_invoices",
                "customers",
                "suppliers",
            )
        ),
        Column("tax_filing", choice("on_time", "zero_return", "late_30", "not_filed")),
        Column("electricity_kwh", whole()),
        Column("insured_headcount", whole(most=10_000_000)),
    ),
    key=lambda record: record.month.isoformat(),
    check=_month_problem,
)
_COUNTERPARTIES = Kind(
    "counterparties",
    records.Counterparty,
    (
        Column("direction", _DIRECTION, required=True),
        Column("counterparty", _ID, required=True),
        Column("period_end", day, required=True, past=True),
        Column("amount", _OPTIONAL_MONEY, required=True),
        Column("related", boolean, empty=False),
    ),
    key=lambda record: f"{record.direction}|{record.counterparty}",
)
_INDICATORS = Kind(
    "indicators",
    records.IndicatorValue,
    (
        Column("indicator", _INDICATOR, required=True),
        Column("value", decimal("-1000000000", "1000000000")),
        Column("observed_on", day, required=True, past=True),
        Column("status", choice("ok", "not_applicable"), empty="ok"),
    ),
    key=lambda record: record.indicator,
)
_FINANCIALS = Kind(
    "financials",
    records.Financials,
    (
        Column("period_end", day, required=True, past=True),
        Column("total_assets", _POSITIVE, required=True),
        Column("total_liabilities", _POSITIVE, required=True),
        Column("revenue_last_year", _OPTIONAL_MONEY, required=True),
        Column("operating_margin", decimal("-1000", "1000")),
        Column("growth", decimal("-1000", "100000")),
        *(
            Column(name, _DAYS)
            for name in ("inventory_days", "receivable_days", "payable_days", "prepaid_days", "advance_receipt_days")
        ),
        *(Column(name, _OPTIONAL_MONEY) for name in ("own_funds", "working_capital_loans", "other_sources")),
    ),
    key=lambda record: "",
)
_LISTS = Kind(
    "lists",
    records.ListEntry,
    (
        Column("record_id", _ID, required=True),
        Column("list_name", _LIST, required=True),
        Column("listed_on", day, required=True, past=True),
        Column("severity", choice("minor", "general", "serious"), empty=""),
        Column("ends_on", day),
        Column("ended_on", day),
        Column("end_reason", choice("repaired", "removed", "performed", "deleted_by_source"), empty=""),
        Column("disputed_on", day, past=True),
        Column("dispute_ruled_on", day, past=True),
    ),
    key=lambda record: record.record_id,
    absence_counts=True,
    check=_entry_problem,
    owner=_PARTY,
)
LISTS = _LISTS.name


def lists_of(names: Collection[str]) -> Kind:
    """The kind ``lists`` whose entries name only lists that the active rules declare."""
    parse = declared(names, "the active rules")
    columns = (replace(one, parse=parse) if one.name == "list_name" else one for one in _LISTS.columns)
    return replace(_LISTS, columns=tuple(columns))


_TAX_RATINGS = Kind(
    "tax_ratings",
    records.TaxRating,
    (
        Column("year", whole(2000, 2199), required=True),
        Column("rating", choice("A", "B", "M", "C", "D"), required=True),
        Column("published_on", day, required=True, past=True),
        Column("basis", choice("score", "direct"), empty="score"),
        Column("changed_on", day, past=True),
        Column("changed_to", choice("A", "B", "M", "C", "D")),
    ),
    key=lambda record: str(record.year),
    absence_counts=True,
    check=_rating_problem,
)
_OVERDUES = Kind(
    "overdues",
    records.Overdue,
    (
        Column("record_id", _ID, required=True),
        Column("bank", _ID, required=True),
        Column("started_on", day, required=True, past=True),
        Column("max_days", whole(0, 36_500), required=True),
        Column("cured_on", day, past=True),
        Column("written_off", boolean, empty=False),
    ),
    key=lambda record: record.record_id,
    absence_counts=True,
    check=_overdue_problem,
)
_EXPOSURES = Kind(
    "exposures",
    records.CreditLine,
    (
        Column("bank", _ID, required=True),
        Column("line_id", _ID, required=True),
        Column("drawn", _POSITIVE, required=True),
        Column("undrawn_committed", _POSITIVE, required=True),
        Column("secured", _POSITIVE, empty=0),
    ),
    key=lambda record: f"{record.bank}|{record.line_id}",
    absence_counts=True,
    owner=_PARTY,
)
_RELATIONS = Kind(
    "relations",
    records.Relation,
    (
        Column("other", party, required=True),
        Column(
            "link",
            choice("parent", "controller_person", "control", "same_legal_representative", "guarantee", "holding"),
            required=True,
        ),
        Column("share", decimal("0", "1")),
    ),
    key=lambda record: f"{record.other}|{record.link}",
    absence_counts=True,
    owner=_PARTY,
)
_CONTROL_CHANGES = Kind(
    "control_changes",
    records.ControlChange,
    (
        Column("changed_on", day, required=True, past=True),
        Column("what", choice("legal_representative", "controller", "shareholding"), required=True),
    ),
    key=lambda record: f"{record.changed_on.isoformat()}|{record.what}",
    absence_counts=True,
)
INVOICES = Kind(
    "invoices",
    Invoice,
    (
        Column("direction", _DIRECTION, required=True),
        Column("invoice_number", _ID, required=True),
        Column("issued_on", day, required=True, past=True),
        Column("counterparty", _ID, required=True),
        Column("amount", _OPTIONAL_MONEY, required=True),
        Column("status", choice("valid", "void"), required=True),
    ),
    key=lambda record: f"{record.direction}|{record.invoice_number}|{record.issued_on.toordinal()}"
    f"|{record.counterparty}|{record.amount}|{record.status}",
)
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _REGISTRATIONS,
        _MONTHS,
        _COUNTERPARTIES,
        _INDICATORS,
        _FINANCIALS,
        _LISTS,
        _TAX_RATINGS,
        _OVERDUES,
        _EXPOSURES,
        _RELATIONS,
        _CONTROL_CHANGES,
        INVOICES,
    )
}
