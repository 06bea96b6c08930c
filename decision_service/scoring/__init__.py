"""Scores an application with registered models: loads, verifies, blends, explains."""

import os

# MLflow reads these when it is imported or used; every import of it in the service goes through this package.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
