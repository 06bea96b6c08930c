"""The schemas accept whatever the loader accepts, refuse mistakes at their place, and explain every key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from decision_service.cli import main
from decision_service.rulebook.files import load, load_sources
from decision_service.workbench.schemas import folder_schemas, kind_of, modeline, profile_names, schemas
from tests.rulebook.small_rulebook import SOURCES
from tests.workbench.core_yaml import core_value

RULES = Path(__file__).parents[2] / "rules"
FILES = sorted(path.relative_to(RULES).as_posix() for path in RULES.rglob("*.yaml"))
SHIPPED = schemas(load(RULES), profile_names(RULES))
SMALL = schemas(load_sources(SOURCES), ("sound",))


def mistakes(kind: str, text: str, known: dict[str, Any] = SHIPPED) -> list[str]:
    """Places of mistakes, the deepest that the schema blames, as an editor would underline them."""
    found = Draft7Validator(known[kind]).iter_errors(core_value(text))
    return sorted("/".join(map(str, _deepest(error).absolute_path)) for error in found)


def _deepest(error: Any) -> Any:
    inner = [_deepest(one) for one in error.context or ()]
    return max([error, *inner], key=lambda one: len(one.absolute_path))


def shipped(path: str, before: str, after: str) -> tuple[str, str]:
    text = (RULES / path).read_text(encoding="utf-8")
    assert before in text, before
    return kind_of(path, {path: text}), text.replace(before, after, 1)


@pytest.mark.parametrize("path", FILES)
def test_every_shipped_file_is_accepted(path: str) -> None:
    text = (RULES / path).read_text(encoding="utf-8")
    assert mistakes(kind_of(path, {path: text}), text) == []


@pytest.mark.parametrize("path", FILES)
def test_every_shipped_file_names_its_schema_in_its_first_line(path: str) -> None:
    text = (RULES / path).read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first == modeline(path, kind_of(path, {path: text}))
    assert (RULES / path).parent.joinpath(first.partition("$schema=")[2]).is_file()


@pytest.mark.parametrize("path", [path for path in SOURCES if path.endswith(".yaml")])
def test_the_small_rulebook_is_accepted(path: str) -> None:
    kind = kind_of(path, SOURCES)
    assert mistakes(kind, SOURCES[path], SMALL) == []


def test_the_committed_schemas_are_those_of_the_folder() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in (RULES / "schemas").glob("*.json")}
    assert committed == folder_schemas(RULES), "run: decision-service rules schemas rules"


@pytest.mark.parametrize("kind", SHIPPED)
def test_every_schema_is_a_schema_whose_every_property_is_explained_in_both_languages(kind: str) -> None:
    Draft7Validator.check_schema(SHIPPED[kind])
    silent = [name for name, schema in _properties(SHIPPED[kind]) if not _both_languages(schema.get("description", ""))]
    assert silent == []


def _properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        for one in schema:
            yield from _properties(one)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                yield from ((name, one) for name, one in value.items() if not _is_test(one))
            if key != "if":
                yield from _properties(value)


def _is_test(schema: dict[str, Any]) -> bool:
    """Whether a property stands in a schema only to be asked about, as in ``if``, or is explained under ``then``."""
    return set(schema) in ({"const"}, set())


def _both_languages(description: str) -> bool:
    zh, _, en = description.partition("\n\n")
    return any("\u4e00" <= char <= "\u9fff" for char in zh) and any(char.isascii() and char.isalpha() for char in en)


OVERLAY = {
    "overlays/bank-a/cards.yaml": (
        "stage: decision\nrules:\n  - id: BANK-1\n    title: {zh: 严, en: stricter}\n    when: amount > 1_000_000\n"
        "    outcome: REFER\n    reason: BANK_LINE\n    effective_from: 2024-01-01\n    reference: bank\n"
    ),
    "overlays/bank-a/reasons.yaml": (
        "reasons:\n  - code: BANK_LINE\n    customer: {zh: 银行, en: bank}\n    officer: {zh: 银行, en: bank}\n"
    ),
    "overlays/bank-a/parameters.yaml": (
        "parameters:\n  - {name: line, value: 4_000_000.00, effective_from: 2024-01-01, reference: bank}\n"
    ),
    "cases/bank.yaml": (
        "cases:\n  - name: The bank refers\n    as_of: 2024-06-03\n    client: bank-a\n    facts: {amount: 2_000_000}\n"
        "    expect: {outcome: REFER, reasons: [BANK_LINE]}\n    matches: [BANK-1]\n"
    ),
}


@pytest.mark.parametrize("path", OVERLAY)
def test_the_files_of_an_overlay_and_cases_about_it_are_accepted(path: str) -> None:
    known = schemas(load_sources({**SOURCES, **{name: text for name, text in OVERLAY.items() if "cases" not in name}}))
    kind = kind_of(path, OVERLAY)
    assert mistakes(kind, OVERLAY[path], known) == []
    assert modeline(path, kind).endswith(f"{'../' * path.count('/')}schemas/{kind}.json")


MISTAKES = [
    (
        "a misspelt key of a rule",
        "cards.yaml",
        "    sets: {card: red}",
        "    setz: {card: red}",
        ["rules/0", "rules/0"],
    ),
    (
        "an outcome that does not exist",
        "credit_policy.yaml",
        "outcome: DECLINE",
        "outcome: REJECT",
        ["rules/0/outcome"],
    ),
    ("a reason code without a text", "cards.yaml", "reason: RED_COURT", "reason: RED_COURTS", ["rules/0/reason"]),
    ("a card that is no choice", "cards.yaml", "{card: red}", "{card: reed}", ["rules/0/sets/card"]),
    ("a fact that rules cannot set", "cards.yaml", "{card: red}", "{amount: 5}", ["rules/0/sets"]),
    (
        "a condition on an undeclared fact",
        "limits.yaml",
        "when: card == yellow",
        "when: cart == yellow",
        ["rules/2/when"],
    ),
    (
        "an operator that does not exist",
        "limits.yaml",
        "when: card == yellow",
        "when: card => yellow",
        ["rules/2/when"],
    ),
    (
        "a condition deep in a list",
        "auto_approval.yaml",
        "- exposure_total <= 5_000_000",
        "- exposure_totals <= 5_000_000",
        ["rules/0/when/all/1"],
    ),
    ("a factor above one", "limits.yaml", "limit_factor: 0.5", "limit_factor: 1.5", ["rules/2/effects/limit_factor"]),
    ("a stage in the wrong file", "limits.yaml", "stage: limit", "stage: limits", ["stage"]),
    ("a date without its zeros", "cards.yaml", "2023-10-15", "2023-10-5", ["rules/0/effective_from"]),
    ("an empty value", "cards.yaml", "reference: JW", "reference:\n    # JW", ["rules/0/reference"]),
    ("a rule that refers without a reason", "credit_policy.yaml", "    reason: ", "    # reason: ", ["rules/0"]),
    (
        "a parameter that is not declared",
        "parameters.yaml",
        "name: auto_cap,",
        "name: auto_cup,",
        ["parameters/1/name"],
    ),
    (
        "money as a text",
        "parameters.yaml",
        "value: 5_000_000.00",
        "value: five million",
        ["parameters/1/value"],
    ),
    (
        "money with an exponent that no editor takes for a number",
        "parameters.yaml",
        "value: 5_000_000.00",
        "value: 5_000e3",
        ["parameters/1/value"],
    ),
    (
        "a ratio beyond its range",
        "cases/profiles.yaml",
        "portrait_coverage: 0.95",
        "portrait_coverage: 1.95",
        ["profiles/sound_manufacturer/portrait_coverage"],
    ),
    ("a switch that is no choice", "parameters.yaml", "value: enabled", "value: on", ["parameters/0/value"]),
    ("a required fact that is not declared", "products/working_capital.yaml", "pd_12m,", "pd_12,", ["required/4"]),
    ("a list with a card that does not exist", "lists.yaml", "card: red", "card: blue", ["lists/0/card"]),
    ("a misspelt term of a list", "lists.yaml", "max_months: 24", "max_month: 24", ["lists/0/periods/0"]),
    ("a fact of an unknown type", "facts.yaml", "type: money", "type: monies", ["facts/1/type"]),
    ("a level that does not exist", "facts.yaml", "level: 1", "level: 4", ["facts/0/level"]),
    (
        "a reason text without English",
        "reasons.yaml",
        "      en: ",
        "      eng: ",
        ["reasons/0/customer", "reasons/0/customer"],
    ),
    ("a case's outcome", "cases/amounts.yaml", "outcome: APPROVE", "outcome: APPROVED", ["cases/0/expect/outcome"]),
    ("a case's profile", "cases/amounts.yaml", "base: sound_manufacturer", "base: sound", ["cases/0/base"]),
    ("a case's fact", "cases/amounts.yaml", "{amount: 4_000_000.00}", "{amout: 4_000_000.00}", ["cases/0/facts"]),
    (
        "a case's computed fact",
        "cases/amounts.yaml",
        "{amount: 4_000_000.00}",
        "{exposure_total: 5}",
        ["cases/0/facts"],
    ),
    ("a rule that a case names", "cases/amounts.yaml", "misses: [NA-02]", "misses: [NA-2]", ["cases/0/misses/0"]),
    (
        "a flag of a profile",
        "cases/profiles.yaml",
        "parent_red: false",
        "parent_red: no",
        ["profiles/sound_manufacturer/parent_red"],
    ),
    (
        "a field of a record",
        "cases/edge_cases.yaml",
        "{year: 2021, rating: A,",
        "{year: 2021, ratings: A,",
        ["cases/0/records/tax_ratings/0", "cases/0/records/tax_ratings/0"],
    ),
]


@pytest.mark.parametrize(("what", "path", "before", "after", "places"), MISTAKES, ids=[one[0] for one in MISTAKES])
def test_a_mistake_is_refused_at_its_place(what: str, path: str, before: str, after: str, places: list[str]) -> None:
    assert mistakes(*shipped(path, before, after)) == places


ACCEPTED = [
    ("a parameter as a number without underscores", "parameters.yaml", "value: 5_000_000.00", "value: 5000000"),
    ("a reference that looks like a number", "cards.yaml", "reference: JW-2023-10-15-01", "reference: 2023 #"),
    (
        "a condition under any and none",
        "limits.yaml",
        "when: card == yellow",
        "when: {any: [card == red], none: [card == none]}",
    ),
    (
        "a nested condition",
        "limits.yaml",
        "when: card == yellow",
        "when: not (card == red or (not card==none and card != yellow))",
    ),
    (
        "a choice in a list",
        "limits.yaml",
        "when: card == yellow",
        'when: "card in[yellow, red]and product == invoice_loan"',
    ),
    ("a fact that a case leaves unknown", "cases/amounts.yaml", "{amount: 4_000_000.00}", "{grade: unknown}"),
    ("a quoted flag", "cases/profiles.yaml", "parent_red: false", 'parent_red: "false"'),
    ("an industry without quotes", "cases/amounts.yaml", 'industry: "35"', "industry: 35"),
]


@pytest.mark.parametrize(("what", "path", "before", "after"), ACCEPTED, ids=[one[0] for one in ACCEPTED])
def test_other_ways_of_writing_that_the_loader_accepts_are_accepted(
    what: str, path: str, before: str, after: str, tmp_path: Path
) -> None:
    kind, text = shipped(path, before, after)
    assert mistakes(kind, text) == []
    if not path.startswith("cases/"):
        load_sources({**load(RULES).sources, path: text})


def test_the_command_writes_what_is_out_of_date_and_only_that(tmp_path: Path) -> None:
    def run(*options: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(main, ["rules", "schemas", str(RULES), "--out", str(tmp_path), "--json", *options])
        return result.exit_code, json.loads(result.output)

    assert run("--check")[0] == 1 and not list(tmp_path.iterdir())
    code, first = run()
    assert (code, len(first["written"])) == (0, 10)
    (tmp_path / "status.json").write_text("{}", encoding="utf-8")
    assert run("--check")[1]["stale"] == ["status.json"]
    assert run()[1]["written"] == ["status.json"]
    assert run("--check") == (0, {"folder": str(tmp_path), "schemas": sorted(first["schemas"]), "stale": []})
