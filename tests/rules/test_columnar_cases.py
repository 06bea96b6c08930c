"""Every shipped case comes out of the columnar engine as it does of the path of a decision."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from decision_service.case_runs import record_facts
from decision_service.decide import Assessment, assess
from decision_service.rule_folder import check_folder
from decision_service.rulebook.cases import run_cases
from decision_service.rulebook.columnar import RULE
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from tests.rulebook.columns import columnar_rows, duckdb

RULES = Path(__file__).resolve().parents[2] / "rules"


def test_every_shipped_case_comes_out_the_same() -> None:
    policy, cases = check_folder(RULES, on=date(2026, 11, 24))
    seen: dict[tuple[str, ...], tuple[RulesInForce, list[Assessment]]] = {}  # by what is in force, not by day

    def evaluate(rules: RulesInForce, facts: Facts) -> Assessment:
        found = assess(policy.on(rules.on, rules.client), facts)
        names = tuple(rule.name for stage in Stage for rule in rules.rules(stage))
        seen.setdefault(names, (rules, []))[1].append(found)
        return found

    report = run_cases(
        policy.ruleset,
        cases,
        evaluate=evaluate,
        facts_from_records=lambda case, rules: record_facts(case, rules, policy=policy),
    )
    assert report.passed
    wrong = []
    with duckdb() as connection:
        for rules, assessments in seen.values():
            rows = columnar_rows(rules, [dict(one.facts) for one in assessments], connection)
            wrong += [(expected, row) for expected, row in zip(assessments, rows) if _of(expected) != _told(row)]
    assert wrong == []
    assert sum(len(found) for _, found in seen.values()) >= len(cases) > 300


def _of(found: Assessment) -> dict[str, Any]:
    effects = found.effects
    return {
        "outcome": int(found.outcome),
        "card": found.card,
        "whitelisted": found.whitelisted,
        "limit_max": found.limit,
        "effects": (effects.limit_cap, effects.limit_factor, effects.rate_spread_bp),
        "matched": set(found.matched),
        "unknown": set(found.unknown),
    }


def _told(row: dict[str, Any]) -> dict[str, Any]:
    truths = {name.removeprefix(RULE): value for name, value in row.items() if name.startswith(RULE)}
    return {
        **{name: row[name] for name in ("outcome", "card", "whitelisted", "limit_max")},
        "whitelisted": None if row["whitelisted"] is None else bool(row["whitelisted"]),
        "effects": (row["limit_cap"], row["limit_factor"], row["rate_spread_bp"]),
        "matched": {rule for rule, truth in truths.items() if truth},
        "unknown": {rule for rule, truth in truths.items() if truth is None},
    }
