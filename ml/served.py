"""MLflow's code for the LSTM ("models from code"): builds what the service builds, no pickled object exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from decision_service.scoring.models import LstmModel, build


class SeriesModel(PythonModel):
    """Input: one row a firm with columns ``series`` (months x F, null: not reported) and ``mask`` (months)."""

    def load_context(self, context: Any) -> None:
        model = build({name: Path(path).read_bytes() for name, path in context.artifacts.items()})
        assert isinstance(model, LstmModel)
        self._model = model

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[float]:
        """Calibrated 12-month probabilities of default."""
        rows = zip(model_input["series"], model_input["mask"], strict=True)
        return [self._model.probability(series, mask) for series, mask in rows]


set_model(SeriesModel())
