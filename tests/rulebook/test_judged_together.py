"""Mistakes are reported once and all together: other rooms' files too, circles without noise, the row's first line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from decision_service.errors import Problem, RulebookError
from decision_service.policy import portrait_mistakes
from decision_service.rulebook.files import load, load_sources
from tests.rulebook.small_rulebook import FACTS, INDUSTRIES, SOURCES, changed, problems, ruleset

SHIPPED = Path(__file__).resolve().parents[2] / "rules"
SHIPPED_SOURCES = load(SHIPPED).sources


def mistakes(**changes: tuple[str, str]) -> list[str]:
    """Every problem of the shipped files after replacing one text in each named file."""
    sources = dict(SHIPPED_SOURCES)
    for stem, (before, after) in changes.items():
        path = next(path for path in sources if path.split(".")[0] == stem)
        assert before in sources[path], before
        sources[path] = sources[path].replace(before, after, 1)
    try:
        load_sources(sources, checks=(portrait_mistakes,))
    except RulebookError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_the_shipped_files_have_no_mistake() -> None:
    assert mistakes() == []


def test_mistakes_of_lists_and_indicators_stand_beside_those_of_rules() -> None:
    found = mistakes(
        lists=("card: red", "card: pink"),
        indicators=("BLOCK_AUTO", "GUESS"),
        industries=("high,12;1", "high,12;13"),
        cards=("list_court_dishonest ==", "list_court_dishonset =="),
    )
    assert [problem.split(":")[0] for problem in found] == [
        "cards.yaml", "indicators.csv", "industries.csv", "lists.yaml",
    ]  # fmt: skip


def test_another_room_s_mistakes_are_named_with_the_folder(tmp_path: Path) -> None:
    for path, text in {**SOURCES, "lists.yaml": "lists:\n  - {name: a}\n"}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    with pytest.raises(RulebookError) as caught:
        load(tmp_path, checks=(portrait_mistakes,))
    assert f"{tmp_path}/lists.yaml:2: a: card is None; use red or yellow" in map(str, caught.value.problems)


def test_a_line_that_two_readers_refuse_is_reported_once() -> None:
    def check(sources: Mapping[str, str]) -> Iterator[Problem]:
        yield Problem("decision.yaml", 3, "seen again")
        yield Problem("decision.yaml", 4, "seen only here")

    with pytest.raises(RulebookError) as caught:
        load_sources(changed("decision.yaml", "    reference: rule six\n", ""), checks=(check,))
    assert [problem.line for problem in caught.value.problems] == [3, 4]


def test_a_file_that_is_no_yaml_is_reported_once() -> None:
    assert len(mistakes(lists=("lists:", "lists: ["))) == 1


NAMED = {"a table with a byte order mark": "industries.csv", "YAML with one": "decision.yaml"}


@pytest.mark.parametrize("path", NAMED.values(), ids=NAMED.keys())
def test_a_byte_order_mark_changes_nothing(path: str) -> None:
    marked = load_sources({**SOURCES, path: "\ufeff" + SOURCES[path]})
    plain = ruleset()
    assert (marked.rules, marked.industries.keys()) == (plain.rules, plain.industries.keys())


def test_the_shipped_industries_may_come_from_a_spreadsheet() -> None:
    assert mistakes(industries=("code,", "\ufeffcode,")) == []


def test_a_table_of_industries_without_codes_is_told_once() -> None:
    (found,) = [problem for problem in mistakes(industries=("code,", "cod,")) if "'code'" in problem]
    assert found.startswith("industries.csv:1: the column 'code' is missing")


def test_a_circle_is_reported_once_and_nothing_that_reads_it() -> None:
    found = problems(changed("facts.yaml", "existing + amount", "existing + exposure"))
    assert found == [
        "facts.yaml:5: derived facts form a circle: exposure → exposure; derive them from given facts"
    ]


def test_each_circle_is_reported() -> None:
    rows = "".join(
        f"  - {{name: {name}, type: count, source: derived, derived: {reads} + 1, level: 1, label: {{zh: 甲, en: a}}}}\n"
        for name, reads in (("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"))
    )
    found = problems({**SOURCES, "facts.yaml": FACTS + rows})
    assert len(found) == 2 and all("form a circle" in problem for problem in found)


def test_a_wrong_formula_makes_no_noise_in_the_rules_that_read_the_fact() -> None:
    assert len(problems(changed("facts.yaml", "existing + amount", "existing + amout"))) == 1


@pytest.mark.parametrize("text", ["", "facts: [", "facts: []\n", "5\n"])
def test_without_facts_no_rule_is_blamed(text: str) -> None:
    assert {problem.split(":")[0] for problem in problems({**SOURCES, "facts.yaml": text})} == {"facts.yaml"}


def test_a_nul_byte_is_one_clear_line(tmp_path: Path) -> None:
    for path, text in SOURCES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    for path in ("facts.yaml", "lists.yaml", "industries_excluded.csv"):
        (tmp_path / path).write_text("# first\n\0" + SOURCES[path], encoding="utf-8")
        with pytest.raises(RulebookError) as caught:
            load(tmp_path)
        what = "the line holds a NUL byte; save the file as plain UTF-8 text"
        assert str(caught.value) == f"{tmp_path}/{path}:2: {what}"
        (tmp_path / path).write_text(SOURCES[path], encoding="utf-8")


TWO_LINES = INDUSTRIES.replace(",first\n", ',"fi\nrst"\n', 1)  # the first row takes lines 2 and 3
ROWS = {
    "a row after one of two lines": (TWO_LINES.replace("51,", "5,"), "industries.csv:5: the code '5'"),
    "a row of two lines": (TWO_LINES.replace("0.045", "x"), "industries.csv:2: column cutoff"),
    "a quote left open": (TWO_LINES.replace("51,", '51,"'), "industries.csv:5: CSV syntax"),
}


@pytest.mark.parametrize(("text", "message"), ROWS.values(), ids=ROWS.keys())
def test_a_row_is_named_by_its_first_line(text: str, message: str) -> None:
    (found,) = problems({**SOURCES, "industries.csv": text})
    assert found.startswith(message)
