"""What a ruleset lacks although each of its files is correct: no way to approve a product, a card that nobody sets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date

from decision_service.errors import Problem
from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition
from decision_service.rulebook.rules import Rule
from decision_service.rulebook.ruleset import Ruleset
from decision_service.vocabulary import Outcome

PRODUCT = "product"


def incomplete(ruleset: Ruleset, *, on: date) -> Iterator[Problem]:
    """What keeps a ruleset from being used from a business date on; files by their path inside the folder."""
    rules = [rule for rule in ruleset.rules if rule.effective_to is None or rule.effective_to > on]
    for name in sorted(ruleset.products):
        if not any(name in _approved(rule, ruleset) for rule in rules):
            what = f"no rule in force from {on} on can approve the product {name}"
            yield Problem(f"products/{name}.yaml", 1, what, "add a decision rule with outcome: APPROVE")
    for fact in ruleset.catalogue.settable:
        if not any(name == fact.name for rule in rules for name, _ in rule.sets):
            what = f"no rule in force from {on} on sets '{fact.name}', so it would keep its default for everyone"
            yield Problem("facts.yaml", line_of(ruleset.sources, "facts.yaml", fact.name), what, "restore its rules")


def line_of(sources: Mapping[str, str], path: str, name: str) -> int:
    """The line of a file on which something of this name is declared; 1 when none is found."""
    declared = re.compile(rf"\bname: *[\"']?{re.escape(name)}\b")
    lines = sources.get(path, "").splitlines()
    return next((number for number, line in enumerate(lines, start=1) if declared.search(line)), 1)


def _approved(rule: Rule, ruleset: Ruleset) -> frozenset[str]:
    """The products that a rule may approve."""
    every = frozenset(ruleset.products)
    return _admitted(rule.when, every) if rule.outcome is Outcome.APPROVE else frozenset()


def _admitted(condition: Condition, every: frozenset[str]) -> frozenset[str]:
    """The products for which a condition may be true, by what it says of the product alone."""
    if isinstance(condition, AllOf):
        return every.intersection(*(_admitted(part, every) for part in condition.parts))
    if isinstance(condition, AnyOf):
        return frozenset().union(*(_admitted(part, every) for part in condition.parts))
    if not isinstance(condition, Comparison) or condition.fact != PRODUCT:
        return every
    operand = condition.operand
    if condition.operator == "in" and isinstance(operand, tuple):
        return every & frozenset(map(str, operand))
    if isinstance(operand, str) and condition.operator in ("==", "!="):
        return every & {operand} if condition.operator == "==" else every - {operand}
    return every
