"""A small city, and the place it stands in, shared by the tests of ml."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from ml.city import Firm, Place, draw_firms, draw_population
from ml.city_traits import read_industries

RULES = Path(__file__).resolve().parents[2] / "rules"
AS_OF = date(2026, 6, 14)


@lru_cache
def place(as_of: date = AS_OF, seed: int = 7) -> Place:
    industries, excluded = read_industries(RULES)
    delivered = datetime(as_of.year, as_of.month, as_of.day, 23, tzinfo=ZoneInfo("Asia/Shanghai"))
    return Place(seed, as_of, delivered, industries, excluded)


@lru_cache
def firms(count: int = 200) -> tuple[Firm, ...]:
    return tuple(draw_firms(place(), draw_population(place(), range(1, count + 1))))
