"""What lint finds and what it leaves alone: dates, overlays, switches, witnesses (examples of pages: elsewhere)."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import z3

from decision_service.policy import Policy
from decision_service.rule_folder import named_by_platform
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.findings import LANGUAGES, WORDINGS, Finding
from decision_service.rulebook.lint import users_of
from decision_service.rulebook.proof import search
from decision_service.rulebook.proof.applications import Application, distance, nearer
from decision_service.rulebook.reads import PARAMETER
from decision_service.workbench.lint import READ_BESIDE
from tests.rulebook.small_rulebook import SOURCES
from tests.workbench.lint_rulebook import BASE, planted

BASE_RULE = "    effective_from: 2023-10-15\n    reference: further\n"


def rule(rule_id: str, when: str, does: str, *, dates: str = BASE_RULE) -> str:
    """One rule as text; ``when`` is a condition in one line or an indented block."""
    return f"  - id: {rule_id}\n    title: {{zh: 另, en: further}}\n    when: {when}\n    {does}\n{dates}"


def rules(*texts: str, stage: str = "decision") -> dict[str, str]:
    return {"more.yaml": f"stage: {stage}\nrules:\n{''.join(texts)}"}


def refers(reason: str) -> str:
    return f"outcome: REFER\n    reason: {reason}"


def declines(reason: str) -> str:
    return f"outcome: DECLINE\n    reason: {reason}"


def replaced(path: str, before: str, after: str) -> dict[str, str]:
    assert before in BASE[path], before
    return {path: BASE[path].replace(before, after, 1)}


def ending(day: str) -> str:
    return f"    effective_from: 2023-10-15\n    effective_to: {day}\n    reference: further\n"


def beginning(day: str) -> str:
    return f"    effective_from: {day}\n    reference: further\n"


LINE_RISES = replaced(
    "parameters.yaml",
    "value: 6_000_000.00, effective_from: 2025-01-01,",
    "value: 6_000_000.00, effective_from: 2025-01-01, effective_to: 2027-01-01,",
)
LINE_RISES["parameters.yaml"] += (
    "  - {name: line, value: 8_000_000.00, effective_from: 2027-01-01, reference: third}\n"
)
MODE = {
    "facts.yaml": BASE["facts.yaml"]
    + '  - {name: policy.mode, type: "choice[usual, strict]", source: parameter, level: 1, label: {zh: 甲, en: mode}}\n',
    "parameters.yaml": BASE["parameters.yaml"]
    + "  - {name: mode, value: usual, effective_from: 2023-10-15, reference: first}\n",
}
WAITING = rule("AMT-9", "exposure <= policy.line and existing > 7_000_000.00", refers("AMOUNT"))

MEANT: Mapping[str, Mapping[str, str]] = {
    "a referral that another implies, for a reason of its own": rules(rule("PD-9", "pd > 0.06", refers("AMOUNT"))),
    "a decline that implies a referral": rules(rule("PD-9", "pd > 0.08", declines("PD"))),
    "a rule that waits for a row to come": {**LINE_RISES, **rules(WAITING)},
    "a rule that begins later": rules(rule("PD-9", "pd > 0.08", declines("PD"), dates=beginning("2027-01-01"))),
    "a contradiction that has ended": rules(
        rule("PD-9", "pd > 0.08 and pd < 0.02", declines("PD"), dates=ending("2026-01-01"))
    ),
    "a rule for a position in which a switch does not stand today": {
        **MODE,
        **rules(rule("TERM-9", "policy.mode == strict and months > 3", refers("AMOUNT"))),
    },
    "a part that only keeps other products from being unknown": rules(
        rule("TERM-9", "product == plain and months < 3", refers("AMOUNT"))
    ),
    "a bank that approves less than the base": {
        "overlays/bank-03/auto.yaml": rules(
            rule("AUTO-1", "exposure <= policy.line and pd <= 0.02 and card == none", "outcome: APPROVE")
        )["more.yaml"],
    },
    "a stricter cap beside a looser one": rules(
        rule("LIM-9", "card == yellow", "effects: {limit_cap: 100_000.00}"), stage="limit"
    ),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_so_is_no_finding(name: str) -> None:
    assert planted({**BASE, **MEANT[name]}) == ()


def only(changes: Mapping[str, str]) -> Finding:
    found = planted({**BASE, **changes})
    assert len(found) == 1, [str(one.problem("en")) for one in found]
    return found[0]


BRANCHES = """
      any:
        - pd > 0.08
        - all:
            - months > 60
            - overdue >= 90
            - overdue < 30"""

FOUND: Mapping[str, tuple[Mapping[str, str], str, str, int]] = {
    "a dead branch, at its first comparison": (
        rules(rule("PD-9", BRANCHES, declines("PD"))), "contradiction", "more.yaml", 9,
    ),
    "of two parts that say the same, the later": (
        rules(rule("PD-9", "[pd > 0.08, pd > 0.07]", declines("PD"))), "redundant-condition", "more.yaml", 5,
    ),
    "a comparison that the range makes true": (
        rules(rule("PD-9", "[pd > 0.08, months <= 360]", declines("PD"))), "redundant-condition", "more.yaml", 5,
    ),
    "beyond the range of a fact": (
        rules(rule("PD-9", "months > 360", declines("PD"))), "unreachable-rule", "more.yaml", 5,
    ),
    "of two rules that say the same, the later": (
        rules(rule("PD-8", "pd > 0.08", declines("PD")), rule("PD-9", "pd > 0.08", declines("PD"))),
        "subsumed-rule", "more.yaml", 10,
    ),
    "a cap that another makes superfluous": (
        rules(
            rule("LIM-8", "card == yellow", "effects: {limit_cap: 100_000.00}"),
            rule("LIM-9", "card == yellow", "effects: {limit_cap: 200_000.00}"),
            stage="limit",
        ),
        "subsumed-rule", "more.yaml", 9,
    ),
    "a card that another rule sets already": (
        rules(rule("YEL-9", "overdue >= 90 and listed == true", "sets: {card: yellow}"), stage="status"),
        "subsumed-rule", "more.yaml", 3,
    ),
    "a parameter that only one product has": (
        {
            "facts.yaml": BASE["facts.yaml"]
            + "  - {name: product.grace, type: days, source: parameter, level: 1, label: {zh: 乙, en: grace}}\n",
            "products/plain.yaml": BASE["products/plain.yaml"]
            + "  - {name: grace, value: 60, effective_from: 2023-10-15, reference: first}\n",
            **rules(rule("DUE-9", "overdue > product.grace", declines("CARD"))),
        },
        "parameter-not-in-force", "more.yaml", 5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_a_finding_stands_at_its_line(name: str) -> None:
    changes, code, file, line = FOUND[name]
    found = only(changes)
    assert (found.code, found.file, found.line) == (code, file, line)


def test_a_row_that_ends_is_found_from_that_day_on() -> None:
    begins = "effective_from: 2023-10-15"
    found = only(replaced("products/plain.yaml", begins, f"{begins}, effective_to: 2027-01-01"))
    assert (found.code, found.file, found.since) == ("parameter-not-in-force", "decision.yaml", date(2027, 1, 1))
    assert found.sentence("en").startswith("from 2027-01-01 on, rule TERM-1 reads product.term, ")
    assert found.sentence("zh").startswith("自 2027-01-01 起，规则 TERM-1")


def test_a_rule_that_ends_leaves_a_gap_from_that_day_on() -> None:
    text = BASE["decision.yaml"]
    before, amount, after = text.partition("    outcome: REFER\n    reason: AMOUNT\n    effective_from: 2023-10-15\n")
    assert amount
    ended = {"decision.yaml": f"{before}{amount}    effective_to: 2028-01-01\n{after}"}
    found = planted({**BASE, **ended})
    assert {(one.code, one.since) for one in found} == {("gap", date(2028, 1, 1))}


FIRST_RULE = "    reason: AUTO_OK\n    effective_from: 2023-10-15\n"
CEASING = {
    "ends": (
        "    effective_to: 2028-01-01\n",
        date(2028, 1, 1),
        "rule AUTO-1 ended on 2028-01-01",
        "规则 AUTO-1 2028-01-01 失效",
    ),
    "begins": ("", None, "rule AUTO-1 begins on 2028-01-01", "规则 AUTO-1 2028-01-01 生效"),
}


@pytest.mark.parametrize("how", CEASING)
def test_where_no_rule_approves_any_more_no_rule_is_called_the_nearest_that_does(how: str) -> None:
    ends, since, en, zh = CEASING[how]
    begins = "2028-01-01" if how == "begins" else "2023-10-15"
    dates = f"    reason: AUTO_OK\n    effective_from: {begins}\n{ends}"
    found = planted({**BASE, **replaced("decision.yaml", FIRST_RULE, dates)})
    found = [one for one in found if one.code != "case-off-target"]
    assert [(one.code, one.file, one.line, one.since) for one in found] == [("gap", "decision.yaml", 3, since)]
    assert f"NO_APPROVAL only; no rule in force then approves it: {en} [gap]" in str(found[0].problem("en"))
    assert f"此时没有生效的规则批准该产品：{zh}" in found[0].sentence("zh")


def test_what_no_rule_of_any_day_approves_is_left_to_the_check() -> None:
    never = replaced("decision.yaml", "outcome: APPROVE\n    reason: AUTO_OK", "outcome: REFER\n    reason: AMOUNT")
    assert "gap" not in {one.code for one in planted({**BASE, **never})}


def test_a_waiting_rule_is_unreachable_without_the_row_it_waits_for() -> None:
    found = only(rules(WAITING))
    assert (found.code, found.line) == ("unreachable-rule", 5)


def test_a_gap_is_told_by_an_application_beside_the_nearest_profile() -> None:
    late = replaced("decision.yaml", "when: exposure > policy.line", "when: exposure > 7_000_000.00")
    found = planted({**BASE, **late})
    assert {one.code for one in found} == {"gap"}
    for lang, head in (("zh", "如案例档案 sound，但："), ("en", "as profile sound, but with")):
        lines = found[0].witness[lang]
        assert lines[0] == head and len(lines) <= 3, lines
        assert any("amount" in line or "existing" in line for line in lines[1:])


@pytest.mark.parametrize("seed", range(12))
def test_a_witness_has_as_few_facts_whichever_model_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain solver that is stopped early leaves it to the other one, which begins somewhere else."""
    monkeypatch.setattr(search, "PLAIN_MS", 1 + seed)
    late = replaced("decision.yaml", "when: exposure > policy.line", "when: exposure > 7_000_000.00")
    z3.set_param("smt.random_seed", seed)
    try:
        found = planted({**BASE, **late})
    finally:
        z3.set_param("smt.random_seed", 0)
    assert [len(found[0].witness[lang]) for lang in ("zh", "en")] == [3, 3], found[0].witness


def test_a_fact_goes_home_when_another_takes_up_the_difference_in_its_range() -> None:
    catalogue = load_sources(SOURCES).catalogue
    base = Application({"amount": 100_000_000, "existing": 0}, None, date(2026, 6, 3))
    found = replace(base, values={"amount": 600_000_000, "existing": 1})

    def fails(one: Application) -> bool:
        return sum(int(one.values[name] or 0) for name in base.values) >= 600_000_001

    near = nearer(found, base, fails, catalogue)
    assert distance(near, base) == 1 and fails(near)
    highest = replace(base, values={"amount": catalogue["amount"].maximum, "existing": 1})
    far = nearer(highest, base, lambda one: fails(one) and one.values["existing"] == 1, catalogue)
    assert int(far.values["amount"] or 0) <= catalogue["amount"].maximum


def test_a_finding_in_an_overlay_names_its_client_and_those_of_the_base_are_told_once() -> None:
    own = {"overlays/bank-03/more.yaml": rules(rule("B3-9", "pd > 0.08 and pd < 0.02", refers("PD")))["more.yaml"]}
    dead = rules(rule("PD-9", "months > 360", declines("PD")))
    found = planted({**BASE, **own, **dead})
    assert [(one.code, one.file, one.client) for one in found] == [
        ("unreachable-rule", "more.yaml", ""),
        ("contradiction", "overlays/bank-03/more.yaml", "bank-03"),
    ]
    assert found[1].sentence("en").startswith("client bank-03: ") and found[1].sentence("zh").startswith("客户 bank-03：")


def test_a_parameter_of_an_overlay_can_make_a_rule_of_the_base_dead_for_its_client() -> None:
    own = {
        "overlays/bank-03/parameters.yaml": "parameters:\n"
        "  - {name: line, value: 500_000.00, effective_from: 2023-10-15, reference: board of the bank}\n"
    }
    base = rules(rule("AMT-9", "exposure <= policy.line and existing > 1_000_000.00", refers("AMOUNT")))
    found = only({**own, **base})
    assert (found.code, found.file, found.client) == ("unreachable-rule", "more.yaml", "bank-03")


@pytest.mark.parametrize("code", sorted(code for code, wording in WORDINGS.items() if wording.en))
def test_every_wording_is_in_its_language_and_has_a_remedy(code: str) -> None:
    wording = WORDINGS[code]
    han = [any("\u4e00" <= character <= "\u9fff" for character in text) for text in (wording.zh, wording.remedy_zh)]
    plain = [all(character < "\u4e00" for character in text) and bool(text) for text in (wording.en, wording.remedy_en)]
    assert all(han) and all(plain) and LANGUAGES == ("zh", "en")


ROOT = Path(__file__).parents[2]
NOT_READERS = ("decision_service/workbench/", "decision_service/rulebook/")
"""What compares, shows or edits rules names their parameters without deciding anything by them."""


def texts_in(path: Path) -> Iterator[str]:
    """The words in a module's texts; of an f-string the parts that are written out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.rpartition(".")[2]


def test_the_parameters_that_code_reads_beside_the_rules_are_those_that_lint_knows() -> None:
    paths = [path for room in ("decision_service", "ml") for path in (ROOT / room).rglob("*.py")]
    readers = [path for path in paths if not path.relative_to(ROOT).as_posix().startswith(NOT_READERS)]
    named = {text for path in readers for text in texts_in(path)}
    ruleset = load(ROOT / "rules")
    known = {*users_of(ruleset), *named_by_platform(Policy(ruleset))}
    beside = {name for name, fact in ruleset.catalogue.items() if fact.source == PARAMETER and name not in known}
    assert {name for name in beside if name.rpartition(".")[2] in named} == READ_BESIDE
