"""Proves a claim for all inputs or finds an application that breaks it, and really does when it is evaluated."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from decision_service.rulebook.cases import Evaluate
from decision_service.rulebook.invariants import Invariant
from decision_service.rulebook.proof.applications import Application, nearer
from decision_service.rulebook.proof.claims import Claims
from decision_service.rulebook.proof.search import Found, Question, search
from decision_service.rulebook.proof.world import LimitFunction
from decision_service.rulebook.ruleset import RulesInForce

SECONDS = 60.0
"""After so long a claim counts as undecided."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim on one day.

    ``proven``, or broken by ``application`` (and ``other``, where a claim compares two), or neither: ``doubt`` says
    why, and doubt is no proof. ``base`` is the familiar application that ``application`` was brought near.
    """

    invariant: Invariant
    rules: RulesInForce
    proven: bool
    seconds: float
    application: Application | None = None
    other: Application | None = None
    base: Application | None = None
    doubt: str = ""
    against: RulesInForce | None = None


class Prover:
    """Proves claims about one ruleset on one day. ``evaluate`` is the reference; ``limit`` the limit's formula.

    ``bases`` are familiar applications, near which counterexamples are looked for.
    """

    def __init__(
        self,
        rules: RulesInForce,
        *,
        evaluate: Evaluate,
        limit: LimitFunction,
        bases: Iterable[Application] = (),
        seconds: float = SECONDS,
    ) -> None:
        self.rules = rules
        self._claims = Claims(rules, evaluate=evaluate, limit=limit)
        self._bases = tuple(bases)
        self._seconds = seconds

    def prove(self, invariant: Invariant, *, against: RulesInForce | None = None) -> Verdict:
        """Prove one claim; ``against`` is the overlay's rules where the claim is about an overlay."""
        began, until = time.perf_counter(), time.monotonic() + self._seconds
        question = self._claims.question(invariant, against=against, until=until)
        verdict = self._verdict(invariant, search(question), question)
        return replace(verdict, seconds=time.perf_counter() - began, against=against)

    def _verdict(self, invariant: Invariant, found: Found, question: Question) -> Verdict:
        if found.pair is None:
            return Verdict(invariant, self.rules, found.none, 0.0, doubt=found.doubt)
        one, other, base = self._familiar(*found.pair, question)
        return Verdict(invariant, self.rules, False, 0.0, one, None if one == other else other, base)

    def _familiar(
        self, one: Application, other: Application, question: Question
    ) -> tuple[Application, Application, Application | None]:
        """Both applications brought near the base from which the fewest facts differ; what sets them apart is kept."""
        apart = {name: value for name, value in other.values.items() if one.values.get(name) != value}
        kept = {name: one.values[name] for name in apart}
        hidden = other.hidden

        def pair(near: Application) -> tuple[Application, Application]:
            first = replace(near, values={**near.values, **kept})
            return first, replace(first, values={**first.values, **apart}, hidden=hidden)

        found = [(nearer(one, base, lambda near: question.fails(*pair(near))), base) for base in self._bases]
        if not found:
            return *pair(one), None
        best, base = min(found, key=lambda near: _distance(*near))
        return *pair(best), base


def _distance(one: Application, other: Application) -> int:
    names = {*one.values, *other.values}
    return sum(one.values.get(name) != other.values.get(name) for name in names)
