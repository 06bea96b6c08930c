"""What is written down beside a model's weights (``spec.json``): what it reads, how it is scaled and calibrated."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decision_service.errors import ModelError

FORMAT = 2  # 1 had neither knots nor healthy references
READ_FORMATS = (1, 2)
MAX_KNOTS = 1000
MAX_HIDDEN = 512
MAX_MONTHS = 600


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a margin to a 12-month PD at ``base_rate``: a line on the log-odds (Platt), bent by isotonic ``knots``.

    ``expit(slope * margin + offset + bend)``; ``knots`` are (margin, bend), straight between them and level beyond
    the first and last. The log-odds rise strictly with the margin, so calibration keeps every ranking.
    """

    slope: float
    offset: float
    base_rate: float
    knots: tuple[tuple[float, float], ...] = ()

    def log_odds(self, margin: float) -> float:
        """Calibrated log-odds of default; nan stays nan."""
        return self.slope * margin + self.offset + (self._bend(margin) if self.knots else 0.0)

    def _bend(self, margin: float) -> float:
        """In plain Python: for one margin an array operation costs more than the whole search."""
        place = bisect_right(self.knots, margin, key=itemgetter(0))
        if place == 0:
            return self.knots[0][1]
        if place == len(self.knots):
            return self.knots[-1][1]
        (left, low), (right, high) = self.knots[place - 1 : place + 1]
        return low + (high - low) / (right - left) * (margin - left)


@dataclass(frozen=True)
class XgboostSpec:
    """Feature order of a booster: ``features``, then one column per section of ``section_order`` (may be empty).

    ``sections`` maps an industry code to its section. ``canaries`` are (features, probability) pairs: a loaded model
    must give these probabilities again. ``healthy`` is a made-up firm against which reasons are stated; ``None`` in a
    version that was registered without one.
    """

    features: tuple[str, ...]
    section_order: tuple[str, ...]
    sections: Mapping[str, str]
    calibration: Calibration
    canaries: tuple[tuple[Mapping[str, Any], float], ...]
    healthy: Mapping[str, Any] | None = None

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
    ``healthy`` is a made-up firm's ``months`` x ``series``, all months reported; ``None`` where there is none.
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
    healthy: tuple[tuple[float | None, ...], ...] | None = None

    @property
    def channels(self) -> int:
        """Inputs a month: relative value, observed flag and level for each series, and the month's mask."""
        return 3 * len(self.series) + 1

    @cached_property
    def scales(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """``spread``, ``level_mean`` and ``level_spread`` as arrays."""
        return np.array(self.spread), np.array(self.level_mean), np.array(self.level_spread)


@dataclass(frozen=True, slots=True)
class PointScale:
    """``points`` stand for ``odds`` of no default to one; every ``double`` points more double the odds."""

    points: float = 600.0
    odds: float = 50.0
    double: float = 20.0

    @property
    def factor(self) -> float:
        """Points for one unit of log-odds."""
        return self.double / math.log(2.0)

    @property
    def offset(self) -> float:
        """Points at even odds."""
        return self.points - self.factor * math.log(self.odds)


@dataclass(frozen=True)
class ScorecardSpec:
    """What a scorecard reads (numbers and categories by name) and the scale of its points.

    The bins are in ``scorecard.json``. Its calibration is a line without knots, so that points add up.
    """

    features: tuple[str, ...]
    scale: PointScale
    calibration: Calibration
    canaries: tuple[tuple[Mapping[str, Any], float], ...]


Spec = XgboostSpec | LstmSpec | ScorecardSpec
_KINDS: dict[str, type[Spec]] = {"xgboost": XgboostSpec, "lstm": LstmSpec, "scorecard": ScorecardSpec}


def kind_of(spec: Spec) -> str:
    """``xgboost``, ``lstm`` or ``scorecard``."""
    return next(name for name, kind in _KINDS.items() if isinstance(spec, kind))


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
        if data.pop("format") not in READ_FORMATS:
            raise ModelError("spec.json has an unknown format", remedy=f"this code reads formats up to {FORMAT}")
        data["calibration"] = _calibration(data["calibration"])
        spec = _READERS[data.pop("kind")](data)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(f"spec.json cannot be used ({error!r})", remedy="register the model again") from error
    return spec


def _calibration(data: dict[str, Any]) -> Calibration:
    knots = tuple((float(margin), float(bend)) for margin, bend in data.get("knots", ()))
    calibration = Calibration(**{**data, "knots": knots})
    line = (calibration.slope, calibration.offset, calibration.base_rate)
    if not all(math.isfinite(value) for value in (*line, *(value for knot in knots for value in knot))):
        raise ValueError("calibration is not finite")
    if calibration.slope <= 0 or not 0 < calibration.base_rate < 1:
        raise ValueError("calibration needs a positive slope and a base rate between 0 and 1")
    if len(knots) == 1 or len(knots) > MAX_KNOTS:
        raise ValueError(f"calibration has {len(knots)} knots; none, or 2 to {MAX_KNOTS} can be read")
    for (left, low), (right, high) in pairwise(knots):
        if right <= left or calibration.slope * (right - left) + high - low <= 0:
            raise ValueError("calibration does not rise from knot to knot")
    return calibration


def _xgboost(data: dict[str, Any]) -> XgboostSpec:
    data |= {name: tuple(data[name]) for name in ("features", "section_order")}
    spec = XgboostSpec(**{**data, "canaries": _feature_canaries(data)})
    if not spec.features or len(set(spec.columns)) != len(spec.columns):
        raise ValueError("features are missing or named twice")
    if not set(spec.sections.values()) <= set(spec.section_order):
        raise ValueError("sections names a section that section_order lacks")
    if spec.healthy is not None:
        _check_healthy(spec)
    return _with_canaries(spec)


def _check_healthy(spec: XgboostSpec) -> None:
    healthy = dict(spec.healthy or {})
    if spec.section_order and healthy.pop("industry_code", None) not in spec.sections:
        raise ValueError("the healthy reference has no industry that the model knows")
    if healthy.keys() != set(spec.features):
        raise ValueError("the healthy reference has other features")
    _refuse_infinite(healthy.values())


def _refuse_infinite(values: Iterable[float | None]) -> None:
    known = [value for value in values if value is not None]
    if not known or not all(map(math.isfinite, known)):
        raise ValueError("the healthy reference is not finite")


def _lstm(data: dict[str, Any]) -> LstmSpec:
    data["canaries"] = tuple(
        (tuple(map(tuple, series)), tuple(mask), float(expected)) for series, mask, expected in data["canaries"]
    )
    scales = {name: tuple(map(float, data[name])) for name in ("spread", "level_mean", "level_spread")}
    healthy = None if data.get("healthy") is None else tuple(map(tuple, data["healthy"]))
    spec = LstmSpec(**{**data, **scales, "series": tuple(data["series"]), "healthy": healthy})
    if not 1 <= spec.hidden <= MAX_HIDDEN or not 1 <= spec.min_months <= spec.months <= MAX_MONTHS:
        raise ValueError("hidden, months or min_months is out of range")
    if not spec.series or {len(scale) for scale in scales.values()} != {len(spec.series)}:
        raise ValueError("scaling does not have one value per series")
    if not all(math.isfinite(value) for scale in scales.values() for value in scale):
        raise ValueError("scaling is not finite")
    if min(spec.spread + spec.level_spread) <= 0:
        raise ValueError("scaling has a spread that is not positive")
    if healthy is not None:
        if [len(month) for month in healthy] != [len(spec.series)] * spec.months:
            raise ValueError("the healthy reference has another shape")
        _refuse_infinite(value for month in healthy for value in month)
    return _with_canaries(spec)


def _scorecard(data: dict[str, Any]) -> ScorecardSpec:
    scale = PointScale(**{name: float(value) for name, value in data.pop("scale").items()})
    spec = ScorecardSpec(
        **{**data, "features": tuple(data["features"]), "scale": scale, "canaries": _feature_canaries(data)}
    )
    if not spec.features or len(set(spec.features)) != len(spec.features):
        raise ValueError("features are missing or named twice")
    if not all(math.isfinite(value) for value in asdict(scale).values()) or min(scale.odds, scale.double) <= 0:
        raise ValueError("the scale of the points is not positive")
    if spec.calibration.knots:
        raise ValueError("a scorecard's calibration has knots")
    return _with_canaries(spec)


def _feature_canaries(data: Mapping[str, Any]) -> tuple[tuple[Mapping[str, Any], float], ...]:
    return tuple((dict(features), float(probability)) for features, probability in data["canaries"])


_READERS: Mapping[str, Callable[[dict[str, Any]], Spec]] = MappingProxyType(
    {"xgboost": _xgboost, "lstm": _lstm, "scorecard": _scorecard}
)


def _with_canaries(spec: Spec) -> Any:
    if not spec.canaries:
        raise ValueError("there are no canary predictions")
    return spec
