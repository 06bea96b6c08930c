"""What happens to firms of the synthetic city: list entries, ratings, arrears, lines, relations, changes of control."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from decision_service.portrait.records import (
    ControlChange,
    Counterparty,
    CreditLine,
    ListEntry,
    Overdue,
    Registration,
    Relation,
    TaxRating,
)
from decision_service.scoring.blend import expit
from ml.city_months import established_on
from ml.city_traits import Traits

BANKS = tuple(f"BANK-{number:02d}" for number in range(1, 13))
YEARS_RATED = 6
PARTNERS = 16
RATING_DAY = (4, 25)  # ratings of a year are published in April of the next
LIST_RISK = {  # log-odds of an entry for a firm of middling health, and how it falls with health
    "list_court_dishonest": (-4.9, 1.1),
    "list_samr_illegal": (-5.7, 1.0),
    "list_tax_major": (-6.1, 1.0),
    "list_wage_arrears": (-6.1, 1.0),
    "list_other_serious": (-6.3, 1.0),
    "list_abnormal_operation": (-3.5, 0.9),
    "list_executee": (-3.7, 1.1),
    "list_consumption_limit": (-5.1, 1.1),
    "list_equity_freeze": (-5.1, 1.0),
    "list_tax_arrears": (-4.1, 1.0),
    "list_admin_penalty": (-2.3, 0.7),
}
SEVERITIES = ("minor", "general", "serious")
ENDS = {"list_court_dishonest": "performed", "list_executee": "performed", "list_admin_penalty": "repaired"}
PENALTY_POINTS = {"minor": 1.0, "general": 3.0, "serious": 10.0}
OVERDUE_DAYS = ((1, 29), (30, 89), (90, 400))


def draw_registration(traits: Traits, random: np.random.Generator, as_of: date) -> Registration:
    """The register's entry; old classification codes, odd statuses and flags are rare."""
    draws = random.random(6)
    trouble = expit(-5.6 - 1.0 * traits.health)
    state = "active" if draws[0] > trouble else ("revoked", "cancelled", "bankruptcy")[int(random.integers(3))]
    code, version = _as_registered(traits.industry.code, float(draws[1]))
    return Registration(
        uscc=traits.uscc,
        name=f"示例{traits.industry.name_zh}企业{traits.number:05d}号",
        entity_type=traits.entity_type,
        registration_status=state,
        established_on=None if draws[2] < 0.002 else established_on(traits, as_of),
        industry_code=code,
        classification_version=version,
        public_sector=bool(draws[3] < 0.01),
        bank_related=bool(draws[4] < 0.004),
        name_code_mismatch=bool(draws[5] < 0.005),
    )


def _as_registered(code: str, draw: float) -> tuple[str, str]:
    """94 % by the 2017 classification, 5 % by that of 2011 (before 79 was inserted), 1 % without a version."""
    if draw < 0.94 or code in ("58", "59", "79", "98", "99", "00"):
        return code, "2017"
    if draw < 0.99:
        return (f"{int(code) - 1:02d}" if int(code) >= 80 else code), "2011"
    return code, ""


def draw_lists(traits: Traits, random: np.random.Generator, as_of: date) -> tuple[ListEntry, ...]:
    """Public list entries of the last four years: some ended or repaired, a few under dispute."""
    chances = random.random(len(LIST_RISK))
    return tuple(
        _entry(traits, name, random, as_of)
        for (name, (base, slope)), chance in zip(LIST_RISK.items(), chances, strict=True)
        if chance < expit(base - slope * traits.health)
    )


def _entry(traits: Traits, name: str, random: np.random.Generator, as_of: date) -> ListEntry:
    age = int(random.integers(5, 1400))
    listed = as_of - timedelta(days=age)
    ended = listed + timedelta(days=int(random.integers(1, age))) if random.random() < 0.4 else None
    disputed = as_of - timedelta(days=int(random.integers(0, min(age, 20)))) if random.random() < 0.06 else None
    penalty = name == "list_admin_penalty"
    return ListEntry(
        record_id=f"{traits.uscc}-{name.removeprefix('list_')}",
        list_name=name,
        listed_on=listed,
        severity=SEVERITIES[int(random.choice(3, p=(0.5, 0.4, 0.1)))] if penalty else "",
        ended_on=ended,
        end_reason=ENDS.get(name, "removed") if ended else "",
        disputed_on=disputed if ended is None else None,
    )


def penalty_points(entries: Sequence[ListEntry], as_of: date) -> float:
    """IND14 of the entries: severity times exp(-age in months / 12) over 36 months; repaired ones are out."""
    counted = [one for one in entries if one.list_name == "list_admin_penalty" and one.ended_on is None]
    ages = [(PENALTY_POINTS[one.severity], (as_of - one.listed_on).days / 30.4375) for one in counted]
    return sum(points * math.exp(-age / 12) for points, age in ages if age <= 36)


def abnormal_status(entries: Sequence[ListEntry], as_of: date) -> int:
    """IND17 of the entries: 3 seriously illegal, 2 abnormal, 1 removed within twelve months, else 0."""
    found = 0
    for one in entries:
        if one.list_name == "list_samr_illegal" and one.ended_on is None:
            found = max(found, 3)
        if one.list_name == "list_abnormal_operation":
            removed = one.ended_on is not None
            recent = one.ended_on is not None and (as_of - one.ended_on).days <= 365
            found = max(found, 2 if not removed else 1 if recent else 0)
    return found


def draw_ratings(traits: Traits, random: np.random.Generator, as_of: date) -> tuple[TaxRating, ...]:
    """Tax credit ratings of whole years in business, published by ``as_of``; health makes them persist."""
    if traits.entity_type == "individual_business":
        return ()
    newest = as_of.year - 1 if (as_of.month, as_of.day) >= RATING_DAY else as_of.year - 2
    first = established_on(traits, as_of).year + 1
    leaning = traits.health + 0.4 * random.normal()
    years = range(max(first, newest - YEARS_RATED + 1), newest + 1)
    return tuple(_rating(year, leaning, random, as_of) for year in years if random.random() > 0.01)


def _rating(year: int, leaning: float, random: np.random.Generator, as_of: date) -> TaxRating:
    score = leaning + 0.35 * random.normal()
    rating = "A" if score > 0.75 else "B" if score > -0.6 else "M" if score > -1.7 else "C" if score > -2.5 else "D"
    published = date(year + 1, *RATING_DAY)
    basis = "direct" if rating == "D" and random.random() < 0.4 else "score"
    days = (as_of - published).days
    if rating == "A" and days > 60 and random.random() < 0.01:
        changed = published + timedelta(days=int(random.integers(30, days)))
        return TaxRating(year, rating, published, basis, changed, "B")
    return TaxRating(year, rating, published, basis)


def draw_overdues(traits: Traits, random: np.random.Generator, as_of: date) -> tuple[Overdue, ...]:
    """At most one overdue episode of the last two years, of a borrower."""
    if not traits.borrower or random.random() > expit(-3.4 - 1.1 * traits.health):
        return ()
    low, high = OVERDUE_DAYS[int(random.choice(3, p=(0.6, 0.28, 0.12)))]
    days = int(random.integers(low, high + 1))
    started = as_of - timedelta(days=days + int(random.integers(0, 700)))
    cured = started + timedelta(days=days) if days < 90 or random.random() < 0.4 else None
    written_off = cured is None and random.random() < 0.3
    return (Overdue(f"{traits.uscc}-OD1", _bank(random), started, days, cured, written_off),)


def _bank(random: np.random.Generator) -> str:
    return BANKS[int(random.integers(len(BANKS)))]


def draw_lines(traits: Traits, random: np.random.Generator) -> tuple[CreditLine, ...]:
    """One to four lines at the twelve banks; their sum grows with sales, a third is partly secured."""
    if not traits.borrower:
        return ()
    banks = random.choice(len(BANKS), size=int(random.integers(1, 5)), replace=False)
    total = 0.06 * traits.annual_sales * math.exp(0.6 * random.normal())
    lines = []
    for bank in banks:
        size = total / len(banks)
        drawn = 10_000 * round(size * random.random() / 10_000)
        undrawn = 10_000 * round(size * 0.4 * random.random() / 10_000)
        secured = int(drawn * random.random()) if random.random() < 0.33 else 0
        lines.append(CreditLine(BANKS[bank], "L1", drawn * 100, undrawn * 100, secured * 100))
    return tuple(lines)


def draw_control_changes(traits: Traits, random: np.random.Generator, as_of: date) -> tuple[ControlChange, ...]:
    """Rare changes of legal representative, controller or shareholding in the last three years."""
    count = int(random.poisson(0.12 * math.exp(-0.2 * traits.health)))
    kinds = ("legal_representative", "controller", "shareholding")
    found = {
        (as_of - timedelta(days=int(random.integers(1, 1095))), kinds[int(random.integers(3))]) for _ in range(count)
    }
    return tuple(ControlChange(day, what) for day, what in sorted(found))


def draw_counterparties(
    traits: Traits, random: np.random.Generator, *, sales: int, period_end: date
) -> tuple[Counterparty, ...]:
    """Sixteen buyers and sixteen sellers with Zipf-like shares of twelve months of sales (fen) and purchases."""
    rows = []
    for direction, scale in (("sales", 1.0), ("purchases", 0.72)):
        exponent = 0.8 + 0.25 * random.random() - 0.08 * traits.health
        shares = np.array([1 / rank**exponent for rank in range(1, PARTNERS + 1)])
        amounts = shares / shares.sum() * max(0, sales) * scale
        related = 2 if random.random() < 0.12 else 0
        for rank, amount in enumerate(amounts, start=1):
            name = f"{direction[0].upper()}{traits.number:06d}-{rank:02d}"
            rows.append(Counterparty(direction, name, period_end, int(amount), rank == related))
    return tuple(rows)


def draw_relations(traits: Traits, random: np.random.Generator, others: Sequence[str]) -> tuple[Relation, ...]:
    """Links to other firms of the city and to persons: parents, guarantees, holdings, a controlling person."""
    relations = [Relation(f"P:{traits.number:06d}", "controller_person", None)] if random.random() < 0.4 else []
    for chance, link in ((0.05, "parent"), (0.06, "guarantee"), (0.04, "holding"), (0.02, "same_legal_representative")):
        other = others[int(random.integers(len(others)))]
        if random.random() < chance and other != traits.uscc:
            relations.append(Relation(other, link, _share(link, random)))
    return tuple(relations)


def _share(link: str, random: np.random.Generator) -> Decimal | None:
    low, high = {"parent": (0.51, 1.0), "holding": (0.2, 0.5)}.get(link, (0.0, 0.0))
    return Decimal(f"{random.uniform(low, high):.4f}") if high else None
