"""What the models read, as arrays: one row of indicators, one window of monthly series. The same code trains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decision_service.errors import ModelError
from decision_service.scoring.spec import LstmSpec, XgboostSpec

Floats = NDArray[np.float32]
GREATEST = float(np.finfo(np.float32).max)


def feature_row(features: Mapping[str, Any], spec: XgboostSpec) -> Floats:
    """One row (1 x columns): indicators as they are, missing as nan; the industry's section as 0/1 columns.

    An industry that the model was not trained on gives nan in all section columns. Raises ``ModelError`` when a
    feature is absent from the mapping (absent is not missing), infinite, or when not one has a value.
    """
    try:
        values = [math.nan if (value := features[name]) is None else value for name in spec.features]
        _refuse_unusable(values, spec)
        return np.array([values + _section_flags(features.get("industry_code"), spec)], dtype=np.float32)
    except KeyError as error:
        what = f"feature {error.args[0]!r} was not delivered"
        raise ModelError(what, remedy="use the model's own product") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"a feature is not a number ({error})", remedy="correct the record") from error


def _refuse_unusable(values: Sequence[float], spec: XgboostSpec) -> None:
    """In plain Python: for one row an array operation costs more than the whole loop."""
    known = [value for value in values if value == value]
    if not known:
        raise ModelError("not one feature has a value", remedy="load the enterprise's indicators")
    if max(known) > GREATEST or min(known) < -GREATEST:
        infinite = next(name for name, value in zip(spec.features, values, strict=True) if abs(value) > GREATEST)
        raise ModelError(f"feature {infinite!r} is infinite", remedy="correct the record")


def _section_flags(industry_code: Any, spec: XgboostSpec) -> list[float]:
    flags = spec.section_flags.get(industry_code) if isinstance(industry_code, str) else None
    return [math.nan] * len(spec.section_order) if flags is None else flags


def series_window(series: Sequence[Sequence[float | None]], mask: Sequence[bool], spec: LstmSpec) -> Floats:
    """One window (1 x months x channels) from a nested sequence, nan or None where not reported.

    Raises ``ModelError`` for a wrong shape, an infinite value, or fewer reported months than the model needs.
    """
    try:
        values = np.array(series, dtype=np.float64)[np.newaxis]
    except (TypeError, ValueError) as error:
        raise ModelError(f"the series is not a table of numbers ({error})", remedy="correct the records") from error
    expected = (1, spec.months, len(spec.series))
    if values.shape != expected or len(mask) != spec.months:
        raise ModelError(f"the series has shape {values.shape[1:]}, the model reads {expected[1:]}")
    if np.count_nonzero(np.isinf(values)):
        raise ModelError("the series holds an infinite value", remedy="correct the records")
    months = np.array(mask, dtype=bool)[np.newaxis]
    reported = np.count_nonzero(months)
    if reported < spec.min_months:
        raise ModelError(
            f"{reported} months of series, the model needs {spec.min_months}", remedy="load more months"
        )
    return channels(values, months, spec)


def relative_and_level(
    series: NDArray[np.float64], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64], NDArray[np.bool_]]:
    """Signed logs split into the firm's own level (n x F) and the distance from it (n x T x F), with what is known.

    ``series`` is n x T x F with nan where not reported, ``mask`` n x T. Unknown entries are 0.
    """
    known = (series == series) & mask[:, :, np.newaxis]  # nan is the only number that is not itself
    filled = np.where(known, series, 0.0)
    logs = np.copysign(np.log1p(np.abs(filled)), filled)
    count = np.add.reduce(known, axis=1, dtype=np.intp)  # the ufunc itself: a row has too little to add for more
    level = np.add.reduce(logs, axis=1) / np.maximum(count, 1)
    relative = np.where(known, logs - level[:, np.newaxis, :], 0.0)
    return relative, known, level, count > 0


def channels(series: NDArray[np.float64], mask: NDArray[np.bool_], spec: LstmSpec) -> Floats:
    """The network's input, n x T x (3F + 1): scaled distance, observed flag, scaled level, and the month's mask."""
    relative, known, level, has_level = relative_and_level(series, mask)
    spread, level_mean, level_spread = spec.scales
    scaled = np.where(has_level, (level - level_mean) / level_spread, 0.0)
    window = np.empty((*series.shape[:2], spec.channels), dtype=np.float32)
    width = len(spec.series)
    window[:, :, :width] = relative / spread
    window[:, :, width : 2 * width] = known
    window[:, :, 2 * width : 3 * width] = scaled[:, np.newaxis, :]
    window[:, :, 3 * width] = mask
    return window
