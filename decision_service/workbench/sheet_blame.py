"""Which cell of a workbook is to blame for a mistake that the loader finds in a line of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import yaml

from decision_service.errors import InputError, Problem
from decision_service.workbench.folder_tables import Table
from decision_service.workbench.sheet_rows import SheetContent, SheetRow


def with_cell(
    problem: Problem, sources: Mapping[str, str], contents: Sequence[SheetContent], folder: str
) -> Problem:
    """The problem with its cell before the file and line; ``sources`` are the texts that it was found in."""
    place = next((found for one in contents if (found := _cell(problem, one, sources))), "")
    where = f"{folder}/{problem.file}" if not place else f"{place}: {folder}/{problem.file}"
    return Problem(where, problem.line, problem.what, problem.remedy)


def _cell(problem: Problem, content: SheetContent, sources: Mapping[str, str]) -> str:
    """The cell of the line that a problem names; the whole row if the column is not certain."""
    if content.table.file != problem.file:
        return ""
    try:
        text = content.table.text.reread(sources[problem.file])
    except (yaml.YAMLError, InputError):
        return ""
    for place, row in zip(content.table.text.placed(content.wanted), text.rows):
        if row.lines[0] <= problem.line <= row.lines[1]:
            sheet_row = content.rows[place]
            return content.place(sheet_row, _blamed(problem, content.table, sheet_row))
    return ""


def _blamed(problem: Problem, table: Table, row: SheetRow) -> str | None:
    """The column that a problem names: by its heading, or by words in quotes that stand in one cell only."""
    said = problem.what
    quoted = [
        name for word in re.findall(r"'([^']+)'", said) for name, text in row.cells.items() if word in text
    ]
    words = re.findall(r"[a-z_]+", said)
    headings = {column.name.rpartition(".")[2]: column.name for column in table.columns}
    named = [headings[word] for word in words if word in headings]
    return next(iter((*quoted, *named)), None)
