"""A booster run by XGBoost itself: for versions without a graph, and where trees are too large for tables.

XGBoost is imported where a booster is loaded: whoever runs graphs needs none, and it takes a second.
"""

from __future__ import annotations

import threading

from decision_service.errors import ModelError
from decision_service.scoring.rows import Floats


class Booster:
    """One thread, one row at a time; safe under threads. Raises ``ModelError`` for bytes that are no such booster."""

    def __init__(self, weights: bytes, *, columns: int) -> None:
        import xgboost

        self._matrix = xgboost.DMatrix
        self._booster = xgboost.Booster({"nthread": 1})
        self._lock = threading.Lock()  # predict with contributions is not declared thread-safe, inplace_predict is
        try:
            self._booster.load_model(bytearray(weights))
            self._booster.set_param({"nthread": 1})
        except xgboost.core.XGBoostError as error:
            raise ModelError(f"the booster cannot be read ({str(error)[:200]})") from error
        if self._booster.num_features() != columns:
            raise ModelError(f"the booster reads {self._booster.num_features()} columns, spec.json {columns}")

    def margins(self, rows: Floats) -> Floats:
        """Log-odds before calibration of n rows (n x columns)."""
        return self._booster.inplace_predict(rows, predict_type="margin", validate_features=False)

    def contributions(self, row: Floats) -> list[float]:
        """Each column's share of the margin of one row (1 x columns), then the base."""
        with self._lock:
            data = self._matrix(row, nthread=1)
            found = self._booster.predict(data, pred_contribs=True, validate_features=False)[0]
        return [float(value) for value in found]
