"""What a condition reads in the end: the given facts, parameters and industry behind derived facts and the card."""

from __future__ import annotations

from collections.abc import Iterable

from decision_service.rulebook.conditions import facts_named
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce

PARAMETER, INDUSTRY, LENDING = "parameter", "industry_status", "lending"


class Reads:
    """By name, what lies behind each fact of one set of rules: itself, if it is given, a parameter or the limit."""

    def __init__(self, rules: RulesInForce) -> None:
        self._rules = rules
        self._behind: dict[str, frozenset[str]] = {}

    def behind(self, name: str) -> frozenset[str]:
        """The facts that determine a fact and are not computed from others."""
        if name not in self._behind:
            self._behind[name] = self._find(name)
        return self._behind[name]

    def of(self, names: Iterable[str]) -> frozenset[str]:
        """All that lies behind some facts."""
        return frozenset().union(*(self.behind(name) for name in names))

    def of_rule(self, rule: Rule) -> frozenset[str]:
        """All that lies behind a rule's condition and the facts that its effects name."""
        return self.of(named_by(rule))

    def given(self, names: Iterable[str]) -> frozenset[str]:
        """What an application brings of what lies behind some facts: no parameters, and not the limit."""
        return frozenset(name for name in self.of(names) if self.is_given(name))

    def judged(self, names: Iterable[str]) -> frozenset[str]:
        """What an application brings, and its industry where some facts ask for that itself."""
        return self.given(names) | (self.of(names) & {INDUSTRY})

    def is_given(self, name: str) -> bool:
        """Whether an application brings a fact itself."""
        return name != INDUSTRY and self._rules.catalogue[name].source not in (PARAMETER, LENDING)

    def _find(self, name: str) -> frozenset[str]:
        fact = self._rules.catalogue[name]
        if fact.derived is not None:
            return self.of(fact.derived.inputs)
        if fact.combine is not None:
            setting = [rule for rule in self._rules.rules(Stage.STATUS) if name in dict(rule.sets)]
            return frozenset().union(*(self.of(facts_named(rule.when)) for rule in setting))
        return frozenset((name,))


def named_by(rule: Rule) -> frozenset[str]:
    """The facts that a rule names, in its condition or as a cap or factor."""
    effects = rule.effects
    amounts = (effects.limit_cap, effects.limit_factor) if effects is not None else ()
    return facts_named(rule.when) | {one for one in amounts if isinstance(one, str)}
