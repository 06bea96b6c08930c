"""Several fitted models as one version: weighted on the logit scale, all files of its members kept together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from decision_service.errors import ModelError
from decision_service.scoring.models import SPEC_FILE, WEIGHTS_FILE, Model, build
from decision_service.scoring.spec import LstmSpec, Spec, from_json, kind_of, to_json
from ml.export import companions
from ml.fitted import Array, FittedModel, as_probabilities, margins_of, probabilities
from ml.metrics import Labels, auc
from ml.tables.inputs import Inputs

BLEND_FILE = "blend.json"
FORMAT = 1
STEPS = 20  # of the first member's weight, from 0 to 1
WORTH = 0.002  # ROC-AUC that a blend must gain over equal weights, which are seldom wrong


@dataclass(frozen=True, slots=True)
class Blend:
    """Calibrated members by kind, with weights that sum to 1: ``expit(sum of w * logit(p))``. A unit that one member
    cannot score has no score."""

    members: tuple[FittedModel, ...]
    weights: tuple[float, ...]

    @property
    def spec(self) -> Spec:
        """That of the leading member: base rate and what explains the score are its."""
        return self.members[0].spec

    @property
    def kinds(self) -> tuple[str, ...]:
        """The members' kinds, in order."""
        return tuple(kind_of(member.spec) for member in self.members)

    @property
    def inputs(self) -> frozenset[str]:
        """All that its members read: features and series by name."""
        specs = (member.spec for member in self.members)
        return frozenset(name for one in specs for name in (one.series if isinstance(one, LstmSpec) else one.features))

    @property
    def params(self) -> dict[str, Any]:
        """The members' parameters by kind, and their weights."""
        found: dict[str, Any] = {}
        for member, weight in zip(self.members, self.weights, strict=True):
            kind = kind_of(member.spec)
            found |= {f"{kind}.{name}": value for name, value in member.params.items()} | {f"{kind}.weight": weight}
        return found

    def probabilities(self, inputs: Inputs) -> Array:
        """Calibrated PDs; nan: no score."""
        chances = [probabilities(one, margins_of(one, inputs)) for one in self.members]
        return mixed(chances, self.weights)


def probabilities_of(model: FittedModel | Blend, inputs: Inputs) -> Array:
    """Calibrated PDs of the units by a model alone or a blend; nan: no score."""
    return model.probabilities(inputs) if isinstance(model, Blend) else probabilities(model, margins_of(model, inputs))


def mixed(chances: Sequence[Array], weights: Sequence[float]) -> Array:
    """Probabilities (n each) blended on the logit scale."""
    return as_probabilities(
        np.sum([weight * np.log(one / (1 - one)) for one, weight in zip(chances, weights, strict=True)], axis=0)
    )


def weights_for(first: Array, second: Array, labels: Labels) -> tuple[float, float]:
    """The weights of two members with the best ROC-AUC on units that neither saw; equal ones unless clearly worse."""
    grid = np.linspace(0, 1, STEPS + 1)
    reached = [auc(labels, mixed([first, second], (share, 1 - share))) for share in grid]
    best = int(np.argmax(reached))
    share = grid[best] if reached[best] > reached[STEPS // 2] + WORTH else 0.5
    return float(share), float(1 - share)


def files_of(blend: Blend) -> dict[str, bytes]:
    """Every member's files under its kind's name, and the weights."""
    files: dict[str, bytes] = {}
    kinds = []
    for member in blend.members:
        kind = kind_of(member.spec)
        kinds.append(kind)
        own = {SPEC_FILE: to_json(member.spec), WEIGHTS_FILE[kind]: member.weights, **companions(member)}
        files |= {f"{kind}.{name}": content for name, content in own.items()}
    head = {"format": FORMAT, "kinds": kinds, "weights": list(blend.weights)}
    return {**files, BLEND_FILE: json.dumps(head, sort_keys=True).encode()}


def blend_from(files: Mapping[str, bytes]) -> Blend:
    """From its files; every member's canaries are proven. Raises ``ModelError``."""
    try:
        head = json.loads(files[BLEND_FILE])
        kinds, weights = [str(kind) for kind in head["kinds"]], tuple(map(float, head["weights"]))
        if head["format"] != FORMAT or len(kinds) != len(weights) or not kinds:
            raise ValueError("format, kinds and weights do not fit")
        if min(weights) < 0 or not math.isclose(sum(weights), 1.0, abs_tol=1e-9):
            raise ValueError("weights do not sum to 1")
        members = tuple(_member(files, kind) for kind in kinds)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(f"{BLEND_FILE} cannot be used ({error!r})", remedy="register the model again") from error
    return Blend(members, weights)


def built(files: Mapping[str, bytes]) -> Model | Blend:
    """A version's model, of whatever kind, from its files; its canaries are proven. Raises ``ModelError``."""
    return blend_from(files) if BLEND_FILE in files else build(files)


def own_files(files: Mapping[str, bytes]) -> dict[str, Mapping[str, bytes]]:
    """The files of every model of a version by its kind: of a blend those of its members, else all under no name."""
    if BLEND_FILE not in files:
        return {"": files}
    return {kind: _of(files, kind) for kind in json.loads(files[BLEND_FILE])["kinds"]}


def _of(files: Mapping[str, bytes], kind: str) -> dict[str, bytes]:
    return {name.removeprefix(f"{kind}."): content for name, content in files.items() if name.startswith(f"{kind}.")}


def _member(files: Mapping[str, bytes], kind: str) -> FittedModel:
    own = _of(files, kind)
    build(own)
    spec = from_json(own[SPEC_FILE])
    if kind_of(spec) != kind:
        raise ValueError(f"the member {kind} is none")
    return FittedModel(own[WEIGHTS_FILE[kind]], spec, {})
