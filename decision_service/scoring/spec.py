"""What is written down beside a model's weights (``spec.json``): what it reads, how it is scaled and calibrated."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decision_service.errors import ModelError

FORMAT = 1
MAX_HIDDEN = 512
MAX_MONTHS = 600


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a margin to a 12-month PD: ``expit(slope * margin + offset)`` at ``base_rate`` (Platt, prior shift)."""

    slope: float
    offset: float
    base_rate: float


@dataclass(frozen=True)
class XgboostSpec:
    """Feature order of a booster: ``features``, then one column per section of ``section_order`` (may be empty).

    ``sections`` maps an industry code to its section. ``canaries`` are (features, probability) pairs: a loaded model
    must give these probabilities again.
    """

    features: tuple[str, ...]
    section_order: tuple[str, ...]
    sections: Mapping[str, str]
    calibration: Calibration
    canaries: tuple[tuple[Mapping[str, Any], float], ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The booster's columns, in order."""
        return self.features + tuple(f"industry_section_{section}" for section in self.section_order)

    @cached_property
    def section_flags(self) -> Mapping[str, list[float]]:
        """The values of the section columns by industry code."""
        return {code: [float(section == one) for one in self.section_order] for code, section in self.sections.items()}


@dataclass(frozen=True)
class LstmSpec:
    """Architecture and scaling of an LSTM over ``months`` x ``series``.

    ``spread`` scales a month's distance from the firm's own level, ``level_mean`` and ``level_spread`` scale that
    level (all on the signed log scale, one per series). Fewer reported months than ``min_months`` give no score.
    """

    series: tuple[str, ...]
    months: int
    hidden: int
    min_months: int
    spread: tuple[float, ...]
    level_mean: tuple[float, ...]
    level_spread: tuple[float, ...]
    calibration: Calibration
    canaries: tuple[tuple[tuple[tuple[float | None, ...], ...], tuple[bool, ...], float], ...]

    @property
    def channels(self) -> int:
        """Inputs a month: relative value, observed flag and level for each series, and the month's mask."""
        return 3 * len(self.series) + 1

    @cached_property
    def scales(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """``spread``, ``level_mean`` and ``level_spread`` as arrays."""
        return np.array(self.spread), np.array(self.level_mean), np.array(self.level_spread)


Spec = XgboostSpec | LstmSpec
_KINDS: dict[str, type[XgboostSpec] | type[LstmSpec]] = {"xgboost": XgboostSpec, "lstm": LstmSpec}


def kind_of(spec: Spec) -> str:
    """``xgboost`` or ``lstm``."""
    return "xgboost" if isinstance(spec, XgboostSpec) else "lstm"


def to_json(spec: Spec) -> bytes:
    """The spec as UTF-8 JSON, keys sorted; nan is written as null."""
    content = {"format": FORMAT, "kind": kind_of(spec), **asdict(spec)}
    return json.dumps(_without_nan(content), ensure_ascii=False, sort_keys=True, allow_nan=False, indent=1).encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def from_json(content: bytes) -> Spec:
    """Read and check a spec; raises ``ModelError`` for anything but a complete, consistent one."""
    try:
        data = json.loads(content)
        if data.pop("format") != FORMAT:
            raise ModelError("spec.json has an unknown format", remedy=f"this code reads format {FORMAT}")
        spec = _built(_KINDS[data.pop("kind")], data)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(f"spec.json cannot be used ({error!r})", remedy="register the model again") from error
    return spec


def _built(kind: type[XgboostSpec] | type[LstmSpec], data: dict[str, Any]) -> Spec:
    data["calibration"] = calibration = Calibration(**data["calibration"])
    if not all(math.isfinite(value) for value in asdict(calibration).values()):
        raise ValueError("calibration is not finite")
    if calibration.slope <= 0 or not 0 < calibration.base_rate < 1:
        raise ValueError("calibration needs a positive slope and a base rate between 0 and 1")
    return _xgboost(data) if kind is XgboostSpec else _lstm(data)


def _xgboost(data: dict[str, Any]) -> XgboostSpec:
    canaries = tuple((dict(features), float(probability)) for features, probability in data.pop("canaries"))
    data |= {name: tuple(data[name]) for name in ("features", "section_order")}
    spec = XgboostSpec(**data, canaries=canaries)
    if not spec.features or len(set(spec.columns)) != len(spec.columns):
        raise ValueError("features are missing or named twice")
    if not set(spec.sections.values()) <= set(spec.section_order):
        raise ValueError("sections names a section that section_order lacks")
    return _with_canaries(spec)


def _lstm(data: dict[str, Any]) -> LstmSpec:
    data["canaries"] = tuple(
        (tuple(map(tuple, series)), tuple(mask), float(expected)) for series, mask, expected in data["canaries"]
    )
    scales = {name: tuple(map(float, data[name])) for name in ("spread", "level_mean", "level_spread")}
    spec = LstmSpec(**{**data, **scales, "series": tuple(data["series"])})
    if not 1 <= spec.hidden <= MAX_HIDDEN or not 1 <= spec.min_months <= spec.months <= MAX_MONTHS:
        raise ValueError("hidden, months or min_months is out of range")
    if not spec.series or {len(scale) for scale in scales.values()} != {len(spec.series)}:
        raise ValueError("scaling does not have one value per series")
    if not all(math.isfinite(value) for scale in scales.values() for value in scale):
        raise ValueError("scaling is not finite")
    if min(spec.spread + spec.level_spread) <= 0:
        raise ValueError("scaling has a spread that is not positive")
    return _with_canaries(spec)


def _with_canaries(spec: Spec) -> Any:
    if not spec.canaries:
        raise ValueError("there are no canary predictions")
    return spec
