"""How old a feed's newest delivery may be before absence of a record says nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from decision_service.portrait.records import EnterpriseRecords
from decision_service.vocabulary import FEED_MAX_AGE

COUNTED = ("registrations", "lists", "overdues", "exposures", "months", "tax_ratings", "relations")
"""The feeds that the fact ``stale_feeds`` counts; the others leave their own facts unknown."""


def is_fresh(delivered: datetime | None, *, now: datetime, max_age: timedelta) -> bool:
    """Whether a feed was delivered, and not longer ago than ``max_age`` (exactly that age is still fresh)."""
    return delivered is not None and now - delivered <= max_age


class Freshness:
    """Which feeds of one enterprise's records may be trusted when they are silent."""

    __slots__ = ("_feeds", "_now")

    def __init__(self, records: EnterpriseRecords, now: datetime) -> None:
        self._feeds = records.feeds
        self._now = now

    def fresh(self, feed: str, max_age: timedelta | None = None) -> bool:
        """Whether a feed is fresh, by its age in ``FEED_MAX_AGE`` unless another is given."""
        return is_fresh(self._feeds.get(feed), now=self._now, max_age=max_age or FEED_MAX_AGE[feed])

    def stale_feeds(self) -> tuple[str, ...]:
        """The counted feeds that are stale or were never delivered."""
        return tuple(feed for feed in COUNTED if not self.fresh(feed))
