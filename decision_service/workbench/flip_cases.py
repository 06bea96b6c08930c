"""Flips between two versions as cases that expect what the new one gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from decision_service.rulebook.case_file import CONDITIONS, SPREAD, Case, Expectation
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.difference import Flip
from decision_service.workbench.application_cases import case_of
from decision_service.workbench.difference import Compared, Stretch

HEAD = """\
# Written by `decision-service rules diff`: applications that version {version} decides otherwise than the one before.
# They expect what {version} gives. Read each one; where that is not what is meant, correct the rules, not the case.
cases:
"""
COMMENT = "  # to be confirmed by a person: expects what the new version gives"


def flip_cases(compared: Compared, *, on: date, bases: Mapping[str, Application]) -> tuple[Case, ...]:
    """A case per flip, each application once and on its first day; ``on`` is the day of the comparison.

    Left out are flips that a case cannot say, because it cannot give the facts concerned.
    """
    found: dict[object, Case] = {}
    names: set[str] = set()
    for stretch in compared.stretches:
        for flip in stretch.flips:
            case = _case(compared, stretch, flip, on=on, bases=bases)
            key = None if case is None else (case.base, case.industry, case.client, str(case.facts), str(case.expect))
            if case is not None and key not in found:
                found[key] = _named(case, flip, names)
    return tuple(found.values())


def _case(
    compared: Compared, stretch: Stretch, flip: Flip, *, on: date, bases: Mapping[str, Application]
) -> Case | None:
    rules = compared.new.in_force(stretch.begins, stretch.client)
    return case_of(flip.application, rules, as_of=on, expect=_expectation(flip), base=flip.base, bases=bases)


def _expectation(flip: Flip) -> Expectation:
    after = flip.after
    codes = frozenset(one.code for one in after.reasons)
    others = {"reasons": codes, "card": after.card, "whitelisted": after.whitelisted, "limit": after.limit}
    spread, conditions = after.effects.rate_spread_bp, after.effects.conditions
    terms: dict[str, Any] = {SPREAD: Decimal(spread)} if spread or flip.aspect.name == SPREAD else {}
    terms |= {CONDITIONS: frozenset(conditions)} if conditions or flip.aspect.name == CONDITIONS else {}
    return Expectation(after.outcome, {**others, **terms})


def _named(case: Case, flip: Flip, names: set[str]) -> Case:
    by = ", ".join(str(region) for region in flip.regions) or "several changes"
    number, name = 1, f"{flip.aspect} by {by}"
    while name in names:
        number += 1
        name = f"{flip.aspect} by {by} ({number})"
    names.add(name)
    return replace(case, name=name)
