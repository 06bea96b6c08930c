"""What stood in the way of an approval, rule by rule, and which comparisons would have to come out differently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from decision_service.explain_view import TRUTH, View
from decision_service.rulebook.conditions import AllOf, Comparison, Condition, Not
from decision_service.rulebook.evaluate import RuleTrace, Values, truth_of
from decision_service.rulebook.rules import Rule, Stage
from decision_service.vocabulary import Outcome

SCOPE = "product"
"""What the application asks for is no obstacle: nobody is told to ask for something else."""


def changes(view: View) -> Iterator[dict[str, Any]]:
    """Every rule that declines or refers or might, and the approving rule that is nearest if none matched."""
    if view.assessment.outcome is Outcome.APPROVE:
        return
    decision = [(rule, trace) for rule, trace in view.traced(Stage.DECISION) if not view.withheld(rule)]
    approving = [pair for pair in decision if pair[0].outcome is Outcome.APPROVE and _in_scope(view, pair[0])]
    needed = frozenset(_said(one) for rule, _ in approving for one in _asked(rule.when))
    for rule, trace in decision:
        if rule.outcome is not Outcome.APPROVE and trace.truth is not False:
            yield _change(view, rule, trace, wanted=False, needed=needed)
    if approving and not any(trace.truth for _, trace in approving):
        facts = view.assessment.facts
        nearest = min(approving, key=lambda pair: (len(list(in_the_way(pair[0].when, facts))), pair[0].id))
        yield _change(view, *nearest, wanted=True, needed=frozenset())


def in_the_way(condition: Condition, facts: Values, *, wanted: bool = True) -> Iterator[tuple[Comparison, bool]]:
    """The comparisons that keep a condition from being what is wanted, each with what it would have to be itself."""
    if truth_of(condition, facts) is wanted:
        return
    if isinstance(condition, Comparison):
        yield condition, wanted
    elif isinstance(condition, Not):
        yield from in_the_way(condition.part, facts, wanted=not wanted)
    else:
        for part in condition.parts:
            yield from in_the_way(part, facts, wanted=wanted)


def _change(
    view: View, rule: Rule, trace: RuleTrace, *, wanted: bool, needed: frozenset[tuple[Any, ...]]
) -> dict[str, Any]:
    """What ``needed`` says an approval asks for itself: that it holds is no obstacle beside a real one."""
    obstacles = dict(in_the_way(rule.when, view.assessment.facts, wanted=wanted))
    real = {
        one for one, other in obstacles.items() if one.fact != SCOPE and (other or _said(one) not in needed)
    } or set(obstacles)
    return {
        "rule": rule.id,
        "title": rule.title.get(view.lang, rule.id),
        "now": TRUTH[trace.truth],
        "wanted": TRUTH[wanted],
        "comparisons": [
            {**seen, "wanted": TRUTH[obstacles[one]]} for one, seen in view.comparisons(rule, trace) if one in real
        ],
    }


def _in_scope(view: View, rule: Rule) -> bool:
    """Whether a rule that approves is meant for what the application asks for."""
    return all(one.fact != SCOPE for one, _ in in_the_way(rule.when, view.assessment.facts))


def _asked(condition: Condition) -> Iterator[Comparison]:
    """The comparisons that must all hold for a condition to hold."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, AllOf):
        for part in condition.parts:
            yield from _asked(part)


def _said(comparison: Comparison) -> tuple[Any, ...]:
    """What a comparison says, however it is written."""
    return comparison.fact, comparison.operator, comparison.operand
