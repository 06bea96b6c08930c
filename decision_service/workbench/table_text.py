"""What a table of rule files is, however it is written: rows of cells with their lines, and how they are rewritten.

A cell is text; an absent value is the empty text. Rows are rewritten by changing as little of the text as possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Cells = Mapping[str, str]
COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the file has it; ``lines`` are its first and last line, counted from one."""

    cells: Cells
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One row as it shall be: which row of the file it was (``None`` for a new one), and its cells."""

    origin: int | None
    cells: Cells


class TableText(Protocol):
    """A text that holds a table: CSV lines, or entries of a YAML list."""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows in the order written."""

    def placed(self, wanted: Sequence[Wanted]) -> list[int]:
        """The places of wanted rows in the order in which they will stand in the file."""

    def reread(self, text: str) -> TableText:
        """The same table in another version of its text."""

    def rewritten(self, wanted: Sequence[Wanted]) -> str:
        """The text with exactly the wanted rows; what does not change keeps its bytes."""


def spliced(text: str, splices: Sequence[tuple[int, int, str]]) -> str:
    """The text with parts replaced: (start, end, replacement); insertions at one place keep their order."""
    for start, end, replacement in reversed(sorted(splices, key=lambda one: one[:2])):
        text = text[:start] + replacement + text[end:]
    return text


def joined(chunks: Sequence[str], newline: str, *, open_end: bool) -> str:
    """Rows one after the other, each on lines of its own; ``open_end`` leaves the last line without its end."""
    closed = [chunk if chunk.endswith("\n") else chunk + newline for chunk in chunks]
    text = "".join(closed)
    return text.rstrip("\r\n") if open_end else text


def newline_of(text: str) -> str:
    """How lines of a text end."""
    return "\r\n" if "\r\n" in text else "\n"
