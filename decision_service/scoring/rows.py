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
    infinite = [name for name, value in zip(spec.features, values, strict=True) if abs(value) > GREATEST]
    if infinite:
        raise ModelError(f"feature {infinite[0]!r} is infinite", remedy="correct the record")
    if all(value != value for value in values):
        raise ModelError("not one feature has a value", remedy="load the enterprise's indicators")


def _section_flags(industry_code: Any, spec: XgboostSpec) -> list[float]:
    section = spec.sections.get(industry_code) if isinstance(industry_code, str) else None
    return [math.nan if section is None else float(section == one) for one in spec.section_order]


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
    if np.isinf(values).any():
        raise ModelError("the series holds an infinite value", remedy="correct the records")
    months = np.array(mask, dtype=bool)[np.newaxis]
    if months.sum() < spec.min_months:
        raise ModelError(
            f"{int(months.sum())} months of series, the model needs {spec.min_months}", remedy="load more months"
        )
    return channels(values, months, spec)


def relative_and_level(
    series: NDArray[np.float64], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64], NDArray[np.bool_]]:
    """Signed logs split into the firm's own level (n x F) and the distance from it (n x T x F), with what is known.

    ``series`` is n x T x F with nan where not reported, ``mask`` n x T. Unknown entries are 0.
    """
    known = ~np.isnan(series) & mask[:, :, np.newaxis]
    filled = np.where(known, series, 0.0)
    logs = np.sign(filled) * np.log1p(np.abs(filled))
    count = known.sum(axis=1)
    level = logs.sum(axis=1) / np.maximum(count, 1)
    relative = np.where(known, logs - level[:, np.newaxis, :], 0.0)
    return relative, known, level, count > 0


def channels(series: NDArray[np.float64], mask: NDArray[np.bool_], spec: LstmSpec) -> Floats:
    """The network's input, n x T x (3F + 1): scaled distance, observed flag, scaled level, and the month's mask."""
    relative, known, level, has_level = relative_and_level(series, mask)
    scaled = np.where(has_level, (level - np.array(spec.level_mean)) / np.array(spec.level_spread), 0.0)
    window = np.empty((*series.shape[:2], spec.channels), dtype=np.float32)
    width = len(spec.series)
    window[:, :, :width] = relative / np.array(spec.spread)
    window[:, :, width : 2 * width] = known
    window[:, :, 2 * width : 3 * width] = scaled[:, np.newaxis, :]
    window[:, :, 3 * width] = mask
    return window
