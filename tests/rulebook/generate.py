"""Random rulesets and fact tables that aim at the edges: boundaries, extremes, unknowns, awkward choice texts."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, FactName, Not, comparisons
from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN, Fact, FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome

Table = dict[str, Exact | None]

ORDERED = ("<", "<=", "==", "!=", ">=", ">", "in")
UNORDERED = ("==", "!=", "in")
EXTREMES = (INT64_MIN, INT64_MIN + 1, -(2**53) - 1, -1, 0, 1, 2**53 + 1, INT64_MAX - 1, INT64_MAX)
AWKWARD = ("", "0", "1", "01", "1e-07", "-1", "true", "null", "NaN", "none", "$m", "f0", 'say "x"', "back\\slash", "未知")
PLAIN = ("none", "yellow", "red")


def catalogue() -> FactCatalogue:
    """Facts of every type with the widest ranges, and choice facts that share texts."""
    facts = [Fact(name=f"number.{index}", type=FactType.COUNT) for index in range(6)]
    facts += [Fact(name=f"money{index}", type=FactType.MONEY) for index in range(3)]
    facts += [Fact(name=f"ratio{index}", type=FactType.RATIO) for index in range(3)]
    facts += [Fact(name=f"day{index}", type=FactType.DATE) for index in range(2)]
    facts += [Fact(name=f"flag{index}", type=FactType.FLAG, minimum=0, maximum=1) for index in range(3)]
    facts += [Fact(name=f"choice{index}", type=FactType.CHOICE, choices=AWKWARD) for index in range(3)]
    facts += [Fact(name=f"card{index}", type=FactType.CHOICE, choices=PLAIN) for index in range(2)]
    return FactCatalogue(facts)


def literal(random: Random, fact: Fact) -> Exact:
    """A value of a fact, with small and extreme numbers most likely."""
    if fact.type is FactType.CHOICE:
        return random.choice(fact.choices)
    if fact.type is FactType.FLAG:
        return random.randint(0, 1)
    draw = random.random()
    number = random.choice(EXTREMES) if draw < 0.3 else random.randint(-9, 9) if draw < 0.8 else random.getrandbits(40)
    return max(fact.minimum, min(fact.maximum, number))


def comparison(random: Random, facts: FactCatalogue) -> Comparison:
    """A comparison with a literal, a list or a fact of the same type."""
    fact = facts[random.choice(list(facts))]
    operator = random.choice(ORDERED if fact.type.ordered else UNORDERED)
    if operator == "in":
        items = {literal(random, fact) for _ in range(random.randint(1, 6))}
        return Comparison(fact.name, operator, tuple(sorted(items, key=str)))
    others = [other.name for other in facts.values() if other.type is fact.type]
    if random.random() < 0.25:
        return Comparison(fact.name, operator, FactName(random.choice(others)))
    return Comparison(fact.name, operator, literal(random, fact))


def condition(random: Random, facts: FactCatalogue, *, depth: int = 3) -> Condition:
    """A condition nested up to ``depth`` levels."""
    draw = random.random()
    if depth == 0 or draw < 0.3:
        return comparison(random, facts)
    if draw < 0.45:
        return Not(condition(random, facts, depth=depth - 1))
    parts = tuple(condition(random, facts, depth=depth - 1) for _ in range(random.randint(1, 3)))
    return AllOf(parts) if draw < 0.75 else AnyOf(parts)


def rules_in_force(random: Random, *, count: int = 25, depth: int = 3) -> RulesInForce:
    """A ruleset of ``count`` rules in the decision stage."""
    facts = catalogue()
    return ruleset(facts, [condition(random, facts, depth=depth) for _ in range(count)])


def ruleset(facts: FactCatalogue, conditions: list[Condition]) -> RulesInForce:
    """Conditions as rules R-000, R-001, … of the decision stage."""
    return RulesInForce(
        facts,
        [
            Rule(id=f"R-{index:03}", stage=Stage.DECISION, title={}, when=when, outcome=Outcome.REFER)
            for index, when in enumerate(conditions)
        ],
    )


class TableMaker:
    """Fact tables for one set of rules: values lie on or beside the literals that the rules compare with."""

    def __init__(self, rules: RulesInForce) -> None:
        self._catalogue = rules.catalogue
        self._near: Mapping[str, list[Exact]] = {name: [] for name in rules.catalogue}
        for stage in Stage:
            for rule in rules.rules(stage):
                for one in comparisons(rule.when):
                    self._note(one)

    def _note(self, one: Comparison) -> None:
        operand = one.operand
        for value in () if isinstance(operand, FactName) else operand if isinstance(operand, tuple) else (operand,):
            self._near[one.fact] += [value] if isinstance(value, str) else [value - 1, value, value + 1]

    def table(self, random: Random) -> Table:
        """One table with every declared fact; how many are unknown varies from none to all."""
        unknown = random.choice((0.0, 0.0, 0.05, 0.3, 0.7, 1.0))
        table: Table = {}
        for name, fact in self._catalogue.items():
            table[name] = None if random.random() < unknown else self._value(random, fact, table)
        return table

    def _value(self, random: Random, fact: Fact, table: Table) -> Exact:
        draw = random.random()
        if draw < 0.5 and self._near[fact.name]:
            value = random.choice(self._near[fact.name])
            if isinstance(value, int):
                return max(fact.minimum, min(fact.maximum, value))
            return value
        if draw < 0.65:
            other = table.get(random.choice(list(table) or [fact.name]))
            if type(other) is int and fact.type is not FactType.CHOICE and fact.minimum <= other <= fact.maximum:
                return other
        return literal(random, fact)
