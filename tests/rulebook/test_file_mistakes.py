"""Mistakes in rule files: each is reported with file, line and remedy, and all of them at once."""

from __future__ import annotations

import pytest

from decision_service.rulebook import files
from tests.rulebook.small_rulebook import (
    DECISION,
    INDUSTRIES,
    PARAMETERS,
    RULE,
    SOURCES,
    STATUS,
    changed,
    problems,
    without,
)

DUPLICATE = DECISION + RULE.replace("NEW-1", "AUTO-1")

MISTAKES: list[tuple[str, dict[str, str], str]] = [
    (
        "unknown fact",
        changed("status.yaml", "overdue >=", "overdu >="),
        "status.yaml:12: rule YEL-1: unknown fact 'overdu'; did you mean overdue?",
    ),
    (
        "unknown operator",
        changed("decision.yaml", "card == red", "card => red"),
        "decision.yaml:13: rule CARD-1: unknown operator '=>'",
    ),
    (
        "duplicate id",
        {**SOURCES, "decision.yaml": DUPLICATE},
        "decision.yaml:26: rule AUTO-1 stands twice, first in decision.yaml:3; rename one",
    ),
    (
        "duplicate key",
        changed("status.yaml", "    reason: LISTED\n", "    reason: LISTED\n    reason: CARD\n"),
        "status.yaml:8: the key 'reason' stands twice, first in line 7",
    ),
    (
        "unknown key",
        changed("status.yaml", "    reason: LISTED", "    raeson: LISTED"),
        "status.yaml:7: rule RED-1: unknown key 'raeson'; did you mean reason?",
    ),
    (
        "missing key",
        changed("decision.yaml", "    reference: rule six\n", ""),
        "decision.yaml:3: rule AUTO-1: 'reference' is missing",
    ),
    (
        "missing language",
        changed("decision.yaml", "{zh: 红牌, en: red}", "{zh: 红牌}"),
        "decision.yaml:12: rule CARD-1: title: 'en' is missing",
    ),
    ("empty text", changed("decision.yaml", "reference: rule six", "reference:"), "rule AUTO-1: reference is empty"),
    (
        "null text",
        changed("decision.yaml", "reference: rule six", "reference: null"),
        "rule AUTO-1: reference is empty",
    ),
    (
        "bad date",
        changed("decision.yaml", "2030-01-01", "2030-02-30"),
        "decision.yaml:24: rule AMT-1: effective_to: the date 2030-02-30 does not exist",
    ),
    (
        "date in other form",
        changed("decision.yaml", "2030-01-01", "1.1.2030"),
        "'1.1.2030' is not a date; write it as 2024-01-31",
    ),
    (
        "ends on the day it begins",
        changed("decision.yaml", "2030-01-01", "2023-10-15"),
        "effective_to 2023-10-15 is not after effective_from 2023-10-15",
    ),
    ("unknown stage", changed("limit.yaml", "stage: limit", "stage: limits"), "limit.yaml:1: unknown stage 'limits'"),
    (
        "unknown outcome",
        changed("decision.yaml", "outcome: DECLINE", "outcome: REJECT"),
        "unknown outcome 'REJECT'; use APPROVE, REFER or DECLINE",
    ),
    (
        "unknown reason",
        changed("decision.yaml", "reason: CARD", "reason: CRAD"),
        "rule CARD-1: unknown reason code 'CRAD'; did you mean CARD?",
    ),
    (
        "no reason for a refusal",
        changed("decision.yaml", "    reason: CARD\n", ""),
        "rule CARD-1: a rule that refers or declines gives no reason",
    ),
    (
        "outcome in a status rule",
        changed("status.yaml", "sets: {card: red}", "outcome: DECLINE"),
        "rule RED-1: unknown key 'outcome'",
    ),
    (
        "sets a given fact",
        changed("status.yaml", "sets: {card: red}", "sets: {listed: true}"),
        "rule RED-1: 'listed' cannot be set by a rule; did you mean whitelisted?",
    ),
    (
        "sets an undeclared choice",
        changed("status.yaml", "sets: {card: red}", "sets: {card: blue}"),
        "use one of none, yellow, red",
    ),
    ("sets nothing", changed("status.yaml", "sets: {card: red}", "sets: {}"), "rule RED-1: sets nothing"),
    (
        "factor above one",
        changed("limit.yaml", "limit_factor: 0.5", "limit_factor: 1.5"),
        "limit_factor is not between 0 and 1",
    ),
    (
        "negative spread",
        changed("limit.yaml", "rate_spread_bp: 50", "rate_spread_bp: -50"),
        "rate_spread_bp is not between 0 and 10000",
    ),
    ("half a basis point", changed("limit.yaml", "rate_spread_bp: 50", "rate_spread_bp: 0.5"), "is not a whole number"),
    (
        "cap by a fact of another type",
        changed("limit.yaml", "limit_cap: industry.ceiling", "limit_cap: industry.cutoff"),
        "'industry.cutoff' is a ratio; name a money",
    ),
    (
        "cap by an unknown fact",
        changed("limit.yaml", "limit_cap: industry.ceiling", "limit_cap: ceilin"),
        "unknown fact 'ceilin'",
    ),
    (
        "cap of a third decimal",
        changed("limit.yaml", "limit_cap: industry.ceiling", "limit_cap: 1.005"),
        "more than 2 decimal places",
    ),
    ("unknown effect", changed("limit.yaml", "limit_factor: 0.5", "limit_faktor: 0.5"), "did you mean limit_factor?"),
    (
        "a status rule reads the card",
        changed("status.yaml", "rating == A", "card == none"),
        "stage status reads 'card', which is computed after it",
    ),
    (
        "a limit rule reads the limit",
        changed("limit.yaml", "card == yellow", "limit_max > 5"),
        "stage limit reads 'limit_max', which is computed after it",
    ),
    ("an empty file", {**SOURCES, "status.yaml": ""}, "status.yaml:1: the file is empty"),
    ("only comments", {**SOURCES, "status.yaml": "# nothing\n"}, "status.yaml:1: the file is empty"),
    ("no rules", {**SOURCES, "status.yaml": "stage: status\nrules: []\n"}, "the file has no rules"),
    ("rules as text", {**SOURCES, "status.yaml": "stage: status\nrules: none\n"}, "status.yaml:2: rules is not a list"),
    ("a rule as text", {**SOURCES, "status.yaml": "stage: status\nrules: [RED]\n"}, "a rule is not a mapping"),
    ("a list as file", {**SOURCES, "status.yaml": "[1, 2]\n"}, "status.yaml:1: this file is not a rule file"),
    ("a tab", changed("status.yaml", "    when: rating", "\twhen: rating"), "status.yaml:18: YAML syntax"),
    ("an open bracket", changed("status.yaml", "{card: red}", "{card: red"), "YAML syntax"),
    ("an anchor", changed("status.yaml", "when: rating", "when: &a rating"), "anchors and aliases"),
    ("a tag", changed("status.yaml", "when: rating == A", "when: !!python/object:os.system x"), "YAML tag"),
    ("two documents", {**SOURCES, "status.yaml": STATUS + "---\nx: 1\n"}, "a second YAML document"),
    ("a key that is a list", {**SOURCES, "status.yaml": "[a]: 1\n"}, "a key is not text"),
    ("deep nesting", {**SOURCES, "status.yaml": "[" * 100_000}, "nested deeper than 32 levels"),
    ("deep mappings", {**SOURCES, "status.yaml": "{a: " * 5_000}, "nested deeper than 32 levels"),
    ("a control character", {**SOURCES, "status.yaml": "stage: \x00\n"}, "YAML syntax"),
    (
        "a file in the wrong place",
        {**SOURCES, "old/status.yaml": STATUS},
        "old/status.yaml:1: this file is not read by anything",
    ),
    ("a file of the wrong kind", {**SOURCES, "more.csv": "a,b\n"}, "more.csv:1: this file is not read by anything"),
    ("an unknown yaml file", {**SOURCES, "other.yaml": "x: 1\n"}, "other.yaml:1: this file is not a rule file"),
    ("an unusable version", {**SOURCES, "VERSION": "one two"}, "VERSION:1: the version is unusable"),
    *[(f"without {path}", without(path), f"{path}:1: the file is missing") for path in files.REQUIRED_FILES],
]


@pytest.mark.parametrize(("sources", "message"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_reported_with_file_line_and_remedy(sources: dict[str, str], message: str) -> None:
    found = problems(sources)
    assert any(message in problem for problem in found), found
    assert all("; " in problem for problem in found)


def test_every_mistake_of_every_file_is_reported_at_once() -> None:
    sources = {
        **SOURCES,
        "status.yaml": STATUS.replace("overdue >=", "overdu >=").replace("rating == A", "rating == Z"),
        "decision.yaml": DECISION.replace("card == red", "card => red").replace("reason: AMOUNT", "reason: NOWHERE"),
        "industries.csv": INDUSTRIES.replace("0.045", "x").replace("0.030", "y"),
        "parameters.yaml": PARAMETERS.replace("line", "lime"),
    }
    found = problems(sources)
    files_named = {problem.split(":")[0] for problem in found}
    assert files_named == {"status.yaml", "decision.yaml", "industries.csv", "parameters.yaml"}
    assert len(found) >= 8
