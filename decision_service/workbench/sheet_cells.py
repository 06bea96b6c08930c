"""What the cells of a workbook say: text as it is, dates and exact numbers as text, everything else refused."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from decision_service.errors import FactError
from decision_service.rulebook.literals import parse_number
from decision_service.workbench.table_text import COMMENT
from decision_service.workbench.yaml_entry import CONDITION, WORDS

FORMULA = "the cell holds a formula or something else than a value"
EXACT_DIGITS = 15
"""Digits that a spreadsheet program keeps of a number."""


class Refused(Exception):
    """A cell that cannot be taken as it is."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def normal(column: str, text: str) -> str:
    """A cell as its column writes it: without blanks at its ends, conditions and codes with single spaces."""
    if column == CONDITION:
        return " ".join(text.split())
    if column == WORDS:
        return ", ".join(word.strip() for word in text.split(",") if word.strip())
    if column == COMMENT:
        return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    return text.strip()


def cell_text(cell: Any, *, pads: int = 0) -> str:
    """The text of a cell. Raises ``Refused`` for formulas, errors, times, and numbers that are not exact.

    ``pads`` is the width of a code whose leading zeros a program may have dropped.
    """
    value = cell.value
    if cell.data_type == "f" or not isinstance(value, (str, bool, int, float, date, type(None))):
        raise Refused(FORMULA, "write the value itself")
    if cell.data_type == "e":
        raise Refused(f"the cell holds the error {value}", "write a value")
    if value is None or isinstance(value, str):
        return (value or "").replace("\r\n", "\n")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return _day(value)
    return _number(value, pads)


def _day(value: date) -> str:
    if isinstance(value, datetime):
        if value.time() != time(0):
            raise Refused(f"{value} is a time, not a date", "write a date such as 2024-01-31")
        value = value.date()
    return value.isoformat()


def _number(value: int | float, pads: int) -> str:
    try:
        number = Decimal(repr(value))
    except InvalidOperation:
        raise Refused(f"{value} is not a number", "write a number") from None
    if not number.is_finite() or len(number.normalize().as_tuple().digits) > EXACT_DIGITS:
        raise Refused(f"the number {value} is not exact", "write it as text, with the digits that are meant")
    text = f"{number:f}"
    whole = text.rstrip("0").rstrip(".") if "." in text else text
    return whole.zfill(pads) if pads and whole.isdigit() else whole


def means(text: str, before: str, *, number: bool) -> bool:
    """Whether a cell says what it said before; a number cell has lost how its digits were written (``0.070``)."""
    if text == before or text == before.replace("\r\n", "\n").strip():
        return True
    try:
        return number and parse_number(text) == parse_number(before)
    except FactError:
        return False
