"""What the rules say of facts by the reference evaluator alone: the meaning, without what online decisions need."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from decision_service.decide import Assessment, assess
from decision_service.policy import PolicyInForce, Verdict
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce

_READY: "WeakKeyDictionary[RulesInForce, PolicyInForce]" = WeakKeyDictionary()


class ReferenceAlone:
    """The reference evaluator in the place of both engines."""

    def __init__(self, rules: RulesInForce) -> None:
        self.reference = ReferenceEngine(rules)

    def evaluate(self, stage: Stage, facts: Facts) -> Verdict:
        """One stage; there is no second engine that could differ."""
        return Verdict(self.reference.evaluate(stage, facts))


def judge(rules: RulesInForce, facts: Facts) -> Assessment:
    """Stages status, limit and decision over facts; the rules are compiled once."""
    ready = _READY.get(rules)
    if ready is None:
        ready = _READY[rules] = PolicyInForce(rules, ReferenceAlone(rules))
    return assess(ready, facts)
