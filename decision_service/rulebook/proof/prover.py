"""Proves a claim for all inputs or finds an application that breaks it, and really does when it is evaluated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from decision_service.rulebook.cases import Evaluate
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.invariants import Invariant
from decision_service.rulebook.proof.applications import Application, distance, nearer
from decision_service.rulebook.proof.claims import Claims
from decision_service.rulebook.proof.limit_terms import LimitFunction
from decision_service.rulebook.proof.search import Found, Question, search
from decision_service.rulebook.ruleset import RulesInForce

SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim on one day.

    ``proven``, or broken by ``application`` (and ``other``, where a claim compares two), or neither: ``doubt`` says
    why, and doubt is no proof. ``base`` names the familiar application that ``application`` was brought near.
    """

    invariant: Invariant
    rules: RulesInForce
    proven: bool
    seconds: float
    application: Application | None = None
    other: Application | None = None
    base: str = ""
    doubt: str = ""
    against: RulesInForce | None = None


class Prover:
    """Proves claims about one ruleset on one day. ``evaluate`` is the reference; ``limit`` the limit's formula.

    ``bases`` are familiar applications by name, near which counterexamples are looked for; after ``seconds`` a claim is
    undecided. ``base`` is the prover of the rules that an overlay was laid over.
    """

    def __init__(
        self,
        rules: RulesInForce,
        *,
        evaluate: Evaluate,
        limit: LimitFunction,
        bases: Mapping[str, Application] = MappingProxyType({}),
        seconds: float = SECONDS,
        base: "Prover | None" = None,
    ) -> None:
        self.rules = rules
        self._base = base
        below = None if base is None else base._claims
        self._claims: Claims = Claims(rules, evaluate=evaluate, limit=limit, base=below)
        self._bases = bases
        self._seconds = seconds

    def follows(self, invariant: Invariant) -> Verdict | None:
        """The proof of a claim that holds for the base and cannot be broken by an overlay that never loosens it."""
        began = time.perf_counter()
        if self._base is None or not self._claims.follows(invariant, self._base.rules):
            return None
        return Verdict(invariant, self.rules, True, time.perf_counter() - began)

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
    ) -> tuple[Application, Application, str]:
        """Both applications brought near the base from which the fewest facts differ; what sets them apart is kept."""
        apart = _fewest(_Apart.between(one, other), lambda apart: question.fails(one, apart.other(one)))

        def fails(near: Application) -> bool:
            first = apart.first(near)
            return question.fails(first, apart.other(first))

        start, catalogue = apart.first(one), self.rules.catalogue
        found = [(name, nearer(start, base, fails, catalogue)) for name, base in self._bases.items()]
        name, best = min(found, key=lambda near: distance(near[1], self._bases[near[0]]), default=("", one))
        first = apart.first(best)
        return first, apart.other(first), name


@dataclass(frozen=True, slots=True)
class _Apart:
    """What sets two applications apart: values of facts before and after, and what is hidden after."""

    before: Mapping[str, Exact | None]
    after: Mapping[str, Exact | None]
    hidden: frozenset[str]

    @classmethod
    def between(cls, one: Application, other: Application) -> "_Apart":
        after = {name: value for name, value in other.values.items() if one.values.get(name) != value}
        return cls({name: one.values.get(name) for name in after}, after, other.hidden)

    def first(self, near: Application) -> Application:
        return replace(near, values={**near.values, **self.before})

    def other(self, first: Application) -> Application:
        return replace(first, values={**first.values, **self.after}, hidden=self.hidden)

    def without(self, name: str) -> "_Apart":
        before, after = ({key: one[key] for key in one if key != name} for one in (self.before, self.after))
        return _Apart(before, after, self.hidden - {name})


def _fewest(apart: _Apart, fails: Callable[[_Apart], bool]) -> _Apart:
    """Only what must set the two apart for the claim to fail."""
    for name in (*apart.after, *sorted(apart.hidden)):
        if fails(fewer := apart.without(name)):
            apart = fewer
    return apart
