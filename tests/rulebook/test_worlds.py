"""A world's terms mean what the reference evaluator says, for any application: rules, card, effects, limit, outcome."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from random import Random

import pytest

from decision_service.rulebook.cases import load_cases
from decision_service.rulebook.files import load
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome
from decision_service.workbench.difference import bases_of
from tests.rulebook.columns import generated
from tests.rulebook.proofs import disagreements, with_parameters

TODAY = date(2026, 11, 24)
RULES = Path(__file__).resolve().parents[2] / "rules"


@pytest.fixture(scope="module")
def shipped() -> RulesInForce:
    return load(RULES).in_force(TODAY)


@pytest.fixture(scope="module")
def familiar() -> list[Application]:
    """The profiles of the shipped cases."""
    return list(bases_of(load_cases(RULES, load(RULES)), TODAY).values())


@pytest.mark.parametrize("hiding", [False, True], ids=["as it is", "with facts hidden"])
def test_the_shipped_rules_mean_the_same(shipped: RulesInForce, familiar: list[Application], hiding: bool) -> None:
    found, outcomes = disagreements(shipped, seed=1, applications=60, hiding=hiding, bases=familiar)
    assert (found, outcomes) == ([], set(Outcome))


@pytest.mark.parametrize("seed", range(6))
def test_generated_rules_mean_the_same(seed: int) -> None:
    rules = with_parameters(generated(Random(seed)), Random(seed))
    assert disagreements(rules, seed=seed, applications=12, hiding=bool(seed % 2))[0] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_the_shipped_rules_mean_the_same_for_thousands(
    shipped: RulesInForce, familiar: list[Application], seed: int
) -> None:
    found, _ = disagreements(shipped, seed=seed, applications=150, hiding=bool(seed % 2), bases=familiar)
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_generated_rules_mean_the_same(seed: int) -> None:
    rules = with_parameters(generated(Random(seed)), Random(seed))
    assert disagreements(rules, seed=seed, applications=15, hiding=bool(seed % 2))[0] == []
