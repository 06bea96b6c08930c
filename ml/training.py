"""What a product's training needs, from one place: fit, calibrate, score, evaluate, register, promote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ml.calibration import calibrate
from ml.fitted import FittedModel, lstm_margins, probabilities, xgboost_margins
from ml.metrics import Estimate, evaluate
from ml.registration import Registered, promote, register, tracking_uri
from ml.sequences import fit_lstm
from ml.trees import fit_xgboost

__all__ = [
    "Estimate",
    "FittedModel",
    "Registered",
    "calibrate",
    "data_hash",
    "evaluate",
    "fit_lstm",
    "fit_xgboost",
    "lstm_margins",
    "probabilities",
    "promote",
    "register",
    "tracking_uri",
    "xgboost_margins",
]


def data_hash(arrays: Iterable[Any]) -> str:
    """SHA-256 over shapes, types and bytes of the arrays a model was trained on, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        values = np.ascontiguousarray(array)
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        digest.update(values.tobytes())
    return f"sha256:{digest.hexdigest()}"
