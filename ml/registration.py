"""Logs a fitted model to MLflow, registers it with the hash of every artifact, and moves aliases."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import mlflow.xgboost
import numpy as np
import onnxruntime
import xgboost
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Array as ArrayType

from decision_service.login import os_user
from decision_service.scoring.models import SPEC_FILE, WEIGHTS_FILE
from decision_service.scoring.registry import HASH_TAG, hash_files, model_errors, read_files
from decision_service.scoring.scorecard import NUMBER
from decision_service.scoring.scorecard import from_json as scorecard
from decision_service.scoring.spec import ScorecardSpec, XgboostSpec, kind_of, to_json
from ml.blend import Blend, files_of
from ml.export import companions
from ml.fitted import FittedModel
from ml.held_out import HELD_OUT_FILE, HeldOut
from ml.metrics import Estimate
from ml.promotion import CHAMPION, REGISTERED_BY, move, written_person

EVIDENCE, EVIDENCE_TAG, FACTS_FILE = "evidence", "evidence/sha256/", "training.json"
EXPERIMENT = "credit-models"
DEFAULT_URI = "sqlite:///mlruns/mlflow.db"
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
SERVED_CODE = Path(__file__).with_name("served.py")
BLEND_CODE = Path(__file__).with_name("served_blend.py")


@dataclass(frozen=True, slots=True)
class Registered:
    """A model version that was just registered."""

    name: str
    version: str
    run_id: str


def tracking_uri(environ: Mapping[str, str] = os.environ) -> str:
    """Where runs and models go: ``$MLFLOW_TRACKING_URI``, or a SQLite file below ``mlruns/``."""
    return environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def register(
    fitted: FittedModel | Blend,
    *,
    name: str,
    metrics: Mapping[str, Estimate | float],
    data_hash: str,
    files: Mapping[str, bytes] | None = None,
    facts: Mapping[str, Any] | None = None,
    held_out: HeldOut | None = None,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
    uri: str | None = None,
) -> Registered:
    """Log run, metrics, parameters and artifacts; create a version under ``name``; move ``alias`` to it if given.

    ``data_hash`` identifies the training data; ``files`` (by base name) are kept and hashed with the model.
    ``facts`` (plain data: rows, parts, leaks, …) and ``held_out`` rows are kept with the run for gates and model card.
    Estimates are logged as ``<metric>``, ``<metric>_low``, ``_high``.
    Raises ``ModelError`` when the ONNX graph that the service will run does not agree with the model.
    """
    uri = uri or tracking_uri()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    kind = "blend" if isinstance(fitted, Blend) else kind_of(fitted.spec)
    own = files_of(fitted) if isinstance(fitted, Blend) else {SPEC_FILE: to_json(fitted.spec), **companions(fitted)}
    content = {**(files or {}), **own}
    with tracking(uri), mlflow.start_run(experiment_id=_experiment(client, uri), run_name=name) as run:
        mlflow.set_tags({"kind": kind, "data_hash": data_hash, **(tags or {})})
        mlflow.log_params({**fitted.params, "base_rate": fitted.spec.calibration.base_rate, "data_hash": data_hash})
        mlflow.log_metrics(_flat(metrics))
        logged = _logged(fitted, content)
        hashes = _artifact_hashes(client.get_logged_model(logged.model_id).artifact_location)
        evidence = _log_evidence(facts, held_out)
        mlflow.set_tags({**hashes, **evidence})
        by = {REGISTERED_BY: written_person(os_user())}
        all_tags = {**hashes, **evidence, "kind": kind, "data_hash": data_hash, **(tags or {}), **by}
        source, model_id = logged.model_uri, logged.model_id
        version = create_version(client, name, source=source, model_id=model_id, run_id=run.info.run_id, tags=all_tags)
    if alias is not None:
        promote(name, version, alias=alias, uri=uri)
    return Registered(name, version, run.info.run_id)


def reached(uri: str) -> None:
    """Makes the store ready, which for a new one takes seconds; raises ``ModelError`` if it cannot be reached."""
    with tracking(uri), model_errors("the registry"):
        _experiment(MlflowClient(tracking_uri=uri, registry_uri=uri), uri)


def promote(name: str, version: str, *, alias: str = CHAMPION, uri: str | None = None) -> None:
    """Let ``alias`` mean this version, whatever ``gates`` say; running services follow within seconds."""
    move({name: version}, uri=uri or tracking_uri(), alias=alias)


@contextmanager
def tracking(uri: str) -> Iterator[None]:
    """MLflow's fluent functions bound to one store; its chatter about input examples is not for people.

    MLflow writes the store into the environment, where ``tracking_uri`` would read it as the user's own choice.
    """
    before, chosen = mlflow.get_tracking_uri(), os.environ.get(TRACKING_VARIABLE)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*input example was not provided.*")
            yield
    finally:
        mlflow.set_tracking_uri(before)
        os.environ.pop(TRACKING_VARIABLE, None)
        if chosen is not None:
            os.environ[TRACKING_VARIABLE] = chosen


def _experiment(client: MlflowClient, uri: str) -> str:
    """The experiment's id; a new one keeps its artifacts beside the SQLite file, by absolute path."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if uri.startswith("sqlite:///"):
        folder = Path(uri.removeprefix("sqlite:///")).resolve().parent / "artifacts"
        folder.mkdir(parents=True, exist_ok=True)
        location = folder.as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _flat(metrics: Mapping[str, Estimate | float]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, metric in metrics.items():
        if isinstance(metric, Estimate):
            flat |= {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
        else:
            flat[name] = float(metric)
    return flat


def _logged(fitted: FittedModel | Blend, content: Mapping[str, bytes]) -> ModelInfo:
    if isinstance(fitted, Blend):
        return _log_blend(content)
    return (_log_xgboost if isinstance(fitted.spec, XgboostSpec) else _log_code)(fitted, content)


def _log_blend(content: Mapping[str, bytes]) -> ModelInfo:
    """Every member's files and the recipe, read by this project's own code."""
    packages = (f"xgboost-cpu=={xgboost.__version__}", "torch==2.13.0", "safetensors", f"numpy=={np.__version__}")
    with _written(content) as files:
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(BLEND_CODE),
            artifacts={name: str(path) for name, path in files.items()},
            pip_requirements=_requirements(*packages),
        )


def _log_xgboost(fitted: FittedModel, content: Mapping[str, bytes]) -> ModelInfo:
    """UBJSON through MLflow's own flavour, so that ``mlflow models serve`` works; ``content`` (files) beside it."""
    assert isinstance(fitted.spec, XgboostSpec)
    booster = xgboost.Booster()
    booster.load_model(bytearray(fitted.weights))
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, name, required=False) for name in fitted.spec.columns
    ]
    signature = ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec(DataType.float)]))
    with _written(content) as files:
        return mlflow.xgboost.log_model(
            booster,
            name="model",
            signature=signature,
            model_format="ubj",
            extra_files=[str(path) for path in files.values()],
            pip_requirements=_requirements(f"xgboost-cpu=={xgboost.__version__}"),
        )


def _log_code(fitted: FittedModel, content: Mapping[str, bytes]) -> ModelInfo:
    """Weights and ``content`` (files) with MLflow's "models from code": the service's own code reads them."""
    kind = kind_of(fitted.spec)
    numpy = f"numpy=={np.__version__}"
    if isinstance(fitted.spec, ScorecardSpec):
        numbers = {one.name for one in scorecard(fitted.weights).features if one.kind == NUMBER}
        columns = [
            ColSpec(DataType.double if name in numbers else DataType.string, name, required=False)
            for name in fitted.spec.features
        ]
        inputs, packages = Schema(columns), [numpy]  # type: ignore[arg-type]
    else:
        series = ArrayType(ArrayType(DataType.double))
        inputs = Schema([ColSpec(series, "series"), ColSpec(ArrayType(DataType.boolean), "mask")])
        packages = ["torch==2.13.0", "safetensors", f"onnxruntime=={onnxruntime.__version__}", numpy]
    signature = ModelSignature(inputs=inputs, outputs=Schema([ColSpec(DataType.double)]))
    with _written({**content, WEIGHTS_FILE[kind]: fitted.weights}) as files:
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(SERVED_CODE),
            artifacts={name: str(path) for name, path in files.items()},
            signature=signature,
            pip_requirements=_requirements(*packages),
        )


def _requirements(*packages: str) -> list[str]:
    return [f"mlflow=={mlflow.__version__}", *packages]


def _log_evidence(facts: Mapping[str, Any] | None, held_out: HeldOut | None) -> dict[str, str]:
    """Artifacts of the run that no model reads; gives their hashes as tags."""
    content: dict[str, bytes] = {}
    if facts is not None:
        content[FACTS_FILE] = json.dumps(facts, ensure_ascii=False, sort_keys=True, indent=1).encode()
    if held_out is not None:
        content[HELD_OUT_FILE] = held_out.to_csv()
    with _written(content) as files:
        for path in files.values():
            mlflow.log_artifact(str(path), EVIDENCE)
    return {f"{EVIDENCE_TAG}{name}": digest for name, digest in hash_files(content).items()}


@contextmanager
def _written(content: Mapping[str, bytes]) -> Iterator[dict[str, Path]]:
    with TemporaryDirectory(prefix="register-") as folder:
        files = {name: Path(folder) / name for name in content}
        for name, path in files.items():
            path.write_bytes(content[name])
        yield files


def _artifact_hashes(location: str) -> dict[str, str]:
    """Tags with the SHA-256 of each stored artifact, as it can be read back."""
    with TemporaryDirectory(prefix="register-") as folder:
        stored = Path(download_artifacts(artifact_uri=location, dst_path=folder))
        found = read_files(stored)
    return {f"{HASH_TAG}{path}": digest for path, digest in hash_files(found).items()}


def create_version(
    client: MlflowClient, name: str, *, source: str, model_id: str | None, run_id: str, tags: Mapping[str, Any]
) -> str:
    """A version of a logged model under a name, which is created if there is none."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    created = client.create_model_version(name, source=source, run_id=run_id, tags=dict(tags), model_id=model_id)
    return str(created.version)
