"""The days on which what is in force changes: between two of them a ruleset says the same every day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from decision_service.rulebook.parameters import ParameterRow
from decision_service.rulebook.rules import Rule
from decision_service.rulebook.ruleset import Ruleset


def change_days(ruleset: Ruleset, on: date) -> tuple[date, ...]:
    """``on``, then every later day on which a rule or a row begins or ends, of the base or of an overlay.

    In force from each of these days until the next, from the last one for ever, is the same.
    """
    later = {day for dated in _dated(ruleset) for day in (dated.effective_from, dated.effective_to) if day is not None}
    return (on, *sorted(day for day in later if day > on))


def _dated(ruleset: Ruleset) -> Iterator[Rule | ParameterRow]:
    yield from ruleset.every_rule()
    for table in (ruleset.industries, ruleset.product_parameters, ruleset.policy):
        yield from table.rows
    for overlay in ruleset.overlays.values():
        yield from overlay.policy.rows
