"""Overlays: what a client's own folder may say, what it changes for that client, and that nobody else notices."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from decision_service.errors import RulebookError
from decision_service.rulebook.cases import CaseReport, load_cases, run_cases
from decision_service.rulebook.completeness import incomplete
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset
from tests.rulebook.small_rulebook import SOURCES, STATUS, TODAY, problems, ruleset
from tests.rulebook.test_cases import PROFILE, evaluate

OWN = "overlays/bank-03"
RULES = """\
stage: decision
rules:
  - id: B3-1
    title: {zh: 老企业, en: old firms only}
    when: years < 3
    outcome: REFER
    reason: B3_YOUNG
    effective_from: 2023-10-15
    reference: board of the bank
  - id: AUTO-1
    title: {zh: 秒批, en: instant}
    when:
      all: [exposure <= policy.line, pd <= 0.02, card == none]
    outcome: APPROVE
    reason: AUTO_OK
    effective_from: 2024-01-01
    effective_to: 2025-01-01
    reference: board of the bank
"""
PARAMETERS = """\
parameters:
  - {name: line, value: 1_000_000.00, effective_from: 2024-01-01, effective_to: 2025-01-01, reference: board}
"""
REASONS = """\
reasons:
  - code: B3_YOUNG
    customer: {zh: 成立时间短, en: too young}
    officer: {zh: 成立时间短, en: too young}
"""
OVERLAY = {f"{OWN}/own.yaml": RULES, f"{OWN}/parameters.yaml": PARAMETERS, f"{OWN}/reasons.yaml": REASONS}


def laid_over(**changes: str) -> dict[str, str]:
    """The small rulebook with the overlay of bank-03; ``own="…"`` replaces its own.yaml, and so on."""
    return {**SOURCES, **OVERLAY, **{f"{OWN}/{name}.yaml": text for name, text in changes.items()}}


@pytest.fixture(scope="module")
def loaded() -> Ruleset:
    return load_sources(laid_over())


def ids(found: Ruleset, on: date, client: str) -> set[str]:
    return {rule.name for stage in Stage for rule in found.in_force(on, client).rules(stage)}


def test_a_ruleset_names_the_clients_that_have_an_overlay(loaded: Ruleset) -> None:
    assert list(loaded.overlays) == ["bank-03"] and list(ruleset().overlays) == []


def test_a_rule_with_a_new_id_is_added_and_one_with_a_known_id_stands_in_its_place(loaded: Ruleset) -> None:
    base = ids(ruleset(), TODAY, "")
    assert ids(loaded, TODAY, "bank-03") == base - {"AUTO-1"} | {"bank-03/AUTO-1", "bank-03/B3-1"}


@pytest.mark.parametrize("client", ["", "bank-04", "bank-0", "bank-03 ", "BANK-03"])
def test_nobody_else_notices_an_overlay(loaded: Ruleset, client: str) -> None:
    base, seen = ruleset().in_force(TODAY), loaded.in_force(TODAY, client)
    assert [seen.rules(stage) for stage in Stage] == [base.rules(stage) for stage in Stage]
    assert seen.parameters("plain", "35") == base.parameters("plain", "35")
    assert "B3_YOUNG" not in seen.reasons and seen.client == ""


@pytest.mark.parametrize(
    ("on", "replaced"),
    [
        (date(2023, 12, 31), False),
        (date(2024, 1, 1), True),
        (date(2024, 12, 31), True),
        (date(2025, 1, 1), False),
    ],
)
def test_the_base_holds_on_days_on_which_no_own_rule_or_row_is_in_force(
    loaded: Ruleset, on: date, replaced: bool
) -> None:
    rules, base = loaded.in_force(on, "bank-03"), loaded.in_force(on)
    assert rules.rule("AUTO-1").name == ("bank-03/AUTO-1" if replaced else "AUTO-1")
    line = 100_000_000 if replaced else base.parameters("plain", "35")["policy.line"]
    assert rules.parameters("plain", "35") == {**base.parameters("plain", "35"), "policy.line": line}


def test_an_own_reason_has_its_own_text(loaded: Ruleset) -> None:
    rules = loaded.in_force(TODAY, "bank-03")
    assert [one.en for one in rules.reasons_of(["B3-1"])] == ["too young"]
    assert rules.reason("AMOUNT") == loaded.in_force(TODAY).reason("AMOUNT")


def test_an_overlay_may_hold_one_kind_of_file_only() -> None:
    for path, text in {f"{OWN}/parameters.yaml": PARAMETERS, f"{OWN}/reasons.yaml": REASONS}.items():
        assert list(load_sources({**SOURCES, path: text}).overlays) == ["bank-03"]


def test_an_overlay_is_part_of_the_version() -> None:
    digests = {load_sources(sources).digest for sources in (SOURCES, laid_over(), laid_over(own=RULES + "# later\n"))}
    assert len(digests) == 3


def test_an_overlay_of_one_client_is_not_laid_over_that_of_another() -> None:
    other = {path.replace("bank-03", "bank-04"): text.replace("B3", "B4") for path, text in OVERLAY.items()}
    found = load_sources({**laid_over(), **other})
    assert list(found.overlays) == ["bank-03", "bank-04"]
    assert {"bank-04/B4-1", "bank-04/AUTO-1"} <= ids(found, TODAY, "bank-04")
    assert not any(name.startswith("bank-03") for name in ids(found, TODAY, "bank-04"))
    assert "B3_YOUNG" not in found.in_force(TODAY, "bank-04").reasons


def test_two_clients_may_use_the_same_id_and_the_same_code() -> None:
    other = {path.replace("bank-03", "bank-04"): text for path, text in OVERLAY.items()}
    assert "bank-04/B3-1" in ids(load_sources({**laid_over(), **other}), TODAY, "bank-04")


ALIEN = "an overlay holds rule files, parameters.yaml and reasons.yaml"
MISTAKES: dict[str, tuple[dict[str, str], str]] = {
    "facts": ({f"{OWN}/facts.yaml": SOURCES["facts.yaml"]}, f"{OWN}/facts.yaml:1: an overlay cannot declare facts"),
    "an industry table": (
        {f"{OWN}/industries.csv": SOURCES["industries.csv"]},
        f"{OWN}/industries.csv:1: an overlay cannot change industries",
    ),
    "a product": (
        {f"{OWN}/products/plain.yaml": SOURCES["products/plain.yaml"]},
        f"{OWN}/products/plain.yaml:1: an overlay cannot change products",
    ),
    "lists": ({f"{OWN}/lists.yaml": "lists: []\n"}, f"{OWN}/lists.yaml:1: an overlay cannot change lists"),
    "claims": (
        {f"{OWN}/invariants.yaml": "invariants: []\n"},
        f"{OWN}/invariants.yaml:1: an overlay cannot make claims",
    ),
    "cases": ({f"{OWN}/cases/own.yaml": "cases: []\n"}, f"{OWN}/cases/own.yaml:1: an overlay cannot hold cases"),
    "a version": ({f"{OWN}/VERSION": "1\n"}, f"{OWN}/VERSION:1: an overlay cannot hold this file; {ALIEN}"),
    "a table": ({f"{OWN}/own.csv": "a,b\n"}, f"{OWN}/own.csv:1: an overlay cannot hold this file; {ALIEN}"),
    "a folder inside": (
        {f"{OWN}/more/own.yaml": RULES},
        f"{OWN}/more/own.yaml:1: an overlay cannot hold this file; {ALIEN}",
    ),
    "a file beside the clients": (
        {"overlays/own.yaml": RULES},
        "overlays/own.yaml:1: this file is not read by anything; move it to its place, or remove it",
    ),
    "a folder that no client can have": (
        {"overlays/Bank_03/own.yaml": RULES.replace("B3_YOUNG", "AMOUNT")},
        "overlays/Bank_03/own.yaml:1: 'Bank_03' cannot be the id of a client",
    ),
    "a file that is no rule file": (
        {f"{OWN}/other.yaml": "facts: []\n"},
        f"{OWN}/other.yaml:1: this file is not a rule file; begin it with stage: status, limit or decision",
    ),
    "a code of the base": (
        {f"{OWN}/reasons.yaml": REASONS + REASONS.removeprefix("reasons:\n").replace("B3_YOUNG", "CARD")},
        f"{OWN}/reasons.yaml:5: reason CARD is a code of the base, which an overlay cannot redefine",
    ),
    "a code of nobody": (
        {f"{OWN}/own.yaml": RULES.replace("B3_YOUNG", "B3_YUONG")},
        f"{OWN}/own.yaml:3: rule B3-1: unknown reason code 'B3_YUONG'; did you mean B3_YOUNG?",
    ),
    "another stage": (
        {f"{OWN}/own.yaml": RULES.replace("B3-1", "LIM-1")},
        f"{OWN}/own.yaml:3: rule LIM-1 replaces a rule of stage limit (limit.yaml:3) by one of stage decision",
    ),
    "an id twice": (
        {f"{OWN}/twice.yaml": RULES.replace("AUTO-1", "B3-2")},
        f"{OWN}/twice.yaml:3: rule B3-1 stands twice, first in {OWN}/own.yaml:3",
    ),
    "an unknown fact": (
        {f"{OWN}/own.yaml": RULES.replace("years < 3", "yaers < 3")},
        f"{OWN}/own.yaml:5: rule B3-1: unknown fact 'yaers'; did you mean years?",
    ),
    "a refusal without a reason": (
        {f"{OWN}/own.yaml": RULES.replace("    reason: B3_YOUNG\n", "")},
        f"{OWN}/own.yaml:3: rule B3-1: a rule that refers or declines gives no reason",
    ),
    "an unknown parameter": (
        {f"{OWN}/parameters.yaml": PARAMETERS.replace("name: line", "name: lime")},
        f"{OWN}/parameters.yaml:2: unknown fact 'policy.lime'; did you mean policy.line?",
    ),
    "rows that overlap": (
        {f"{OWN}/parameters.yaml": PARAMETERS + PARAMETERS.removeprefix("parameters:\n")},
        f"{OWN}/parameters.yaml:3: two rows of policy.line are in force on 2024-01-01",
    ),
    "no rows": ({f"{OWN}/parameters.yaml": "parameters: []\n"}, f"{OWN}/parameters.yaml:1: the file has no rows"),
    "no rules": (
        {f"{OWN}/other.yaml": "stage: limit\nrules: []\n"},
        f"{OWN}/other.yaml:1: the file has no rules",
    ),
    "no YAML": ({f"{OWN}/other.yaml": "stage: [\n"}, f"{OWN}/other.yaml:2: YAML syntax"),
}


@pytest.mark.parametrize(("texts", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_an_overlay_cannot_say_is_told_with_file_and_line(texts: dict[str, str], message: str) -> None:
    found = problems({**laid_over(), **texts})
    assert len(found) == 1 and found[0].startswith(message), found


def test_mistakes_of_the_base_and_of_all_overlays_are_told_at_once() -> None:
    wrong = {
        **laid_over(own=RULES.replace("years < 3", "yaers < 3")),
        "overlays/bank-04/facts.yaml": "facts: []\n",
        "limit.yaml": SOURCES["limit.yaml"].replace("amount >= 0.01", "amonut >= 0.01"),
    }
    assert [problem.split(":")[0] for problem in problems(wrong)] == [
        "limit.yaml",
        f"{OWN}/own.yaml",
        "overlays/bank-04/facts.yaml",
    ]


def test_reasons_that_cannot_be_read_are_not_told_again_for_each_rule_that_names_one() -> None:
    assert [problem.split(":")[0] for problem in problems({**laid_over(), "reasons.yaml": "reasons: [\n"})] == [
        "reasons.yaml"
    ]


def write(folder: Path, sources: dict[str, str]) -> Path:
    for path, text in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def in_folder(folder: Path) -> list[str]:
    with pytest.raises(RulebookError) as caught:
        load(folder)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_a_folder_is_read_with_its_overlays(tmp_path: Path) -> None:
    sources = {**laid_over(), "overlays/README.md": "who has one\n", f"{OWN}/README.md": "why\n"}
    assert load(write(tmp_path, sources)).digest == load_sources(laid_over()).digest


def test_an_overlay_without_files_is_a_mistake(tmp_path: Path) -> None:
    (write(tmp_path, laid_over()) / "overlays" / "bank-04").mkdir()
    assert in_folder(tmp_path) == [
        f"overlays/bank-04:1: the overlay has no file that could be read; add its files or remove the folder; {ALIEN}"
    ]


def test_a_file_that_nothing_reads_is_a_mistake_in_an_overlay(tmp_path: Path) -> None:
    write(tmp_path, {**laid_over(), f"{OWN}/limits.txt": "stage: limit\n", f"{OWN}/.hidden": "", "notes.txt": "mine\n"})
    assert in_folder(tmp_path) == [
        f"{OWN}/limits.txt:1: this file is not read by anything; end its name in .yaml; {ALIEN}"
    ]


def lacking(on: date = TODAY, **changes: str) -> list[str]:
    return [str(problem) for problem in incomplete(load_sources(laid_over(**changes)), on=on)]


REFUSING = RULES.replace("outcome: APPROVE\n    reason: AUTO_OK", "outcome: REFER\n    reason: B3_YOUNG")
FOR_GOOD = REFUSING.replace("    effective_to: 2025-01-01\n", "")


def test_an_overlay_that_lets_its_client_have_everything_lacks_nothing() -> None:
    assert lacking() == []


@pytest.mark.parametrize(
    ("name", "own", "on", "missing"),
    [
        ("for a year only", REFUSING, TODAY, False),
        ("for good, from now on", FOR_GOOD, date(2024, 1, 1), True),
        ("for good, from tomorrow on", FOR_GOOD, date(2023, 12, 31), False),
    ],
)
def test_an_overlay_must_not_take_away_the_only_rule_that_approves(
    name: str, own: str, on: date, missing: bool
) -> None:
    found = lacking(on, own=own)
    assert [problem.split(";")[0] for problem in found] == missing * [
        f"{OWN}/own.yaml:10: rule AUTO-1 replaces one that can approve the product {product}, and for bank-03 none in "
        f"force from {on} on does"
        for product in ("invoice", "plain")
    ]


def test_an_overlay_must_not_take_away_the_only_rules_that_set_a_card() -> None:
    assert lacking(cards=STATUS) == []
    (found,) = lacking(cards=STATUS.replace("whitelisted: true", "card: yellow"))
    assert found.startswith(f"{OWN}/cards.yaml:16: rule WL-1 replaces one that sets 'whitelisted', and for bank-03")


CASES = """\
cases:
  - name: A young firm is approved by the base
    base: sound
    as_of: 2024-06-03
    industry: "35"
    facts: {years: 2, pd: 0.03, amount: 2_000_000.00}
    expect: {outcome: APPROVE, reasons: [AUTO_OK]}
    matches: [AUTO-1]
  - name: The same firm is referred for the bank, by its own rule and its own line
    client: bank-03
    base: sound
    as_of: 2024-06-03
    industry: "35"
    facts: {years: 2, pd: 0.03, amount: 2_000_000.00}
    expect: {outcome: REFER, reasons: [B3_YOUNG, AMOUNT]}
    matches: [B3-1, AMT-1]
    misses: [AUTO-1]
  - name: An old and safe firm with a small amount is approved for the bank
    client: bank-03
    base: sound
    as_of: 2024-06-03
    industry: "35"
    facts: {years: 3, pd: 0.02, amount: 1_000_000.00}
    expect: {outcome: APPROVE, reasons: [AUTO_OK]}
    misses: [B3-1]
"""


def run(folder: Path, cases: str) -> CaseReport:
    found = load_sources(laid_over())
    write(folder, {"cases/profiles.yaml": PROFILE, "cases/own.yaml": cases})
    return run_cases(found, load_cases(folder, found), evaluate=evaluate)


def test_a_case_of_a_client_is_decided_by_its_overlay(tmp_path: Path) -> None:
    assert run(tmp_path, CASES).failures == ()


def test_every_rule_of_an_overlay_is_matched_and_missed_by_cases_of_its_client(tmp_path: Path) -> None:
    report = run(tmp_path, CASES)
    own = {"bank-03/AUTO-1", "bank-03/B3-1"}
    assert not own & {*report.never_matched, *report.never_missed}
    without_client = run(tmp_path, CASES[: CASES.index("  - name: The same")])
    assert own <= {*without_client.never_matched} and own <= {*without_client.never_missed}
    assert without_client.coverage["AUTO-1"].matched == ("A young firm is approved by the base",)


def test_a_rule_of_the_base_that_decides_for_a_client_is_covered_by_its_cases(tmp_path: Path) -> None:
    seen = run(tmp_path, CASES).coverage["AMT-1"]
    assert seen.matched == ("The same firm is referred for the bank, by its own rule and its own line",)


BAD_CASES = {
    "a client without an overlay": (
        "client: bank-3",
        "own.yaml:10: case 'The same firm is referred for the bank, by its own rule and its own line': "
        "the client 'bank-3' has no overlay; did you mean bank-03?",
    ),
    "no client at all": (
        "client: somebody",
        "own.yaml:10: case 'The same firm is referred for the bank, by its own rule and its own line': the client "
        "'somebody' has no overlay; add overlays/somebody/, or leave the client out to test what holds for everybody",
    ),
}


@pytest.mark.parametrize(("client", "message"), BAD_CASES.values(), ids=BAD_CASES.keys())
def test_a_case_names_a_client_that_has_an_overlay(tmp_path: Path, client: str, message: str) -> None:
    with pytest.raises(RulebookError) as caught:
        run(tmp_path, CASES.replace("client: bank-03", client, 1))
    assert [str(one) for one in caught.value.problems] == [f"{tmp_path}/cases/{message}"]


def test_a_case_of_the_base_cannot_name_a_rule_or_a_code_of_an_overlay(tmp_path: Path) -> None:
    with pytest.raises(RulebookError) as caught:
        run(tmp_path, CASES.replace("    client: bank-03\n", "", 1))
    found = [str(one).split("; ")[0].removeprefix(f"{tmp_path}/cases/own.yaml:") for one in caught.value.problems]
    case = "case 'The same firm is referred for the bank, by its own rule and its own line'"
    assert found == [
        f"14: {case}: reasons: 'B3_YOUNG' does not exist",
        f"15: {case}: matches: 'B3-1' does not exist",
    ]
