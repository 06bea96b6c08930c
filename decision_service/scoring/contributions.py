"""Why a score is what it is: the tree contributions of one row, by indicator, and the most adverse of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from decision_service.scoring.spec import Calibration, XgboostSpec
from decision_service.vocabulary import ModelVersion

BASE = "base"
INDUSTRY = "industry"


@dataclass(frozen=True, slots=True)
class Explained:
    """A score taken apart: the shares sum to its margin, ``calibration`` makes the margin a PD.

    Of a scorecard ``points_lost`` says what each feature costs against its best bin; of trees there are none.
    """

    model: ModelVersion
    shares: Mapping[str, float]
    calibration: Calibration
    points_lost: Mapping[str, float] | None = None


def by_indicator(values: Sequence[float], spec: XgboostSpec) -> dict[str, float]:
    """Contributions (one per column, then the bias) by feature name; they sum to the booster's margin (log-odds).

    The section columns are one reason, ``industry``; ``base`` is the bias.
    """
    count = len(spec.features)
    named = {name: float(value) for name, value in zip(spec.features, values[:count], strict=True)}
    if spec.section_order:
        named[INDUSTRY] = float(sum(values[count:-1]))
    named[BASE] = float(values[-1])
    return named


def top_adverse(contributions: Mapping[str, float], *, most: int = 4) -> tuple[str, ...]:
    """The features that raise the log-odds of default most, largest first, ties by name; never the base."""
    adverse = [(-value, name) for name, value in contributions.items() if value > 0 and name != BASE]
    return tuple(name for _, name in sorted(adverse)[:most])
