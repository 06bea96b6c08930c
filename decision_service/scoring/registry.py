"""Reads model versions from MLflow's registry and lets nothing through whose hash is not the registered one.

MLflow is imported on first use: it takes half a second, and most commands ask no registry.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from decision_service.errors import ModelError
from decision_service.scoring.models import Model, build
from decision_service.scoring.promotions import State, Together, in_force, named, promotions_of
from decision_service.vocabulary import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as RegisteredVersion

HASH_TAG = "sha256/"
SQLITE = "sqlite:///"
READINGS = 20
COARSE_SECONDS = 1.0
"""A file that was written within this time may be written again without another time of change."""
MAX_BYTES = 256 * 1024 * 1024
HTTP_BOUNDS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
_ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


_Stamp = tuple[tuple[int, int, int] | None, ...]


class ModelWithdrawn(ModelError):
    """The registry answers, and says that nothing stands behind the name or alias (any more)."""


class NoRegistry(ModelError):
    """There is no registry to ask: none is named, or its file does not exist."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that was verified and proven, with its identity."""

    identity: ModelVersion
    model: Model


class ModelRegistry:
    """MLflow's registry as the scorer needs it: which version an alias means, and a verified version as a model."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._client: MlflowClient | None = None
        self._read_at: dict[tuple[frozenset[str], str], tuple[_Stamp, dict[str, State]]] = {}

    @property
    def local(self) -> bool:
        """Whether the registry is a file of this machine, which always answers."""
        return self._uri.startswith(SQLITE)

    def in_force(self, names: Iterable[str], alias: str) -> tuple[Together, ...]:
        """What an alias means for several models at one moment; raises ``ModelError`` if unreachable."""
        wanted = frozenset(names)
        groups = (_only(group, wanted) for group in in_force(self.states(wanted, alias)))
        return tuple(group for group in groups if group.wanted)

    def states(self, names: Iterable[str], alias: str) -> dict[str, State]:
        """The models as they stood at one moment, and those that were promoted together with them.

        A registry that is a file which nobody has written since is not read again. Raises ``ModelError``.
        """
        asked = frozenset(names), alias
        self._connected()
        stamp = self._stamp()
        known, found = self._read_at.get(asked, (None, {}))
        if stamp is None or known != stamp:
            found = self._agreeing(asked[0], alias)
            if stamp is not None:
                self._read_at[asked] = stamp, found
        return found

    def _stamp(self) -> _Stamp | None:
        """What changes when anything is written into a file, once that is longer ago than its times are coarse."""
        if not self.local:
            return None
        path = self._uri.removeprefix(SQLITE)
        stamps = [_stat(path + suffix) for suffix in ("", "-wal", "-journal")]
        newest = max((one.st_mtime for one in stamps if one is not None), default=0.0)
        if time.time() - newest < COARSE_SECONDS:
            return None
        return tuple(None if one is None else (one.st_ino, one.st_size, one.st_mtime_ns) for one in stamps)

    def _agreeing(self, names: Iterable[str], alias: str) -> dict[str, State]:
        """Read twice, until both say the same: as promotions are only ever added, nothing came between."""
        before, found = None, self._read(names, alias)
        for _ in range(READINGS):
            before, found = found, self._read(found, alias)
            if before == found:
                return found
        raise ModelError("the registry changes all the time", where=f"@{alias}", remedy="see who promotes: ml history")

    def _read(self, names: Iterable[str], alias: str) -> dict[str, State]:
        states: dict[str, State] = {}
        ahead = sorted(names)
        while ahead:
            name = ahead.pop(0)
            states[name] = state = self.state(name, alias)
            ahead += [other for other in named(state.promotions[-1:]) if other not in states and other not in ahead]
        return states

    def state(self, name: str, alias: str) -> State:
        """One model as it stands; one that the registry does not know has no version. Raises ``ModelError``."""
        try:
            with model_errors(f"{name}@{alias}"):
                model = self._connected().get_registered_model(name)
                version = model.aliases.get(alias)
                return State(None if version is None else str(version), promotions_of(model.tags, alias))
        except ModelWithdrawn:
            return State(None)

    def load(self, name: str, version: str) -> LoadedModel:
        """Every artifact read once and verified against its registered hash, then built from those bytes.

        Raises ``ModelError`` for a missing or changed file, a bad spec or a failed canary.
        """
        with model_errors(f"{name} version {version}"):
            files, digest = self.files(name, version)
            return LoadedModel(ModelVersion(name, version, digest), build(files))

    def files(self, name: str, version: str) -> tuple[dict[str, bytes], str]:
        """A version's verified files by base name, and the digest over all of them; raises ``ModelError``."""
        from mlflow.artifacts import download_artifacts

        with model_errors(f"{name} version {version}"):
            client = self._connected()
            hashes = registered_hashes(client.get_model_version(name, version))
            uri = client.get_model_version_download_uri(name, version)
            with TemporaryDirectory(prefix="model-") as folder:
                files = read_files(Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=self._uri)))
            verify(files, hashes)
        return {Path(path).name: files[path] for path in hashes}, digest_of(hashes)

    def _connected(self) -> MlflowClient:
        if not self._uri:  # MLflow would take whatever store the process has used before
            raise NoRegistry("no model registry is named", remedy="set MLFLOW_TRACKING_URI")
        # Asking SQLite for a file that does not exist would create an empty registry in the wrong place.
        if self.local and not Path(self._uri.removeprefix(SQLITE)).is_file():
            raise NoRegistry(
                "there is no model registry at MLFLOW_TRACKING_URI", remedy="train one: python -m ml train-city"
            )
        if self._client is None:
            from mlflow import MlflowClient

            _bound_waiting()
            self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._client


def _only(group: Together, names: frozenset[str]) -> Together:
    """What of a group concerns these models."""
    wanted, before = ({name: one[name] for name in one if name in names} for one in (group.wanted, group.before))
    return Together(wanted, before, group.unfinished)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def import_library() -> None:
    """Import MLflow now, where whoever calls would otherwise count it as waiting for the registry."""
    import mlflow  # noqa: F401


def _bound_waiting() -> None:
    """MLflow by itself asks a silent server eight times, two minutes each; whoever set these variables wants them."""
    for name, value in HTTP_BOUNDS.items():
        os.environ.setdefault(name, value)


def registered_hashes(version: RegisteredVersion) -> dict[str, str]:
    """File path to SHA-256 (hex), from the version's tags; raises ``ModelError`` when there are none."""
    tags: Mapping[str, str] = version.tags
    hashes = {key.removeprefix(HASH_TAG): value for key, value in tags.items() if key.startswith(HASH_TAG)}
    if not hashes:
        raise ModelError("the version carries no artifact hashes", remedy="register the model with python -m ml")
    return hashes


def digest_of(hashes: Mapping[str, str]) -> str:
    """One digest for all files: SHA-256 over the canonical JSON of path and hash."""
    canonical = json.dumps(dict(hashes), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def read_files(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their path in it; links are not followed, too large a model is refused."""
    files: dict[str, bytes] = {}
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file()]
    if any(path.is_symlink() for path in paths):
        raise ModelError("the model folder holds links", remedy="register the model again")
    if sum(path.stat().st_size for path in paths) > MAX_BYTES:
        raise ModelError(f"the model is larger than {MAX_BYTES} bytes", remedy="register a smaller one")
    for path in paths:
        files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return files


def hash_files(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 (hex) of each file."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def verify(files: Mapping[str, bytes], registered: Mapping[str, str]) -> None:
    """Raises ``ModelError`` naming every registered file that is missing or changed.

    Other files are left alone, because nothing reads them: ``mlflow models serve`` leaves one in the folder.
    """
    found = hash_files(files)
    wrong = [f"{path} is missing" for path in sorted(registered.keys() - found.keys())]
    both = sorted(found.keys() & registered.keys())
    wrong += [f"{path} was changed" for path in both if found[path] != registered[path]]
    if wrong:
        raise ModelError("; ".join(wrong), remedy="restore the artifacts, or register the model again")


@contextmanager
def model_errors(where: str) -> Iterator[None]:
    """Every failure on the way from the registry becomes a ``ModelError``.

    The one place with a broad ``except``: MLflow, its database, its artifact stores and both model libraries raise
    foreign exceptions of many kinds, and a model that fails must only be an unknown fact.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except ModelError as error:
        raise type(error)(error.what, where=error.where or where, remedy=error.remedy) from error
    except MlflowException as error:
        kind = ModelWithdrawn if error.error_code in _ABSENT else ModelError
        raise kind(_first_line(error), where=where, remedy="check the model registry") from error
    except Exception as error:
        logging.getLogger(__name__).warning("%s", where, exc_info=True)
        raise ModelError(_first_line(error), where=where, remedy="check the model registry") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
