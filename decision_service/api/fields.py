"""Fields of the contract: money, identifiers, counts and the unified social credit code, each with its own message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields, validate

from decision_service.api.strict_json import WELCOME
from decision_service.radar.uscc import uscc_problem

MAX_MONEY_DIGITS = 13
MONEY = re.compile(r"(0|[1-9][0-9]{0,12})(\.[0-9]{1,2})?")
MONEY_SHOWN = {
    "pattern": rf"^(?!0(\.0+)?$){MONEY.pattern}$",
    "exclusiveMinimum": 0,
    "exclusiveMaximum": 10**MAX_MONEY_DIGITS,
    "description": "CNY above zero, at most two decimals; decimal text, or a number if it is exact to the fen",
    "example": "20000.00",
}
"""How the document tells it: the pattern holds for text, the bounds hold for numbers."""
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#@-]*")
NAME = re.compile(r"[a-z][a-z0-9_]*")


class Money(fields.String):
    """An amount in CNY above zero: decimal text such as "3000000.00", or a JSON number that is exact."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata=MONEY_SHOWN, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        amount = _money(value)
        if amount <= 0:
            raise ValidationError("must be above zero")
        return amount


def _money(value: Any) -> Decimal:
    if isinstance(value, str):
        if not MONEY.fullmatch(value):
            raise ValidationError('must be money as text such as "3000000.00", at most 13 digits and two decimals')
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValidationError('must be money such as "3000000.00"')
    return exact_money(Decimal(value))


def exact_money(number: Decimal) -> Decimal:
    """The same number if it has at most two decimals and 13 digits before them; never rounds, never grows."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    shift = int(exponent) + len(digits) - len(text)
    if text and shift < -2:
        raise ValidationError("has more than two decimals")
    if text and len(text) + shift > MAX_MONEY_DIGITS:
        raise ValidationError(f"has more than {MAX_MONEY_DIGITS} digits before the point")
    return Decimal((sign, tuple(map(int, text)), shift)) if text else Decimal(0)


class Text(fields.String):
    """A short text of a closed alphabet."""

    def __init__(
        self, pattern: re.Pattern[str], *, longest: int, description: str, example: str | None = None, **kwargs: Any
    ) -> None:
        self.pattern, self.longest = pattern, longest
        metadata = {"pattern": f"^{pattern.pattern}$", "minLength": 1, "maxLength": longest, "description": description}
        super().__init__(metadata=metadata if example is None else metadata | {"example": example}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, str):
            raise ValidationError("must be text")
        if not 1 <= len(value) <= self.longest:
            raise ValidationError(f"must have 1 to {self.longest} characters, not {len(value)}")
        if not self.pattern.fullmatch(value):
            raise ValidationError(f"must match {self.pattern.pattern}")
        return value


def one_line(*, longest: int, description: str = "", **kwargs: Any) -> fields.String:
    """Free text for people. What no field may hold was refused when the body was read; here the document says so."""
    told = {"pattern": WELCOME} | ({"description": description} if description else {})
    return fields.String(validate=validate.Length(max=longest), metadata=told, **kwargs)


class Count(fields.Integer):
    """A whole number in a range; neither text nor a flag."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        self.least, self.most = least, most
        super().__init__(metadata={"minimum": least, "maximum": most}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, Decimal) and abs(value) <= self.most and value == int(value):
            value = int(value)  # to JSON Schema, 12.0 is a whole number
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("must be a whole number")
        return _in_range(value, self.least, self.most)


class QueryCount(Count):
    """The same number as it stands in a query string."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value):
            raise ValidationError("must be a whole number")
        return _in_range(int(value), self.least, self.most)


def _in_range(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValidationError(f"must lie between {least} and {most}")
    return value


class Uscc(fields.String):
    """A unified social credit code with its check character (GB 32100-2015)."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {
            "pattern": "^[0-9A-HJ-NPQRTUWXY]{18}$",
            "description": "Unified social credit code (GB 32100-2015); the check character is verified",
            "example": "91990000MC90000191",
        }
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, str):
            raise ValidationError("must be text")
        problem = uscc_problem(value) if len(value) <= 64 else f"USCC has {len(value)} characters instead of 18"
        if problem is not None:
            raise ValidationError(problem)
        return value
