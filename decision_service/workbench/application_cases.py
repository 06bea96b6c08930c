"""Applications as cases: what a proof or a comparison has found becomes a sentence that tests the rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from decision_service.rulebook.case_file import Case, Expectation
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.workbench.moves import admits


def case_of(
    application: Application,
    rules: RulesInForce,
    *,
    as_of: date,
    expect: Expectation,
    name: str = "",
    base: str = "",
    bases: Mapping[str, Application],
) -> Case | None:
    """A case in which ``rules`` see this application; ``None`` if the facts of a case cannot say it.

    ``base`` names the one of ``bases``, the profiles by name, from which the fewest facts differ.
    """
    given = bases[base].values if base in bases else {}
    values: dict[str, Exact | None] = {**application.values, **dict.fromkeys(application.hidden)}
    facts = {fact: value for fact, value in values.items() if fact in rules.catalogue}
    facts = {fact: value for fact, value in facts.items() if fact not in given or given[fact] != value}
    if not all(admits(rules.catalogue[fact], value) for fact, value in facts.items()):
        return None
    return Case(
        name=name,
        as_of=as_of,
        policy_on=rules.on if rules.on != as_of else None,
        client=rules.client,
        base=base or None,
        industry=application.industry or _unlisted(rules),
        facts=facts,
        expect=expect,
    )


def _unlisted(rules: RulesInForce) -> str | None:
    """A code that no file knows, for an application without a known industry."""
    codes = (f"{number:02d}" for number in range(100))
    return next((code for code in codes if rules.industry_status(code) == "unknown"), None)
