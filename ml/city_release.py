"""Puts the city's first champions in force, all at one moment; beside champions its models become challengers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from decision_service.scoring.registry import ModelRegistry, NoRegistry
from decision_service.vocabulary import Person
from ml.city_training import NAMES, Trained
from ml.promotion import CHALLENGER, CHAMPION, move

FIRST = "first champion of the synthetic city; no gate was asked"
BESIDE = "trained on the synthetic city beside a champion"
REPLACED = "replaced by train-city --replace; no gate was asked"
FIGURES = ("auc", "ks", "brier", "ece")


@dataclass(frozen=True, slots=True)
class Release:
    """Which of the trained models became champions, and which challengers of champions that stand."""

    champions: tuple[str, ...]
    challengers: tuple[str, ...]

    def alias(self, name: str) -> str:
        """What a model became."""
        return CHAMPION if name in self.champions else CHALLENGER


def champions(uri: str) -> dict[str, str]:
    """The city's models that have a champion, with its version. Raises ``ModelError``."""
    registry = ModelRegistry(uri)
    try:
        found = {name: registry.state(name, CHAMPION).version for name in NAMES}
    except NoRegistry:
        return {}
    return {name: version for name, version in found.items() if version is not None}


def release(trained: Sequence[Trained], *, uri: str, person: Person | None, replace: bool = False) -> Release:
    """Champions where there are none, or everywhere if they are to be replaced; else challengers.

    All champions move at one moment, and all challengers; person, why and figures are kept with the move. Raises
    ``Refused`` when somebody else promotes one of them at this moment, ``ModelError``.
    """
    standing = {} if replace else champions(uri)
    first = [one for one in trained if one.name not in standing]
    beside = [one for one in trained if one.name in standing]
    for group, alias, why in ((first, CHAMPION, REPLACED if replace else FIRST), (beside, CHALLENGER, BESIDE)):
        if group:
            members = {one.name: one.version for one in group}
            told = [(f"{one.name}: test firms", True, _figures(one)) for one in group]
            move(members, uri=uri, alias=alias, person=person, note=why, gates=told)
    return Release(tuple(one.name for one in first), tuple(one.name for one in beside))


def _figures(one: Trained) -> str:
    figures = ", ".join(f"{name} {one.metrics[name]}" for name in FIGURES if name in one.metrics)
    return f"{figures}; {one.tested} firms it never saw"
