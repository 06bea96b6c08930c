"""Conditions over columns: SQL's three-valued logic is that of the rules, NULL is unknown."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import ibis
from ibis.common.deferred import const

from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.encoding import Fact, FactType

RULE = "rule "
"""Before a rule's id: the column that holds its truth."""
OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


def truth(condition: Condition) -> Any:
    """A condition as a column that is true, false or NULL."""
    if isinstance(condition, Comparison):
        return _compared(condition)
    if isinstance(condition, Not):
        return ~truth(condition.part)
    parts = [truth(part) for part in condition.parts]
    if isinstance(condition, AllOf):
        return reduce(operator.and_, parts) if parts else const(ibis.literal(True))
    assert isinstance(condition, AnyOf)
    return any_of(parts)


def any_of(parts: Iterable[Any]) -> Any:
    """True when one part is; false when every part is, or there is none; else NULL."""
    found = list(parts)
    return reduce(operator.or_, found) if found else const(ibis.literal(False))


def literal(value: Exact) -> Any:
    """An exact value."""
    return ibis.literal(value, type="string" if isinstance(value, str) else "int64")


def column_type(fact: Fact) -> str:
    """How a column of a fact is held."""
    return "string" if fact.type is FactType.CHOICE else "int64"


def unknown(fact: Fact) -> Any:
    """Unknown, in the column of a fact."""
    return ibis.null(column_type(fact))


def _compared(comparison: Comparison) -> Any:
    column, operand = ibis._[comparison.fact], comparison.operand
    if isinstance(operand, tuple):
        return column.isin([literal(value) for value in operand])
    other = ibis._[operand.name] if isinstance(operand, FactName) else literal(operand)
    return OPERATORS[comparison.operator](column, other)
