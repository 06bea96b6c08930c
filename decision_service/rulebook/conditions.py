"""Conditions: comparisons of a fact with a literal, a list or another fact, joined by and, or, not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Exact = int | str
"""A fact's exact value: fen, millionths, counts, days since 1970-01-01 and flags (0/1) are int; a choice is str."""


@dataclass(frozen=True, slots=True)
class FactName:
    """The right-hand side of a comparison that is another fact."""

    name: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """``fact operator operand``; with operator ``in`` the operand is a tuple of literals."""

    fact: str
    operator: str
    operand: Exact | FactName | tuple[Exact, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every part is; false when one part is false; else unknown."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when one part is; false when every part is false; else unknown."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True and false exchanged; unknown stays unknown."""

    part: "Condition"


Condition = Comparison | AllOf | AnyOf | Not


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Every comparison inside a condition, in the order written."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Not):
        yield from comparisons(condition.part)
    else:
        for part in condition.parts:
            yield from comparisons(part)


def facts_named(condition: Condition) -> frozenset[str]:
    """The names of all facts a condition reads."""
    names: set[str] = set()
    for comparison in comparisons(condition):
        names.add(comparison.fact)
        if isinstance(comparison.operand, FactName):
            names.add(comparison.operand.name)
    return frozenset(names)
