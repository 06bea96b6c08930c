"""Tax credit ratings as published on a date: the latest one, its basis, and the chain of A years."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from decision_service.portrait.records import TaxRating

PUBLICATION_MONTH = 4
"""Ratings of a year are published in April of the next; from May on, a year without one is a year not rated.

That can only be said by a feed that was delivered since: an older one does not know the newest ratings.
"""
UNRATED = "unrated"
STANDS_UNTIL_REPLACED = frozenset({"C", "D"})

FactValue = str | int | None


def tax_rating_facts(
    ratings: Iterable[TaxRating], as_of: date, *, fresh: bool, delivered: date | None
) -> dict[str, FactValue]:
    """``tax_rating``, ``tax_rating_basis``, ``tax_rating_a_years``.

    All are unknown when the feed is not fresh, or when the newest year that must be out is not among the ratings of a
    feed ``delivered`` (business date) before all of that year were: a C or D may have been replaced as well.
    """
    unknown: dict[str, FactValue] = {"tax_rating": None, "tax_rating_basis": None, "tax_rating_a_years": None}
    if not fresh or delivered is None:
        return unknown
    published = {rating.year: rating for rating in ratings if rating.published_on <= as_of}
    newest = max(published, default=None)
    current = published[newest] if newest is not None else None
    due = due_year(as_of)
    if delivered < date(due + 1, PUBLICATION_MONTH + 1, 1) and (current is None or current.year < due):
        return unknown
    if current is None or (current.year < due and grade(current, as_of) not in STANDS_UNTIL_REPLACED):
        return {"tax_rating": UNRATED, "tax_rating_basis": UNRATED, "tax_rating_a_years": 0}
    return {
        "tax_rating": grade(current, as_of),
        "tax_rating_basis": current.basis,
        "tax_rating_a_years": a_years(published, current.year, as_of),
    }


def due_year(as_of: date) -> int:
    """The newest year whose ratings must be out on a date."""
    return as_of.year - 1 if as_of.month > PUBLICATION_MONTH else as_of.year - 2


def grade(rating: TaxRating, as_of: date) -> str:
    """The letter in force on a date: a change in mid-year holds from its own day."""
    if rating.changed_on is not None and rating.changed_to is not None and rating.changed_on <= as_of:
        return rating.changed_to
    return rating.rating


def a_years(published: dict[int, TaxRating], newest: int, as_of: date) -> int:
    """Consecutive years rated A up to the newest published one; a year without a rating breaks the chain."""
    year = newest
    while year in published and grade(published[year], as_of) == "A":
        year -= 1
    return newest - year
