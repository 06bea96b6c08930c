"""A registered version that scores tables: its recipe and its model, verified before they are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from decision_service.errors import InputError, ModelError
from decision_service.scoring.models import SPEC_FILE, WEIGHTS_FILE, build
from decision_service.scoring.registry import model_errors, read_files, registered_hashes, verify
from decision_service.scoring.spec import from_json, kind_of
from ml.blend import BLEND_FILE, Blend, blend_from, probabilities_of
from ml.fitted import Array, FittedModel
from ml.registration import tracking_uri
from ml.tables.inputs import Inputs
from ml.tables.recipe import RECIPE_FILE, Recipe

_HOW = {
    "champion": "a version becomes champion by: python -m ml promote NAME/VERSION",
    "challenger": "a version becomes challenger by: python -m ml challenge NAME/VERSION",
}
_REFERENCE = re.compile(r"([^@/]+)(?:@([^@/]+)|/(\d+))?")


@dataclass(frozen=True, slots=True)
class TableModel:
    """A version with what it reads; ``files`` by base name, as registered. ``fitted`` is a blend's leading member."""

    name: str
    version: str
    run_id: str
    recipe: Recipe
    fitted: FittedModel
    files: Mapping[str, bytes]
    blend: Blend | None = None

    def inputs(self, frame: pd.DataFrame) -> Inputs:
        """What the model reads of a table; raises ``InputError``."""
        return self.recipe.inputs(frame)

    def probabilities(self, inputs: Inputs) -> Array:
        """Calibrated PDs of the units; nan: no score."""
        return probabilities_of(self.blend or self.fitted, inputs)


def load_version(reference: str, *, uri: str | None = None) -> TableModel:
    """The version behind ``NAME``, ``NAME@alias`` or ``NAME/VERSION``: without either its alias champion, else newest.

    Raises ``InputError`` for another form, ``ModelError`` for a version that is missing, changed or reads no tables.
    """
    uri = uri or tracking_uri()
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InputError(f"{reference!r} names no model", remedy="give NAME, NAME@alias or NAME/VERSION")
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise ModelError("there is no model registry at MLFLOW_TRACKING_URI", remedy="train one: python -m ml train")
    name, alias, number = match.groups()
    with model_errors(reference):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        version = _version(client, name, alias, number)
        hashes = registered_hashes(client.get_model_version(name, version))
        run_id = str(client.get_model_version(name, version).run_id)
        place = client.get_model_version_download_uri(name, version)
        with TemporaryDirectory(prefix="version-") as folder:
            stored = read_files(Path(download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=uri)))
        verify(stored, hashes)
        files = {Path(path).name: stored[path] for path in hashes}
        if RECIPE_FILE not in files:
            raise ModelError("this version reads no tables", remedy="train one: python -m ml train")
        recipe = Recipe.from_json(files[RECIPE_FILE])
        if BLEND_FILE in files:
            blend = blend_from(files)
            return TableModel(name, version, run_id, recipe, blend.members[0], files, blend)
        build(files)
        spec = from_json(files[SPEC_FILE])
        fitted = FittedModel(files[WEIGHTS_FILE[kind_of(spec)]], spec, {})
        return TableModel(name, version, run_id, recipe, fitted, files)


def _version(client: MlflowClient, name: str, alias: str | None, number: str | None) -> str:
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise ModelError("there is no such model", remedy="see which there are: python -m ml list") from error
    versions = {int(one.version) for one in client.search_model_versions(f"name = '{name}'")}
    if number is not None and int(number) in versions:
        return str(int(number))
    called = alias or "champion"
    if number is None and called in aliases:
        return str(aliases[called])
    if number is None and alias is None and versions:
        return str(max(versions))
    what = f"no version of {name} is {alias}" if number is None else f"{name} has no version {number}"
    raise ModelError(what, remedy=f"name a version, see: python -m ml list {name}; {_HOW.get(called, '')}".rstrip("; "))
