"""The firms behind the sandbox's cases: what each is like, and the changes that make its outcome so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from decision_service.portrait.records import ControlChange, EnterpriseRecords, ListEntry, TaxRating
from ml.city_events import RATING_DAY

SOUND = (1.6, 1.2)  # health and momentum of a firm that should be approved
Change = Callable[[EnterpriseRecords, date], EnterpriseRecords]


@dataclass(frozen=True, slots=True)
class Show:
    """One firm of the showcase. ``sales`` and ``line`` (an existing bank line, drawn) in CNY.

    ``months_momentum``: the monthly series go another way than everything else.
    """

    key: str
    industry: str = "34"
    sales: float = 40_000_000.0
    line: int = 1_000_000
    state: tuple[float, float] = SOUND
    change: Change = field(default=lambda records, as_of: records)
    known_borrower: bool = True
    months_momentum: float | None = None


def rated(*letters: str) -> Change:
    """Tax credit ratings of the last published years, oldest first; ``-`` is a year without one."""

    def change(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
        newest = as_of.year - 1 if (as_of.month, as_of.day) >= RATING_DAY else as_of.year - 2
        years = zip(range(newest - len(letters) + 1, newest + 1), letters, strict=True)
        ratings = tuple(TaxRating(year, letter, date(year + 1, *RATING_DAY)) for year, letter in years if letter != "-")
        return replace(records, tax_ratings=ratings)

    return change


def listed(name: str, *, disputed: bool = False) -> Change:
    """An entry on a public list, half a year old."""

    def change(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
        entry = ListEntry(
            record_id=f"{records.registration.uscc}-{name}",
            list_name=f"list_{name}",
            listed_on=as_of - timedelta(days=180),
            disputed_on=as_of - timedelta(days=5) if disputed else None,
        )
        return replace(records, lists=(*records.lists, entry))

    return change


def indicator(identity: str, value: str | None) -> Change:
    """An indicator delivered with another value, or not delivered."""

    def change(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
        rows = [
            row if row.indicator != identity else row._replace(value=None if value is None else Decimal(value))
            for row in records.indicators
        ]
        return replace(records, indicators=tuple(row for row in rows if row.value is not None or row.status != "ok"))

    return change


def registered(**changes: Any) -> Change:
    """Other entries of the register."""
    return lambda records, as_of: replace(records, registration=replace(records.registration, **changes))


def control_changed(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
    """A new controller, thirty days ago."""
    return replace(records, control_changes=(ControlChange(as_of - timedelta(days=30), "controller"),))


def both(*changes: Change) -> Change:
    """Several changes, one after the other."""

    def change(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
        for one in changes:
            records = one(records, as_of)
        return records

    return change


AAA = rated("A", "A", "A")
SHOWS = (
    Show(key="approve"),
    Show(key="line", industry="35", sales=60_000_000.0, line=0),
    Show(key="whitelist", industry="65", change=AAA),
    Show(key="invoice", industry="51", sales=30_000_000.0),
    Show(key="over-5m", line=4_500_000),
    Show(key="over-limit", sales=3_000_000.0, line=100_000),
    Show(key="first-loan", line=0, known_borrower=False),
    Show(key="yellow", change=both(listed("abnormal_operation"), indicator("IND17", "2"))),
    Show(key="whitelist-yellow", change=both(AAA, listed("tax_arrears"))),
    Show(key="dispute", change=listed("court_dishonest", disputed=True)),
    Show(key="pd-refer", industry="33", state=(-1.0, -0.8)),
    Show(key="missing", change=indicator("IND01", None)),
    Show(key="control", change=control_changed),
    Show(key="purpose"),
    Show(key="old-code", change=registered(classification_version="2011")),
    Show(key="unknown-industry", change=registered(industry_code="99")),
    Show(key="red-whitelist", change=both(AAA, listed("court_dishonest"))),
    Show(key="pd-decline", industry="33", state=(-2.6, -2.4)),
    Show(key="excluded", change=registered(industry_code="70")),
    Show(key="gap", months_momentum=-3.1),
)
"""One for each case of ``decision_service/sandbox.csv``. Health is stated; what the models make of it is theirs."""
