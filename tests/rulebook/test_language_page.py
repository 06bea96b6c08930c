"""The page on the rule language: its examples are read by the real readers."""

from __future__ import annotations

import re
from pathlib import Path

from decision_service.errors import Problem
from decision_service.rulebook.cases import load_cases
from decision_service.rulebook.fact_file import read_facts
from decision_service.rulebook.files import load_sources
from decision_service.rulebook.invariants import Claim
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.ruleset import RESERVED_REASONS
from decision_service.rulebook.syntax import parse_condition
from tests.rulebook.small_rulebook import FACTS, SOURCES, TODAY, ruleset

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "rule-language.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The page's code blocks of one language."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_declared_facts_of_the_page_are_read() -> None:
    existing = "  - {name: existing, type: money, source: x, level: 1, label: {zh: a, en: b}}\n"
    problems: list[Problem] = []
    catalogue = read_facts(blocks("yaml")[0] + existing, Sheet("facts.yaml", problems))
    assert problems == [] and set(catalogue) == {"amount", "exposure", "existing"}


def test_the_conditions_of_the_page_are_conditions() -> None:
    extra = "".join(
        f"  - {{name: {name}, type: {kind}, source: x, level: 1, label: {{zh: a, en: b}}}}\n"
        for name, kind in [
            ("exposure_total", "money"),
            ("pd_12m", "ratio"),
            ("industry.pd_cutoff_review", "ratio"),
            ("purpose", '"choice[property, securities]"'),
            ("tax_rating", '"choice[A, B]"'),
            ("established_on", "date"),
        ]
    )
    catalogue = read_facts(FACTS + extra, Sheet("facts.yaml", []))
    lines = blocks("text")[0].splitlines()
    assert len(lines) == 4 and all(parse_condition(line, catalogue) for line in lines)


def test_the_rule_of_the_page_is_a_rule() -> None:
    assert "AUTO-001" in {rule.id for rule in ruleset(decision=blocks("yaml")[1]).rules}


def test_the_case_of_the_page_is_a_case(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "page.yaml").write_text(blocks("yaml")[2], encoding="utf-8")
    (case,) = load_cases(tmp_path, ruleset())
    assert case.facts == {"amount": 500_000_000} and case.matches == ("AUTO-1",)


def test_the_platforms_own_codes_are_on_the_page() -> None:
    assert all(f"`{code}`" in PAGE for code in RESERVED_REASONS)


def test_the_overlay_of_the_page_is_laid_over_the_base() -> None:
    shown = [block for block in blocks("yaml") if block.startswith("# overlays/")]
    texts = {block.split("\n")[0].removeprefix("# "): block for block in shown}
    assert len(texts) == 3
    found = load_sources({**SOURCES, **texts})
    assert {rule.name for rule in found.overlays["bank-03"].rules} == {"bank-03/B3-01", "bank-03/AUTO-1"}
    assert found.in_force(TODAY, "bank-03").parameters("plain", "35")["policy.line"] == 200_000_000


def test_the_claims_of_the_page_are_read_and_every_form_is_told() -> None:
    (text,) = (block for block in blocks("yaml") if block.startswith("# invariants.yaml"))
    assert [one.id for one in load_sources({**SOURCES, "invariants.yaml": text}).invariants] == [
        "red-declines",
        "higher-pd-never-better",
        "unknown-never-approves",
    ]
    assert all(f"| `{form.value}` |" in PAGE for form in Claim)
