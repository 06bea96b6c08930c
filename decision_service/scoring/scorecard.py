"""A scorecard as it is served: bins with their weights of evidence, read from ``scorecard.json``, and their points.

Reads no more than the standard library: bins are looked up, weights added. Source: N. Siddiqi, Credit Risk
Scorecards, 2006 (weight of evidence, points to double the odds).
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from decision_service.errors import ModelError
from decision_service.scoring.spec import ScorecardSpec

FORMAT = 1
MOST_FEATURES = 2000
MOST_BINS = 1000
NUMBER, CATEGORY = "number", "category"


@dataclass(frozen=True, slots=True)
class Bin:
    """``woe`` is ln(share of goods / share of bads) of the firms it held in training: above zero is better than all."""

    woe: float
    goods: int
    bads: int


@dataclass(frozen=True)
class BinnedFeature:
    """One feature: a number cut at ``splits`` (a bin holds its lower edge), or a category in ``groups``.

    ``weight`` is the log-odds of default for one unit of woe, below zero. ``special`` values have a bin of their own.
    A missing value, or a category that training never saw, is in the ``missing`` bin.
    """

    name: str
    weight: float
    value: float
    splits: tuple[float, ...] | None
    groups: tuple[tuple[str, ...], ...] | None
    bins: tuple[Bin, ...]
    special: tuple[float, ...]
    special_bin: Bin
    missing: Bin

    @property
    def kind(self) -> str:
        return NUMBER if self.groups is None else CATEGORY

    @property
    def every_bin(self) -> tuple[Bin, ...]:
        """In the order of the table: the bins, the special one where there are special values, the missing one."""
        return (*self.bins, *((self.special_bin,) if self.special else ()), self.missing)

    @property
    def best(self) -> float:
        """The highest woe that a firm of the training sample had."""
        return max(one.woe for one in self.every_bin if one.goods + one.bads)

    @property
    def best_bin(self) -> Bin:
        """The bin of the highest woe that a firm of the training sample had."""
        return next(one for one in self.every_bin if one.goods + one.bads and one.woe == self.best)

    def text_of(self, bin_: Bin) -> str | None:
        """What values a bin holds; ``None`` for the missing one."""
        place = next((place for place, one in enumerate(self.bins) if one is bin_), None)
        if place is None:
            return ", ".join(f"{value:g}" for value in self.special) if bin_ is self.special_bin else None
        if self.groups is not None:
            return ", ".join(self.groups[place])
        edges = (-math.inf, *(self.splits or ()), math.inf)
        return _range(edges[place], edges[place + 1])

    def bin_of(self, value: Any) -> Bin:
        """The bin of a value; raises ``ModelError`` for one that is of another kind or infinite."""
        if value is None or value != value:
            return self.missing
        if self.groups is not None:
            if not isinstance(value, str):
                raise ModelError(f"feature {self.name!r} is {value!r}, not a category", remedy="correct the record")
            place = self._group.get(value)
            return self.missing if place is None else self.bins[place]
        number = _number(self.name, value)
        if number in self.special:
            return self.special_bin
        assert self.splits is not None
        return self.bins[bisect_right(self.splits, number)]

    @cached_property
    def _group(self) -> Mapping[str, int]:
        return {name: place for place, names in enumerate(self.groups or ()) for name in names}


def _range(low: float, high: float) -> str | None:
    if low == -math.inf:
        return None if high == math.inf else f"< {high:g}"
    return f"≥ {low:g}" if high == math.inf else f"{low:g} – {high:g}"


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ModelError(f"feature {name!r} is {value!r}, not a finite number", remedy="correct the record")
    return number


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The margin (log-odds of default before calibration) is the intercept plus weight times woe of each feature."""

    intercept: float
    features: tuple[BinnedFeature, ...]

    def margin(self, features: Mapping[str, Any]) -> float:
        """Log-odds before calibration; raises ``ModelError`` for features it cannot read."""
        return math.fsum([self.intercept, *(one.weight * woe for one, woe in self._evidence(features))])

    def contributions(self, features: Mapping[str, Any], *, base: str) -> dict[str, float]:
        """Log-odds that each feature adds over its best bin, never below zero; ``base`` is a firm at its best
        everywhere. They sum to the margin."""
        shares = {one.name: one.weight * (woe - one.best) for one, woe in self._evidence(features)}
        return {**shares, base: math.fsum([self.intercept, *(one.weight * one.best for one in self.features)])}

    def _evidence(self, features: Mapping[str, Any]) -> list[tuple[BinnedFeature, float]]:
        try:
            values = [features[one.name] for one in self.features]
        except KeyError as error:
            what = f"feature {error.args[0]!r} was not delivered"
            raise ModelError(what, remedy="use the model's own product") from error
        if all(value is None or value != value for value in values):
            raise ModelError("not one feature has a value", remedy="load the enterprise's indicators")
        return [(one, one.bin_of(value).woe) for one, value in zip(self.features, values, strict=True)]


def points(scorecard: Scorecard, spec: ScorecardSpec, feature: BinnedFeature, woe: float) -> float:
    """The points of one bin. A firm's points add up to the scale's offset minus its factor times the calibrated
    log-odds: at 600 points (in the standard scale) the odds at the base rate are 50 to one."""
    calibration, scale = spec.calibration, spec.scale
    constant = calibration.slope * scorecard.intercept + calibration.offset
    own = calibration.slope * feature.weight * woe
    return scale.offset / len(scorecard.features) - scale.factor * (own + constant / len(scorecard.features))


def to_json(scorecard: Scorecard) -> bytes:
    """The scorecard as UTF-8 JSON, keys sorted."""
    content = {"format": FORMAT, **asdict(scorecard)}
    return json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False, indent=1).encode()


def from_json(content: bytes) -> Scorecard:
    """Read and check a scorecard; raises ``ModelError`` for anything but a complete, consistent one."""
    try:
        data = json.loads(content)
        if data.pop("format") != FORMAT:
            raise ModelError("scorecard.json has an unknown format", remedy=f"this code reads format {FORMAT}")
        features = tuple(_feature(item) for item in data.pop("features"))
        scorecard = Scorecard(float(data.pop("intercept")), features)
        _refuse(bool(data), f"unknown fields {sorted(data)}")
        _check(scorecard)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        remedy = "register the model again"
        raise ModelError(f"scorecard.json cannot be used ({str(error)[:200]!r})", remedy=remedy) from error
    return scorecard


def _feature(data: dict[str, Any]) -> BinnedFeature:
    splits, groups = data.pop("splits"), data.pop("groups")
    feature = BinnedFeature(
        name=data.pop("name"),
        weight=float(data.pop("weight")),
        value=float(data.pop("value")),
        splits=None if splits is None else tuple(map(float, splits)),
        groups=None if groups is None else tuple(map(tuple, groups)),
        bins=tuple(map(_bin, data.pop("bins"))),
        special=tuple(map(float, data.pop("special"))),
        special_bin=_bin(data.pop("special_bin")),
        missing=_bin(data.pop("missing")),
    )
    _refuse(bool(data), f"unknown fields {sorted(data)}")
    return feature


def _bin(data: dict[str, Any]) -> Bin:
    found = Bin(float(data.pop("woe")), data.pop("goods"), data.pop("bads"))
    _refuse(bool(data), f"unknown fields {sorted(data)}")
    _refuse(not math.isfinite(found.woe), "a weight of evidence is not finite")
    _refuse(any(type(count) is not int or count < 0 for count in (found.goods, found.bads)), "a count is none")
    return found


def _check(scorecard: Scorecard) -> None:
    names = [one.name for one in scorecard.features]
    _refuse(not math.isfinite(scorecard.intercept), "the intercept is not finite")
    _refuse(not 0 < len(names) <= MOST_FEATURES, f"there are {len(names)} features")
    _refuse(any(not isinstance(name, str) for name in names) or len(set(names)) < len(names), "a feature has no name")
    for one in scorecard.features:
        _check_feature(one)


def _check_feature(one: BinnedFeature) -> None:
    what = f"feature {one.name!r}: "
    _refuse(not -math.inf < one.weight < 0, what + "its weight is not below zero")
    _refuse(not 0 <= one.value < math.inf, what + "its information value is none")
    _refuse((one.splits is None) == (one.groups is None), what + "it has not either splits or groups")
    _refuse(not any(bin_.goods + bin_.bads for bin_ in one.every_bin), what + "no firm is in its bins")
    _refuse(len(one.bins) > MOST_BINS, what + "it has too many bins")
    if one.splits is not None:
        _refuse(len(one.bins) != len(one.splits) + 1, what + "splits and bins do not match")
        _refuse(not all(map(math.isfinite, (*one.splits, *one.special))), what + "a split is not finite")
        _refuse(any(low >= high for low, high in pairwise(one.splits)), what + "its splits do not rise")
    if one.groups is not None:
        every = [name for names in one.groups for name in names]
        _refuse(len(one.bins) != len(one.groups) or bool(one.special), what + "groups and bins do not match")
        _refuse(any(not isinstance(name, str) for name in every), what + "a category is not text")
        _refuse(len(set(every)) < len(every), what + "a category is in two groups")


def _refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise ValueError(why)
