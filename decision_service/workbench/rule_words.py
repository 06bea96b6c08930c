"""Conditions and exact numbers as text, in the rule language and by the facts' declarations."""

from __future__ import annotations

from decision_service.rulebook.conditions import AllOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.invariants import OUTCOME

_NUMBERS = {kind.value: FactCatalogue([Fact(kind.value, kind)]) for kind in FactType}


def exact_text(kind: str, exact: int) -> str:
    """An exact number of a type (``money``, ``ratio`` …) as people read it."""
    return _NUMBERS[kind].text(kind, exact)


def condition_text(condition: Condition, catalogue: FactCatalogue) -> str:
    """A condition in one line, however it was written; every number in full."""
    if isinstance(condition, Comparison):
        return f"{condition.fact} {condition.operator} {_operand(condition, catalogue)}"
    if isinstance(condition, Not):
        return f"not ({condition_text(condition.part, catalogue)})"
    word = " and " if isinstance(condition, AllOf) else " or "
    return word.join(_inside(part, catalogue) for part in condition.parts)


def _inside(condition: Condition, catalogue: FactCatalogue) -> str:
    text = condition_text(condition, catalogue)
    return text if isinstance(condition, (Comparison, Not)) else f"({text})"


def _operand(comparison: Comparison, catalogue: FactCatalogue) -> str:
    operand = comparison.operand
    if isinstance(operand, FactName):
        return operand.name
    if isinstance(operand, tuple):
        return f"[{', '.join(_literal(comparison.fact, one, catalogue) for one in operand)}]"
    return _literal(comparison.fact, operand, catalogue)


def _literal(name: str, exact: Exact, catalogue: FactCatalogue) -> str:
    if name == OUTCOME.name and name not in catalogue:
        return str(exact)
    if catalogue[name].type is FactType.FLAG:
        return "true" if exact else "false"
    text = catalogue.text(name, exact)
    return text.replace(",", "_") if catalogue[name].type is FactType.MONEY else text
