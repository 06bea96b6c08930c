"""Writes the tables of a rule folder into a workbook: every cell is text, choices are lists, headings carry notes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from decision_service.rulebook.ruleset import Ruleset
from decision_service.workbench.folder_tables import Column, Table, tables
from decision_service.workbench.sheet_words import GUIDE, HEADINGS

ABOUT, CHOICES, LINE = "about", "choices", "line"
AUTHOR = "decision-service"
TEXT = "@"
SPARE_ROWS = 500
"""Empty rows under a table that offer choices, too."""
WIDEST, NARROWEST = 60, 9
_HEAD = PatternFill("solid", fgColor="DDE6F0")


def workbook(ruleset: Ruleset) -> Workbook:
    """The workbook of a loaded folder."""
    book = Workbook()
    about = book.active
    about.title = ABOUT
    found = tables(ruleset)
    lists = _Choices()
    for table in found:
        _write(book.create_sheet(table.title), table, lists)
    lists.write(book.create_sheet(CHOICES))
    _write_about(about, found, ruleset)
    return book


def stamp(text: str) -> str:
    """What tells whether a file is still the exported one."""
    return hashlib.sha256(text.encode()).hexdigest()


class _Choices:
    """The lists behind the drop-downs, one column each: Excel keeps no list longer than 255 characters in a cell."""

    def __init__(self) -> None:
        self._lists: list[tuple[str, ...]] = []

    def reference(self, choices: tuple[str, ...]) -> str:
        """The range of a list of choices."""
        if choices not in self._lists:
            self._lists.append(choices)
        letter = get_column_letter(self._lists.index(choices) + 1)
        return f"{CHOICES}!${letter}$1:${letter}${len(choices)}"

    def write(self, sheet: Any) -> None:
        """Write the lists into their hidden sheet."""
        sheet.sheet_state = "hidden"
        for column, choices in enumerate(self._lists, start=1):
            for row, choice in enumerate(choices, start=1):
                _put(sheet, row, column, choice)


def _write(sheet: Any, table: Table, lists: _Choices) -> None:
    columns = (Column(LINE, *HEADINGS[LINE], required=False), *table.columns)
    for place, column in enumerate(columns, start=1):
        _write_heading(sheet, place, column)
    for number, row in enumerate(table.text.rows, start=2):
        _put(sheet, number, 1, str(row.lines[0]))
        for place, column in enumerate(table.columns, start=2):
            _put(sheet, number, place, row.cells[column.name])
    last = len(table.text.rows) + 1
    for place, column in enumerate(columns, start=1):
        letter = get_column_letter(place)
        sheet.column_dimensions[letter].number_format = TEXT  # also for rows to come
        sheet.column_dimensions[letter].width = _width(sheet, place, last)
        if column.choices:
            _offer(sheet, f"{letter}2:{letter}{last + SPARE_ROWS}", column, lists)
    sheet.freeze_panes = "C2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{last}"


def _write_heading(sheet: Any, place: int, column: Column) -> None:
    cell = _put(sheet, 1, place, column.name)
    cell.font = Font(bold=True)
    cell.fill = _HEAD
    note = Comment(f"{column.zh}\n{column.en}", AUTHOR, width=320, height=140)
    cell.comment = note


def _put(sheet: Any, row: int, column: int, text: str) -> Any:
    """A cell that holds this text and stays text: no number, date or formula."""
    cell = sheet.cell(row=row, column=column)
    if text:
        cell.value = text
        cell.data_type = "s"
        cell.quotePrefix = text[0] in "=+-@"
    cell.number_format = TEXT
    cell.alignment = Alignment(vertical="top", wrap_text=len(text) > WIDEST or "\n" in text)
    return cell


def _width(sheet: Any, column: int, last: int) -> float:
    texts = [str(sheet.cell(row=row, column=column).value or "") for row in range(1, last + 1)]
    longest = max(sum(2 if ord(char) > 0x2E7F else 1 for char in text) for text in texts)
    return float(min(WIDEST, max(NARROWEST, longest + 2)))


def _offer(sheet: Any, cells: str, column: Column, lists: _Choices) -> None:
    offered = DataValidation(type="list", formula1=lists.reference(column.choices), allow_blank=not column.required)
    offered.showErrorMessage = True
    offered.errorTitle, offered.error = column.name, "从列表中选择 · choose from the list"
    sheet.add_data_validation(offered)
    offered.add(cells)


def _write_about(sheet: Any, found: Sequence[Table], ruleset: Ruleset) -> None:
    lines: list[Sequence[str]] = [(f"{zh} {en}",) for zh, en in GUIDE]
    lines += [("version", ruleset.version), ("digest", ruleset.digest), (), ("sheet", "file", "sha256")]
    lines += [(table.title, table.file, stamp(ruleset.sources[table.file])) for table in found]
    for row, cells in enumerate(lines, start=1):
        for place, text in enumerate(cells, start=1):
            _put(sheet, row, place, text).alignment = Alignment(wrap_text=False)
    for letter, width in (("A", 28), ("B", 32), ("C", 70)):
        sheet.column_dimensions[letter].width = width


def save(ruleset: Ruleset, path: Path) -> list[Table]:
    """Write the workbook of a loaded folder; the tables it holds. Raises ``OSError``."""
    workbook(ruleset).save(path)
    return tables(ruleset)
