"""Releasing a version: what is known of it, its gates, its promotion; registration of a run under another name."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from decision_service.errors import InputError, ModelError
from decision_service.login import os_user
from decision_service.rulebook.files import load as load_rules
from decision_service.scoring.promotions import Promotion
from decision_service.scoring.registry import HASH_TAG, ModelRegistry, model_errors, read_files, verify
from decision_service.vocabulary import ModelVersion, Person
from ml import gates
from ml.blend import built
from ml.gates import Evidence, Gate
from ml.held_out import HELD_OUT_FILE, HeldOut, held_out_from
from ml.promotion import CHALLENGER, CHAMPION, REGISTERED_BY, move, read_person, written_person
from ml.registration import EVIDENCE, EVIDENCE_TAG, FACTS_FILE, create_version, tracking
from ml.scored import labels_at, meaning, scored, segments_at
from ml.tables.read import read_tables
from ml.tables.recipe import RECIPE_FILE

COMMAND_SECONDS = 300
LARGER_CITY = "train on a larger city: python -m ml train-city --population N; the base rate is the product's"
NO_RUN = "python -m ml train prints the id of its run; see also: python -m ml list"


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version with its run: tags, facts of its training, held-out rows; ``files`` are verified."""

    identity: ModelVersion
    run_id: str
    tags: Mapping[str, str]
    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    held_out: HeldOut | None

    @property
    def title(self) -> str:
        """Name and version for people."""
        return f"{self.identity.name} version {self.identity.version}"

    @property
    def reference(self) -> str:
        """Name and version for commands."""
        return f"{self.identity.name}/{self.identity.version}"

    @property
    def registrar(self) -> Person | None:
        """Who registered it; of the oldest nobody knows."""
        return read_person(self.tags.get(REGISTERED_BY))


@dataclass(frozen=True, slots=True)
class Table:
    """Labelled rows to judge on: files, the target's column, columns to tell segments by, which labels are bad."""

    data: Sequence[Path]
    target: str
    by: Sequence[str] = ()
    bad: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What to promote, and on what to judge it: ``table``, else the rows kept with the run."""

    members: Mapping[str, str]
    person: Person
    note: str = ""
    table: Table | None = None
    baseline: str | None = None
    rules: Path | None = None
    shadow_min: int | None = None
    most_ece: float = gates.MOST_ECE


@dataclass(frozen=True, slots=True)
class Judged:
    """A version and what every gate says of it."""

    name: str
    version: str
    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether all do."""
        return all(gate.passed for gate in self.gates)


def read_version(name: str, version: str, *, uri: str) -> Version:
    """A version as it lies in the registry, every file held against its hash. Raises ``ModelError``."""
    registry, client = ModelRegistry(uri), MlflowClient(tracking_uri=uri, registry_uri=uri)
    files, digest = registry.files(name, version)
    with model_errors(f"{name} version {version}"):
        found = client.get_model_version(name, version)
        run_id, tags = str(found.run_id), dict(found.tags)
        kept = _evidence(run_id, tags, uri=uri)
    facts = json.loads(kept[FACTS_FILE]) if FACTS_FILE in kept else {}
    held_out = held_out_from(kept[HELD_OUT_FILE]) if HELD_OUT_FILE in kept else None
    return Version(ModelVersion(name, version, digest), run_id, tags, files, facts, held_out)


def _evidence(run_id: str, tags: Mapping[str, str], *, uri: str) -> dict[str, bytes]:
    """What was kept with the run, held against the hashes that the version carries."""
    hashes = {key.removeprefix(EVIDENCE_TAG): one for key, one in tags.items() if key.startswith(EVIDENCE_TAG)}
    found = {}
    with TemporaryDirectory(prefix="evidence-") as folder:
        for name, digest in hashes.items():
            address = f"runs:/{run_id}/{EVIDENCE}/{name}"
            content = Path(download_artifacts(artifact_uri=address, dst_path=folder, tracking_uri=uri)).read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                raise ModelError(f"{name} was changed since the run", remedy="restore the run's artifacts")
            found[name] = content
    return found


def judge(name: str, version: str, request: Request, *, uri: str) -> Judged:
    """All gates of one version; one that cannot be judged is closed. Raises ``InputError`` for a bad request."""
    return Judged(name, version, tuple(_gates(name, version, request, uri=uri)))


def _gates(name: str, version: str, request: Request, *, uri: str) -> Iterator[Gate]:
    try:
        candidate = read_version(name, version, uri=uri)
        model = built(candidate.files)
    except ModelError as error:
        yield gates.missing("hashes and canaries", error.what, error.remedy or "")
        return
    champion_version = ModelRegistry(uri).state(name, CHAMPION).version
    champion, trouble = _champion(name, champion_version, uri=uri)
    places = () if request.rules is None else gates.places_of(name, load_rules(request.rules))
    synthetic = candidate.tags.get("data") == gates.SYNTHETIC
    yield Gate("hashes", True, f"{len(candidate.files)} files as registered, {candidate.identity.digest[:19]}")
    yield gates.canaries(candidate.files)
    yield gates.signature(model, None if champion is None else built(champion.files), places)
    evidence, why = _rows(candidate, model.spec.calibration.base_rate, request, uri=uri)
    if evidence is None:
        todo = _rows_for(candidate, champion)
        yield from (gates.missing(gate, why, todo) for gate in ("calibration", "no worse", "segments"))
    else:
        judged = gates.calibration(evidence, most_ece=request.most_ece)
        yield replace(judged, todo=LARGER_CITY) if synthetic else judged
        yield from _against(evidence, candidate, champion, trouble, request, uri=uri)
    yield gates.sign_off(request.person, candidate.registrar, first=champion_version is None, synthetic=synthetic)
    if request.shadow_min is not None:
        count, figures = live_shadow(name, version)
        yield gates.shadowed(count, request.shadow_min, figures)


def _champion(name: str, version: str | None, *, uri: str) -> tuple[Version | None, str]:
    if version is None:
        return None, ""
    try:
        return read_version(name, version, uri=uri), ""
    except ModelError as error:
        return None, f"the champion, version {version}, cannot be read: {error.what}"


def _rows(candidate: Version, rate: float, request: Request, *, uri: str) -> tuple[Evidence | None, str]:
    if request.table is None:
        if candidate.held_out is None:
            return None, "no held-out rows were kept with the run"
        return Evidence(candidate.held_out, rate, "kept with the run"), ""
    held_out = _scored(candidate.reference, request.table, uri=uri)
    return Evidence(held_out, rate, ", ".join(path.name for path in request.table.data)), ""


def _rows_for(candidate: Version, champion: Version | None) -> str:
    """Where rows come from on which the gates can judge a version."""
    if RECIPE_FILE in candidate.files:
        return (
            "give --data FILE --target COLUMN, rows that neither version was taught by; decision-service outcomes"
            " export writes what became of money lent as such a file"
        )
    if candidate.tags.get("data") == gates.SYNTHETIC and champion is not None:
        seed = champion.tags.get("seed", "SEED")
        return f"the seed says which firms are tested, and the champion's was: python -m ml train-city --seed {seed}"
    return (
        "register it with held-out rows, of the units on which the champion was judged (register(..., held_out=) in"
        " ml.training); --data FILE takes versions of python -m ml train"
    )


def _same_firms(candidate: Version, champion: Version) -> bool:
    """Firms of the city are numbered in every city, so another seed has other firms under the same ids."""
    seeds = {one.tags.get("seed") for one in (candidate, champion) if one.tags.get("data") == gates.SYNTHETIC}
    return len(seeds) <= 1


def _scored(reference: str, table: Table, *, uri: str) -> HeldOut:
    """The rows of a table with a known outcome and a score. Raises ``InputError``, ``ModelError``."""
    frame = read_tables(table.data).frame
    found = scored(reference, frame, uri=uri)
    labels = labels_at(found.places, frame, table.target, meaning([found], frame, table.target, bad=table.bad))
    known = np.flatnonzero(~np.isnan(labels) & ~np.isnan(found.probabilities))
    found, outcomes = found.rows(known), labels[known].astype(int)
    return HeldOut(
        ids=found.ids,
        labels=outcomes,
        probabilities=found.probabilities,
        segments=segments_at(found, frame, table.by),
        groups=found.groups,
    )


def _against(
    evidence: Evidence,
    candidate: Version,
    champion: Version | None,
    trouble: str,
    request: Request,
    *,
    uri: str,
) -> Iterator[Gate]:
    """No worse than the champion; of a first version, better than the scorecard if there is one."""
    if trouble:
        todo = "roll back first: python -m ml rollback NAME"
        yield from (gates.missing(gate, trouble, todo) for gate in ("no worse", "segments"))
    elif champion is not None:
        other = _other(evidence, candidate, champion, request, uri=uri)
        if other is None:
            why, todo = f"{champion.title} has no scores on the same rows", _rows_for(candidate, champion)
            yield from (gates.missing(gate, why, todo) for gate in ("no worse", "segments"))
        else:
            yield gates.no_worse(other)
            yield gates.segments(other)
    if request.baseline is not None and request.table is not None:
        against = _on_table(evidence, request.baseline, request.table, uri=uri)
        yield gates.beats(against) if against else gates.missing("baseline", f"{request.baseline} scores other rows")
    elif champion is None and evidence.held_out.baseline is not None:
        yield gates.beats(replace(evidence, title="the scorecard", other=evidence.held_out.baseline))
    elif champion is None and not trouble:
        yield Gate("no worse", True, "the first version, and no scorecard was kept with its run")


def _other(
    evidence: Evidence, candidate: Version, champion: Version, request: Request, *, uri: str
) -> Evidence | None:
    """The evidence with the champion's probabilities on the same rows."""
    if request.table is not None:
        return _on_table(evidence, champion.reference, request.table, uri=uri)
    if champion.held_out is None or not _same_firms(candidate, champion):
        return None
    other = gates.same_rows(evidence.held_out, champion.held_out)
    return None if other is None else replace(evidence, title=champion.title, other=other)


def _on_table(evidence: Evidence, reference: str, table: Table, *, uri: str) -> Evidence | None:
    held_out = _scored(reference, table, uri=uri)
    other = gates.same_rows(evidence.held_out, held_out)
    return None if other is None else replace(evidence, title=reference, other=other)


def promote(judged: Sequence[Judged], request: Request, *, uri: str) -> Promotion:
    """Put the judged versions in force together; the challenger that became champion is challenger no more."""
    told = [(f"{one.name}: {gate.name}", gate.passed, gate.figures) for one in judged for gate in one.gates]
    promotion = move(request.members, uri=uri, person=request.person, note=request.note, gates=told)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    for name, version in request.members.items():
        if ModelRegistry(uri).state(name, CHALLENGER).version == version:
            client.delete_registered_model_alias(name, CHALLENGER)
    return promotion


def shadow_words(name: str, version: str, rules: Path | None) -> str:
    """What is known of live decisions, in words; a model that no product names scores none."""
    if rules is not None and not gates.places_of(name, load_rules(rules)):
        return "no product of the rules names this model, so no live decision is scored by it"
    return live_shadow(name, version)[1]


def live_shadow(name: str, version: str) -> tuple[int | None, str]:
    """How many live decisions the service scored by this version beside the champion, and the figures in words.

    The service's own command is asked: training knows nothing of its store.
    """
    command = [sys.executable, "-m", "decision_service", "models", "shadow", f"{name}/{version}", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        found = json.loads(done.stdout)
        return int(found["compared"]), str(found["summary"])
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError, TypeError):
        said = done.stderr.strip().splitlines() if "done" in locals() else []
        why = f" ({said[-1].removeprefix('error: ')})" if said else ""
        return None, f"no live decision is known to be scored by it{why}"


def run_of(begin: str, *, uri: str) -> str:
    """The id of the run that begins so. Raises ``InputError`` for none, or for several."""
    if not re.fullmatch(r"[0-9a-f]{4,32}", begin):
        remedy = "give the run's id, which python -m ml train prints, or its first digits, at least four"
        raise InputError(f"{begin!r} is no id of a run", remedy=remedy)
    with tracking(uri), model_errors("the registry"):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        places = [one.experiment_id for one in client.search_experiments()]
        found = client.search_runs(places, filter_string=f"attributes.run_id LIKE '{begin}%'", max_results=5)
    if len(found) == 1:
        return str(found[0].info.run_id)
    what = f"no run's id begins with {begin}" if not found else f"the ids of several runs begin with {begin}"
    told = "give more of it: " + ", ".join(one.info.run_id[: len(begin) + 4] for one in found) if found else NO_RUN
    raise InputError(what, remedy=told)


def challenge(name: str, version: str, *, person: Person, note: str, uri: str) -> Promotion:
    """Give a registered version the alias challenger, if its files and canaries prove right. Raises ``ModelError``."""
    with model_errors(f"{name} version {version}"):
        built(ModelRegistry(uri).files(name, version)[0])
    return move({name: version}, uri=uri, alias=CHALLENGER, person=person, note=note)


def register_run(run: str, *, name: str, alias: str | None, uri: str) -> str:
    """A version of a finished run's model under a name; raises ``ModelError`` unless its files are the run's own.

    Only files that were hashed when they were logged count, and the model must give its canary predictions.
    """
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    run = run_of(run, uri=uri)
    with tracking(uri), model_errors(f"run {run}"):
        found = client.get_run(run)
        models = found.outputs.model_outputs if found.outputs else []
        if found.info.status != "FINISHED" or not models:
            raise ModelError("it did not finish with a model", remedy="name a run of python -m ml train")
        tags = {key: value for key, value in found.data.tags.items() if not key.startswith("mlflow.")}
        if not any(key.startswith(HASH_TAG) for key in tags):
            raise ModelError("its files were not hashed when they were logged", remedy="train it again")
        logged = client.get_logged_model(models[0].model_id)
        _prove(logged.artifact_location, tags, uri=uri)
        tags[REGISTERED_BY] = written_person(os_user())
        version = create_version(client, name, source=logged.model_uri, model_id=logged.model_id, run_id=run, tags=tags)
    if alias is not None:
        move({name: version}, uri=uri, alias=alias, person=os_user())
    return version


def _prove(location: str, tags: Mapping[str, str], *, uri: str) -> None:
    """Raises ``ModelError`` unless the stored files are those that were logged, and give their canary predictions."""
    hashes = {key.removeprefix(HASH_TAG): digest for key, digest in tags.items() if key.startswith(HASH_TAG)}
    with TemporaryDirectory(prefix="register-") as folder:
        files = read_files(Path(download_artifacts(artifact_uri=location, dst_path=folder, tracking_uri=uri)))
    verify(files, hashes)
    built({Path(path).name: files[path] for path in hashes})
