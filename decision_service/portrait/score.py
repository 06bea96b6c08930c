"""From indicators to scores: each indicator 0 to 100, six categories, the portrait, its coverage and its grade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from decision_service.portrait.calculators import IMPUTED, OK, STALE, Indicator
from decision_service.portrait.registry import IndicatorSpec, Parameters, Registry

ZERO, HUNDRED = Decimal(0), Decimal(100)
MEDIAN_SCORE = Decimal(60)
"""The median score of an industry's peers, until medians of real portraits are known (a default to calibrate)."""
IMPUTATION_PENALTY = Decimal(10)
COVERAGE_MIN = Decimal("0.70")
GRADES = ((Decimal(80), "P1"), (Decimal(70), "P2"), (Decimal(60), "P3"), (Decimal(45), "P4"))
LOWEST_GRADE = "P5"
INSUFFICIENT = "insufficient_data"


@dataclass(frozen=True, slots=True)
class Portrait:
    """The scores of one enterprise, 0 to 100. ``score`` is ``None`` when ``grade`` is insufficient_data.

    ``coverage`` is the share of all weight whose indicators are known (or absent as good news); imputed and not
    applicable ones are not known.
    """

    indicators: Mapping[str, Decimal]
    categories: Mapping[str, Decimal]
    coverage: Decimal
    score: Decimal | None
    grade: str
    required_missing: int
    required_stale: int


def portrait(values: Mapping[str, Indicator], registry: Registry, industry: Parameters) -> Portrait:
    """Scores of all indicators, re-weighted over those available inside a category, and over categories."""
    scores: dict[str, Decimal] = {}
    covered = required_missing = required_stale = 0
    for spec in registry.specs:
        indicator = values[spec.id]
        score = indicator_score(indicator, spec, industry)
        if score is not None:
            scores[spec.id] = score
            covered += spec.weight if indicator.status != IMPUTED and indicator.status != STALE else 0
        if spec.required and indicator.status != OK:
            required_stale += indicator.status == STALE
            required_missing += indicator.status != STALE
    categories = category_scores(scores, registry)
    coverage = Decimal(covered) / registry.total_weight
    complete = coverage >= COVERAGE_MIN and not required_missing and not required_stale
    total = overall(categories, registry) if complete else None
    return Portrait(
        indicators=scores,
        categories=categories,
        coverage=coverage,
        score=total,
        grade=INSUFFICIENT if total is None else grade(total),
        required_missing=required_missing,
        required_stale=required_stale,
    )


def indicator_score(indicator: Indicator, spec: IndicatorSpec, industry: Parameters) -> Decimal | None:
    """0 to 100; ``None`` when the indicator does not count: unknown, or its industry's parameter is."""
    if indicator.value is not None:
        return value_score(indicator.value, spec, industry)
    if "absence_good" in indicator.flags:
        return HUNDRED
    if spec.missing_policy == "IMPUTE_MEDIAN_MINUS10" and indicator.status in (IMPUTED, STALE):
        return MEDIAN_SCORE - IMPUTATION_PENALTY
    return None


def value_score(value: Decimal, spec: IndicatorSpec, industry: Parameters) -> Decimal | None:
    """The score of a value, clipped first: linear between the scoring points, or by distance from the good band."""
    value = spec.clip_min if value < spec.clip_min else spec.clip_max if value > spec.clip_max else value
    if spec.direction == "band":
        return _band(value, spec)
    scale = spec.fixed_scale or spec.scale(industry)
    return None if scale is None else _part(value - scale[0], scale[1])


def _band(value: Decimal, spec: IndicatorSpec) -> Decimal:
    if spec.good_low is not None and value < spec.good_low:
        return ZERO if spec.score0_low is None else _part(value - spec.score0_low, spec.good_low - spec.score0_low)
    if spec.good_high is not None and value > spec.good_high:
        return ZERO if spec.score0_high is None else _part(value - spec.score0_high, spec.good_high - spec.score0_high)
    return HUNDRED


def _part(reached: Decimal, whole: Decimal) -> Decimal:
    score = reached / whole * HUNDRED
    return ZERO if score < ZERO else HUNDRED if score > HUNDRED else score


def category_scores(scores: Mapping[str, Decimal], registry: Registry) -> dict[str, Decimal]:
    """Weighted means over the available indicators of each category; a category with none is left out."""
    sums: dict[str, Decimal] = {}
    weights: dict[str, int] = {}
    for spec in registry.specs:
        score = scores.get(spec.id)
        if score is not None:
            category, weight = spec.category, spec.weight
            sums[category] = sums.get(category, ZERO) + score * weight
            weights[category] = weights.get(category, 0) + weight
    return {category: total / weights[category] for category, total in sums.items()}


def overall(categories: Mapping[str, Decimal], registry: Registry) -> Decimal | None:
    """The portrait score: category scores weighted 20, 20, 25, 20, 8 and 7, re-weighted over those available."""
    if not categories:
        return None
    weight = sum(registry.weights[category] for category in categories)
    return sum((score * registry.weights[name] for name, score in categories.items()), ZERO) / weight


def grade(score: Decimal) -> str:
    """The platform grade of a portrait score: P1 from 80, P2 from 70, P3 from 60, P4 from 45, else P5."""
    for floor, name in GRADES:
        if score >= floor:
            return name
    return LOWEST_GRADE
