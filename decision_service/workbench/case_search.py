"""Finds cases that show a state of a comparison with as few changes as can be to the facts that cases start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from heapq import heappop, heappush
from itertools import islice

from decision_service.decide import Assessment, assess
from decision_service.policy import Engines, Policy, PolicyInForce, Verdict
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.cases import case_facts
from decision_service.rulebook.conditions import AllOf, Comparison, Condition, Exact, Not, comparisons
from decision_service.rulebook.coverage import MEMBER, OFFSETS, ComparisonCoverage, Probe
from decision_service.rulebook.evaluate import ReferenceEngine, Truth
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.workbench.moves import UNITS_OFF, Goal, Move, moves

MOST_ASSESSED = 1_500
"""How many cases are assessed for one state before the search gives up; half a second's work. A count, so that the same
cases and rules give the same answer on every machine."""
COMPARED = 40
"""How many cases that show the state are compared for what else they change."""
PARAMETER = 3
"""A change of a parameter weighs as much as so many others: a case should show the policy as it is."""
STRICTER_START = 3
"""So do a start that is referred and, twice, one that is declined: there the rule in question makes no difference."""


@dataclass(frozen=True, slots=True)
class Found:
    """A case that shows what was asked for, and what the reference engine makes of it."""

    case: Case
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a search has come: a case, what the rules say of it and of its start, how many goals it does not meet."""

    case: Case
    assessment: Assessment
    start: Assessment
    unmet: int


class ReferenceOnly(Engines):
    """The reference engine alone: a search asks thousands of times, and what it finds is assessed by both."""

    def __init__(self, rules: RulesInForce) -> None:
        self.reference = ReferenceEngine(rules)

    def evaluate(self, stage: Stage, facts: Facts) -> Verdict:
        """One stage."""
        return Verdict(self.reference.evaluate(stage, facts))


class CaseSearch:
    """Looks for cases near those that exist: their profiles as they are, then what they change themselves.

    Cases with records start nothing, because their facts come from the portrait.
    """

    def __init__(self, policy: Policy, cases: Iterable[Case]) -> None:
        self._policy = policy
        self._in_force_on: dict[tuple[date, str], PolicyInForce] = {}
        self._kept: dict[Hashable, Assessment] = {}
        cases = [case for case in cases if not case.records]
        self._usual = _first_known(cases)
        self.starts = [*self._contexts(cases), *(case for case in cases if case.facts)]

    def find(self, gap: ComparisonCoverage, state: str) -> Found | None:
        """The case that differs least from a profile and shows a state of a comparison.

        What differs is the facts of its own and the other rules that come out otherwise than where it started. One
        change more than the fewest is tried, too, because it may spare many rules.
        """
        probe = Probe(gap.rule, self._policy.ruleset.catalogue)
        for goals in goals_of(gap, state):
            found: list[tuple[int, Found]] = []
            for place in islice(self._nearest_first(goals, gap.rule), MOST_ASSESSED):
                if found and (len(place.case.facts) + place.unmet > len(found[0][1].case.facts) + 1):
                    break
                if not place.unmet and state in probe.shown(place.assessment.facts)[gap.place]:
                    found.append((self._difference(place, gap.rule), Found(place.case, place.assessment)))
                if len(found) == COMPARED:
                    break
            if found:
                return min(found, key=lambda one: one[0])[1]
        return None

    def _nearest_first(self, goals: tuple[Goal, ...], rule: Rule) -> Iterator["_Place"]:
        """Every case that may be reached, those first that have the fewest facts of their own and goals unmet."""
        seen: set[Hashable] = set()
        waiting: list[tuple[int, int, _Place]] = []

        def add(case: Case, start: Assessment | None) -> None:
            key = _context(case), frozenset(case.facts.items())
            if key not in seen:
                seen.add(key)
                assessment = self._assessed_start(case) if start is None else self.assessed(case)
                unmet = sum(not goal.met(assessment.facts) for goal in goals)
                place = _Place(case, assessment, start or assessment, unmet)
                heappush(waiting, (len(case.facts) + unmet, len(seen), place))

        for start in self.starts:
            add(in_force_for(start, rule), None)
        while waiting:
            _, _, place = heappop(waiting)
            yield place
            for name, value in self._moves(place, goals):
                add(replace(place.case, facts={**place.case.facts, name: value}), place.start)

    def _moves(self, place: "_Place", goals: tuple[Goal, ...]) -> Iterator[Move]:
        """Changes toward every goal that is not met: the order in which they are made may spare one."""
        facts = place.assessment.facts
        for goal in goals:
            if not goal.met(facts):
                yield from moves(goal, facts, self.rules(place.case), usual=self._usual)

    def _difference(self, place: "_Place", rule: Rule) -> int:
        before, after = place.start, place.assessment
        catalogue = self._policy.ruleset.catalogue
        changes = sum(PARAMETER if catalogue[name].source == "parameter" else 1 for name in place.case.facts)
        otherwise = {*before.matched} ^ {*after.matched} | {*before.unknown} ^ {*after.unknown}
        return changes + len(otherwise - {rule.id}) + STRICTER_START * before.outcome

    def assessed(self, case: Case) -> Assessment:
        """What the rules say of a case by the reference engine."""
        return self.assessed_facts(case_facts(case, self.rules(case)), case)

    def assessed_facts(self, facts: Facts, case: Case) -> Assessment:
        """What the rules that decide a case say of other facts."""
        return assess(self._in_force(case), facts)

    def rules(self, case: Case) -> RulesInForce:
        """The rules that decide a case."""
        return self._in_force(case).rules

    def _assessed_start(self, case: Case) -> Assessment:
        """The same, kept: every search begins with it."""
        key = _context(case), frozenset(case.facts.items())
        if key not in self._kept:
            self._kept[key] = self.assessed(case)
        return self._kept[key]

    def _in_force(self, case: Case) -> PolicyInForce:
        key = case.decided_by, case.client
        if key not in self._in_force_on:
            rules = self._policy.ruleset.in_force(*key)
            self._in_force_on[key] = PolicyInForce(rules, ReferenceOnly(rules))
        return self._in_force_on[key]

    def _contexts(self, cases: list[Case]) -> list[Case]:
        """Profile, industry and dates of the cases without their own facts: the mildest outcome, then the most used."""
        counts = Counter(_context(case) for case in cases)
        bare = {_context(case): replace(case, facts={}) for case in reversed(cases)}
        outcomes = {key: self.assessed(case).outcome for key, case in bare.items()}
        return [bare[key] for key in sorted(counts, key=lambda key: (outcomes[key], -counts[key]))]


def _context(case: Case) -> tuple[Hashable, ...]:
    return case.base, case.industry, case.as_of, case.policy_on, case.client


def _first_known(cases: Iterable[Case]) -> dict[str, Exact]:
    """By fact, the first value that a case or its profile gives."""
    usual: dict[str, Exact] = {}
    for case in cases:
        for name, value in (*case.profile.items(), *case.facts.items()):
            if value is not None:
                usual.setdefault(name, value)
    return usual


def in_force_for(case: Case, rule: Rule) -> Case:
    """The case, decided for the rule's client on a day on which the rule is in force: its own if it may be."""
    if rule.client:
        case = replace(case, client=rule.client)
    day = case.decided_by
    if rule.in_force(day):
        return case
    if day < rule.effective_from or rule.effective_to is None:
        return replace(case, policy_on=rule.effective_from)
    return replace(case, policy_on=rule.effective_to - timedelta(days=1))


def goals_of(gap: ComparisonCoverage, state: str) -> Iterator[tuple[Goal, ...]]:
    """What a case must reach to show a state; the comparison deciding its rule first, then, for a truth, masked."""
    truth, boundary = _wished(gap.comparison, state)
    own = Goal(gap.comparison, truth, boundary)
    yield *neutral(gap.rule.when, gap.place), own
    if state in ("true", "false", "unknown"):
        yield (own,)


def _wished(comparison: Comparison, state: str) -> tuple[Truth, str]:
    if state.startswith(MEMBER):
        return True, state
    if state in OFFSETS:
        return OFFSETS[state] in UNITS_OFF[comparison.operator, True], state
    wished: Mapping[str, Truth] = {"true": True, "decides_true": True, "unknown": None}
    return wished.get(state, False), ""


def neutral(condition: Condition, place: int) -> tuple[Goal, ...]:
    """What must hold of the rest of a condition so that the comparison at a place decides it."""
    if isinstance(condition, Comparison):
        return ()
    if isinstance(condition, Not):
        return neutral(condition.part, place)
    goals: list[Goal] = []
    for part in condition.parts:
        size = len(tuple(comparisons(part)))
        if 0 <= place < size:
            goals += neutral(part, place)
        else:
            goals.append(Goal(part, isinstance(condition, AllOf)))
        place -= size
    return tuple(goals)
