"""Suggests the cases that are missing: for each state of a comparison that no case shows, one, with today's result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from decision_service.decide import Assessment, assess
from decision_service.policy import Policy
from decision_service.rulebook.case_file import Case, Expectation
from decision_service.rulebook.cases import CaseReport, case_facts
from decision_service.rulebook.conditions import Comparison, FactName
from decision_service.rulebook.coverage import MEMBER, OFFSETS, ComparisonCoverage, Probe
from decision_service.rulebook.encoding import FactType
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import Stage
from decision_service.workbench.case_proof import Answer, CaseProof
from decision_service.workbench.case_search import CaseSearch

UNIT_WORDS: Mapping[FactType, str] = {
    FactType.MONEY: "one fen",
    FactType.RATIO: "one millionth",
    FactType.DAYS: "one day",
    FactType.DATE: "one day",
    FactType.COUNT: "one",
}


@dataclass(frozen=True, slots=True)
class Unfound:
    """States of a comparison for which no case was found, and why."""

    gap: ComparisonCoverage
    states: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Cases that close gaps, in the order of the rules' files, and the gaps that stay open."""

    cases: tuple[Case, ...]
    unfound: tuple[Unfound, ...]


def suggest(policy: Policy, report: CaseReport, gaps: Iterable[ComparisonCoverage] | None = None) -> Suggestions:
    """Cases for the gaps of a report, or for some of them; the same cases and rules always give the same."""
    return _Suggesting(policy, report).run(in_file_order(report.gaps) if gaps is None else gaps)


def in_file_order(gaps: Iterable[ComparisonCoverage]) -> list[ComparisonCoverage]:
    """Gaps by file and line of their rules."""
    return sorted(gaps, key=lambda gap: (gap.rule.file, gap.rule.line, gap.place))


class _Suggesting:
    """Goes through gaps; a case found for one often closes others, also of other rules."""

    def __init__(self, policy: Policy, report: CaseReport) -> None:
        self._policy = policy
        self._search = CaseSearch(policy, report.ran)
        self._proof = CaseProof(self._search)
        self._names = {case.name for case in report.ran}
        catalogue = policy.ruleset.catalogue
        self._probes = {rule.name: Probe(rule, catalogue) for rule in policy.ruleset.every_rule()}
        self._open = {(gap.rule.name, gap.place): list(gap.missing) for gap in report.gaps}

    def run(self, gaps: Iterable[ComparisonCoverage]) -> Suggestions:
        cases: list[Case] = []
        unfound: list[tuple[ComparisonCoverage, str, str]] = []
        for gap in gaps:
            for state in sorted(gap.missing, key=_boundaries_first):
                if state in self._still_open(gap):
                    answer = self._answer(gap, state)
                    cases += [answer.case] if answer.case is not None else []
                    unfound += [(gap, state, answer.why)] if answer.case is None else []
        left = [(gap, state, why) for gap, state, why in unfound if state in self._still_open(gap)]
        together = groupby(left, key=lambda one: (one[0].rule.name, one[0].place, one[2]))
        return Suggestions(tuple(cases), tuple(_unfound(list(states)) for _, states in together))

    def _still_open(self, gap: ComparisonCoverage) -> list[str]:
        return self._open[gap.rule.name, gap.place]

    def _answer(self, gap: ComparisonCoverage, state: str) -> Answer:
        """A case near others; failing that, any that all applications allow; failing that, why there is none."""
        found = self._search.find(gap, state)
        answer = Answer(found.case) if found is not None else self._proof.find(gap, state)
        return answer if answer.case is None else self._expecting(answer.case, gap, state)

    def _expecting(self, case: Case, gap: ComparisonCoverage, state: str) -> Answer:
        """The case with a name and what both engines say of it."""
        in_force = self._policy.on(case.decided_by, case.client)
        assessment = assess(in_force, case_facts(case, in_force.rules))
        if any(verdict.alarm for verdict in assessment.verdicts.values()):
            return Answer(why="the two engines differ on the case that shows it: mend that first")
        self._close(case, assessment)
        named = replace(
            case,
            name=self._unused(f"{gap.rule.name}: {sentence(gap.comparison, state, assessment.facts)}"),
            expect=expectation(assessment, gap.comparison if state == "unknown" else None),
            matches=(gap.rule.id,) if gap.rule.id in assessment.matched else (),
            misses=() if gap.rule.id in (*assessment.matched, *assessment.unknown) else (gap.rule.id,),
            file="",
            line=0,
        )
        return Answer(named)

    def _close(self, case: Case, assessment: Assessment) -> None:
        rules = self._policy.on(case.decided_by, case.client).rules
        for stage in Stage:
            for rule in rules.rules(stage):
                for place, shown in enumerate(self._probes[rule.name].shown(assessment.facts)):
                    still = self._open.get((rule.name, place), [])
                    still[:] = [state for state in still if state not in shown]

    def _unused(self, name: str) -> str:
        number, unused = 1, name
        while unused in self._names:
            number += 1
            unused = f"{name} ({number})"
        self._names.add(unused)
        return unused


def _unfound(states: list[tuple[ComparisonCoverage, str, str]]) -> Unfound:
    gap, _, why = states[0]
    return Unfound(gap, tuple(state for _, state, _ in states), why)


def _boundaries_first(state: str) -> int:
    """A case at a boundary also decides and has a truth; one that decides has a truth."""
    if state in OFFSETS or state.startswith(MEMBER):
        return 0
    return 1 if state.startswith("decides") else 2


def sentence(comparison: Comparison, state: str, facts: Facts) -> str:
    """What a case shows of a comparison, with the values on the right that it has there."""
    if state == "unknown":
        operand = comparison.operand
        own = isinstance(operand, FactName) and facts[comparison.fact] is not None
        return f"{operand.name if own and isinstance(operand, FactName) else comparison.fact} unknown"
    if state.startswith(MEMBER):
        return f"{comparison.fact} {state}"
    if state in OFFSETS:
        unit = UNIT_WORDS[facts.catalogue[comparison.fact].type]
        where = {"at": "exactly", "above": f"{unit} above", "below": f"{unit} below"}[state]
        return f"{comparison.fact} {where} {_right(comparison, facts)}"
    holds = str(state in ("true", "decides_true")).lower()
    return f"{comparison.text} is {holds}{' and decides' if state.startswith('decides') else ''}"


def _right(comparison: Comparison, facts: Facts) -> str:
    operand = comparison.operand
    if isinstance(operand, FactName):
        return f"{operand.name} ({facts.catalogue.text(operand.name, facts[operand.name])})"
    return facts.catalogue.text(comparison.fact, None if isinstance(operand, tuple) else operand)


def expectation(assessment: Assessment, unknown: Comparison | None = None) -> Expectation:
    """All that a case may expect, as the rules give it; ``unknown`` is a comparison that the case leaves open."""
    others = {
        "reasons": frozenset(one.code for one in assessment.reasons),
        "card": assessment.card,
        "whitelisted": assessment.whitelisted,
        "limit": assessment.limit,
    }
    named = {fact for one in assessment.reasons for fact in one.facts}
    missing = frozenset(_unknown_sides(unknown, assessment.facts) if unknown is not None else ()) & named
    return Expectation(assessment.outcome, {**others, **({"unknown": missing} if missing else {})})


def _unknown_sides(comparison: Comparison, facts: Facts) -> Iterator[str]:
    operand = comparison.operand
    names = (comparison.fact, operand.name) if isinstance(operand, FactName) else (comparison.fact,)
    yield from (name for name in names if facts[name] is None)
