"""A workbook and back: without an edit every byte stays, an edit changes its lines only, a mistake changes nothing."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from openpyxl import load_workbook
from openpyxl.chart import BarChart
from openpyxl.worksheet.formula import ArrayFormula

from decision_service.cli import main
from decision_service.errors import RulebookError
from decision_service.rulebook.files import load
from decision_service.workbench.sheet_import import prepare, write
from decision_service.workbench.sheets import save

RULES = Path(__file__).parents[2] / "rules"
Edit = Callable[[Any], None]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped rules as a workbook."""
    path = tmp_path_factory.mktemp("book") / "rules.xlsx"
    save(load(RULES), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped rules, beside another one that stays as it is."""
    shutil.copytree(RULES, tmp_path / "before")
    return Path(shutil.copytree(tmp_path / "before", tmp_path / "rules"))


class Book:
    """A workbook that remembers which of its sheets were edited."""

    def __init__(self, path: Path) -> None:
        self._book = load_workbook(path)
        self._touched = {"about", "choices"}

    def __getitem__(self, title: str) -> Any:
        self._touched.add(title)
        return self._book[title]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)

    def leave(self, titles: set[str]) -> None:
        """Remove the sheets of these titles that nobody edited: they need not be there, and reading them takes time."""
        for title in titles - self._touched:
            if title in self._book.sheetnames:
                self._book.remove(self._book[title])


def edited(exported: Path, folder: Path, edit: Edit) -> Path:
    """The workbook after an edit, beside the folder."""
    book = Book(exported)
    exported_sheets = set(book.sheetnames)
    edit(book)
    book.leave(exported_sheets)
    path = folder.parent / "edited.xlsx"
    book.save(path)
    return path


def put(sheet: str, row: str, **cells: Any) -> Edit:
    """Write cells (``title__en`` is the column ``title.en``) of the row in which a text stands in one of the cells."""

    def edit(book: Any) -> None:
        number = row_of(book[sheet], row)
        for name, value in cells.items():
            book[sheet].cell(number, column_of(book[sheet], name.replace("__", "."))).value = value

    return edit


def add(sheet: str, row: str, *, before: str | None = None, **cells: Any) -> Edit:
    """Copy a row to the end of its sheet, or before another one, as a new row with some cells changed."""

    def edit(book: Any) -> None:
        page = book[sheet]
        values = [cell.value for cell in page[row_of(page, row)]]
        place = page.max_row + 1
        if before is not None:
            place = row_of(page, before)
            page.insert_rows(place)
        for column, value in enumerate(values, start=1):
            page.cell(place, column).value = None if column == 1 else value
        for name, value in cells.items():
            page.cell(place, column_of(page, name.replace("__", "."))).value = value

    return edit


def remove(sheet: str, row: str) -> Edit:
    return lambda book: book[sheet].delete_rows(row_of(book[sheet], row))


def both(*edits: Edit) -> Edit:
    def edit(book: Any) -> None:
        for one in edits:
            one(book)

    return edit


def row_of(page: Any, text: str) -> int:
    """The first row of which a cell holds this text."""
    return next(row[0].row for row in page.iter_rows(min_row=2) if text in [str(cell.value) for cell in row])


def column_of(page: Any, name: str) -> int:
    return next(cell.column for cell in page[1] if cell.value == name)


def differences(folder: Path) -> list[str]:
    """Every line of the folder that is not as shipped, with its file; sorted, because equal lines may change places."""
    found, shipped = [], folder.with_name("before")
    for path in sorted(path for path in shipped.rglob("*") if path.is_file()):
        name = path.relative_to(shipped)
        before, after = path.read_bytes().decode(), (folder / name).read_bytes().decode()
        lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=0)
        found += [f"{name} {line.rstrip(chr(10))}" for line in lines if not line.startswith(("---", "+++", "@@"))]
    return sorted(found)


def test_without_an_edit_every_byte_stays(exported: Path, folder: Path) -> None:
    found = prepare(exported, folder)
    assert (found.changes, found.texts) == ((), {})
    write(found, folder)
    assert differences(folder) == []


def test_every_cell_is_text_and_every_choice_is_offered(exported: Path) -> None:
    book = load_workbook(exported)
    pages = [page for page in book.worksheets if page.title not in ("about", "choices")]
    assert len(pages) == 14
    for page in pages:
        for row in page.iter_rows():
            assert all(cell.value is None or cell.data_type == "s" for cell in row)
            assert all(cell.number_format == "@" for cell in row)
        assert page.freeze_panes == "C2"
        assert all(cell.comment is not None and len(cell.comment.text.split("\n")) == 2 for cell in page[1])
    offered = {
        page.title: {page[f"{str(one.sqref)[0]}1"].value for one in page.data_validations.dataValidation}
        for page in pages
    }
    assert offered["industries"] == {"policy_class", "seasonality", "sci_tech_eligible"}
    assert offered["cards"] == {"sets.card", "sets.whitelisted", "reason"}
    assert offered["auto_approval"] == {"outcome", "reason"}
    assert offered["parameters"] == {"name"}


QUOTED = '"long, very long"'
NEXT_GAP = "0.08, effective_from: 2027-01-01"
RED_12 = """\
cards.yaml +  - id: RED-12
cards.yaml +    title: {zh: 红牌：逾期90天及以上, en: "Late: 60 days, or more"}
cards.yaml +    when: overdue_days_serious >= 60 and card_source in [a, b]
cards.yaml +    sets: {card: red}
cards.yaml +    reason: RED_DPD
cards.yaml +    effective_from: 2027-01-01
cards.yaml +    reference: JW-2023-10-15-01 红黄牌；逾期90天以上，结清满12个月解除""".replace(
    "card_source in [a, b]", "registration_status in [revoked, cancelled]"
).split("\n")


def line(path: str, begins: str) -> str:
    """The one shipped line that begins with a text."""
    return next(one for one in (RULES / path).read_text(encoding="utf-8").split("\n") if one.strip().startswith(begins))


EDITS: list[tuple[str, Edit, list[str]]] = [
    (
        "a changed cut-off",
        put("industries", "01", pd_cutoff_auto="0.02"),
        [
            f"industries.csv -{line('industries.csv', '01,')}",
            f"industries.csv +{line('industries.csv', '01,').replace('0.018', '0.02')}",
        ],
    ),
    (
        "a cut-off typed as a number and a date typed as a date",
        put("industries", "35", pd_cutoff_auto=0.03, effective_to=datetime(2027, 1, 1)),
        [
            f"industries.csv -{line('industries.csv', '35,')}",
            "industries.csv +"
            + line("industries.csv", "35,")
            .replace(f",{line('industries.csv', '35,').split(',')[6]},", ",0.03,", 1)
            .replace("2023-10-15,,", "2023-10-15,2027-01-01,"),
        ],
    ),
    ("blanks at the ends", put("industries", "01", code=" 01", pd_cutoff_auto="0.018\u00a0", section="A\u3000"), []),
    ("numbers that a program has stripped of their zeros", put("industries", "01", code=1, pd_cutoff_review=0.07), []),
    (
        "an added dated row",
        add("industries", "02", pd_cutoff_auto="0.015", effective_from=date(2027, 1, 1), reference="决议，二"),
        [
            "industries.csv +"
            + line("industries.csv", "02,")
            .replace("0.016", "0.015")
            .replace("2023-10-15,,JW-2023-10-15-01 78个行业特征参数；数值为示例缺省", "2027-01-01,,决议，二")
        ],
    ),
    (
        "a note with a comma",
        put("industries", "02", note="long, very long"),
        [
            f"industries.csv -{line('industries.csv', '02,')}",
            f"industries.csv +{line('industries.csv', '02,').replace('very long cash cycle', QUOTED)}",
        ],
    ),
    (
        "a removed row",
        remove("industries_excluded", "07"),
        [f"industries_excluded.csv -{line('industries_excluded.csv', '07,')}"],
    ),
    (
        "a boundary in a condition",
        put("cards", "RED-08", when="overdue_days_serious >= 60"),
        [
            "cards.yaml -    when: overdue_days_serious >= 90",
            "cards.yaml +    when: overdue_days_serious >= 60",
        ],
    ),
    (
        "one of several conditions, the others keep their lines",
        put("cards", "YEL-09", when="overdue_days_recent >= 30 and overdue_days_recent < 120"),
        ["cards.yaml -        - overdue_days_recent < 90", "cards.yaml +        - overdue_days_recent < 120"],
    ),
    (
        "a condition more",
        put("cards", "YEL-10", when="product == working_capital and debt_to_asset_ratio > 1 and grade in [P4, P5]"),
        ["cards.yaml +        - grade in [P4, P5]"],
    ),
    (
        "conditions that are joined in another way",
        put("cards", "RED-06", when="tax_rating == D or tax_rating_basis == direct"),
        [
            "cards.yaml -    when:",
            "cards.yaml -      all:",
            "cards.yaml -        - tax_rating == D",
            "cards.yaml -        - tax_rating_basis == direct",
            "cards.yaml +    when: tax_rating == D or tax_rating_basis == direct",
        ],
    ),
    (
        "an end and no reason",
        put("cards", "YEL-01", effective_to="2027-01-01", reason=None),
        [
            "cards.yaml -    reason: YEL_ABN",
            "cards.yaml +    effective_to: 2027-01-01",
        ],
    ),
    (
        "a title that needs quotes",
        put("limits", "LIM-03", title__en="Half: a yellow card"),
        [
            "limits.yaml -    title: {zh: 黄牌额度减半, en: A yellow card halves the limit}",
            'limits.yaml +    title: {zh: 黄牌额度减半, en: "Half: a yellow card"}',
        ],
    ),
    (
        "effects changed, added and left out",
        put("limits", "LIM-03", effects__limit_factor=None, effects__limit_cap="1_000", effects__conditions="a,b"),
        [
            "limits.yaml -    effects: {limit_factor: 0.5, rate_spread_bp: 50, conditions: [no_limit_increase]}",
            "limits.yaml +    effects: {limit_cap: 1_000, rate_spread_bp: 50, conditions: [a, b]}",
        ],
    ),
    (
        "a rule more, between two",
        add(
            "cards",
            "RED-08",
            before="RED-09",
            id="RED-12",
            title__en="Late: 60 days, or more",
            when="overdue_days_serious >= 60 and registration_status in [revoked, cancelled]",
            effective_from="2027-01-01",
        ),
        RED_12,
    ),
    (
        "a comment above a rule",
        put("cards", "YEL-02", comment="From the court\n# and so on"),
        ["cards.yaml +  # From the court", "cards.yaml +  # # and so on"],
    ),
    (
        "another heading, its empty line stays",
        put("cards", "YEL-01", comment="Yellow cards"),
        ["cards.yaml -  # Yellow", "cards.yaml +  # Yellow cards"],
    ),
    (
        "a comment taken away",
        put("cards", "YEL-13", comment=None),
        ["cards.yaml -  # Dispute"],
    ),
    (
        "a parameter with a new value from a date on",
        both(
            put("parameters", "model_gap_max", effective_to="2027-01-01"),
            add("parameters", "model_gap_max", value="0.08", effective_from="2027-01-01", effective_to=None),
        ),
        [
            f"parameters.yaml -{line('parameters.yaml', '- {name: model_gap_max')}",
            "parameters.yaml +"
            + line("parameters.yaml", "- {name: model_gap_max").replace("15, ref", "15, effective_to: 2027-01-01, ref"),
            "parameters.yaml +"
            + line("parameters.yaml", "- {name: model_gap_max").replace("0.10, effective_from: 2023-10-15", NEXT_GAP),
        ],
    ),
    (
        "a product's cut-off",
        put("product invoice_loan", "pd_cutoff_auto", value=0.05),
        [
            f"products/invoice_loan.yaml -{line('products/invoice_loan.yaml', '- {name: pd_cutoff_auto')}",
            "products/invoice_loan.yaml +"
            + line("products/invoice_loan.yaml", "- {name: pd_cutoff_auto").replace("0.08", "0.05"),
        ],
    ),
    (
        "a period of a list without its end",
        put("lists", "list_court_dishonest", max_months=None),
        [
            f"lists.yaml -{line('lists.yaml', '- {severity: any, min_months: 0, max_months: 24')}",
            "lists.yaml +"
            + line("lists.yaml", "- {severity: any, min_months: 0, max_months: 24").replace(" max_months: 24,", ""),
        ],
    ),
    (
        "a period of a list more",
        add("lists", "list_executee", effective_from="2028-01-01", reference="新规"),
        ["lists.yaml +      - {severity: any, min_months: 0, effective_from: 2028-01-01, reference: 新规}"],
    ),
    (
        "a text in quotes",
        put("reasons", "CARD_RED", officer__en='A "red" card'),
        [
            'reasons.yaml -      en: "Red card active: declined, no rule outweighs it."',
            'reasons.yaml +      en: "A \\"red\\" card"',
        ],
    ),
]


@pytest.mark.parametrize(("what", "edit", "expected"), EDITS, ids=[one[0] for one in EDITS])
def test_an_edit_changes_its_lines_and_nothing_else(
    what: str, edit: Edit, expected: list[str], exported: Path, folder: Path
) -> None:
    found = prepare(edited(exported, folder, edit), folder)
    write(found, folder)
    assert differences(folder) == sorted(expected)
    assert bool(found.changes) == bool(expected)


@pytest.mark.parametrize("sheet", ["industries", "cards", "parameters", "reasons", "never_automatic"])
def test_rows_may_be_sorted_and_sorted_back(sheet: str, exported: Path, folder: Path) -> None:
    def turned(book: Any) -> None:
        page = book[sheet]
        rows = [[cell.value for cell in row] for row in page.iter_rows(min_row=2)]
        for number, values in enumerate(reversed(rows), start=2):
            for column, value in enumerate(values, start=1):
                page.cell(number, column).value = value

    for step in range(2):
        save(load(folder), exported.with_name(f"{sheet}.xlsx"))
        found = prepare(edited(exported.with_name(f"{sheet}.xlsx"), folder, turned), folder)
        assert {change.way for change in found.changes} == {"moved"} and len(found.texts) == 1
        write(found, folder)
        assert bool(differences(folder)) == (step == 0)


def test_a_copied_row_is_a_new_row_and_the_copied_one_stays(exported: Path, folder: Path) -> None:
    def copied(book: Any) -> None:
        page = book["cards"]
        values = [cell.value for cell in page[row_of(page, "RED-01")]]
        page.insert_rows(2)
        for column, value in enumerate(values, start=1):
            page.cell(2, column).value = value
        page.cell(2, column_of(page, "id")).value = "RED-00"

    found = prepare(edited(exported, folder, copied), folder)
    assert [(change.way, change.row) for change in found.changes] == [("added", "RED-00")]


def put_at(sheet: Any, cell: str, value: Any) -> None:
    sheet[cell].value = value


def formula(book: Any) -> None:
    book["industries"]["H2"].value = "=0.01+0.01"


def array_formula(book: Any) -> None:
    book["industries"]["H2"].value = ArrayFormula("H2:H2", "=G2")


def headings(**changes: str) -> Edit:
    def edit(book: Any) -> None:
        for name, new in changes.items():
            book["cards"].cell(1, column_of(book["cards"], name)).value = new

    return edit


REFUSED: list[tuple[str, Edit, str]] = [
    ("a formula", formula, "industries!H2: the cell holds a formula"),
    ("one in about", lambda book: put_at(book["about"], "A1", "=1+1"), "about!A1: the cell holds"),
    ("one among choices", lambda book: put_at(book["choices"], "A1", "=B1"), "choices!A1: the cell"),
    ("one under the rows", lambda book: put_at(book["cards"], "A400", "=1+1"), "cards!A400: the cell"),
    ("a chart", lambda book: book.create_chartsheet("trend").add_chart(BarChart()), "trend: this is a chart"),
    ("a formula over cells", array_formula, "industries!H2: the cell holds a formula"),
    ("an error", put("industries", "01", pd_cutoff_auto="#N/A"), "industries!H2: the cell holds the error #N/A"),
    (
        "a number that is not exact",
        put("industries", "01", pd_cutoff_auto=1 / 3),
        "industries!H2: the number 0.3333333333333333 is not exact",
    ),
    (
        "a time",
        put("industries", "01", effective_to=datetime(2027, 1, 1, 8)),
        "industries!Y2: 2027-01-01 08:00:00 is a time",
    ),
    (
        "an unknown sheet",
        lambda book: book.create_sheet("card"),
        "card: there is no table of this name in the folder; did you mean cards?",
    ),
    ("an unknown column", headings(reason="raeson"), "cards!H1: unknown column 'raeson'; did you mean reason?"),
    ("a missing column", headings(reason="raeson"), "cards!1: the column 'reason' is missing"),
    ("a column twice", headings(reason="when"), "cards!H1: the column 'when' stands twice"),
    ("merged cells", lambda book: book["cards"].merge_cells("C2:C3"), "cards!C2:C3: cells are merged"),
    (
        "a code twice",
        add("industries_excluded", "07"),
        "industries_excluded!B21: 07 stands in row 3 as well; keep one of them",
    ),
    ("an id twice", add("cards", "RED-01"), "cards!B26: RED-01 stands in row 2 as well"),
    (
        "an empty cell",
        put("cards", "RED-01", when=None),
        "cards!E2: the cell 'when' is empty; fill it in, or delete the whole row",
    ),
    (
        "a card that is no choice",
        put("cards", "RED-01", sets__card="purple"),
        "cards!F2: 'purple' is not a choice of sets.card; use none, yellow, red",
    ),
    (
        "a reason without a text",
        put("cards", "RED-01", reason="RED_COURTS"),
        "cards!H2: 'RED_COURTS' is not a choice of reason; did you mean RED_COURT",
    ),
    (
        "a line that is no row",
        put("cards", "RED-01", line="7777"),
        "cards!A2: line 7777 is not the beginning of a row of cards.yaml",
    ),
    ("a list that does not exist", put("lists", "list_executee", list="list_x"), "is not a choice of list"),
    (
        "a mistake that only the loader sees, with cell, file and line",
        put("cards", "RED-02", when="list_samr_illegals == active"),
        "cards!E3: {folder}/cards.yaml:17: rule RED-02: unknown fact 'list_samr_illegals'; did you mean",
    ),
    (
        "a cut-off that is none",
        put("industries", "02", pd_cutoff_auto="1.6%"),
        "industries!H3: {folder}/industries.csv:3: column pd_cutoff_auto: fact industry.pd_cutoff_auto: '1.6%' is",
    ),
    (
        "an end before the beginning",
        put("parameters", "auto_cap", effective_to="2020-01-01"),
        "parameters!E3: {folder}/parameters.yaml:6: parameter auto_cap: effective_to 2020-01-01 is not after",
    ),
    (
        "two rows in force at once",
        add("parameters", "auto_cap", effective_from="2027-01-01"),
        "parameters!12: {folder}/parameters.yaml:15: two rows of policy.auto_cap are in force on 2027-01-01",
    ),
    ("every rule of a file gone", lambda book: book["whitelist"].delete_rows(2), "whitelist.yaml"),
]


@pytest.mark.parametrize(("what", "edit", "message"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_cannot_be_taken_is_refused_and_nothing_is_written(
    what: str, edit: Edit, message: str, exported: Path, folder: Path
) -> None:
    path = edited(exported, folder, both(put("parameters", "lenders_30d_max", value="4"), edit))
    with pytest.raises(RulebookError) as caught:
        prepare(path, folder)
    told = [str(problem) for problem in caught.value.problems]
    assert any(message.format(folder=folder) in one for one in told), told
    assert all(one.startswith("edited.xlsx: ") for one in told)
    assert differences(folder) == []


def test_a_file_that_has_changed_since_the_export_is_not_overwritten(exported: Path, folder: Path) -> None:
    cards = folder / "cards.yaml"
    cards.write_text(cards.read_text(encoding="utf-8").replace(">= 90", ">= 80", 1), encoding="utf-8")
    with pytest.raises(RulebookError) as caught:
        prepare(exported, folder)
    assert [str(problem) for problem in caught.value.problems] == [
        "rules.xlsx: cards: cards.yaml has changed since the workbook was exported; "
        "export again, or remove the sheet if it was not edited"
    ]
    without = edited(exported, folder, lambda book: (book["parameters"], book.remove(book["cards"])))
    assert prepare(without, folder).changes == ()


def test_a_workbook_without_its_first_sheet_is_refused(exported: Path, folder: Path) -> None:
    path = edited(exported, folder, lambda book: (book["cards"], book.remove(book["about"])))
    with pytest.raises(RulebookError, match="the sheet about does not say which cards.yaml was exported"):
        prepare(path, folder)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["rules", *arguments])


def test_the_commands_tell_what_they_change(folder: Path) -> None:
    book = folder.parent / "book.xlsx"
    assert "14 sheets" in run("export-xlsx", str(folder), str(book)).output
    path = edited(book, folder, put("industries", "01", pd_cutoff_auto="0.02"))
    told = "industries!H2: industries.csv: 01 2023-10-15 pd_cutoff_auto: '0.018' → '0.02'"
    dry = run("import-xlsx", str(path), str(folder), "--dry-run")
    assert (dry.exit_code, dry.output) == (0, f"{told}\n1 changes; 1 files would change\n")
    assert differences(folder) == []
    done = json.loads(run("import-xlsx", str(path), str(folder), "--json").output)
    assert done["files"] == ["industries.csv"] and done["written"]
    assert done["changes"][0]["after"] == "0.02"
    assert len(differences(folder)) == 2
    assert [path for path in folder.iterdir() if "import" in path.name] == []


@pytest.mark.parametrize("content", [b"", b"not a workbook", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_workbook_is_refused(content: bytes, folder: Path) -> None:
    path = folder.parent / "no.xlsx"
    path.write_bytes(content)
    result = run("import-xlsx", str(path), str(folder))
    assert result.exit_code == 2 and "is not an .xlsx workbook" in result.output


def test_without_a_workbook_or_a_folder_the_command_cannot_run(folder: Path) -> None:
    assert run("import-xlsx", str(folder.parent / "none.xlsx"), str(folder)).exit_code == 2
    assert run("export-xlsx", str(folder.parent / "none"), str(folder.parent / "book.xlsx")).exit_code == 2
