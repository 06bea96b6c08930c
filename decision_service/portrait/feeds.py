"""How old a feed's newest delivery may be before absence of a record says nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from decision_service.portrait.records import EnterpriseRecords
from decision_service.vocabulary import FEED_MAX_AGE

COUNTED = ("registrations", "lists", "overdues", "exposures", "months", "tax_ratings", "relations")
"""The feeds that the fact ``stale_feeds`` counts; the others leave their own facts unknown."""


class Freshness:
    """Which feeds of one enterprise's records may be trusted when they are silent.

    A feed is fresh when it was delivered, and not longer ago than its greatest age (exactly that age is still fresh).
    """

    __slots__ = ("_ages",)

    def __init__(self, records: EnterpriseRecords, now: datetime) -> None:
        self._ages = {feed: now - delivered for feed, delivered in records.feeds.items()}

    def fresh(self, feed: str, max_age: timedelta | None = None) -> bool:
        """Whether a feed is fresh, by its age in ``FEED_MAX_AGE`` unless another is given."""
        age = self._ages.get(feed)
        return age is not None and age <= (max_age or FEED_MAX_AGE[feed])

    def stale_feeds(self) -> tuple[str, ...]:
        """The counted feeds that are stale or were never delivered."""
        return tuple(feed for feed in COUNTED if not self.fresh(feed))
