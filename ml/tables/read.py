"""Reads table files as they come (delimited text of any usual delimiter and encoding, Parquet, ARFF) into one frame."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from decision_service.errors import InputError
from decision_service.regular_file import REMEDY, irregular

DELIMITERS = (",", ";", "\t", "|")
BLANK = " "  # parts fields only where none of the delimiters does
LOOKED_AT = 50  # lines that decide on the delimiter
MOST_MALFORMED = 0.001  # share of rows with another number of fields that may be left out, told
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_ATTRIBUTE = re.compile(r"""@attribute\s+(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\S+))\s+\S""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one or more files, in order; text stays text. ``notes`` say what a reader should know of the files."""

    frame: pd.DataFrame
    notes: tuple[str, ...]


def read_tables(paths: Sequence[Path]) -> Table:
    """All files below each other by column name; raises ``InputError`` for a file that cannot be used."""
    tables = [read_table(path) for path in paths]
    notes = [note for table in tables for note in table.notes]
    first = tables[0].frame.columns
    for path, table in zip(paths[1:], tables[1:], strict=True):
        apart = sorted(set(first) ^ set(table.frame.columns))
        if apart:
            notes.append(f"{path.name}: not in every file: {', '.join(apart[:5])}")
    frame = tables[0].frame if len(tables) == 1 else below([table.frame for table in tables])
    return Table(frame, tuple(notes))


def below(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames below each other by column name.

    A column that is text in one file is text in all: `1` of one file and 1.0 of another are read alike later.
    """
    for name in set.intersection(*(set(frame.columns) for frame in frames)):
        kinds = {str(frame[name].dtype) for frame in frames}
        if len(kinds) > 1 and any(not pd.api.types.is_numeric_dtype(frame[name]) for frame in frames):
            frames = [frame.assign(**{name: frame[name].astype("str")}) for frame in frames]
    return pd.concat(frames, ignore_index=True)


def read_table(path: Path) -> Table:
    """One file; the suffix says whether it is Parquet or ARFF, anything else is delimited text."""
    try:
        wrong = irregular(path)
        if wrong:
            raise InputError(wrong, where=str(path), remedy=REMEDY)
        suffixes = [suffix.lower() for suffix in path.suffixes]
        if suffixes[-1:] == [".parquet"]:
            table = Table(_parquet(path), ())
        else:
            content = gzip.decompress(path.read_bytes()) if suffixes[-1:] == [".gz"] else path.read_bytes()
            table = _arff(content, path) if ".arff" in suffixes else _delimited(content, path)
    except (OSError, EOFError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        what = f"cannot be read ({str(error).splitlines()[0][:200]})"
        raise InputError(what, where=str(path), remedy="give CSV, Parquet or ARFF") from error
    if table.frame.empty:
        raise InputError("there are no rows", where=str(path), remedy="give a file with a header line and rows")
    return Table(*_named(table, path))


def _named(table: Table, path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Names without space around them; a name that occurs twice gets a number."""
    seen: Counter[str] = Counter()
    names, notes = [], list(table.notes)
    for place, raw in enumerate(table.frame.columns, start=1):
        name = " ".join(str(raw).replace("\ufeff", "").split()) or f"column {place}"
        seen[name] += 1
        if seen[name] > 1:
            notes.append(f"{path.name}: two columns are called {name!r}; the later is read as '{name}.{seen[name]}'")
            name = f"{name}.{seen[name]}"
        names.append(name)
    return table.frame.set_axis(names, axis=1), tuple(notes)


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Rows of a Parquet file, or of a part of one, as ``read_table`` gives them."""
    return _named(Table(_from_arrow(table), ()), Path())[0]


def _from_arrow(table: pa.Table) -> pd.DataFrame:
    """Lists and structs become text: nothing else can be said of them as of one value."""
    frame = table.to_pandas()
    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) and field.name in frame.columns:
            frame[field.name] = table.column(place).to_pandas().map(str, na_action="ignore")
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def _parquet(path: Path) -> pd.DataFrame:
    return _from_arrow(pa.parquet.read_table(path))


def _delimited(content: bytes, path: Path) -> Table:
    content, notes = _utf8(content, path)
    lines = _first_lines(content)
    if not lines:
        raise InputError("the file is empty", where=str(path), remedy="give a file with a header line and rows")
    delimiter, skipped = _layout(lines)
    if _names_again(lines[skipped:], delimiter):
        notes = [*notes, f"{path.name}: two lines of names; the later, {lines[skipped + 1][:60]!r}…, is the header"]
        skipped += 1
    header = next(csv.reader([lines[skipped]], delimiter=delimiter))
    if len(header) > 1 and all(_is_number(cell) for cell in header):
        raise InputError("the first line holds numbers, not names", where=str(path), remedy="add a header line")
    return _parsed(content, path, delimiter=delimiter, quote='"', skip=skipped, names=None, notes=notes)


def _parsed(
    content: bytes, path: Path, *, delimiter: str, quote: str, skip: int, names: list[str] | None, notes: list[str]
) -> Table:
    """Every column as text: what it means is decided on whole columns, not on the first block of a file."""
    malformed: list[str] = []

    def leave_out(row: pa.csv.InvalidRow) -> str:
        malformed.append(f"{row.actual_columns} fields instead of {row.expected_columns}: {str(row.text)[:60]!r}")
        return "skip"

    parse = pa.csv.ParseOptions(
        delimiter=delimiter, quote_char=quote, newlines_in_values=True, invalid_row_handler=leave_out
    )
    read = pa.csv.ReadOptions(skip_rows=skip, column_names=names, block_size=1 << 24)
    header = names or next(csv.reader([_first_lines(content)[skip]], delimiter=delimiter, quotechar=quote))
    types = dict.fromkeys(header, pa.large_string())
    convert = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    table = pa.csv.read_csv(pa.BufferReader(content), read_options=read, parse_options=parse, convert_options=convert)
    if len(malformed) > max(1, MOST_MALFORMED * table.num_rows):
        raise InputError(
            f"{len(malformed)} rows have another number of fields than the header, first {malformed[0]}",
            where=str(path),
            remedy="correct the file",
        )
    if malformed:
        notes = [*notes, f"{path.name}: {len(malformed)} rows left out: {malformed[0]}"]
    text = {pa.large_string(): pd.StringDtype(na_value=float("nan"))}
    return Table(table.to_pandas(types_mapper=text.get), tuple(notes))


def _utf8(content: bytes, path: Path) -> tuple[bytes, list[str]]:
    """The content in UTF-8 whatever it was in, with what was seen."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            try:
                return content.decode(encoding).encode(), []
            except UnicodeDecodeError as error:
                raise InputError(f"is not {encoding} as its first bytes say", where=str(path)) from error
    if b"\0" in content[:10_000]:
        raise InputError("this is not text", where=str(path), remedy="give CSV, Parquet or ARFF")
    try:
        content.decode()
        return content, []
    except UnicodeDecodeError:
        return _other_encoding(content, path)


def _other_encoding(content: bytes, path: Path) -> tuple[bytes, list[str]]:
    """Line by line, because files are often joined from several sources: UTF-8 where it is, else GB 18030 or Latin."""
    lines = content.split(b"\n")
    others = [number for number, line in enumerate(lines) if not line.isascii() and not _is_utf8(line)]
    chinese = _looks_chinese(b"\n".join(lines[number] for number in others[:10_000]))
    encoding = "gb18030" if chinese else "cp1252"
    for number in others:
        lines[number] = lines[number].decode(encoding, errors="replace").encode()
    return b"\n".join(lines), [f"{path.name}: lines that are not UTF-8 are read as {encoding}"]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _looks_chinese(content: bytes) -> bool:
    """High bytes of GB 18030 come in pairs; those of Western encodings mostly stand alone."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", content)]
    even = sum(run for run in runs if run % 2 == 0)
    return bool(runs) and even > 0.7 * sum(runs)


def _first_lines(content: bytes) -> list[str]:
    with io.TextIOWrapper(io.BytesIO(content[:2_000_000]), encoding="utf-8", errors="replace", newline="") as text:
        lines = []
        for line in text:
            for part in line.splitlines():
                lines.append(part)
            if len(lines) >= LOOKED_AT:
                break
    return lines


def _layout(lines: Sequence[str]) -> tuple[str, int]:
    """The delimiter, and how many lines of prose stand before the header."""
    best = (0.0, ",", 0)
    for delimiter in (*DELIMITERS, BLANK):
        if delimiter == BLANK and best[0] > 0:
            break
        widths = [len(next(csv.reader([line], delimiter=delimiter), [])) for line in lines if line.strip()]
        width, often = Counter(widths).most_common(1)[0]
        score = often / len(widths) * (width > 1) * (1 + width / 1000)
        skipped = next((place for place, found in enumerate(widths) if found > width / 2), 0)
        best = max(best, (score, delimiter, skipped if skipped <= 5 else 0), key=lambda one: one[0])
    return best[1], best[2]


def _names_again(lines: Sequence[str], delimiter: str) -> bool:
    """Whether a second line of names stands below the first: words, each another, where all rows below hold numbers."""
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if len(row) > 1]
    if len(rows) < 5:
        return False
    second, below = rows[1], [row for row in rows[2:] if len(row) == len(rows[1])]
    numeric = [place for place in range(len(second)) if below and all(_is_number(row[place]) for row in below)]
    names = [second[place].strip() for place in numeric]
    worded = all(any(sign.isalpha() for sign in name) and not _is_number(name) for name in names)
    return len(names) > len(second) / 2 and worded and len(set(names)) == len(names) > 1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _arff(content: bytes, path: Path) -> Table:
    content, notes = _utf8(content, path)
    head, found, body = _at_data(content)
    if not found:
        raise InputError("there is no @data line", where=str(path), remedy="give a whole ARFF file")
    names = []
    for line in head.decode().splitlines():
        match = _ATTRIBUTE.match(line.strip())
        if match:
            names.append(next(part for part in match.groups() if part is not None))
    if not names:
        raise InputError("there are no @attribute lines", where=str(path), remedy="give a whole ARFF file")
    rows = [line for line in body.split(b"\n") if line.strip() and not line.lstrip().startswith(b"%")]
    if any(row.lstrip().startswith(b"{") for row in rows[:1]):
        raise InputError("sparse ARFF rows are not read", where=str(path), remedy="write the rows in full")
    quote = "'" if b"'" in body[:1_000_000] else '"'
    return _parsed(b"\n".join(rows), path, delimiter=",", quote=quote, skip=0, names=names, notes=notes)


def _at_data(content: bytes) -> tuple[bytes, bool, bytes]:
    match = re.search(rb"(?im)^\s*@data[^\n]*\n", content)
    return (content[: match.start()], True, content[match.end() :]) if match else (content, False, b"")
