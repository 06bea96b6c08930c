"""Moments in options: ISO 8601 with a time zone, within the years that applications may name."""

from __future__ import annotations

from datetime import datetime

from decision_service.api.schemas import FIRST_YEAR, LAST_YEAR
from decision_service.errors import InputError


def moment(text: str, where: str) -> datetime:
    """An aware moment. Raises ``InputError`` naming the option, ``where``."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        remedy = "give a time with its zone, such as 2020-03-01T09:00:00+08:00"
        raise InputError(f"{text!r} is not a moment", where=where, remedy=remedy)
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        remedy = f"give a moment of the years {FIRST_YEAR} to {LAST_YEAR}"
        raise InputError(f"{text} is out of range", where=where, remedy=remedy)
    return found
