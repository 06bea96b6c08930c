"""From matched rules to results: status facts, limit effects, the outcome with its reasons. Pure, free of order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.evaluate import unknown_facts
from decision_service.rulebook.facts import Fact, Facts
from decision_service.rulebook.rules import LimitEffects, Rule, Stage, StageResult
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome, Reason

UNIT_FACTOR = 1_000_000


def set_status(rules: RulesInForce, result: StageResult, facts: Facts) -> Facts:
    """Facts with those that stage ``status`` sets: the strongest value over the rules that matched, or the default.

    A rule that is unknown makes the fact unknown if it could change it: a red already reached stays red.
    """
    values = {
        fact.name: _strongest(
            fact, _values_set(rules, result.matched, fact), _values_set(rules, result.unknown, fact)
        )
        for fact in rules.catalogue.settable
    }
    return facts.with_values(values)


def _values_set(rules: RulesInForce, ids: Iterable[str], fact: Fact) -> list[Exact]:
    return [value for rule_id in ids for name, value in rules.rule(rule_id).sets if name == fact.name]


def _strongest(fact: Fact, matched: list[Exact], possible: list[Exact]) -> Exact | None:
    if not matched:
        return fact.default if all(value == fact.default for value in possible) else None
    reached = max(matched, key=fact.rank)
    return None if any(fact.rank(value) > fact.rank(reached) for value in possible) else reached


def sets(rules: RulesInForce, result: StageResult, name: str, value: Exact) -> bool | None:
    """Whether a rule of stage ``status`` that matched sets a fact to a value; unknown if one that is unknown would."""
    fact = rules.catalogue[name]
    if value in _values_set(rules, result.matched, fact):
        return True
    return None if value in _values_set(rules, result.unknown, fact) else False


def limit_effects(rules: RulesInForce, result: StageResult, facts: Facts) -> LimitEffects:
    """Factor and cap by min, spread by max, conditions by union, over rules that matched or are unknown.

    A factor or cap that names an unknown fact counts as zero: nothing may be lent on a number nobody knows.
    """
    counted = [rules.rule(rule_id) for rule_id in (*result.matched, *result.unknown)]
    effects = [rule.effects for rule in counted if rule.effects is not None]
    caps = [_number(effect.limit_cap, facts) for effect in effects if effect.limit_cap is not None]
    factors = [_number(effect.limit_factor, facts) for effect in effects if effect.limit_factor is not None]
    return LimitEffects(
        limit_factor=min([UNIT_FACTOR, *factors]),
        limit_cap=min(caps) if caps else None,
        rate_spread_bp=max((effect.rate_spread_bp or 0 for effect in effects), default=0),
        conditions=tuple(sorted({code for effect in effects for code in effect.conditions})),
    )


def _number(value: int | str, facts: Facts) -> int:
    known = facts[value] if isinstance(value, str) else value
    return known if isinstance(known, int) else 0


def combine(
    rules: RulesInForce, results: Mapping[Stage, StageResult], facts: Facts, *, alarms: Iterable[str] = ()
) -> tuple[Outcome, tuple[Reason, ...]]:
    """The outcome of all three stages and its reasons, strictest first, then those of status and limit rules.

    DECLINE if a DECLINE rule matched; else REFER if a REFER rule matched, a DECLINE or REFER rule or a required fact is
    unknown, or no APPROVE rule matched; else APPROVE. Where engines raised ``alarms`` (reason codes), people decide.
    """
    decision = results.get(Stage.DECISION, StageResult())
    matched = [rules.rule(rule_id) for rule_id in decision.matched]
    unknown = [rules.rule(rule_id) for rule_id in decision.unknown]
    raised = [rules.reason(alarm) for alarm in alarms]
    outcome, reasons = _decide(_Verdict(rules, results, facts), matched, unknown, raised)
    return outcome, _once([*reasons, *_accompanying(rules, results, referred=outcome is Outcome.REFER)])


class _Verdict:
    """What the reasons of one decision are made from."""

    def __init__(self, rules: RulesInForce, results: Mapping[Stage, StageResult], facts: Facts) -> None:
        self.rules = rules
        self.results = results
        self.facts = facts

    def of_rules(self, matched: Iterable[Rule], *, referred: bool = True) -> list[Reason]:
        return self.rules.reasons_of([rule.id for rule in matched], referred=referred)

    def missing(self, unknown: Iterable[Rule]) -> list[Reason]:
        """One ``DATA_MISSING`` per unknown rule, naming the facts that keep it unknown and what lies behind them."""
        return [
            self.rules.reason("DATA_MISSING", rule=rule.id, facts=self._roots(unknown_facts(rule.when, self.facts)))
            for rule in unknown
        ]

    def missing_required(self) -> list[Reason]:
        """``DATA_MISSING`` for the product itself, or for those of its required facts that are unknown."""
        product = self.rules.products.get(str(self.facts.get("product")))
        if product is None:
            return [self.rules.reason("DATA_MISSING", rule="products", facts=("product",))]
        missing = sorted([name for name in product.required_facts if self.facts[name] is None])
        if not missing:
            return []
        return [self.rules.reason("DATA_MISSING", rule=f"products/{product.name}", facts=self._roots(missing))]

    def _roots(self, names: Iterable[str]) -> tuple[str, ...]:
        """The facts themselves, then the given facts that made a derived or status fact among them unknown."""
        direct = tuple(dict.fromkeys(names))
        behind = {root for name in direct for root in self._behind(name)}
        return direct + tuple(sorted(behind - set(direct)))

    def _behind(self, name: str) -> Iterator[str]:
        fact = self.rules.catalogue[name]
        if fact.derived is not None:
            for given in fact.derived.inputs:
                if self.facts[given] is None:
                    yield given
                    yield from self._behind(given)
        elif fact.combine is not None:
            for rule_id in self.results.get(Stage.STATUS, StageResult()).unknown:
                rule = self.rules.rule(rule_id)
                if name in dict(rule.sets):
                    yield from unknown_facts(rule.when, self.facts)


def _decide(
    verdict: _Verdict, matched: list[Rule], unknown: list[Rule], raised: list[Reason]
) -> tuple[Outcome, list[Reason]]:
    decline, refer, approve = (
        [rule for rule in matched if rule.outcome is outcome]
        for outcome in (Outcome.DECLINE, Outcome.REFER, Outcome.APPROVE)
    )
    strict = decline + refer
    if decline and not raised:
        return Outcome.DECLINE, verdict.of_rules(strict, referred=False)
    doubtful = [rule for rule in unknown if rule.outcome is not Outcome.APPROVE]
    missing = verdict.missing(doubtful) + verdict.missing_required()
    if raised or strict or missing:
        return Outcome.REFER, raised + verdict.of_rules(strict) + missing
    if not approve:
        return Outcome.REFER, verdict.missing(unknown) or [verdict.rules.reason("NO_APPROVAL")]
    return Outcome.APPROVE, verdict.of_rules(approve, referred=False)


def _accompanying(rules: RulesInForce, results: Mapping[Stage, StageResult], *, referred: bool) -> list[Reason]:
    """Reasons of the status and limit rules that matched.

    An unknown limit rule has its effects, but its reason would state what nobody knows.
    """
    limit = results.get(Stage.LIMIT, StageResult())
    status = results.get(Stage.STATUS, StageResult())
    return rules.reasons_of([*status.matched, *sorted(limit.matched)], referred=referred)


def _once(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple({(one.code, one.rule): one for one in reasons}.values())
