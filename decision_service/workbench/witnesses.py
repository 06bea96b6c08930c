"""Applications that show a finding, told in people's words as near to a familiar one as can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from decision_service.rulebook.cases import Assessed
from decision_service.rulebook.proof.applications import Application, distance, nearer
from decision_service.workbench.lint_days import Day

Holds = Callable[[Assessed], bool]
Told = Mapping[str, tuple[str, ...]]

_AS = {"zh": "如案例档案 {base}，但：", "en": "as profile {base}, but with"}


class Witnesses:
    """Tells applications beside the familiar ones, by name."""

    def __init__(self, bases: Mapping[str, Application]) -> None:
        self._bases = bases

    def told(self, found: Application, day: Day, holds: Holds) -> Told:
        """The application with the fewest facts changed of which the same ``holds``: lines in zh and en."""
        rules = day.rules
        base, near = self._nearest(self._plain(found, day), day, holds)
        beside = None if base is None else self._bases[base]
        lines = {lang: tuple(near.told(rules.catalogue, lang, beside=beside)) for lang in _AS}
        if base is None:
            return lines
        return {lang: (_AS[lang].format(base=base), *lines[lang]) for lang in _AS}

    def _nearest(self, found: Application, day: Day, holds: Holds) -> tuple[str | None, Application]:
        def fails(one: Application) -> bool:
            return holds(day.analysis.assess(one))

        near = {
            name: moved
            for name, base in self._bases.items()
            if fails(moved := nearer(found, replace(base, on=found.on), fails, day.rules.catalogue))
        }
        if not near:
            return None, found
        best = min(near, key=lambda name: (distance(near[name], self._bases[name]), name))
        return best, near[best]

    @staticmethod
    def _plain(found: Application, day: Day) -> Application:
        """Without the parameters that stand in it as they are in force anyway, and without what nobody knows."""
        in_force = day.rules.parameters(str(found.values.get("product")), found.industry)
        values = {
            name: value
            for name, value in found.values.items()
            if value is not None and not (name in in_force and in_force[name] == value)
        }
        return replace(found, values=values)
