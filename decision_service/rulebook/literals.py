"""Literals as people write them in rule files: numbers, dates, true/false and bare words, read exactly or refused."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

from decision_service.errors import FactError

Literal = Decimal | date | bool | str

MAX_DIGITS = 40
_NUMBER = re.compile(r"-?[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_EXPONENT = re.compile(r"[-+]?[0-9][0-9_.]*[eE][-+]?[0-9]+")
_NOT_LITERALS = {
    **dict.fromkeys(("yes", "no", "on", "off"), "write true or false"),
    **dict.fromkeys(("null", "~", ""), "leave the key out, or name a value"),
    **dict.fromkeys((".nan", "nan", ".inf", "-.inf", "inf", "infinity", "-infinity"), "write a finite number"),
}


def parse_literal(text: str) -> Literal:
    """The value that ``text`` spells; raises ``FactError`` saying how to write it instead."""
    if text in ("true", "false"):
        return text == "true"
    if text.lower() in _NOT_LITERALS:
        raise FactError(f"'{text}' is not a literal", remedy=_NOT_LITERALS[text.lower()])
    if _DATE.fullmatch(text):
        return parse_date(text)
    if _NUMBER.fullmatch(text):
        return parse_number(text)
    if _WORD.fullmatch(text):
        return text
    raise FactError(f"{shown(text)} is not a number, a date, true, false or a word", remedy=_spelling(text))


def is_reserved(text: str) -> bool:
    """Whether a word can be neither a fact nor a choice, because it spells a value or a mistake."""
    return text in ("true", "false") or text.lower() in _NOT_LITERALS


def parse_number(text: str) -> Decimal:
    """A decimal number with optional ``_`` between digits; no exponents. Raises ``FactError``."""
    if not _NUMBER.fullmatch(text):
        raise FactError(f"{shown(text)} is not a number", remedy=_spelling(text))
    if len(text) > MAX_DIGITS:
        raise FactError(f"the number {shown(text)} has too many digits", remedy=f"use at most {MAX_DIGITS} characters")
    return Decimal(text.replace("_", ""))


def parse_date(text: str) -> date:
    """A date written 2024-01-31. Raises ``FactError``."""
    if not _DATE.fullmatch(text):
        raise FactError(f"{shown(text)} is not a date", remedy="write it as 2024-01-31")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise FactError(f"the date {text} does not exist ({error})", remedy="write a calendar date") from error


def shown(value: object) -> str:
    """A value as it may stand in a message: quoted, and cut when long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _spelling(text: str) -> str:
    if _EXPONENT.fullmatch(text):
        return "write the number out, without an exponent"
    return "write numbers as 5_000_000 or 0.65, dates as 2024-01-31, choices as bare words"
