"""Overlays: what one client's own rule files add to the base, or put in its place, for that client alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from decision_service.rulebook.parameters import ParameterTable
from decision_service.rulebook.rules import ReasonCode, Rule

OVERLAYS = "overlays"
"""The folder inside a ruleset that holds one folder per client, named by the client's id."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A client's own rules, reason codes and rows of ``policy.*``.

    On a day on which one of its rules or rows is in force it stands in the place of the base's of the same id or name;
    on every other day the base's own holds.
    """

    client: str
    rules: tuple[Rule, ...] = ()
    reasons: Mapping[str, ReasonCode] = field(default_factory=dict)
    policy: ParameterTable = ParameterTable()

    def rules_over(self, base: Iterable[Rule], on: date) -> Iterator[Rule]:
        """The rules in force for the client on a business date."""
        own = {rule.id: rule for rule in self.rules if rule.in_force(on)}
        yield from own.values()
        yield from (rule for rule in base if rule.in_force(on) and rule.id not in own)


NO_OVERLAY = Overlay("")
"""What a client without an overlay has: the base as it is."""
