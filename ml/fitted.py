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

from decision_service.errors import InputError
from decision_service.scoring.blend import LEAST
from decision_service.scoring.models import LstmModel, XgboostModel
from decision_service.scoring.network import series_network
from decision_service.scoring.rows import channels
from decision_service.scoring.spec import Calibration, LstmSpec, Spec, XgboostSpec
from ml.tables.inputs import Inputs

Array = NDArray[np.float64]
BATCH = 4096


@dataclass(frozen=True, slots=True)
class FittedModel:
    """Weights as they will be stored (UBJSON or safetensors), the spec beside them, and the parameters of the fit."""

    weights: bytes
    spec: Spec
    params: Mapping[str, Any]

    def with_calibration(self, calibration: Calibration) -> FittedModel:
        """The same weights under another calibration; canary predictions are taken anew."""
        return with_canaries(replace(self, spec=replace(self.spec, calibration=calibration)))


def with_canaries(fitted: FittedModel) -> FittedModel:
    """The model with the expected probabilities of its canary inputs filled in."""
    spec = fitted.spec
    if isinstance(spec, XgboostSpec):
        trees = XgboostModel(fitted.weights, spec)
        rows = tuple((features, trees.probability(features)) for features, _ in spec.canaries)
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
    calibration = fitted.spec.calibration
    return np.clip(1.0 / (1.0 + np.exp(-(calibration.slope * margins + calibration.offset))), LEAST, 1.0 - LEAST)
