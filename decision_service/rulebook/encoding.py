"""What one fact is, and how its values become exact: integers of fen, millionths, days and counts, or choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Context, Decimal, Inexact
from enum import Enum
from typing import Any

from decision_service.errors import FactError
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.formulas import Formula
from decision_service.rulebook.literals import parse_date, parse_number, shown

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EPOCH = date(1970, 1, 1).toordinal()
MAX_MAGNITUDE = 20  # decimal digits before the point; 64 bits hold 19

Encoder = Callable[[Any], Exact]


class FactType(Enum):
    """The seven types of a fact."""

    MONEY = "money"
    RATIO = "ratio"
    COUNT = "count"
    DAYS = "days"
    FLAG = "flag"
    DATE = "date"
    CHOICE = "choice"

    @property
    def places(self) -> int:
        """Decimal places that the exact integer holds: fen for money, millionths for a ratio."""
        return _PLACES.get(self, 0)

    @property
    def scale(self) -> int:
        """Exact units in one natural unit."""
        return 10**self.places

    @property
    def numeric(self) -> bool:
        """Whether values are numbers, which formulas may use."""
        return self in (FactType.MONEY, FactType.RATIO, FactType.COUNT, FactType.DAYS)

    @property
    def ordered(self) -> bool:
        """Whether ``<`` and its kin mean something."""
        return self not in (FactType.CHOICE, FactType.FLAG)


_PLACES = {FactType.MONEY: 2, FactType.RATIO: 6}


@dataclass(frozen=True, slots=True)
class Fact:
    """One declared fact. ``minimum`` and ``maximum`` are exact and both belong to the range."""

    name: str
    type: FactType
    label: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    level: int = 1
    unit: str = ""
    choices: tuple[str, ...] = ()
    minimum: int = INT64_MIN
    maximum: int = INT64_MAX
    derived: Formula | None = None
    combine: str | None = None
    default: Exact | None = None

    def rank(self, exact: Exact) -> int:
        """The place of a value in the declared order, weakest first: choices as listed, false before true."""
        return self.choices.index(exact) if isinstance(exact, str) else exact


_SCALING = Context(prec=64, traps=[Inexact])
QUICK_MAGNITUDE = 24
"""Decimals of this many digits before the point are scaled by the decimal library; anything else digit by digit."""


def encode_number(kind: FactType, value: Any) -> int:
    """The exact integer of a Decimal, int or decimal text; raises ``FactError``.

    Scales without ever building a number that is larger than the check needs (``1e999999999`` costs nothing).
    """
    if isinstance(value, str):
        value = parse_number(value)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise FactError(f"{shown(value)} is not an exact number", remedy="give a decimal number, not a float or a flag")
    if isinstance(value, int):
        return _bounded(value * kind.scale if abs(value) <= INT64_MAX else INT64_MAX + 1, value)
    if not value.is_finite():
        raise FactError(f"{value} is not a number", remedy="leave the fact out if it is unknown")
    if value.is_zero():
        return 0
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + kind.places
    magnitude = len(digits) + int(exponent)
    if magnitude > MAX_MAGNITUDE:
        return _bounded(INT64_MAX + 1, value)
    whole = int("".join(map(str, digits)))
    if shift >= 0:
        exact = whole * 10**shift
    else:
        exact, rest = divmod(whole, 10 ** -shift) if -shift <= len(digits) else (0, whole)
        if rest:
            raise FactError(
                f"{shown(str(value))} has more than {kind.places} decimal places",
                remedy=f"round it to {kind.places} places",
            )
    return _bounded(-exact if sign else exact, value)


def _bounded(exact: int, value: Any) -> int:
    if not INT64_MIN <= exact <= INT64_MAX:
        raise FactError(f"{shown(str(value))} is too large", remedy="check the unit; values fit 64 bits")
    return exact


def _encode_number(fact: Fact, value: Any) -> int:
    return encode_number(fact.type, value)


def _encode_flag(fact: Fact, value: Any) -> int:
    if value in ("true", "false"):
        return int(value == "true")
    if not isinstance(value, bool):
        raise FactError(f"{shown(value)} is not a flag", remedy="give true or false")
    return int(value)


def _encode_date(fact: Fact, value: Any) -> int:
    if isinstance(value, str):
        value = parse_date(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise FactError(f"{shown(value)} is not a date", remedy="give a business date such as 2024-01-31")
    return value.toordinal() - EPOCH


def _encode_choice(fact: Fact, value: Any) -> str:
    if not isinstance(value, str) or value not in fact.choices:
        raise FactError(f"{shown(value)} is not a choice", remedy=f"use one of {', '.join(fact.choices)}")
    return value


ENCODERS: Mapping[FactType, Callable[[Fact, Any], Exact]] = {
    FactType.MONEY: _encode_number,
    FactType.RATIO: _encode_number,
    FactType.COUNT: _encode_number,
    FactType.DAYS: _encode_number,
    FactType.FLAG: _encode_flag,
    FactType.DATE: _encode_date,
    FactType.CHOICE: _encode_choice,
}


def encoder(fact: Fact, checked: Encoder) -> Encoder:
    """How values of one fact are encoded: usual ones by a short way for its type, all else by ``checked``."""
    return _QUICK[fact.type](fact, checked)


def _quick_decimal(fact: Fact, checked: Encoder) -> Encoder:
    places, low, high = fact.type.places, fact.minimum, fact.maximum
    scaled, whole = _SCALING.scaleb, _SCALING.to_integral_exact

    def encode(value: Any) -> Exact:
        if type(value) is Decimal and -QUICK_MAGNITUDE < value.adjusted() < QUICK_MAGNITUDE and value.is_finite():
            try:
                exact = int(whole(scaled(value, places)))
            except Inexact:
                return checked(value)
            if low <= exact <= high:
                return exact
        return checked(value)

    return encode


def _quick_integer(fact: Fact, checked: Encoder) -> Encoder:
    low, high = fact.minimum, fact.maximum
    return lambda value: value if type(value) is int and low <= value <= high else checked(value)


def _quick_flag(fact: Fact, checked: Encoder) -> Encoder:
    low, high = fact.minimum, fact.maximum
    return lambda value: int(value) if type(value) is bool and low <= value <= high else checked(value)


def _quick_choice(fact: Fact, checked: Encoder) -> Encoder:
    choices = frozenset(fact.choices)
    return lambda value: value if type(value) is str and value in choices else checked(value)


_QUICK: Mapping[FactType, Callable[[Fact, Encoder], Encoder]] = {
    FactType.MONEY: _quick_decimal,
    FactType.RATIO: _quick_decimal,
    FactType.COUNT: _quick_integer,
    FactType.DAYS: _quick_integer,
    FactType.FLAG: _quick_flag,
    FactType.DATE: lambda fact, checked: checked,
    FactType.CHOICE: _quick_choice,
}
