"""What the platform's records say of one enterprise: frozen record types, as feeds deliver and the store keeps them.

Money is integer fen. Dates are business dates (Asia/Shanghai). ``observed_on`` is the date to which a value belongs.
What an enterprise has by the dozen is a named tuple: made in a third of the time that a frozen dataclass takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

FEEDS = (
    "registrations",
    "months",
    "counterparties",
    "indicators",
    "financials",
    "lists",
    "tax_ratings",
    "overdues",
    "exposures",
    "relations",
    "control_changes",
)
"""The kinds of delivery that a portrait reads."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The business register's entry (feed kind ``registrations``, one row per enterprise, key: uscc)."""

    uscc: str
    name: str
    entity_type: str  # company | partnership | sole_proprietorship | individual_business
    registration_status: str  # active | revoked | cancelled | bankruptcy
    established_on: date | None
    industry_code: str  # two-digit division, as registered
    classification_version: str  # "2017" | "2011" | ""
    public_sector: bool = False
    bank_related: bool = False
    name_code_mismatch: bool = False
    predecessor_uscc: str | None = None
    predecessor_reviewed: bool = False


class Month(NamedTuple):
    """One month of series (feed kind ``months``, key: uscc + month). ``None`` is not reported.

    ``month`` is its first day. Sales and purchases are net of void and negative (red-letter) invoices, fen, no tax.
    """

    month: date
    sales: int | None = None
    purchases: int | None = None
    sales_invoices: int | None = None
    void_invoices: int | None = None
    negative_invoices: int | None = None
    purchase_invoices: int | None = None
    customers: int | None = None  # distinct buyers in the month
    suppliers: int | None = None  # distinct sellers in the month
    tax_filing: str | None = None  # on_time | zero_return | late_30 | not_filed
    electricity_kwh: int | None = None
    insured_headcount: int | None = None


class Counterparty(NamedTuple):
    """Twelve months of trade with one counterparty (feed kind ``counterparties``, key: direction + counterparty)."""

    direction: str  # sales | purchases
    counterparty: str
    period_end: date  # exclusive end of the twelve months
    amount: int
    related: bool = False


class IndicatorValue(NamedTuple):
    """An indicator that arrives as a value (feed kind ``indicators``, key: indicator id), in the registry's unit."""

    indicator: str  # IND01 … IND32
    value: Decimal | None
    observed_on: date
    status: str = "ok"  # ok | not_applicable


@dataclass(frozen=True, slots=True)
class Financials:
    """The latest filed statements (feed kind ``financials``, one row), fen."""

    period_end: date
    total_assets: int
    total_liabilities: int
    revenue_last_year: int
    operating_margin: Decimal | None = None  # ratio, for the working-capital need
    growth: Decimal | None = None
    inventory_days: Decimal | None = None
    receivable_days: Decimal | None = None
    payable_days: Decimal | None = None
    prepaid_days: Decimal | None = None
    advance_receipt_days: Decimal | None = None
    own_funds: int | None = None  # of the three sources "none" is 0; not reported leaves the need unknown
    working_capital_loans: int | None = None
    other_sources: int | None = None


@dataclass(frozen=True, slots=True)
class ListEntry:
    """An entry of a public or source list (feed kind ``lists``, key: record_id). Half-open in time: [from, to)."""

    record_id: str
    list_name: str  # a name declared in rules/lists.yaml
    listed_on: date
    severity: str = ""  # for penalties: minor | general | serious
    ends_on: date | None = None  # scheduled end by the source, if it gives one
    ended_on: date | None = None  # actual end
    end_reason: str = ""  # repaired | removed | performed | deleted_by_source | ""
    disputed_on: date | None = None  # dispute accepted for review
    dispute_ruled_on: date | None = None  # and ruled (rejected: the entry stands)


@dataclass(frozen=True, slots=True)
class TaxRating:
    """One year's tax credit rating (feed kind ``tax_ratings``, key: year). ``rating`` A B M C D."""

    year: int
    rating: str
    published_on: date
    basis: str = "score"  # score | direct
    changed_on: date | None = None  # lowered or raised in mid-year: from this date ``changed_to`` holds
    changed_to: str | None = None


@dataclass(frozen=True, slots=True)
class Overdue:
    """An overdue episode reported by a bank (feed kind ``overdues``, key: record_id)."""

    record_id: str
    bank: str
    started_on: date
    max_days: int
    cured_on: date | None = None
    written_off: bool = False


@dataclass(frozen=True, slots=True)
class CreditLine:
    """A bank's line to the enterprise (feed kind ``exposures``, key: bank + line_id), fen."""

    bank: str
    line_id: str
    drawn: int
    undrawn_committed: int
    secured: int = 0  # part fully secured or cash covered, left out of the sum


@dataclass(frozen=True, slots=True)
class Relation:
    """An edge to a related party (feed kind ``relations``, key: other + link)."""

    other: str  # uscc, or a person's token starting with "P:"
    link: str  # parent | controller_person | control | same_legal_representative | guarantee | holding
    share: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ControlChange:
    """A change of legal representative, controller or >=25% shareholding (feed kind ``control_changes``)."""

    changed_on: date
    what: str  # legal_representative | controller | shareholding


@dataclass(frozen=True, slots=True)
class Mark:
    """What an objection makes of one record since a business date: ``disputed``, or ``struck`` out.

    ``about`` is the list of an entry. ``digest`` is of what the record said when it was struck; empty: whatever it
    says. ``record`` is what is on file, if anything still is.
    """

    kind: str
    key: str
    effect: str
    since: date
    about: str = ""
    digest: str = ""
    record: Any = None


@dataclass(frozen=True, slots=True)
class EnterpriseRecords:
    """Everything on record of one enterprise at one moment; what a portrait snapshot is computed from.

    ``feeds`` maps a feed kind to the aware time of its newest delivery: absence of a record means something only
    while its feed is fresh. ``related_*`` hold list entries of related parties by uscc or person token, and their
    own relations for the second hop. ``controllers`` are the records of the firms that may control the enterprise, one
    step up; a controlling firm that is not among them is one of which nothing is known. ``marks`` say what is under
    dispute, and what was struck: that is not among the records any more.
    """

    registration: Registration
    months: tuple[Month, ...] = ()  # ascending
    counterparties: tuple[Counterparty, ...] = ()
    indicators: tuple[IndicatorValue, ...] = ()
    financials: Financials | None = None
    lists: tuple[ListEntry, ...] = ()
    tax_ratings: tuple[TaxRating, ...] = ()
    overdues: tuple[Overdue, ...] = ()
    credit_lines: tuple[CreditLine, ...] = ()
    relations: tuple[Relation, ...] = ()
    control_changes: tuple[ControlChange, ...] = ()
    feeds: Mapping[str, datetime] = field(default_factory=dict)
    related_lists: Mapping[str, tuple[ListEntry, ...]] = field(default_factory=dict)
    related_relations: Mapping[str, tuple[Relation, ...]] = field(default_factory=dict)
    controllers: Mapping[str, EnterpriseRecords] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
