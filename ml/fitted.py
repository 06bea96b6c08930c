"""A fitted model before it is registered: weights, spec, and its margins and probabilities over many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xgboost
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from scipy.special import expit

from decision_service.errors import InputError
from decision_service.scoring.blend import LEAST
from decision_service.scoring.models import LstmModel, ScorecardModel, XgboostModel
from decision_service.scoring.network import series_network
from decision_service.scoring.rows import channels
from decision_service.scoring.scorecard import BinnedFeature, from_json
from decision_service.scoring.spec import Calibration, LstmSpec, ScorecardSpec, Spec, XgboostSpec
from ml.tables.inputs import Inputs

Array = NDArray[np.float64]
BATCH = 4096


@dataclass(frozen=True, slots=True)
class FittedModel:
    """Weights as they will be stored (UBJSON, safetensors, JSON), the spec beside them, the parameters of the fit."""

    weights: bytes
    spec: Spec
    params: Mapping[str, Any]

    def with_calibration(self, calibration: Calibration) -> FittedModel:
        """The same weights under another calibration; canary predictions are taken anew."""
        return with_canaries(replace(self, spec=replace(self.spec, calibration=calibration)))


def with_canaries(fitted: FittedModel) -> FittedModel:
    """The model with the expected probabilities of its canary inputs filled in."""
    spec = fitted.spec
    if not isinstance(spec, LstmSpec):
        kind = XgboostModel if isinstance(spec, XgboostSpec) else ScorecardModel
        model = kind(fitted.weights, spec)  # type: ignore[arg-type]
        rows = tuple((features, model.probability(features)) for features, _ in spec.canaries)
        return replace(fitted, spec=replace(spec, canaries=rows))
    network = LstmModel(fitted.weights, spec)
    windows = tuple((series, mask, network.probability(series, mask)) for series, mask, _ in spec.canaries)
    return replace(fitted, spec=replace(spec, canaries=windows))


def design(matrix: Array, industry_codes: Sequence[str | None] | None, spec: XgboostSpec) -> NDArray[np.float32]:
    """The booster's columns (n x columns) for n firms: the many-row form of ``scoring.rows.feature_row``."""
    rows = np.asarray(matrix, dtype=np.float32)
    if not spec.section_order:
        return rows
    sections = np.array([spec.sections.get(code or "", "") for code in industry_codes or [None] * len(rows)])
    flags = (sections[:, None] == np.array(spec.section_order)[None, :]).astype(np.float32)
    flags[sections == ""] = np.nan
    return np.hstack([rows, flags])


def xgboost_margins(fitted: FittedModel, matrix: Array, industry_codes: Sequence[str | None] | None = None) -> Array:
    """Log-odds before calibration of n firms; ``matrix`` is n x features, nan where missing."""
    assert isinstance(fitted.spec, XgboostSpec)
    booster = xgboost.Booster()
    booster.load_model(bytearray(fitted.weights))
    rows = design(matrix, industry_codes, fitted.spec)
    return np.asarray(booster.inplace_predict(rows, predict_type="margin", validate_features=False), dtype=float)


def scorecard_margins(
    fitted: FittedModel,
    matrix: Array,
    names: Sequence[str],
    categories: Mapping[str, Sequence[str | None]] | None = None,
) -> Array:
    """Log-odds before calibration of n firms; ``matrix`` is n x ``names`` (nan: missing), ``categories`` come by name.

    Columns the scorecard does not read are left alone; a firm without any value, or an infinite one, has no score: nan.
    """
    assert isinstance(fitted.spec, ScorecardSpec)
    card = from_json(fitted.weights)
    columns = {**dict(zip(names, np.asarray(matrix, dtype=float).T, strict=True)), **(categories or {})}
    margins, known = np.full(len(matrix), card.intercept), np.zeros(len(matrix), dtype=bool)
    for one in card.features:
        woe, has_value = _woe(one, columns[one.name])
        margins += one.weight * woe
        known |= has_value
    return np.where(known, margins, np.nan)


def _woe(one: BinnedFeature, column: Any) -> tuple[Array, NDArray[np.bool_]]:
    """The woe of a column and where it has a value; of an infinite one it is nan."""
    if one.splits is None:
        return np.array([one.bin_of(value).woe for value in column]), np.array([value is not None for value in column])
    known = ~np.isnan(column)
    found = np.array([bin_.woe for bin_ in one.bins])[np.searchsorted(one.splits, np.nan_to_num(column), side="right")]
    found[np.isin(column, one.special)] = one.special_bin.woe
    found[~known] = one.missing.woe
    found[np.isinf(column)] = np.nan
    return found, known


def lstm_margins(fitted: FittedModel, series: Array, mask: NDArray[np.bool_]) -> Array:
    """Log-odds before calibration of n firms; ``series`` is n x months x F (nan: not reported), ``mask`` n x months.

    A firm with fewer reported months than the model needs has no score: nan.
    """
    spec = fitted.spec
    assert isinstance(spec, LstmSpec)
    network = series_network(channels=spec.channels, hidden=spec.hidden)
    network.load_state_dict(load_tensors(fitted.weights))
    network.eval()
    known = np.asarray(mask, dtype=bool)
    parts = [slice(start, start + BATCH) for start in range(0, len(known), BATCH)]
    with torch.inference_mode():
        outputs = [network(torch.from_numpy(channels(series[part], known[part], spec))).numpy() for part in parts]
    margins = np.concatenate(outputs).astype(float) if outputs else np.empty(0)
    margins[known.sum(axis=1) < spec.min_months] = np.nan
    return margins


def margins_of(fitted: FittedModel, inputs: Inputs) -> Array:
    """Log-odds before calibration of n units, by the model's kind; nan: no score. Raises ``InputError``."""
    if isinstance(fitted.spec, XgboostSpec):
        return xgboost_margins(fitted, _columns(inputs.matrix, inputs.names, fitted.spec.features))
    if isinstance(fitted.spec, ScorecardSpec):
        return scorecard_margins(fitted, inputs.matrix, inputs.names)
    if inputs.series is None or inputs.mask is None:
        raise InputError("the model reads series, the table has none", remedy="use a model without a window")
    wanted = [inputs.series_names.index(name) for name in fitted.spec.series]
    return lstm_margins(fitted, inputs.series[:, :, wanted], inputs.mask)


def _columns(matrix: Array, names: Sequence[str], wanted: Sequence[str]) -> Array:
    if tuple(names) == tuple(wanted):
        return matrix
    place = {name: number for number, name in enumerate(names)}
    return matrix[:, [place[name] for name in wanted]]


def probabilities(fitted: FittedModel, margins: Array) -> Array:
    """Calibrated 12-month PDs of margins, clipped to [1e-6, 1 - 1e-6]; nan stays nan."""
    return as_probabilities(log_odds(fitted.spec.calibration, margins))


def log_odds(calibration: Calibration, margins: Array) -> Array:
    """Calibrated log-odds of margins: the many-row form of ``Calibration.log_odds``."""
    line = calibration.slope * margins + calibration.offset
    if not calibration.knots:
        return line
    places, bends = zip(*calibration.knots, strict=True)
    return line + np.interp(margins, places, bends)


def as_probabilities(values: Array) -> Array:
    """Probabilities of log-odds, clipped to [1e-6, 1 - 1e-6] as the service clips; nan stays nan."""
    return np.clip(expit(values), LEAST, 1.0 - LEAST)
