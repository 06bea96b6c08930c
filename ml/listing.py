"""What a registry holds: every model with its versions, their aliases, and how its aliases have moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from decision_service.scoring.promotions import State
from decision_service.scoring.registry import ModelRegistry, model_errors
from ml.promotion import REGISTERED_BY, read_person


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version: ``registered_at`` in UTC (ISO 8601), ``registered_by`` in words, empty where nobody was noted."""

    version: str
    aliases: tuple[str, ...]
    kind: str
    registered_at: str
    registered_by: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A model, how one of its aliases stands, how many versions it has, and of these the newest and those in use."""

    name: str
    state: State
    count: int
    versions: tuple[ListedVersion, ...]


def listed(names: Sequence[str], *, alias: str, limit: int, uri: str) -> list[Listed]:
    """The models of these names, or all: versions with an alias, and the newest, up to ``limit`` of them.

    Raises ``ModelError``, also for a name that the registry does not have.
    """
    registry, client = ModelRegistry(uri), MlflowClient(tracking_uri=uri, registry_uri=uri)
    with model_errors("the registry"):
        wanted = names or sorted(model.name for model in client.search_registered_models())
    return [_listed(client, name, registry.state(name, alias), limit) for name in wanted]


def _listed(client: MlflowClient, name: str, state: State, limit: int) -> Listed:
    with model_errors(name):
        aliases = client.get_registered_model(name).aliases
        found = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda one: -int(one.version))
    called: dict[str, list[str]] = {}
    for alias, version in sorted(aliases.items()):
        called.setdefault(str(version), []).append(alias)
    shown = [one for place, one in enumerate(found) if place < limit or str(one.version) in called]
    return Listed(name, state, len(found), tuple(_version(one, called.get(str(one.version), ())) for one in shown))


def _version(one: ModelVersion, aliases: Sequence[str]) -> ListedVersion:
    person = read_person(one.tags.get(REGISTERED_BY))
    at = datetime.fromtimestamp(one.creation_timestamp / 1000, UTC).isoformat(timespec="seconds")
    by = "" if person is None else str(person)
    return ListedVersion(str(one.version), tuple(aliases), one.tags.get("kind", ""), at, by, str(one.run_id or ""))
