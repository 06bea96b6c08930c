"""The durable-rules engine says of every rule what the reference evaluator says."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from random import Random

import pytest

from decision_service.rulebook.durable_engine import DurableEngine
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from tests.rulebook.generate import TableMaker, rules_in_force

RULES = Path(__file__).resolve().parents[2] / "rules"
IN_FORCE_ON = date(2024, 6, 3)


def disagreements(rules: RulesInForce, random: Random, *, tables: int) -> tuple[list[str], int, int]:
    """Every difference found, and how many rules matched and were unknown, so that a test cannot agree on nothing."""
    durable, reference, maker = DurableEngine(rules), ReferenceEngine(rules), TableMaker(rules)
    differences, matched, unknown = [], 0, 0
    try:
        for _ in range(tables):
            table = maker.table(random)
            for stage in Stage:
                expected, found = reference.evaluate(stage, table), durable.evaluate(stage, table)
                matched, unknown = matched + len(expected.matched), unknown + len(expected.unknown)
                if expected != found:
                    differences.append(f"{stage.value}: reference {expected}, durable-rules {found}, facts {table}")
    finally:
        durable.close()
    return differences, matched, unknown


@pytest.mark.parametrize("seed", range(40))
def test_agrees_on_a_generated_ruleset(seed: int) -> None:
    random = Random(seed)
    differences, matched, unknown = disagreements(rules_in_force(random), random, tables=60)
    assert differences == []
    assert matched > 0 and unknown > 0


def test_agrees_on_the_shipped_rules() -> None:
    rules = load(RULES).in_force(IN_FORCE_ON)
    differences, matched, unknown = disagreements(rules, Random(1), tables=1_500)
    assert differences == []
    assert matched > 1_500 and unknown > 1_500


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_agrees_on_a_hundred_thousand_tables_over_the_shipped_rules(seed: int) -> None:
    rules = load(RULES).in_force(IN_FORCE_ON)
    assert disagreements(rules, Random(1_000 + seed), tables=25_000)[0] == []


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_agrees_on_a_hundred_thousand_tables_over_generated_rulesets(depth: int) -> None:
    random = Random(2_000 + depth)
    for _ in range(125):
        rules = rules_in_force(random, count=20, depth=depth)
        assert disagreements(rules, random, tables=200)[0] == []
