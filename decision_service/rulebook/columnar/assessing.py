"""All three stages over a table: status facts, limit effects, the limit, the outcome, and the truth of every rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ibis

from decision_service.rulebook.columnar.deriving import derived_again, with_derived
from decision_service.rulebook.columnar.limiting import EFFECTS, LIMIT, LimitOf, with_limit
from decision_service.rulebook.columnar.reading import derived_read
from decision_service.rulebook.columnar.truths import RULE, any_of, column_type, literal, truth, unknown
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.rules import Product, Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome

OUTCOME = "outcome"


def assessed(table: ibis.Table, rules: RulesInForce, *, key: str, limit: LimitOf) -> ibis.Table:
    """What the rules say of every row: the same as the reference evaluator says of each.

    The table has a column per given fact, exact (int64, or text for a choice), NULL where unknown; a fact without a
    column is unknown. The result has ``key``, ``outcome`` (0 approve, 1 refer, 2 decline), the facts that rules set,
    ``limit_max``, ``limit_cap``, ``limit_factor``, ``rate_spread_bp`` (exact) and ``rule <id>`` for every rule.
    Raises ``EngineError`` for a formula that is read whose results could need more than 37 digits.
    """
    catalogue = rules.catalogue
    settable = [fact.name for fact in catalogue.settable]
    ids = [RULE + rule.id for stage in Stage for rule in rules.rules(stage)]
    read = derived_read(rules, limit=limit)
    table = with_derived(_complete(table, rules, key), catalogue, read)
    table = _with_truths(table, rules, Stage.STATUS)
    table = table.mutate(**{fact.name: _strongest(fact, rules) for fact in catalogue.settable})
    table, limit_max = with_limit(_with_truths(table, rules, Stage.LIMIT), rules, limit)
    table = derived_again(table, catalogue, read, **{LIMIT: limit_max})
    table = _with_truths(table, rules, Stage.DECISION).mutate(**{OUTCOME: _outcome(rules)})
    return table.select(key, OUTCOME, *settable, LIMIT, *EFFECTS, *ids)


def _complete(table: ibis.Table, rules: RulesInForce, key: str) -> ibis.Table:
    """A column for every fact; what is computed later is unknown until then, whatever the table says of it."""
    columns = {}
    for name, fact in rules.catalogue.items():
        if fact.derived is None:
            given = name in table.columns and fact.combine is None and name != LIMIT
            columns[name] = ibis._[name] if given else unknown(fact)
    return table.select(ibis._[key], **columns)


def _with_truths(table: ibis.Table, rules: RulesInForce, stage: Stage) -> ibis.Table:
    return table.mutate(**{RULE + rule.id: truth(rule.when) for rule in rules.rules(stage)})


def _truths(rules: Iterable[Rule]) -> Any:
    return any_of(ibis._[RULE + rule.id] for rule in rules)


def _strongest(fact: Fact, rules: RulesInForce) -> Any:
    """From the strongest value down: what matches is reached, what is unknown hides all that is weaker."""
    setting: dict[Any, list[Rule]] = {}
    for rule in rules.rules(Stage.STATUS):
        for name, value in rule.sets:
            if name == fact.name:
                setting.setdefault(value, []).append(rule)
    branches = []
    values = sorted(setting, key=fact.rank, reverse=True)
    for place, value in enumerate(values):
        found = _truths(setting[value])
        doubtful = found.isnull()
        if value == fact.default:  # where nothing weaker can be either, it is the default in any case
            weaker = _truths(rule for other in values[place + 1 :] for rule in setting[other])
            doubtful = doubtful & weaker.fill_null(True)
        branches += [(found, literal(value)), (doubtful, unknown(fact))]
    default = unknown(fact) if fact.default is None else literal(fact.default)
    return ibis.cases(*branches, else_=default) if branches else default.cast(column_type(fact))


def _outcome(rules: RulesInForce) -> Any:
    """DECLINE, REFER and APPROVE as the stages combine them: what is unknown of the strict rules refers."""
    decline, refer, approve = (
        _truths(rule for rule in rules.rules(Stage.DECISION) if rule.outcome is outcome)
        for outcome in (Outcome.DECLINE, Outcome.REFER, Outcome.APPROVE)
    )
    approves = ~(decline | refer).fill_null(True) & approve.fill_null(False) & _required_known(rules)
    return ibis.cases((decline, int(Outcome.DECLINE)), (approves, int(Outcome.APPROVE)), else_=int(Outcome.REFER))


def _required_known(rules: RulesInForce) -> Any:
    """Whether the product is one of the ruleset and all that it requires is known."""
    branches = [(ibis._["product"] == name, _known(product)) for name, product in rules.products.items()]
    return ibis.cases(*branches, else_=False) if branches else any_of(())


def _known(product: Product) -> Any:
    return ~any_of(ibis._[name].isnull() for name in product.required_facts)
