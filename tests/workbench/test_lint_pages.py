"""The pages about findings: each bad example is found at its line, each good one is clean, each code has a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from decision_service.errors import RulebookError
from decision_service.rulebook.findings import WORDINGS
from tests.workbench.lint_rulebook import BASE, planted

PAGES = Path(__file__).resolve().parents[2] / "docs" / "lint"
HERE = "  # found here"
SECTIONS = ("What it means", "Why it matters", "How it is decided", "Bad", "Good")
ELSEWHERE: Mapping[str, tuple[str, str]] = {"approve-and-decline": ("decision.yaml", "  - id: AUTO-1")}
"""Findings whose page says that they stand at a rule of the base."""
CODES = sorted(WORDINGS)


def section(code: str, title: str) -> str:
    """The text under a heading of a page."""
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"{code}.md has no section {title}"
    return found[1]


def texts(code: str, title: str) -> dict[str, str]:
    """The small rulebook with a section's examples: new files, and entries of files that are there already.

    An entry takes the place of a rule of the same id, or stands at the end.
    """
    sources = dict(BASE)
    for block in re.findall(r"^```yaml\n(.*?)^```", section(code, title), flags=re.MULTILINE | re.DOTALL):
        path = block.splitlines()[0].removeprefix("# ")
        entries = re.findall(r"^  - .*\n(?:    .*\n)*", block, flags=re.MULTILINE) if path in BASE else [block]
        for entry in entries:
            sources[path] = _with(sources.get(path, ""), entry)
    return sources


def _with(text: str, entry: str) -> str:
    head = re.match(r"  - id: \S+\n", entry)
    before = re.search(rf"^{head[0]}(?:    .*\n)*", text, flags=re.MULTILINE) if head else None
    return text + entry if before is None else text.replace(before[0], entry)


def place(code: str, sources: Mapping[str, str]) -> tuple[str, int]:
    """File and line at which a page says that its bad example is found."""
    path, wanted = ELSEWHERE.get(code, ("", HERE))
    places = [
        (file, number)
        for file, text in sources.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if (line == wanted if path else line.endswith(wanted))
    ]
    assert len(places) == 1, places
    return places[0]


def found(sources: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """Code, file and line of all that lint finds, or that keeps the texts from being read."""
    try:
        return [(one.code, one.file, one.line) for one in planted(sources)]
    except RulebookError as error:
        return [(one.code, one.file, one.line) for one in error.problems]


def test_the_small_rulebook_is_clean() -> None:
    assert found(BASE) == []


@pytest.mark.parametrize("code", CODES)
def test_the_bad_example_is_found_at_its_line_and_nothing_else(code: str) -> None:
    sources = texts(code, "Bad")
    assert found(sources) == [(code, *place(code, sources))]


@pytest.mark.parametrize("code", CODES)
def test_the_good_example_is_clean(code: str) -> None:
    sources = texts(code, "Good")
    assert sources != BASE and found(sources) == []


@pytest.mark.parametrize("code", CODES)
def test_a_page_says_what_why_and_how_with_a_chinese_summary(code: str) -> None:
    assert all(section(code, title).strip() for title in SECTIONS)
    head, _, rest = (PAGES / f"{code}.md").read_text(encoding="utf-8").partition("\n\n")
    assert head.startswith(f"# `{code}`: ") and re.match(r"[\u3400-\u9fff]", rest)


def test_the_index_names_every_page_once_and_no_page_is_without_a_finding() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\(([a-z-]+)\.md\)", index)) == CODES
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted([*CODES, "README"])
