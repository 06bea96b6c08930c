"""What differs between two versions and no proof about facts covers: how facts come about, and which are admitted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from decision_service.portrait.registry import Registry
from decision_service.rulebook.regions import differently_admitted
from decision_service.rulebook.ruleset import Ruleset
from decision_service.workbench.changes import Change

MODELS = ("xgboost", "lstm", "scorecard", "single_model_blend")
WEIGHTS = ("weight_xgb", "weight_lstm")
SEASONS = ("seasonality", "peak_months")

_WHY: Mapping[str, Mapping[str, str]] = {
    "portrait": {
        "zh": "画像按此文件由记录得出事实；此处只比较事实相同的申请",
        "en": "the portrait makes facts of records by this file; compared are applications with the same facts",
    },
    "scoring": {
        "zh": "违约概率由此算得；此处只比较违约概率相同的申请",
        "en": "probabilities of default come from this; compared are applications with the same ones",
    },
    "admitted": {
        "zh": "取值范围不同；此处只比较两个版本都接受的申请",
        "en": "its range or choices differ; compared are applications that both versions admit",
    },
}


@dataclass(frozen=True, slots=True)
class Beyond:
    """A file, parameter or fact that differs; ``why`` says in zh and en what of it was not compared."""

    name: str
    why: Mapping[str, str]


def beyond(old: Ruleset, new: Ruleset, found: Iterable[Change]) -> tuple[Beyond, ...]:
    """All of it, each thing once; ``found`` is what the files say differently."""
    found = tuple(found)
    industries = any(change.kind == "industry" for change in found)
    scoring = _scoring_points(old) | _scoring_points(new) if industries else frozenset()
    reasons: dict[str, str] = {}
    for change in found:
        if change.kind == "portrait":
            reasons[change.name] = "portrait"
        elif change.kind == "product" and change.how == "changed" and any(one.name in MODELS for one in change.parts):
            reasons[f"models of {change.name}"] = "scoring"
        elif change.kind in ("industry", "parameter"):
            reasons |= {name: why for name, why in _of_parameters(change, scoring)}
    reasons |= dict.fromkeys(differently_admitted(old.catalogue, new.catalogue), "admitted")
    return tuple(Beyond(name, _WHY[why]) for name, why in reasons.items())


def _of_parameters(change: Change, scoring: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Parameters that the portrait or the blending of the models reads."""
    if change.kind == "parameter":
        name = change.name.partition(" ")[0]
        if name.rpartition(".")[2] in WEIGHTS:
            yield change.name, "scoring"
        return
    for column in dict.fromkeys(part.name.partition(" ")[0] for part in change.parts):
        name = f"industry.{column}"
        if column in WEIGHTS:
            yield f"{name} of {change.name}", "scoring"
        elif column in SEASONS or name in scoring:
            yield f"{name} of {change.name}", "portrait"


def _scoring_points(ruleset: Ruleset) -> frozenset[str]:
    """The industry parameters by which the portrait scores an indicator."""
    specs = Registry.from_csv(ruleset.indicators).specs
    points = (point for spec in specs for point in (spec.score0, spec.score100) if point is not None)
    return frozenset(point.fact for point in points if point.fact is not None)
