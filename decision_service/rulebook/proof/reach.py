"""Whether any application shows what is wished of some conditions: one that does, or the proof that none can."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import z3

from decision_service.rulebook.conditions import Comparison, Condition, FactName
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.search import Found, Question, search
from decision_service.rulebook.proof.symbols import literal
from decision_service.rulebook.proof.world import World


@dataclass(frozen=True, slots=True)
class Wish:
    """A truth wished of a condition; of an ordered comparison also how many units its left side is above its right."""

    condition: Condition
    truth: bool | None
    units: int | None = None


def reach(world: World, wishes: Iterable[Wish], *, shows: Callable[[Application], bool]) -> Found:
    """An application with all that is wished, or the proof that there is none under the parameters in force.

    ``shows`` says by the reference evaluator whether one that was found is one.
    """
    wanted = z3.And([_term(world, wish) for wish in wishes])
    return search(Question((world, world), wanted, lambda one, _: shows(one)))


def _term(world: World, wish: Wish) -> z3.BoolRef:
    truth = world.truth(wish.condition)
    term = truth.unknown if wish.truth is None else truth.yes if wish.truth else truth.no
    if wish.units is None or not isinstance(wish.condition, Comparison):
        return term
    one = wish.condition
    left = world.fact(one.fact).value
    if isinstance(one.operand, FactName):
        right = world.fact(one.operand.name).value
    else:
        assert not isinstance(one.operand, tuple), "a list has no boundary"
        right = literal(world.rules.catalogue[one.fact], one.operand)
    return z3.And(term, left == right + wish.units)
