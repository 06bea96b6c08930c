"""Loads the invoices of 123 real firms (modelling contest CUMCM 2020, problem C) as enterprise records with outcomes.

The data are not part of this repository; their folder is an argument. Its files are described in
``docs/real-input.md``. The bank's rating in ``enterprises.csv`` is never read: it restates the default.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray

from decision_service.errors import InputError
from decision_service.portrait.invoice_totals import Invoice, InvoiceTotals
from decision_service.portrait.records import Counterparty, EnterpriseRecords, Month, Registration
from decision_service.radar.uscc import check_character

AS_OF = date(2020, 3, 1)
INDUSTRY = "51"
ESTABLISHED = date(2015, 1, 1)
FILES = {"sales": "output_invoices.parquet", "purchases": "input_invoices.parquet"}
COLUMNS = ("enterprise_id", "invoice_no", "issued_on", "counterparty", "amount", "status")


@dataclass(frozen=True, slots=True)
class Firm:
    """One firm: its id in the data, what the platform would hold of it on ``AS_OF``, and whether it defaulted."""

    firm_id: str
    records: EnterpriseRecords
    defaulted: bool

    @property
    def uscc(self) -> str:
        """The synthetic code it is known by."""
        return self.records.registration.uscc


@dataclass(frozen=True, slots=True)
class Dataset:
    """All firms in the file's order, their invoices as a feed delivers them, and what was left out."""

    firms: tuple[Firm, ...]
    invoices: pd.DataFrame  # uscc, direction, invoice_number, issued_on (date), counterparty, amount (fen), status
    read: int
    duplicates: int

    @property
    def defaulted(self) -> NDArray[np.int_]:
        """0 or 1 per firm."""
        return np.array([int(firm.defaulted) for firm in self.firms])


def load(folder: Path) -> Dataset:
    """Read the folder; raises ``InputError`` naming the file, the fault and the remedy."""
    outcomes = _outcomes(folder / "enterprises.csv")
    codes = {firm_id: synthetic_uscc(number) for number, firm_id in enumerate(outcomes, start=1)}
    delivered = pd.concat([_invoices(folder / name, direction, codes) for direction, name in FILES.items()])
    invoices = delivered.drop_duplicates(ignore_index=True)
    months, counterparties = _sums(invoices)
    firms = tuple(
        Firm(
            firm_id,
            EnterpriseRecords(
                registration(codes[firm_id], firm_id),
                tuple(months[codes[firm_id]]),
                tuple(counterparties[codes[firm_id]]),
            ),
            defaulted,
        )
        for firm_id, defaulted in outcomes.items()
    )
    return Dataset(firms, invoices, read=len(delivered), duplicates=len(delivered) - len(invoices))


def synthetic_uscc(number: int) -> str:
    """A valid code that no real enterprise has: the administrative division 990000 does not exist."""
    body = f"91990000CUMCM{number:04d}"
    return body + check_character(body)


def registration(uscc: str, firm_id: str) -> Registration:
    """The register's entry as assumed: the data hold nothing about it."""
    return Registration(uscc, f"CUMCM {firm_id}", "company", "active", ESTABLISHED, INDUSTRY, "2017")


def _outcomes(path: Path) -> dict[str, bool]:
    try:
        table = pd.read_csv(path, usecols=["enterprise_id", "defaulted"], dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read ({error})", where=str(path), remedy="give the folder that holds enterprises.csv"
        ) from error
    if strange := sorted(set(table["defaulted"]) - {"0", "1"}):
        raise InputError(f"defaulted is {strange[0]!r}", where=str(path), remedy="use 0 or 1")
    if table["enterprise_id"].duplicated().any() or len(table) > 9_999:
        raise InputError("an enterprise_id stands twice, or too many", where=str(path), remedy="one row per firm")
    return dict(zip(table["enterprise_id"], table["defaulted"] == "1", strict=True))


def _invoices(path: Path, direction: str, codes: dict[str, str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path, columns=list(COLUMNS))
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"cannot be read ({error})", where=str(path), remedy=f"it needs columns {COLUMNS}") from error
    _check(table, path, codes)
    return pd.DataFrame(
        {
            "uscc": table["enterprise_id"].map(codes),
            "direction": direction,
            "invoice_number": table["invoice_no"].astype(str),
            "issued_on": pd.to_datetime(table["issued_on"]).dt.date,
            "counterparty": table["counterparty"].astype(str),
            "amount": (table["amount"] * 100).round().astype("int64"),
            "status": table["status"],
        }
    )


def _check(table: pd.DataFrame, path: Path, codes: dict[str, str]) -> None:
    faults = (
        (table.isna().any(axis=1), "a value is missing", "fill it in or drop the row"),
        (~table["enterprise_id"].isin(list(codes)), "the firm is not in enterprises.csv", "add the firm there"),
        (~table["status"].isin(["valid", "void"]), "status is neither valid nor void", "use one of these words"),
        (~np.isfinite(table["amount"].astype(float)), "amount is not a number", "correct the amount"),
    )
    for bad, what, remedy in faults:
        if bad.any():
            raise InputError(
                f"{what} ({int(bad.sum())} rows)", where=f"{path}, row {int(bad.argmax()) + 1}", remedy=remedy
            )


def _sums(invoices: pd.DataFrame) -> tuple[dict[str, list[Month]], dict[str, list[Counterparty]]]:
    totals = InvoiceTotals(AS_OF)
    for uscc, *fields in invoices.itertuples(index=False, name=None):
        totals.add(uscc, Invoice(*fields))
    return _by_firm(totals.months()), _by_firm(totals.counterparties())


def _by_firm(rows: Iterable[tuple[str, str, object]]) -> dict[str, list]:
    grouped: dict[str, list] = defaultdict(list)
    for uscc, _, record in rows:
        grouped[uscc].append(record)
    return grouped
