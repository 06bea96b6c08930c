"""Scores an application with registered models: loads, verifies, blends, explains."""

import os

# MLflow decides about telemetry when it is imported; every import of it in the service goes through this package.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
