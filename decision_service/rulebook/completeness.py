"""What a ruleset lacks although each of its files is correct: no way to approve a product, a card that nobody sets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date

from decision_service.errors import Problem
from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition
from decision_service.rulebook.overlays import Overlay
from decision_service.rulebook.rules import Rule
from decision_service.rulebook.ruleset import Ruleset
from decision_service.vocabulary import Outcome

PRODUCT = "product"


def incomplete(ruleset: Ruleset, *, on: date) -> Iterator[Problem]:
    """What keeps a ruleset from being used from a business date on; files by their path inside the folder."""
    rules = [rule for rule in ruleset.rules if _lasts(rule, on)]
    for name in _never_approved(rules, ruleset):
        what = f"no rule in force from {on} on can approve the product {name}"
        yield Problem(f"products/{name}.yaml", 1, what, "add a decision rule with outcome: APPROVE")
    for name in _never_set(rules, ruleset):
        what = f"no rule in force from {on} on sets '{name}', so it would keep its default for everyone"
        yield Problem("facts.yaml", line_of(ruleset.sources, "facts.yaml", name), what, "restore its rules")
    for overlay in ruleset.overlays.values():
        yield from _made_incomplete(rules, overlay, ruleset, on)


def _never_approved(rules: Collection[Rule], ruleset: Ruleset) -> list[str]:
    return [name for name in sorted(ruleset.products) if not approving(name, rules, ruleset)]


def approving(name: str, rules: Iterable[Rule], ruleset: Ruleset) -> list[Rule]:
    """The rules that may approve a product, by what they say of the product alone."""
    return [rule for rule in rules if name in _approved(rule, ruleset)]


def _never_set(rules: Collection[Rule], ruleset: Ruleset) -> list[str]:
    return [fact.name for fact in ruleset.catalogue.settable if not _setting(fact.name, rules)]


def _setting(name: str, rules: Collection[Rule]) -> list[Rule]:
    return [rule for rule in rules if name in dict(rule.sets)]


def _made_incomplete(
    rules: Collection[Rule], overlay: Overlay, ruleset: Ruleset, on: date
) -> Iterator[Problem]:
    """What a client lacks because its own rules stand in the place of those that gave it."""
    replaced = {rule.id: own for rule in rules for own in overlay.rules if _covers(own, rule, on)}
    left = [*(own for own in overlay.rules if _lasts(own, on)), *(rule for rule in rules if rule.id not in replaced)]
    products, facts = _never_approved(left, ruleset), _never_set(left, ruleset)
    gone = {f"can approve the product {name}": approving(name, rules, ruleset) for name in products}
    gone |= {f"sets '{name}'": _setting(name, rules) for name in facts}
    for does, doing in gone.items():
        for own in (replaced[rule.id] for rule in doing):  # all are replaced, or one would be among those left
            what = f"rule {own.id} replaces one that {does}, and for {overlay.client} none in force from {on} on does"
            yield Problem(own.file, own.line, what, "let it do so too; add what else there is under a new id")


def _lasts(rule: Rule, on: date) -> bool:
    return rule.effective_to is None or rule.effective_to > on


def _covers(own: Rule, rule: Rule, on: date) -> bool:
    """Whether a client's rule stands in a rule's place on every day from a date on."""
    begins = own.effective_from <= max(rule.effective_from, on)
    ends = own.effective_to is None or (rule.effective_to is not None and rule.effective_to <= own.effective_to)
    return own.id == rule.id and begins and ends


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
