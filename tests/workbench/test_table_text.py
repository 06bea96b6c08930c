"""Tables in texts under edits of every kind: what is wanted is what reads back, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.errors import InputError
from decision_service.workbench.csv_table import CsvTable
from decision_service.workbench.table_text import COMMENT, TableText, Wanted
from decision_service.workbench.yaml_condition import condition_line, split_condition
from decision_service.workbench.yaml_places import find
from decision_service.workbench.yaml_table import GROUP, Layout, YamlTable

RULES = """\
# head
stage: limit
rules:   # the rules
  # First

  - id: A-1   # keep me
    title: {zh: 一, en: "one: 1"}
    when:
      all:
        - card == red   # why
        # in between
        - "purpose in [a, b]"
        - any: [x == 1, y == 2]
    effects: {limit_factor: 0.50, conditions: [a, b]}
    effective_from: 2023-10-15
    reference: |
      two
      lines

  # Second
  # part
  - id: B-1
    title:
      zh: '二''s'
      en: two
    when: not (card == red)
    effects: {limit_cap: 5_000_000.00}
    reason: OK
    effective_from: 2023-10-15
    effective_to: 2030-01-01
    reference: three
  - {id: C-1, title: {zh: 三, en: three}, when: card == red, effects: {rate_spread_bp: 5}, effective_from: 2023-10-15, reference: r}
  # tail
"""  # noqa: E501
COLUMNS = (
    "id",
    "title.zh",
    "title.en",
    "when",
    "effects.limit_factor",
    "effects.limit_cap",
    "effects.rate_spread_bp",
    "effects.conditions",
    "reason",
    "effective_from",
    "effective_to",
    "reference",
    COMMENT,
)
INDUSTRIES = '''\
code,name,"note",from
01,农业,"a, b",2023-10-15
02,"林业",,2023-10-15

03, spaced ,"say ""x""",2023-10-15
'''


def in_windows(text: str) -> str:
    return text.replace("\n", "\r\n")


def open_ended(text: str) -> str:
    return text.rstrip().removesuffix("# tail").rstrip()


RULE_TEXTS = {"unix": RULES, "windows": in_windows(RULES), "no last line end": open_ended(RULES)}
CSV_TEXTS = {
    "unix": INDUSTRIES,
    "windows": in_windows(INDUSTRIES),
    "no last line end": INDUSTRIES.rstrip(),
    "with a byte order mark": "\ufeff" + INDUSTRIES,
}
TABLES: Mapping[str, TableText] = {
    **{f"rules, {name}": YamlTable(text, Layout("rules", COLUMNS)) for name, text in RULE_TEXTS.items()},
    **{f"industries, {name}": CsvTable(text) for name, text in CSV_TEXTS.items()},
}
TEXTS = {
    **{f"rules, {name}": text for name, text in RULE_TEXTS.items()},
    **{f"industries, {name}": text for name, text in CSV_TEXTS.items()},
}


def unchanged(table: TableText) -> list[Wanted]:
    return [Wanted(place, row.cells) for place, row in enumerate(table.rows)]


@pytest.mark.parametrize("name", TABLES)
def test_the_rows_as_they_are_give_the_same_text(name: str) -> None:
    assert TABLES[name].rewritten(unchanged(TABLES[name])) == TEXTS[name]


def test_rows_say_what_the_text_says() -> None:
    first, second, third = YamlTable(RULES, Layout("rules", COLUMNS)).rows
    assert first.cells["when"] == "card == red and purpose in [a, b] and (x == 1 or y == 2)"
    assert (first.cells["effects.conditions"], first.cells["reason"]) == ("a, b", "")
    assert (first.cells[COMMENT], second.cells[COMMENT], third.cells[COMMENT]) == ("First", "Second\npart", "")
    assert (first.lines, third.lines) == ((6, 18), (32, 32))
    assert second.cells["title.zh"] == "二's"
    assert [*CsvTable(INDUSTRIES).rows[2].cells.values()] == ["03", " spaced ", 'say "x"', "2023-10-15"]
    assert [row.lines for row in CsvTable(INDUSTRIES).rows] == [(2, 2), (3, 3), (5, 5)]


WORDS = st.sampled_from(
    ["x", "0.018", "5_000_000.00", "01", "a: b", "a, b", "it's", '"', "null", "yes", "#no", "- a", "{a}", "中文：", " x "]
)
CONDITIONS = st.sampled_from(
    [
        "card == red",
        "card == red and purpose in [a, b]",
        "purpose in [a, b] and card == red and z >= 5_000",
        "card == red or purpose in [a, b]",
        "card == red and (x == 1 or y == 2)",
        "not (card == red and z > 1)",
        "(a == 1 or b == 2) and not (c == 3)",
    ]
)
COMMENTS = st.sampled_from(["", "one line", "two\nlines", "# hash", "先\n\n后"])
CODES = st.sampled_from(["a", "a, b", "c, d, e"])


def value_of(column: str) -> st.SearchStrategy[str]:
    special = {"when": CONDITIONS, COMMENT: COMMENTS, "effects.conditions": CODES}
    return special.get(column, WORDS)


@st.composite
def edits(draw: st.DrawFn, table: TableText) -> list[Wanted]:
    """Rows in any order, some left out, some changed in a few cells, some new."""
    places = draw(st.permutations(range(len(table.rows))))
    kept = draw(st.lists(st.sampled_from(places), min_size=1, unique=True))
    wanted = []
    for place in kept:
        cells = dict(table.rows[place].cells)
        for column in draw(st.lists(st.sampled_from(sorted(cells)), max_size=3, unique=True)):
            optional = column.startswith("effects.") or column in ("reason", "effective_to", COMMENT)
            cells[column] = draw(value_of(column) | st.just("") if optional else value_of(column))
        if "when" in cells and not any(text for column, text in cells.items() if column.startswith("effects.")):
            cells["effects.limit_cap"] = "1"
        wanted.append(Wanted(place, cells))
        if draw(st.booleans()):
            wanted.append(Wanted(None, cells))
    return wanted


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_wanted_is_what_reads_back(name: str, data: st.DataObject) -> None:
    table = TABLES[name]
    wanted = data.draw(edits(table))
    again = table.reread(table.rewritten(wanted))
    assert [row.cells for row in again.rows] == [row.cells for row in wanted]
    assert again.rewritten(unchanged(again)) == table.rewritten(wanted)


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_edit_of_one_row_leaves_every_other_line(name: str, data: st.DataObject) -> None:
    table, text = TABLES[name], TEXTS[name]
    place = data.draw(st.sampled_from(range(len(table.rows))))
    column = data.draw(st.sampled_from(sorted(set(table.rows[place].cells) - {COMMENT})))
    wanted = unchanged(table)
    wanted[place] = Wanted(place, {**wanted[place].cells, column: data.draw(value_of(column))})
    first, last = table.rows[place].lines
    before, after = text.split("\n"), table.rewritten(wanted).split("\n")
    assert after[: first - 1] == before[: first - 1]
    assert after[len(after) - (len(before) - last) :] == before[last:]


MOVED = "[{severity: any, effective_from: 2022"
LISTS = """\
lists:
  - name: one
    periods:
      - {severity: any, effective_from: 2020-01-01}
      # later
      - {severity: any, effective_from: 2021-01-01}
  - name: two
    periods: [{severity: any, effective_from: 2020-01-01}]
"""
PERIODS = Layout("periods", ("severity", "max_months", "effective_from", COMMENT), inside="lists", flow=True)


def period(group: str, begins: str, origin: int | None = None, comment: str = "") -> Wanted:
    cells = {GROUP: group, "severity": "any", "max_months": "", "effective_from": begins, COMMENT: comment}
    return Wanted(origin, cells)


def test_rows_of_several_lists_stay_in_their_lists() -> None:
    table = YamlTable(LISTS, PERIODS)
    wanted = [period("one", "2019-01-01"), *unchanged(table)]
    assert table.placed(wanted) == [0, 1, 2, 3]
    assert table.rewritten(wanted) == LISTS.replace(
        "    periods:\n      -", "    periods:\n      - {severity: any, effective_from: 2019-01-01}\n      -", 1
    )
    moved = [unchanged(table)[2], *unchanged(table)[:2]]
    assert table.placed(moved) == [1, 2, 0] and table.rewritten(moved) == LISTS


def test_a_list_in_one_line_takes_changes_of_values_but_no_rows() -> None:
    table = YamlTable(LISTS, PERIODS)
    rows = unchanged(table)
    later = [*rows[:2], period("two", "2022-01-01", origin=2)]
    assert table.rewritten(later) == LISTS.replace("[{severity: any, effective_from: 2020", MOVED)
    with pytest.raises(InputError, match="written in one line"):
        table.rewritten([*rows, period("two", "2023-01-01")])


def test_an_empty_list_takes_its_first_rows() -> None:
    table = YamlTable("parameters: []  # none yet\n", Layout("parameters", ("name", "value", COMMENT), flow=True))
    cells = [{"name": "a", "value": "1", COMMENT: "why"}, {"name": "b", "value": "x, y", COMMENT: ""}]
    rows = [Wanted(None, one) for one in cells]
    text = table.rewritten(rows)
    assert [row.cells for row in table.reread(text).rows] == [row.cells for row in rows]


SPLIT: Sequence[tuple[str, str, list[str]]] = [
    ("a == 1", "and", ["a == 1"]),
    ("a == 1 and b == 2", "and", ["a == 1", "b == 2"]),
    ("a == 1 or b == 2 and c == 3", "or", ["a == 1", "b == 2 and c == 3"]),
    ("(a == 1 or b == 2) and c in [x, y]", "and", ["(a == 1 or b == 2)", "c in [x, y]"]),
    ("not (a == 1 and b == 2)", "and", ["not (a == 1 and b == 2)"]),
    ("android == 1 and order == 2", "and", ["android == 1", "order == 2"]),
]


@pytest.mark.parametrize(("text", "word", "parts"), SPLIT)
def test_a_condition_is_split_at_its_top(text: str, word: str, parts: list[str]) -> None:
    assert split_condition(text) == (word, parts)


SHOWN = [
    ("a == 1", "a == 1"),
    ("[a == 1, b == 2 or c == 3]", "a == 1 and (b == 2 or c == 3)"),
    ("{none: [a == 1, b == 2]}", "not (a == 1 or b == 2)"),
    ("{any: [a == 1, b == 2], none: [c == 3]}", "(a == 1 or b == 2) and not (c == 3)"),
    ("{all: [{any: [a == 1, b == 2]}]}", "a == 1 or b == 2"),
]


@pytest.mark.parametrize(("written", "shown"), SHOWN)
def test_a_condition_in_yaml_reads_as_one_line(written: str, shown: str) -> None:
    pair = find(yaml.compose(f"when: {written}", Loader=yaml.SafeLoader), "when")  # type: ignore[arg-type]
    assert pair is not None and condition_line(pair[1]) == shown
