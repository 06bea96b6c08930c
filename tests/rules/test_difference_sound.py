"""What is proven to change nothing changes nothing for random applications near the boundaries of mutated rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random

import pytest

from decision_service.lending.limits import limit
from decision_service.rulebook.cases import load_cases
from decision_service.rulebook.conditions import FactName, comparisons
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.difference import Aspect, Difference
from decision_service.rulebook.proof.world import INDUSTRY_STATUS
from decision_service.rulebook.regions import by_id
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.workbench.difference import bases_of
from decision_service.workbench.reference import judge
from tests.rulebook.generate import TableMaker
from tests.rules.mutants import mutants

RULES = Path(__file__).parents[2] / "rules"
SHIPPED = load(RULES)
ON = date(2026, 11, 24)
BASES = list(bases_of(load_cases(RULES, SHIPPED), ON).values())
CODES = (*SHIPPED.in_force(ON).industry_codes(), None)


def applications(random: Random, rules: RulesInForce, count: int) -> list[Application]:
    """Profiles with some facts moved to a boundary, to an extreme or to unknown, in any industry."""
    maker, found = TableMaker(rules), []
    for _ in range(count):
        base, table = random.choice(BASES), maker.table(random)
        names = random.sample(sorted(base.values), random.choice((1, 2, 3, 6)))
        near = {**base.values, **{name: table[name] for name in names}}
        found.append(replace(base, values=near, industry=random.choice((base.industry, random.choice(CODES)))))
    return found


def near_the_change(difference: Difference) -> list[Application]:
    """Profiles with the facts of the changed rules on, below and above each number that they are compared with."""
    found = []
    for rules in (difference.old, difference.new):
        for region in difference.regions:
            rule = by_id(rules).get(region.name)
            for one in comparisons(rule.when) if rule is not None else ():
                fact = rules.catalogue[one.fact]
                computed = fact.derived is not None or fact.combine is not None
                if computed or fact.source == "parameter" or fact.name == INDUSTRY_STATUS:
                    continue  # no application brings it
                literals = one.operand if isinstance(one.operand, tuple) else (one.operand,)
                for value in literals:
                    if isinstance(value, FactName):
                        continue
                    values = [value - 1, value, value + 1] if isinstance(value, int) else [value, *fact.choices]
                    found += [
                        replace(base, values={**base.values, fact.name: near}) for base in BASES for near in values
                    ]
    return found


def shown(difference: Difference, application: Application) -> set[Aspect]:
    before, after = (judge(rules, application.facts(rules)) for rules in (difference.old, difference.new))
    return {aspect for aspect in difference.aspects() if aspect.shown_by(before, after)}


def check(seed: int, edits: int, count: int) -> int:
    """Apply some mutants at once; how many kinds of change random applications showed."""
    random, sources = Random(seed), dict(SHIPPED.sources)
    for _ in range(edits):
        mutant = random.choice(list(mutants(sources, SHIPPED.catalogue)))
        sources = dict(mutant.sources)
    old, new = SHIPPED.in_force(ON), load_sources(sources).in_force(ON)
    difference = Difference(old, new, evaluate=judge, limit=limit, bases={})
    seen: set[Aspect] = set()
    for application in [*applications(random, new, count), *near_the_change(difference)]:
        seen |= shown(difference, application)
    for aspect in difference.aspects():
        answer = difference.somewhere(aspect)
        assert not answer.doubt, (seed, str(aspect))
        assert not (answer.none and aspect in seen), (seed, str(aspect))
        assert answer.flip is None or aspect in shown(difference, answer.flip.application)
    return len(seen)


def test_nothing_that_is_proven_away_is_ever_seen() -> None:
    assert sum(check(seed, edits=1 + seed % 2, count=120) for seed in range(2)) > 1


@pytest.mark.slow
def test_nothing_that_is_proven_away_is_ever_seen_over_many_changes() -> None:
    assert sum(check(seed, edits=1 + seed % 3, count=600) for seed in range(100, 160)) > 60
