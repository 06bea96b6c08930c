"""Who lives in the synthetic city: industry, size, age, latent health and momentum, and the true default probability.

The data-generating process is told in ``docs/synthetic-city.md``; its constants stand here.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from decision_service.errors import InputError
from decision_service.radar.uscc import check_character
from decision_service.scoring.blend import expit

INTERCEPT = -4.62
HEALTH_EFFECT = 1.2  # log-odds a standard deviation of structural health
MOMENTUM_EFFECT = 1.1  # and of business momentum
POLICY_EFFECT = {"encourage": -0.15, "neutral": 0.0, "restrict": 0.25}
SEASON_PEAK = {"high": 1.5, "medium": 1.2, "low": 1.0}
LOG_SALES, LOG_SALES_SPREAD = 16.2, 1.0  # of annual sales in CNY: median about 11 million
ENTITY_TYPES = ("company", "partnership", "sole_proprietorship", "individual_business")
ENTITY_SHARES = (0.86, 0.03, 0.06, 0.05)
EXCLUDED_SHARE, UNKNOWN_SHARE = 0.015, 0.005
UNKNOWN_CODES = ("98", "99", "00")
DIVISION = "990000"  # no such administrative division exists, so no code belongs to a real enterprise
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True)
class Industry:
    """An industry of the city: its parameters that shape data. ``season`` has twelve factors, January first, mean 1."""

    code: str
    name_zh: str
    section: str
    policy_class: str
    season: tuple[float, ...]
    sci_tech: bool


@dataclass(frozen=True, slots=True)
class Traits:
    """One firm's latent truth. ``annual_sales`` in CNY, ``age_years`` since establishment, ``pd`` within 12 months."""

    number: int
    uscc: str
    industry: Industry
    entity_type: str
    health: float
    momentum: float
    annual_sales: float
    age_years: float
    borrower: bool
    pd: float
    defaulted: bool


def draw_traits(number: int, *, seed: int, industries: Sequence[Industry], excluded: Sequence[Industry]) -> Traits:
    """The traits of firm ``number``; the same number and seed give the same firm in a city of any size."""
    random = np.random.default_rng([seed, number, 0])
    health, momentum, size = (float(value) for value in random.normal(size=3))
    kind = ENTITY_TYPES[int(random.choice(len(ENTITY_TYPES), p=ENTITY_SHARES))]
    industry = _industry(random, industries, excluded)
    risk = true_pd(health, momentum, industry)
    return Traits(
        number=number,
        uscc=synthetic_uscc(number, individual=kind == "individual_business"),
        industry=industry,
        entity_type=kind,
        health=health,
        momentum=momentum,
        annual_sales=math.exp(LOG_SALES + LOG_SALES_SPREAD * size),
        age_years=min(40.0, 0.4 + float(random.gamma(2.0, 4.0))),
        borrower=bool(random.random() < 0.75),
        pd=risk,
        defaulted=bool(random.random() < risk),
    )


def true_pd(health: float, momentum: float, industry: Industry) -> float:
    """The probability that a firm defaults within 12 months; what the models try to learn."""
    effect = POLICY_EFFECT[industry.policy_class]
    return expit(INTERCEPT - HEALTH_EFFECT * health - MOMENTUM_EFFECT * momentum + effect)


def _industry(random: np.random.Generator, industries: Sequence[Industry], excluded: Sequence[Industry]) -> Industry:
    draw = random.random()
    if draw < UNKNOWN_SHARE:
        code = UNKNOWN_CODES[int(random.integers(len(UNKNOWN_CODES)))]
        return Industry(code, "未知行业", "", "neutral", (1.0,) * 12, False)
    pool = excluded if draw < UNKNOWN_SHARE + EXCLUDED_SHARE else industries
    return pool[int(random.integers(len(pool)))]


def read_industries(rules: Path) -> tuple[tuple[Industry, ...], tuple[Industry, ...]]:
    """The industries of ``rules/industries.csv`` (newest row a code) and of ``industries_excluded.csv``."""
    covered = {row["code"]: _covered(row) for row in _rows(rules / "industries.csv")}
    excluded = [
        Industry(row["code"], row["name_zh"], row["section"], "neutral", (1.0,) * 12, False)
        for row in _rows(rules / "industries_excluded.csv")
    ]
    return tuple(covered.values()), tuple(excluded)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), remedy="give --rules DIR") from error
    return sorted(rows, key=lambda row: (row["code"], row.get("effective_from", "")))


def _covered(row: dict[str, str]) -> Industry:
    peaks = {int(month) for month in row["peak_months"].split(";") if month}
    raw = [SEASON_PEAK[row["seasonality"]] if month in peaks else 1.0 for month in range(1, 13)]
    season = tuple(factor * 12 / sum(raw) for factor in raw)
    sci_tech = row["sci_tech_eligible"] == "true"
    return Industry(row["code"], row["name_zh"], row["section"], row["policy_class"], season, sci_tech)


def synthetic_uscc(number: int, *, individual: bool = False) -> str:
    """A code with valid check characters (organisation part by GB 11714, whole by GB 32100) for firm ``number``."""
    organisation = f"MC{number:06d}"
    total = sum(int(sign, 36) * weight for sign, weight in zip(organisation, ORGANISATION_WEIGHTS, strict=True))
    digit = "0123456789X0"[11 - total % 11]
    body = f"{'92' if individual else '91'}{DIVISION}{organisation}{digit}"
    return body + check_character(body)
