"""MLflow's code for a blend ("models from code"): tables of its schema in, probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from ml.blend import blend_from
from ml.tables.recipe import RECIPE_FILE, Recipe


class ServedBlend(PythonModel):
    """Input: rows as they were trained on; with a window, all rows of a unit."""

    def load_context(self, context: Any) -> None:
        files = {name: Path(path).read_bytes() for name, path in context.artifacts.items()}
        self._recipe, self._blend = Recipe.from_json(files[RECIPE_FILE]), blend_from(files)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[float]:
        """Calibrated PDs, one a unit."""
        return self._blend.probabilities(self._recipe.inputs(model_input.reset_index(drop=True))).tolist()


set_model(ServedBlend())
