"""Takes an edited workbook into a rule folder: only what was changed is changed, and only if the result loads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from decision_service.errors import InputError, Problem, RulebookError
from decision_service.policy import portrait_mistakes
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.ruleset import Ruleset
from decision_service.workbench.folder_tables import Table, tables
from decision_service.workbench.sheet_blame import with_cell
from decision_service.workbench.sheet_rows import SheetContent, exported_stamps, open_workbook, read_sheets
from decision_service.workbench.sheets import stamp
from decision_service.workbench.table_text import COMMENT


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the import does: what happened where, and a cell's text before and after."""

    way: str
    place: str
    file: str
    row: str
    column: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if self.way != "changed":
            return f"{self.place}: {self.file}: {self.row} {self.way}"
        return f"{self.place}: {self.file}: {self.row} {self.column}: '{self.before}' → '{self.after}'"


@dataclass(frozen=True, slots=True)
class Import:
    """What an import does: every change, and the new text of every file that changes."""

    changes: tuple[Change, ...]
    texts: Mapping[str, str]


def prepare(path: Path, folder: Path) -> Import:
    """What the workbook would change in the folder; nothing is written.

    Raises ``RulebookError`` with every cell that cannot be taken, and with every mistake that the changed files would
    have, by cell and by line; ``InputError`` for a file that is no workbook.
    """
    ruleset = load(folder)
    book = open_workbook(path)
    problems: list[Problem] = []
    contents = read_sheets(book, tables(ruleset), problems)
    problems += _changed_since(exported_stamps(book), contents, ruleset)
    _raise(problems, path)
    changes = [change for content in contents for change in _changes(content)]
    texts = {content.table.file: _rewritten(content) for content in contents}
    texts = {file: text for file, text in texts.items() if text != ruleset.sources[file]}
    _raise(list(_mistakes(ruleset, texts, contents, folder)), path)
    return Import(tuple(changes), texts)


def write(found: Import, folder: Path) -> None:
    """Replace the files of an import; all texts are on disk before the first file is replaced. Raises ``OSError``."""
    drafts = [(folder / file, folder / f"{file}.import-{os.getpid()}") for file in found.texts]
    try:
        for (target, draft), text in zip(drafts, found.texts.values()):
            with draft.open("wb") as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            shutil.copymode(target, draft)
        for target, draft in drafts:
            draft.replace(target)
    finally:
        for _, draft in drafts:
            draft.unlink(missing_ok=True)


def _raise(problems: Sequence[Problem], path: Path) -> None:
    if problems:
        raise RulebookError(
            tuple(Problem(f"{path.name}: {one.file}", one.line, one.what, one.remedy) for one in problems)
        )


def _changed_since(stamps: Mapping[str, str], contents: Sequence[SheetContent], ruleset: Ruleset) -> Iterator[Problem]:
    for content in contents:
        table = content.table
        if stamps.get(table.file) is None:
            what = f"the sheet about does not say which {table.file} was exported"
            yield Problem(table.title, 0, what, "restore the sheet about, or export again")
        elif stamps[table.file] != stamp(ruleset.sources[table.file]):
            what = f"{table.file} has changed since the workbook was exported"
            yield Problem(table.title, 0, what, "export again, or remove the sheet if it was not edited")


def _rewritten(content: SheetContent) -> str:
    try:
        return content.table.text.rewritten(content.wanted)
    except InputError as error:
        problem = Problem(content.table.file, 0, error.what, error.remedy)
        raise RulebookError((problem,)) from error


def _changes(content: SheetContent) -> Iterator[Change]:
    table, old = content.table, content.table.text.rows
    latest = -1
    for row in content.rows:
        if row.origin is None:
            yield Change("added", content.place(row), table.file, _name(table, row.cells))
            continue
        if row.origin < latest:
            yield Change("moved", content.place(row), table.file, _name(table, row.cells))
        latest = max(latest, row.origin)
        before = old[row.origin].cells
        for column, text in row.cells.items():
            if text != before[column]:
                place, name = content.place(row, column), _name(table, before)
                yield Change("changed", place, table.file, name, column, before[column], text)
    kept = {row.origin for row in content.rows}
    for number, gone in enumerate(old):
        if number not in kept:
            yield Change("removed", table.title, table.file, _name(table, gone.cells))


def _name(table: Table, cells: Mapping[str, str]) -> str:
    names = table.key or tuple(column.name for column in table.columns if column.name != COMMENT)[:2]
    return " ".join(cells[name] for name in names)


def _mistakes(
    ruleset: Ruleset, texts: Mapping[str, str], contents: Sequence[SheetContent], folder: Path
) -> Iterator[Problem]:
    """What the changed folder would be refused for, each with the cell that is to blame."""
    sources = {**ruleset.sources, **texts}
    try:
        changed = load_sources(sources, checks=(portrait_mistakes,))
    except RulebookError as error:
        for problem in error.problems:
            yield with_cell(problem, sources, contents, str(folder))
        return
    for content in contents:
        if content.table.file in texts:
            yield from _differences(content, changed)


def _differences(content: SheetContent, changed: Ruleset) -> Iterator[Problem]:
    """Cells that would not read as they were written; a last check, before anything is replaced."""
    again = content.table.text.reread(changed.sources[content.table.file])
    for place, row in zip(content.table.text.placed(content.wanted), again.rows):
        for column, text in content.rows[place].cells.items():
            if row.cells[column] != text:
                what = f"the text would read '{row.cells[column]}' in the file"
                yield Problem(content.place(content.rows[place], column), 0, what, f"edit {content.table.file} itself")
