"""Reads a workbook's sheets into rows of text that know which row of the file they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from decision_service.errors import InputError, Problem
from decision_service.rulebook.syntax import did_you_mean
from decision_service.workbench.folder_tables import Column, Table
from decision_service.workbench.sheet_cells import FORMULA, Refused, cell_text, means, normal
from decision_service.workbench.sheet_guard import REMEDY, guard
from decision_service.workbench.sheets import ABOUT, CHOICES, LINE
from decision_service.workbench.table_text import Row, Wanted

MAX_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of a sheet: its number there, the row of the file it was (``None``: a new one), its cells' texts."""

    number: int
    origin: int | None
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SheetContent:
    """A table with the rows that its sheet wants; ``letters`` are the columns' letters by name."""

    table: Table
    letters: Mapping[str, str]
    rows: Sequence[SheetRow]

    @property
    def wanted(self) -> list[Wanted]:
        """The rows as the text shall have them."""
        return [Wanted(row.origin, row.cells) for row in self.rows]

    def place(self, row: SheetRow, column: str | None = None) -> str:
        """``cards!D12``, or ``cards!12`` for the whole row."""
        return f"{self.table.title}!{self.letters.get(column or '', '')}{row.number}"


def open_workbook(path: Path) -> Any:
    """The workbook. Raises ``InputError`` if it is none, ``OSError`` if it cannot be read."""
    guard(path)
    try:
        return load_workbook(path)
    except (InvalidFileException, KeyError, ValueError, TypeError, SyntaxError, AttributeError, IndexError) as error:
        raise InputError(f"the file is not an .xlsx workbook ({error})", where=str(path), remedy=REMEDY) from error


def exported_stamps(book: Any) -> dict[str, str]:
    """Hash of each file as exported, by its path; empty where the sheet about is gone."""
    rows = book[ABOUT].iter_rows(min_col=1, max_col=3, values_only=True) if ABOUT in book.sheetnames else ()
    return {str(file): str(found) for _, file, found in rows if file and found}


def read_sheets(book: Any, tables: Sequence[Table], problems: list[Problem]) -> list[SheetContent]:
    """The content of every sheet that is a table; what cannot be taken is added to ``problems``."""
    by_title = {table.title: table for table in tables}
    found = []
    for sheet in book.worksheets:
        table = by_title.get(sheet.title)
        if table is not None:
            content = _Sheet(sheet, table, problems).content()
            found += [content] if content is not None else []
        elif sheet.title in (ABOUT, CHOICES):
            problems += _formulas(sheet)
        else:
            hint = did_you_mean(sheet.title, by_title, otherwise="remove it, or name it as it was exported")
            problems.append(Problem(sheet.title, 0, "there is no table of this name in the folder", hint))
    problems += [Problem(chart.title, 0, "this is a chart, not a table", "remove it") for chart in book.chartsheets]
    return found


def _formulas(sheet: Any) -> Iterator[Problem]:
    """Formulas where the import needs no value: what they show to a reader is not what the files say."""
    for cell in _stored(sheet):
        if cell.data_type == "f":
            yield Problem(f"{sheet.title}!{cell.coordinate}", 0, FORMULA, "write the value itself")


def _stored(sheet: Any) -> Iterable[Any]:
    """The cells that a sheet really has; its own iterators make every cell up to the last row and column."""
    cells: Mapping[tuple[int, int], Any] = sheet._cells
    return tuple(cells.values())


@dataclass(frozen=True, slots=True)
class _Draft:
    """A row as the sheet has it; ``numbers`` are the columns whose cells are numbers to the spreadsheet program."""

    number: int
    line: str
    cells: Mapping[str, str]
    numbers: frozenset[str]

    def kept(self, old: Row) -> dict[str, str]:
        """The cells, but as the file writes them where only the writing differs."""
        return {
            name: old.cells[name] if means(text, old.cells[name], number=name in self.numbers) else text
            for name, text in self.cells.items()
        }

    def unchanged(self, old: Row) -> bool:
        """Whether the row says what the file says."""
        return self.kept(old) == {name: old.cells[name] for name in self.cells}


class _Sheet:
    """One sheet being read."""

    def __init__(self, sheet: Any, table: Table, problems: list[Problem]) -> None:
        self._sheet = sheet
        self._table = table
        self._problems = problems

    def content(self) -> SheetContent | None:
        letters = self._letters()
        if letters is None:
            return None
        rows = tuple(self._rows(letters))
        content = SheetContent(self._table, letters, tuple(self._with_origins(rows)))
        self._check_keys(content)
        return content

    def _report(self, cell: str, what: str, remedy: str) -> None:
        self._problems.append(Problem(f"{self._table.title}!{cell}", 0, what, remedy))

    def _letters(self) -> dict[str, str] | None:
        """The letter of every column; ``None`` when the headings or the shape of the sheet are wrong."""
        before = len(self._problems)
        names = [LINE, *(column.name for column in self._table.columns)]
        letters: dict[str, str] = {}
        filled = {cell.column for cell in _stored(self._sheet) if cell.row > 1 and cell.value is not None}
        for cell in self._sheet[1]:
            name = "" if cell.value is None else str(cell.value)
            if name in letters:
                self._report(cell.coordinate, f"the column '{name}' stands twice", "remove one")
            elif name in names:
                letters[name] = cell.column_letter
            elif name or cell.column in filled:
                hint = did_you_mean(name, names, otherwise="remove the column; a new one must be declared first")
                self._report(cell.coordinate, f"unknown column '{name}'", hint)
        for name in names:
            if name not in letters:
                self._report("1", f"the column '{name}' is missing", "restore its heading")
        for merged in self._sheet.merged_cells.ranges:
            self._report(str(merged), "cells are merged", "split them and fill in each")
        if self._sheet.max_row > MAX_ROWS:
            self._report("1", f"the sheet has more than {MAX_ROWS:,} rows", "delete the empty rows at its end")
        return letters if len(self._problems) == before else None

    def _rows(self, letters: Mapping[str, str]) -> Iterator[_Draft]:
        """Every row that is not empty."""
        columns = {column.name: column for column in self._table.columns}
        for number in range(2, self._sheet.max_row + 1):
            cells = {name: self._sheet[f"{letter}{number}"] for name, letter in letters.items()}
            if all(cell.value is None or cell.value == "" for name, cell in cells.items() if name != LINE):
                self._text(cells[LINE], None)  # an empty row, unless its line is a formula
                continue
            texts = {name: self._text(cell, columns.get(name)) for name, cell in cells.items()}
            numbers = frozenset(name for name, cell in cells.items() if type(cell.value) in (int, float))
            yield _Draft(number, texts.pop(LINE), texts, numbers)

    def _text(self, cell: Any, column: Column | None) -> str:
        try:
            text = cell_text(cell, pads=column.pads if column else 0)
            return normal(column.name, text) if column else text
        except Refused as refused:
            self._report(cell.coordinate, refused.what, refused.remedy)
            return ""

    def _with_origins(self, drafts: Sequence[_Draft]) -> Iterator[SheetRow]:
        """Rows with the row of the file that each was; of several that claim one (a copied row), an unchanged one."""
        old = self._table.text.rows
        lines = {str(row.lines[0]): place for place, row in enumerate(old)}
        owners: dict[str, _Draft] = {}
        for draft in sorted(drafts, key=lambda one: one.line in lines and not one.unchanged(old[lines[one.line]])):
            owners.setdefault(draft.line, draft)
        for draft in drafts:
            place = lines.get(draft.line) if owners[draft.line] is draft else None
            if draft.line and draft.line not in lines:
                what = f"line {draft.line} is not the beginning of a row of {self._table.file}"
                self._report(f"A{draft.number}", what, "leave the cell empty in a new row")
            yield SheetRow(draft.number, place, draft.cells if place is None else draft.kept(old[place]))

    def _check_keys(self, content: SheetContent) -> None:
        seen: dict[tuple[str, ...], SheetRow] = {}
        for row in content.rows:
            for column in self._table.columns:
                self._check_cell(column, row, content)
            key = tuple(row.cells[name] for name in self._table.key)
            if key in seen and key:
                what = f"{' '.join(key)} stands in row {seen[key].number} as well"
                self._report(f"{content.letters[self._table.key[0]]}{row.number}", what, "keep one of them")
            seen.setdefault(key, row)

    def _check_cell(self, column: Column, row: SheetRow, content: SheetContent) -> None:
        text, cell = row.cells[column.name], f"{content.letters[column.name]}{row.number}"
        if not text and column.required and self._problems_free(cell):
            self._report(cell, f"the cell '{column.name}' is empty", "fill it in, or delete the whole row")
        elif text and column.choices and text not in column.choices:
            hint = did_you_mean(text, column.choices, otherwise=f"use {', '.join(column.choices[:8])}")
            self._report(cell, f"'{text}' is not a choice of {column.name}", hint)

    def _problems_free(self, cell: str) -> bool:
        """Whether nothing has been said about a cell yet."""
        return all(problem.file != f"{self._table.title}!{cell}" for problem in self._problems)
