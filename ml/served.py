"""MLflow's code for what is no booster ("models from code"): builds what the service builds, no pickled object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from decision_service.scoring.models import LstmModel, ScorecardModel, build


class ServedModel(PythonModel):
    """Input: one row a firm. For an LSTM the columns ``series`` (months x F, null: not reported) and ``mask``
    (months); for a scorecard its features."""

    def load_context(self, context: Any) -> None:
        model = build({name: Path(path).read_bytes() for name, path in context.artifacts.items()})
        assert isinstance(model, (LstmModel, ScorecardModel))
        self._model = model

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[float]:
        """Calibrated 12-month probabilities of default."""
        if isinstance(self._model, ScorecardModel):
            known = model_input.astype(object).where(model_input.notna(), None)
            return [self._model.probability(row) for row in known.to_dict("records")]
        rows = zip(model_input["series"], model_input["mask"], strict=True)
        return [self._model.probability(series, mask) for series, mask in rows]


set_model(ServedModel())
