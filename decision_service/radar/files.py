"""Reads feed files (CSV, JSON Lines, Parquet) as numbered rows of text, whatever the bytes are."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet

from decision_service.errors import InputError
from decision_service.regular_file import REMEDY, irregular

SUFFIXES = (".csv", ".jsonl", ".parquet")
LONGEST_ROW = 1_000_000
LONGEST_SHOWN = 1_000
"""Characters of a line that cannot be split which go to the file of rejected rows."""


class UnusableFile(InputError):
    """A feed file that cannot be used as a whole; ``line`` is 0 when no line is to blame."""

    def __init__(self, what: str, *, file: str, remedy: str, line: int = 0) -> None:
        self.file = file
        self.line = line
        super().__init__(what, where=f"{file}:{line}" if line else file, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as text cells in the order asked for, or ``problem`` when its shape cannot be read; lines from 1."""

    line: int
    cells: tuple[str, ...]
    problem: str | None = None


def read_rows(path: Path, columns: tuple[str, ...], required: frozenset[str]) -> Iterator[Row]:
    """The file's rows, cells in the order of ``columns``; an absent optional column gives empty cells.

    Raises ``UnusableFile`` when the file as a whole cannot be used: missing, unknown format, wrong header.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
    reader = readers.get(path.suffix)
    if reader is None:
        raise UnusableFile(
            f"cannot read a {path.suffix or 'nameless'} file", file=path.name, remedy=f"use {', '.join(SUFFIXES)}"
        )
    try:
        if (what := irregular(path)) is not None:
            raise UnusableFile(what, file=path.name, remedy=REMEDY)
        yield from reader(path, columns, required)
    except OSError as error:
        raise UnusableFile(
            f"cannot be read ({error.strerror or error})", file=path.name, remedy="check the path and its permissions"
        ) from error


def _check_header(path: Path, header: list[str], columns: tuple[str, ...], required: frozenset[str]) -> None:
    unknown = [name for name in header if name not in columns]
    missing = sorted(required - set(header))
    doubled = sorted({name for name in header if header.count(name) > 1})
    for names, what, remedy in (
        (unknown, "unknown column", f"the columns are {', '.join(columns)}"),
        (missing, "missing column", "deliver this column"),
        (doubled, "column given twice", "keep one of them"),
    ):
        if names:
            raise UnusableFile(f"{what} {', '.join(map(repr, names))}", file=path.name, line=1, remedy=remedy)


def _csv_rows(path: Path, columns: tuple[str, ...], required: frozenset[str]) -> Iterator[Row]:
    """One row a line: no cell may hold a line break, so a quote left open costs its own line and no other."""
    csv.field_size_limit(LONGEST_ROW)
    # Bytes that are not UTF-8 become U+FFFD, so that one bad row does not cost the file; the cell parsers refuse them.
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header = _split(next(file, ""))
        if not header or isinstance(header, str):
            what = f"the header {header}" if header else "no header line"
            raise UnusableFile(what, file=path.name, line=1, remedy=f"begin with {','.join(columns)}")
        _check_header(path, header, columns, required)
        place = [header.index(name) if name in header else -1 for name in columns]
        for line, text in enumerate(file, start=2):
            cells = _split(text)
            if isinstance(cells, str):
                yield Row(line, (text.rstrip("\r\n")[:LONGEST_SHOWN],), cells)
            elif len(cells) == len(header):
                yield Row(line, tuple([cells[at] if at >= 0 else "" for at in place]))
            elif cells:
                yield Row(line, tuple(cells), f"{len(cells)} cells under {len(header)} columns")


def _split(line: str) -> list[str] | str:
    """The cells of a line, none if it is blank; a text says why it cannot be split."""
    if len(line) > LONGEST_ROW:
        return f"has {len(line)} characters"
    text = line.rstrip("\r\n")
    if '"' not in text:
        return text.split(",") if text else []
    try:
        return next(csv.reader((text,), strict=True))
    except csv.Error as error:
        open_quote = "unexpected end of data" in str(error)
        return "has a quote that is not closed on this line" if open_quote else f"cannot be split into cells ({error})"


def _json_rows(path: Path, columns: tuple[str, ...], required: frozenset[str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            if len(text) > LONGEST_ROW:
                yield Row(line, (text[:100],), f"row of {len(text)} characters")
                continue
            cells = _json_cells(text, columns)
            yield Row(line, (text.rstrip("\n"),), cells) if isinstance(cells, str) else Row(line, cells)


def _json_cells(text: str, columns: tuple[str, ...]) -> tuple[str, ...] | str:
    """The row's cells, or what is wrong with its shape."""
    try:
        pairs = json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return "not a JSON object"
    row = dict(pairs)
    if len(row) != len(pairs):
        return "a name is given twice"
    if unknown := [name for name in row if name not in columns]:
        return f"unknown name {unknown[0]!r}"
    if nested := [name for name, value in row.items() if isinstance(value, list)]:
        return f"{nested[0]!r} is not a single value"
    return tuple([_text(row.get(name)) for name in columns])


def _parquet_rows(path: Path, columns: tuple[str, ...], required: frozenset[str]) -> Iterator[Row]:
    try:
        with parquet.ParquetFile(path) as file:
            _check_header(path, list(file.schema_arrow.names), columns, required)
            line = 0
            for batch in file.iter_batches(batch_size=50_000):
                yield from _batch_rows(batch, columns, first=line + 1)
                line += batch.num_rows
    except pyarrow.ArrowException as error:
        raise UnusableFile(
            f"not a readable Parquet file ({error})", file=path.name, remedy="write the file again"
        ) from error


def _batch_rows(batch: pyarrow.RecordBatch, columns: tuple[str, ...], *, first: int) -> Iterator[Row]:
    names = batch.schema.names
    empty = [""] * batch.num_rows
    texts = [[_text(value) for value in batch.column(name).to_pylist()] if name in names else empty for name in columns]
    for line, cells in enumerate(zip(*texts, strict=True), start=first):
        yield Row(line, cells)


def _text(value: object) -> str:
    """One value of a typed format as the text that a CSV would have held."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == value.time().min else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)
