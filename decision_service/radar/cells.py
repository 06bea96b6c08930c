"""What a cell of a feed file may hold: parsers from text to the exact value, each with its range or closed set.

A parser takes the cell's text (never empty) and returns the value, or raises ``CellError`` with a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import date
from decimal import Decimal
from difflib import get_close_matches

from decision_service.radar.uscc import uscc_problem

Parser = Callable[[str], object]

MAX_MONEY = Decimal("1000000000000.00")
_MONEY = re.compile(r"-?\d{1,15}(\.\d{1,2})?")
_DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,12})?")
_WHOLE = re.compile(r"-?\d{1,15}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TOKEN = re.compile(r"P:[\x21-\x7e]{1,80}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffd]")
_BOOLEANS = {"true": True, "false": False}


class CellError(ValueError):
    """A cell that its column does not admit; ``remedy`` says what would be admitted."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


def shown(text: str) -> str:
    """A cell as quoted in a message: never longer than 60 characters, control characters escaped."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def code(text: str) -> str:
    """A unified social credit code with the right check character."""
    problem = uscc_problem(text) if len(text) < 60 else f"USCC {shown(text)} is too long"
    if problem:
        raise CellError(problem, "deliver the code as the register shows it: 18 capital letters and digits")
    return text


def party(text: str) -> str:
    """A unified social credit code with the right check character, or a person's token beginning with ``P:``."""
    if _TOKEN.fullmatch(text):
        return text
    try:
        return code(text)
    except CellError as error:
        raise CellError(f"{error}; nor a person's token", f"{error.remedy}, or P: and a person's token") from error


def words(longest: int = 200) -> Parser:
    """Text without control characters, at most ``longest`` characters."""

    def parse(text: str) -> str:
        if _CONTROL.search(text):
            raise CellError(f"{shown(text)} contains control characters or is not UTF-8", "save the file as UTF-8")
        if len(text) > longest:
            raise CellError(f"text of {len(text)} characters", f"give at most {longest}")
        return text

    return parse


def pattern(expression: str, meaning: str) -> Parser:
    """Text that matches a regular expression as a whole."""
    compiled = re.compile(expression)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise CellError(f"{shown(text)} is not {meaning}", f"give {meaning}")
        return text

    return parse


def choice(*allowed: str) -> Parser:
    """One word of a closed set."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise CellError(f"{shown(text)} is not one of {', '.join(allowed)}", "use one of these words")
        return text

    return parse


def declared(names: Collection[str], whose: str) -> Parser:
    """One name of those that are declared; a similar one is suggested, all are named."""

    def parse(text: str) -> str:
        if text not in names:
            near = get_close_matches(text, names, n=2, cutoff=0.7)
            question = f"did you mean {' or '.join(near)}? " if near else ""
            raise CellError(f"{shown(text)} is not a list of {whose}", f"{question}their lists are {', '.join(names)}")
        return text

    return parse


def money(*, negative: bool = True) -> Parser:
    """A decimal string in CNY with at most two decimals; becomes fen."""

    def parse(text: str) -> int:
        if not _MONEY.fullmatch(text):
            raise CellError(f"{shown(text)} is not an amount in CNY", "write it like 1234.56")
        amount = Decimal(text)
        if abs(amount) > MAX_MONEY or (amount < 0 and not negative):
            least = f"-{MAX_MONEY}" if negative else "0.00"
            raise CellError(f"amount {text} is out of range", f"give {least} to {MAX_MONEY}")
        return int(amount.scaleb(2))

    return parse


def decimal(least: str, most: str) -> Parser:
    """A decimal number within a closed range."""
    low, high = Decimal(least), Decimal(most)

    def parse(text: str) -> Decimal:
        if not _DECIMAL.fullmatch(text):
            raise CellError(f"{shown(text)} is not a decimal number", "write it like -0.25, without exponent")
        number = Decimal(text)
        if not low <= number <= high:
            raise CellError(f"{text} is out of range", f"give {least} to {most}")
        return number

    return parse


def whole(least: int = 0, most: int = 10**12) -> Parser:
    """A whole number within a closed range."""

    def parse(text: str) -> int:
        if not _WHOLE.fullmatch(text):
            raise CellError(f"{shown(text)} is not a whole number", "write digits only")
        number = int(text)
        if not least <= number <= most:
            raise CellError(f"{text} is out of range", f"give {least} to {most}")
        return number

    return parse


def boolean(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in _BOOLEANS:
        raise CellError(f"{shown(text)} is neither true nor false", "use one of these words")
    return _BOOLEANS[text]


def day(text: str) -> date:
    """An ISO date between 1900 and 2199."""
    try:
        parsed = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        parsed = None
    if parsed is None or not 1900 <= parsed.year <= 2199:
        raise CellError(f"{shown(text)} is not a date", "write it like 2024-01-31")
    return parsed


def first_of_month(text: str) -> date:
    """The first day of a month."""
    parsed = day(text)
    if parsed.day != 1:
        raise CellError(f"{text} is not the first day of a month", f"write {parsed:%Y-%m}-01")
    return parsed
