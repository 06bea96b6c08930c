"""Writes a city as feed files: a manifest, one CSV a kind, its truth apart, and the showcase."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

from decision_service.portrait import records as kinds
from decision_service.portrait.records import FEEDS, EnterpriseRecords
from ml.city import Firm, Place

MONEY = frozenset(
    {
        "sales",
        "purchases",
        "amount",
        "total_assets",
        "total_liabilities",
        "revenue_last_year",
        "own_funds",
        "working_capital_loans",
        "other_sources",
        "drawn",
        "undrawn_committed",
        "secured",
    }
)
"""Fields that hold fen in records and CNY with two decimals in files."""
RECORDS: dict[str, tuple[type[Any], str]] = {
    "registrations": (kinds.Registration, "registration"),
    "months": (kinds.Month, "months"),
    "counterparties": (kinds.Counterparty, "counterparties"),
    "indicators": (kinds.IndicatorValue, "indicators"),
    "financials": (kinds.Financials, "financials"),
    "lists": (kinds.ListEntry, "lists"),
    "tax_ratings": (kinds.TaxRating, "tax_ratings"),
    "overdues": (kinds.Overdue, "overdues"),
    "exposures": (kinds.CreditLine, "credit_lines"),
    "relations": (kinds.Relation, "relations"),
    "control_changes": (kinds.ControlChange, "control_changes"),
}


def write_city(folder: Path, firms: Sequence[Firm], place: Place) -> dict[str, int]:
    """Feed files with their manifest, and ``truth.csv`` (no feed: what only the city knows). Rows by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {kind: write_kind(folder / f"{kind}.csv", kind, (firm.records for firm in firms)) for kind in FEEDS}
    delivered = place.delivered.isoformat(timespec="seconds")
    feeds = [{"kind": kind, "file": f"{kind}.csv", "source_time": delivered} for kind in FEEDS]
    write_json(folder / "manifest.json", {"as_of": place.as_of.isoformat(), "feeds": feeds})
    truth = ([firm.records.registration.uscc, f"{firm.pd:.9f}", _text(firm.defaulted)] for firm in firms)
    _write(folder / "truth.csv", ["uscc", "pd_12m", "defaulted"], truth)
    return counts


def write_kind(path: Path, kind: str, firms: Iterable[EnterpriseRecords]) -> int:
    """One feed file; returns its rows."""
    record, attribute = RECORDS[kind]
    names = [name for name in get_type_hints(record) if name != "uscc"]
    return _write(path, ["uscc", *names], _rows(firms, attribute, names))


def _rows(firms: Iterable[EnterpriseRecords], attribute: str, names: Sequence[str]) -> Iterator[list[str]]:
    for firm in firms:
        held = getattr(firm, attribute)
        for record in () if held is None else held if isinstance(held, tuple) else (held,):
            yield [firm.registration.uscc, *(_cell(name, getattr(record, name)) for name in names)]


def _cell(name: str, value: object) -> str:
    if name in MONEY and isinstance(value, int):
        return f"{Decimal(value).scaleb(-2):.2f}"
    return _text(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for count, row in enumerate(rows, start=1):
            writer.writerow(row)
    return count


def write_json(path: Path, content: object) -> None:
    """Readable JSON."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
