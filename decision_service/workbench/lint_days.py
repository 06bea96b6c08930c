"""The sets of rules that lint asks about: for everybody and for each client, on every day from which it differs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from decision_service.rulebook.cases import Evaluate
from decision_service.rulebook.proof.analysis import Analysis
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.limit_terms import LimitFunction
from decision_service.rulebook.proof.redundancy import Idle, idle_parts
from decision_service.rulebook.reads import named_by
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from decision_service.rulebook.stretches import change_days
from decision_service.vocabulary import Outcome


@dataclass(frozen=True, slots=True)
class Asking:
    """What lint asks about: a ruleset from a day on, the reference evaluator, the limit's formula.

    ``applications`` are tried before anything is proven, by client, ``""`` for everybody: what one of them shows needs
    no proof.
    """

    ruleset: Ruleset
    on: date
    evaluate: Evaluate
    limit: LimitFunction
    applications: Mapping[str, tuple[Application, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one application that was tried: ids of rules that match and that are unknown."""

    application: Application
    matched: frozenset[str]
    unknown: frozenset[str]
    approved: bool


class Day:
    """What is in force from one day until the next that differs; answers about a rule are kept."""

    def __init__(self, rules: RulesInForce, asking: Asking) -> None:
        self.rules = rules
        self.by_name = {rule.name: rule for stage in Stage for rule in rules.rules(stage)}
        self._asking = asking
        self._reachable: dict[str, bool] = {}
        self._idle: dict[str, tuple[Idle, ...]] = {}

    @cached_property
    def analysis(self) -> Analysis:
        """The questions about these rules."""
        return Analysis(self.rules, evaluate=self._asking.evaluate, limit=self._asking.limit)

    @cached_property
    def seen(self) -> tuple[Seen, ...]:
        """The applications that were tried."""
        tried = self._asking.applications.get(self.rules.client, ())
        found = ((one, self._asking.evaluate(self.rules, one.facts(self.rules))) for one in tried)
        return tuple(
            Seen(one, frozenset(made.matched), frozenset(made.unknown), made.outcome is Outcome.APPROVE)
            for one, made in found
        )

    def reachable(self, rule: Rule) -> bool:
        """Whether some application makes a rule match."""
        if rule.name not in self._reachable:
            shown = any(rule.id in one.matched for one in self.seen)
            self._reachable[rule.name] = shown or self.analysis.reachable(rule)
        return self._reachable[rule.name]

    def implies(self, one: Rule, other: Rule, *, unknown: bool) -> bool:
        """Whether a rule matches wherever one does and, with ``unknown``, is not false where that one is unknown."""
        for seen in self.seen:
            if one.id in seen.matched and other.id not in seen.matched:
                return False
            if unknown and one.id in seen.unknown and other.id not in seen.unknown | seen.matched:
                return False
        return self.analysis.implies(one, other, unknown=unknown)

    def outweighing(self, rule: Rule) -> tuple[Rule, ...]:
        """Rules of which always one is stricter when an approving rule matches, so that it never approves; or none."""
        matched = [one for one in self.seen if rule.id in one.matched]
        if any(one.approved for one in matched):
            return ()
        return self.analysis.outweighing(rule, nearby=[one.application for one in matched])

    def idle(self, rule: Rule) -> tuple[Idle, ...]:
        """The parts of a rule that make no difference."""
        if rule.name not in self._idle:
            self._idle[rule.name] = tuple(idle_parts(self.analysis, rule))
        return self._idle[rule.name]


class Days:
    """All days for one client, ``""`` for everybody without an overlay.

    ``scope`` are the rules to be judged: of a client only its own, and those that read one of its own parameters.
    """

    def __init__(self, asking: Asking, client: str) -> None:
        self.client = client
        self.asking = asking
        self.days = tuple(self._distinct(asking))
        own = asking.ruleset.overlays[client].policy.rows if client else ()
        self._changed = {name for row in own for name in row.values}
        found = {rule.name: rule for day in self.days for rule in day.by_name.values() if self._judged(rule, day)}
        self.scope = tuple(found.values())
        self._judged_names = frozenset(found)

    def of(self, rule: Rule) -> tuple[Day, ...]:
        """The days on which a rule is in force."""
        return tuple(day for day in self.days if rule.name in day.by_name)

    def since(self, day: Day) -> date | None:
        """The day from which a finding holds, ``None`` when that is from the beginning."""
        return None if day.rules.on == self.asking.on else day.rules.on

    def in_scope(self, *rules: Rule) -> bool:
        """Whether one of some rules is to be judged."""
        return any(rule.name in self._judged_names for rule in rules)

    def _judged(self, rule: Rule, day: Day) -> bool:
        if not self.client or rule.client:
            return True
        return bool(self._changed and day.analysis.reads.of(named_by(rule)) & self._changed)

    def _distinct(self, asking: Asking) -> Iterator[Day]:
        before: Hashable = None
        for day in change_days(asking.ruleset, asking.on):
            rules = asking.ruleset.in_force(day, self.client)
            if (now := _content(rules)) != before:
                before = now
                yield Day(rules, asking)


def _content(rules: RulesInForce) -> Hashable:
    """Rules and parameters, so that two days are told apart by what is in force on them."""
    names = tuple(rule.name for stage in Stage for rule in rules.rules(stage))
    parameters = [rules.parameters(product, None) for product in rules.products]
    parameters += [rules.parameters("", code) for code in rules.industry_codes()]
    return names, tuple(tuple(sorted(one.items())) for one in parameters)
