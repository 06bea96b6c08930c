"""Searches all inputs for an application: cheaply first, with the limit's whole formula only where it is needed."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import z3

from decision_service.rulebook.proof.applications import Application, application_of
from decision_service.rulebook.proof.inputs import LIMIT
from decision_service.rulebook.proof.symbols import TRUE, Symbol
from decision_service.rulebook.proof.world import World

TIMEOUT_MS = 20_000
PLAIN_MS = 2_000

Pair = tuple[Application, Application]


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for: ``wanted`` over the worlds, and ``fails``, which says of what was found whether it is so.

    The first two worlds are those of the applications found; where only one is looked for, both may be the same.
    Further worlds see the same inputs. ``related`` is how the facts of two differ. ``until`` is the moment of
    ``time.monotonic`` at which the search gives up.
    """

    worlds: tuple[World, ...]
    wanted: z3.BoolRef
    fails: Callable[[Application, Application], bool]
    related: z3.BoolRef = TRUE
    until: float = math.inf

    @property
    def milliseconds(self) -> int:
        """How long Z3 may think about the next step; none are left at zero."""
        return max(0, int(min(TIMEOUT_MS, 1000 * (self.until - time.monotonic()))))


@dataclass(frozen=True, slots=True)
class Found:
    """A pair of applications; or ``none`` for all inputs; or neither, and ``doubt`` says why."""

    none: bool = False
    pair: Pair | None = None
    doubt: str = ""


def search(question: Question) -> Found:
    """Look for what a question wants.

    First the limit may be anything; then anything that is no higher where bound, cap and factor are no higher; then it
    comes from a bound that may be anything, or from two bounds of which one is proven to be the lower; then from its
    formula, for those groups of industries with the same parameters, one after another, that are left. What the looser
    search excludes is excluded.
    """
    order = _by_order(question)
    apart = len(order) > len({*question.worlds})
    if not apart and _check(question)[0] == z3.unsat or _check(question, *order)[0] == z3.unsat:
        return Found(none=True)
    loose = [*(world.limit_from_bound() for world in question.worlds), *order]
    answer, model = _check(question, *loose)
    if answer == z3.unsat:
        return Found(none=True)
    if model is not None and (pair := _realised(question, model)) is not None:
        return Found(pair=pair)
    return _by_industry(question, [*loose, *_ordered_bounds(question)])


def _by_order(question: Question) -> list[z3.BoolRef]:
    """What is known of the limits without their arithmetic, by which solvers are slow."""
    worlds = list(dict.fromkeys(question.worlds))
    apart = [(one, other) for one, other in itertools.permutations(worlds, 2) if not one.alike(other).fact(LIMIT)]
    return [*(world.limit_by_order() for world in worlds), *(one.limit_at_most(other) for one, other in apart)]


def _check(question: Question, *also: z3.BoolRef) -> tuple[z3.CheckSatResult, z3.ModelRef | None]:
    return _solve(question, question.related, question.wanted, *also)


def _solve(question: Question, *wanted: z3.BoolRef) -> tuple[z3.CheckSatResult, z3.ModelRef | None]:
    """By the plain solver, which is fast where little arithmetic is left; if that takes long, by the one for integers.

    Each is a fresh one: Z3 is much faster on a whole problem of this kind than on one that grows.
    """
    answer: z3.CheckSatResult = z3.unknown
    for solver, most in ((z3.SimpleSolver(), PLAIN_MS), (z3.SolverFor("QF_LIA"), TIMEOUT_MS)):
        if (milliseconds := min(most, question.milliseconds)) == 0:
            break
        solver.set("timeout", milliseconds)
        solver.add(*wanted)
        for world in question.worlds:
            solver.add(world.inputs.constraints)  # last: building terms reads further inputs
        answer = solver.check()
        if answer != z3.unknown:
            break
    return answer, solver.model() if answer == z3.sat else None


def _realised(question: Question, model: z3.ModelRef) -> Pair | None:
    """The pair of a model, with the facts behind its bound worked out; ``None`` if there are none."""
    pair = _pair(model, question)
    if question.fails(*pair):
        return pair
    place = model.eval(question.worlds[0].inputs.industry, model_completion=True).as_long()
    fixed = [one for world in question.worlds for one in _fixed(model, world)]
    full = [world.limit_in_full(place) for world in question.worlds]
    _, found = _check(question, *fixed, *full)
    if found is None:
        return None
    pair = _pair(found, question)
    return pair if question.fails(*pair) else None


def _fixed(model: z3.ModelRef, world: World) -> Iterator[z3.BoolRef]:
    """All inputs as in a model, but for those from which only the limit is computed."""
    yield world.inputs.industry == model.eval(world.inputs.industry, model_completion=True)
    for name in world.inputs.names():
        symbol = world.inputs.symbol(name)
        if name not in world.limit_reads:
            yield symbol.value == model.eval(symbol.value, model_completion=True)
            yield symbol.known == model.eval(symbol.known, model_completion=True)


def _ordered_bounds(question: Question) -> Iterator[z3.BoolRef]:
    """That one application's own bound is never above the other's, where that is proven for every industry."""
    one, other = question.worlds[:2]
    if one.bound_symbol.value.eq(other.bound_symbol.value):
        return
    key = other, question.related
    if key not in one.settled:
        one.settled[key] = next((pair for pair in ((other, one), (one, other)) if _ordered(question, *pair)), None)
    if (pair := one.settled[key]) is not None:
        yield _at_most(*(world.bound_symbol for world in pair))


def _ordered(question: Question, lower: World, upper: World) -> bool:
    return all(_never_above(question, places[0], lower, upper) for places in _groups(question).values())


def _never_above(question: Question, place: int, lower: World, upper: World) -> bool:
    here = lower.inputs.industry == place
    broken = z3.Not(_at_most(lower.bound_in_full(place), upper.bound_in_full(place)))
    return _solve(question, question.related, here, broken)[0] == z3.unsat


def _at_most(one: Symbol, other: Symbol) -> z3.BoolRef:
    """A bound that is unknown allows nothing, one below zero no more than zero."""
    lower = z3.And(other.known, z3.Or(one.value <= 0, one.value <= other.value))
    return z3.Implies(one.known, lower)


def _groups(question: Question) -> dict[tuple[object, ...], list[int]]:
    """The places of industries by the parameters that the limit's formula reads."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place in range(-1, len(question.worlds[0].inputs.codes)):
        groups.setdefault(tuple(world.limit_row(place) for world in question.worlds), []).append(place)
    return groups


def _by_industry(question: Question, loose: list[z3.BoolRef]) -> Found:
    """By the whole formula wherever the looser search still finds something."""
    left, industry = list(_groups(question).values()), question.worlds[0].inputs.industry
    while left:
        answer, model = _check(question, *loose, _one_of(industry, itertools.chain.from_iterable(left)))
        if model is None:
            return Found(none=True) if answer == z3.unsat else _undecided()
        place = model.eval(industry, model_completion=True).as_long()
        places = next(group for group in left if place in group)
        left.remove(places)
        full = [world.limit_in_full(place) for world in question.worlds]
        answer, model = _check(question, *full, _one_of(industry, places))
        if answer == z3.unknown:
            return _undecided()
        if model is not None:
            pair = _pair(model, question)
            agrees = question.fails(*pair)
            return Found(pair=pair) if agrees else Found(doubt="the application found is none when it is evaluated")
    return Found(none=True)


def _one_of(industry: z3.ArithRef, places: Iterable[int]) -> z3.BoolRef:
    return z3.Or([industry == place for place in places])


def _undecided() -> Found:
    return Found(doubt="Z3 gave no answer in time")


def _pair(model: z3.ModelRef, question: Question) -> Pair:
    one, other = (application_of(model, world.inputs, world.rules) for world in question.worlds[:2])
    return one, other
