"""A CSV file as a table whose cells can be changed one by one: quotes, spaces and line ends of all others stay."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from decision_service.workbench.table_text import Row, Wanted, joined, newline_of, spliced

MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class _Record:
    """A record's place in the text, without its line end, and that of each cell with its quotes."""

    start: int
    end: int
    spans: tuple[tuple[int, int], ...]


class CsvTable:
    """A file that the loader has accepted: one header, records of as many cells, perhaps empty lines between."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._header, *self._records = _records(text)
        self.columns = tuple(self._cell(span) for span in self._header.spans)
        self.rows: Sequence[Row] = tuple(self._row(record) for record in self._records)

    def placed(self, wanted: Sequence[Wanted]) -> list[int]:
        """Rows stand as they are wanted."""
        return list(range(len(wanted)))

    def reread(self, text: str) -> CsvTable:
        """The same table in another version of its text."""
        return CsvTable(text)

    def rewritten(self, wanted: Sequence[Wanted]) -> str:
        """The file with these rows. An empty line before a row stays before it."""
        text, newline = self._text, newline_of(self._text)
        begin, end = self._behind(-1), self._behind(len(self._records) - 1)
        same_last = bool(wanted) and wanted[-1].origin == len(self._records) - 1
        chunks = [self._chunk(row) for row in wanted]
        rows = joined(chunks, newline, open_end=same_last and not text.endswith("\n"))
        head = text[:begin] if text[:begin].endswith("\n") else text[:begin] + newline
        return head + rows + text[end:]

    def _behind(self, place: int) -> int:
        """Where the line after a record begins; -1 is the header."""
        end = self._records[place].end if place >= 0 else self._header.end
        return end + _line_end(self._text, end)

    def _chunk(self, row: Wanted) -> str:
        if row.origin is None:
            return self._new(row)
        record, old = self._records[row.origin], self.rows[row.origin].cells
        splices = [
            (start, end, _quoted(row.cells[name], always=self._text[start:end].startswith('"')))
            for name, (start, end) in zip(self.columns, record.spans)
            if row.cells[name] != old[name]
        ]
        start, end = self._behind(row.origin - 1), self._behind(row.origin)
        moved = [(first - start, last - start, cell) for first, last, cell in splices]
        return spliced(self._text[start:end], moved)

    def _new(self, row: Wanted) -> str:
        return ",".join(_quoted(row.cells[name]) for name in self.columns)

    def _row(self, record: _Record) -> Row:
        cells = {name: self._cell(span) for name, span in zip(self.columns, record.spans)}
        first = self._text.count("\n", 0, record.start) + 1
        return Row(cells, (first, first + self._text.count("\n", record.start, record.end)))

    def _cell(self, span: tuple[int, int]) -> str:
        raw = self._text[span[0] : span[1]]
        return next(csv.reader(io.StringIO(raw, newline="")), [""])[0] if raw else ""


def _quoted(cell: str, *, always: bool = False) -> str:
    """A cell as CSV writes it: in quotes where it must be, or where the one before it was."""
    if not always and not any(char in cell for char in ',"\r\n'):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


def _line_end(text: str, place: int) -> int:
    """The length of the line end at a place; none at the end of the text."""
    return 2 if text.startswith("\r\n", place) else int(place < len(text))


def _records(text: str) -> Iterator[_Record]:
    """Every record that is not an empty line, the header first."""
    place = len(MARK) if text.startswith(MARK) else 0
    while place < len(text):
        record = _record(text, place)
        if record.end > record.start:
            yield record
        place = record.end + max(1, _line_end(text, record.end))


def _record(text: str, start: int) -> _Record:
    spans, place = [], start
    while True:
        end = _cell_end(text, place)
        spans.append((place, end))
        if not text.startswith(",", end):
            return _Record(start, end, tuple(spans))
        place = end + 1


def _cell_end(text: str, start: int) -> int:
    place = start
    if text.startswith('"', start):
        place = start + 1
        while place < len(text) and (text[place] != '"' or text.startswith('""', place)):
            place += 2 if text[place] == '"' else 1
        place += 1
    while place < len(text) and text[place] not in ",\r\n":
        place += 1
    return place
