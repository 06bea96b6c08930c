"""Monthly series of one firm of the synthetic city: sales follow season, drift, noise and, in distress, a decline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from decision_service.portrait.records import Month
from decision_service.scoring.blend import expit
from ml.city_traits import Traits
from ml.fitted import Array

LENGTH = 26  # two more than the portrait's window, so that a city a month old still fills it
DISTRESS = -0.6  # momentum below which sales fall away in the last months


@dataclass(frozen=True, slots=True)
class Calendar:
    """The months of a city: ``firsts`` are their first days, oldest first; ``end`` follows the last one's last day."""

    as_of: date
    firsts: tuple[date, ...]
    end: date


def calendar(as_of: date) -> Calendar:
    """The ``LENGTH`` whole months up to ``as_of``; its own month counts when that is the month's last day."""
    tomorrow = date.fromordinal(as_of.toordinal() + 1)
    end = tomorrow.year * 12 + tomorrow.month - 1
    firsts = (date(number // 12, number % 12 + 1, 1) for number in range(end - LENGTH, end))
    return Calendar(as_of, tuple(firsts), tomorrow.replace(day=1))


def draw_months(traits: Traits, random: np.random.Generator, months: Calendar) -> tuple[Month, ...]:
    """The firm's months since its establishment, ascending. Momentum drives drift, volatility, voids and filings."""
    sales = _sales(traits, random, months)
    customers = random.poisson(_level(traits, random, 1.3) * np.where(sales > 0, 1.0, 0.0)) + (sales > 0)
    invoices = customers + random.poisson(1.5 * customers)
    columns: dict[str, Any] = {
        "sales": np.rint(sales * 100),
        "purchases": np.rint(sales * 100 * np.clip(random.normal(0.72, 0.08, LENGTH), 0.3, 1.4)),
        "sales_invoices": invoices,
        "void_invoices": random.binomial(invoices, expit(-3.3 - 0.5 * traits.momentum + 0.3 * random.normal())),
        "negative_invoices": random.binomial(invoices, expit(-4.0 - 0.5 * traits.momentum + 0.3 * random.normal())),
        "purchase_invoices": random.poisson(0.8 * invoices + 1),
        "customers": customers,
        "suppliers": random.poisson(_level(traits, random, 0.8), LENGTH),
    }
    optional: dict[str, list[Any]] = {
        "electricity_kwh": _electricity(traits, random, sales),
        "insured_headcount": _headcount(traits, random),
        "tax_filing": _filings(traits, random, sales),
    }
    alive = _alive(traits, random, months)
    return tuple(
        Month(month=first, **_cells(columns, place, int), **_cells(optional, place))
        for place, first in enumerate(months.firsts)
        if alive[place]
    )


def _cells(columns: dict[str, Any], place: int, kind: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    return {name: kind(values[place]) for name, values in columns.items()}


def _sales(traits: Traits, random: np.random.Generator, months: Calendar) -> Array:
    """Net sales in CNY: level x season x drift x noise, falling away in distress, with idle months."""
    time = np.arange(LENGTH) - (LENGTH - 1)
    drift = 0.003 + 0.007 * traits.momentum + 0.003 * random.normal()
    spread = math.exp(-2.0 - 0.3 * traits.momentum + 0.15 * random.normal())
    onset = int(random.integers(4, 11))
    slope = 0.06 * max(0.0, DISTRESS - traits.momentum)
    fall = slope * np.maximum(0, time + onset)
    season = np.array([traits.industry.season[first.month - 1] for first in months.firsts])
    logs = math.log(traits.annual_sales / 12) + drift * time - fall + spread * random.normal(size=LENGTH)
    idle = random.random(LENGTH) < expit(-6.2 - 1.3 * traits.momentum)
    return np.where(idle, 0.0, season * np.exp(logs))


def _level(traits: Traits, random: np.random.Generator, base: float) -> float:
    """Counterparties a month: grows with size, slower than sales."""
    return math.exp(base + 0.35 * math.log(traits.annual_sales / 1e6) + 0.3 * random.normal())


def _electricity(traits: Traits, random: np.random.Generator, sales: Array) -> list[int | None]:
    """kWh follows sales with half their swing; a quarter of firms have no meter of their own, some readings lack."""
    if random.random() < 0.25:
        return [None] * LENGTH
    level = traits.annual_sales / 12
    used = 0.02 * level * np.sqrt(np.maximum(sales, 0.05 * level) / level) * np.exp(0.06 * random.normal(size=LENGTH))
    unread = random.random(LENGTH) < 0.004
    return [None if unread[place] else int(used[place]) for place in range(LENGTH)]


def _headcount(traits: Traits, random: np.random.Generator) -> list[int | None]:
    start = max(1.0, traits.annual_sales / 700_000 * math.exp(0.3 * random.normal()))
    drift = 0.001 + 0.006 * traits.momentum + 0.002 * random.normal()
    path = start * np.exp(drift * (np.arange(LENGTH) - LENGTH + 1))
    return [max(1, round(float(value))) for value in path]


def _filings(traits: Traits, random: np.random.Generator, sales: Array) -> list[str | None]:
    late = expit(-4.6 - 0.8 * traits.momentum - 0.5 * traits.health)
    missed = expit(-7.0 - 0.9 * traits.momentum - 0.6 * traits.health)
    draws = random.random(LENGTH)
    return [_filing(draw, late, missed, amount) for draw, amount in zip(draws, sales, strict=True)]


def _filing(draw: float, late: float, missed: float, amount: float) -> str:
    if draw < missed:
        return "not_filed"
    if draw < missed + late:
        return "late_30"
    return "on_time" if amount > 0 else "zero_return"


def _alive(traits: Traits, random: np.random.Generator, months: Calendar) -> list[bool]:
    """Which months are reported: those since establishment; one firm in two hundred lacks a month."""
    established = established_on(traits, months.as_of)
    known = [first >= established.replace(day=1) for first in months.firsts]
    if random.random() < 0.005:
        known[int(random.integers(LENGTH))] = False
    return known


def established_on(traits: Traits, as_of: date) -> date:
    """The date of establishment."""
    return date.fromordinal(as_of.toordinal() - round(traits.age_years * 365.25))
