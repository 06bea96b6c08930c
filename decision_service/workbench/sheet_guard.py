"""What a workbook must keep to before it is opened: a bounded size and number of cells, XML that declares nothing."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from xml.parsers import expat

from openpyxl.utils.cell import range_boundaries

from decision_service.errors import InputError
from decision_service.regular_file import irregular

MAX_BYTES = 50_000_000
MAX_UNPACKED = 100_000_000
MAX_RATIO = 200
"""Times that a workbook may grow when it is unpacked; one of this project grows six times."""
MAX_PARTS = 2_000
MAX_ELEMENTS = 1_000_000
"""XML elements of all parts together, the cells below a merged one among them; a cell takes two or three."""
REMEDY = "name a workbook that rules export-xlsx has written"
_CHUNK = 65_536


def guard(path: Path) -> None:
    """Raises ``InputError`` for what is no workbook or one that goes beyond the limits, ``OSError`` if unreadable."""
    what = irregular(path)
    if what is None and path.stat().st_size > MAX_BYTES:
        what = f"the file has more than {MAX_BYTES:,} bytes"
    if what is not None:
        raise InputError(what, where=str(path), remedy=REMEDY)
    try:
        with zipfile.ZipFile(path) as book:
            _Guard(path, book).check()
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise InputError(f"the file is not an .xlsx workbook ({error})", where=str(path), remedy=REMEDY) from error


class _Guard:
    """One workbook being looked at; ``zipfile`` never unpacks more of a part than the directory says that it has."""

    def __init__(self, path: Path, book: zipfile.ZipFile) -> None:
        self._path = path
        self._book = book
        self._elements = 0
        self._part = ""

    def check(self) -> None:
        parts = self._book.infolist()
        unpacked, packed = sum(part.file_size for part in parts), self._path.stat().st_size
        if len(parts) > MAX_PARTS:
            self._refuse(f"it has {len(parts):,} parts, and at most {MAX_PARTS:,} are read")
        if unpacked > MAX_UNPACKED:
            self._refuse(f"it unpacks to {unpacked:,} bytes, and at most {MAX_UNPACKED:,} are read")
        if unpacked > MAX_RATIO * packed:
            self._refuse(f"it unpacks to {unpacked // packed:,} times its size, and at most {MAX_RATIO} are read")
        for part in parts:
            self._part = part.filename
            self._scan(part)

    def _scan(self, part: zipfile.ZipInfo) -> None:
        """Read a part as far as it is XML: a picture is not, and broken XML is told when the workbook is opened."""
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._declares
        parser.StartElementHandler = self._count
        with self._book.open(part) as stream:
            try:
                while chunk := stream.read(_CHUNK):
                    parser.Parse(chunk)
            except expat.ExpatError:
                return

    def _declares(self, *_: object) -> None:
        self._refuse("it declares a DOCTYPE, which could make entities, and no spreadsheet program writes one")

    def _count(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if name.rpartition(":")[2] == "mergeCell":
            self._elements += _area(attributes.get("ref", ""))
        if self._elements > MAX_ELEMENTS:
            self._refuse(f"it has more than {MAX_ELEMENTS:,} cells and other XML elements")

    def _refuse(self, what: str) -> None:
        where = f"{self._path}: {self._part}" if self._part else str(self._path)
        raise InputError(what, where=where, remedy=REMEDY)


def _area(cells: str) -> int:
    """How many cells a range such as ``A1:B2`` has; one that cannot be read has none."""
    try:
        bounds = range_boundaries(cells)
    except (ValueError, TypeError):
        return 0
    left, top, right, bottom = (int(bound or 0) for bound in bounds)
    return max(0, right - left + 1) * max(0, bottom - top + 1)
