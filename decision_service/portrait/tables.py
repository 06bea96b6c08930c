"""Reads the rule files that are tables: rows by column, each with the line on which it begins."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from decision_service.errors import Problem, RulebookError

BYTE_ORDER_MARK = "\ufeff"
"""Spreadsheets put it before UTF-8 text; it is no part of the first column's name."""


def columns(text: str, file: str) -> tuple[str, ...]:
    """The names in the header. Raises ``RulebookError`` for text that is no CSV."""
    return tuple(next(_lines(text, file), (1, []))[1])


def rows(text: str, file: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Pairs of (line, cells by column); a short row lacks its last cells. Raises ``RulebookError`` as ``columns``."""
    lines = _lines(text, file)
    _, header = next(lines, (1, []))
    for line, cells in lines:
        if cells:
            yield line, dict(zip(header, cells))


def _lines(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK)), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            remedy = "save the file as comma-separated UTF-8 text"
            raise RulebookError((Problem(file, line, f"CSV syntax: {error}", remedy),)) from error
        if cells is None:
            return
        yield line, cells
