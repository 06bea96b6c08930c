"""Calendar arithmetic of business dates: months as numbers, months added to a date."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

YEAR = 12


def month_number(day: date) -> int:
    """Months since year 0, so that months can be subtracted."""
    return day.year * YEAR + day.month - 1


def first_day(number: int) -> date:
    """The first day of a month given by its number."""
    return date(number // YEAR, number % YEAR + 1, 1)


def add_months(day: date, months: int) -> date:
    """The same day of another month, or that month's last day if it has no such day."""
    number = month_number(day) + months
    year, month = divmod(number, YEAR)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
