"""A workbook that would fill the memory or declares what no spreadsheet program does is refused before it is opened."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from decision_service.errors import InputError
from decision_service.workbench import sheet_guard
from decision_service.workbench.sheet_rows import open_workbook

Change = Callable[[dict[str, bytes]], object]
SHEET = "xl/worksheets/sheet1.xml"
LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A small workbook."""
    path = tmp_path / "small.xlsx"
    small = Workbook()
    small.active.append(["code", "name"])
    small.save(path)
    return path


def changed(book: Path, change: Change) -> Path:
    """The workbook with other parts."""
    with zipfile.ZipFile(book) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    change(parts)
    with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            new.writestr(name, content)
    return book


def inside(sheet: bytes) -> Change:
    """More of a sheet, after its rows."""
    return lambda parts: parts.update({SHEET: parts[SHEET].replace(b"</sheetData>", b"</sheetData>" + sheet)})


def rows(sheet: bytes) -> Change:
    """More rows of a sheet."""
    return lambda parts: parts.update({SHEET: parts[SHEET].replace(b"</sheetData>", sheet + b"</sheetData>")})


BOMBS: dict[str, tuple[Change, str]] = {
    "a part that unpacks to far more": (lambda parts: parts.update({"xl/a.xml": b" " * 9_000_000}), "times its size"),
    "parts that are too large together": (lambda parts: parts.update({"xl/a.xml": bytes(10**8)}), "unpacks to 100,0"),
    "too many parts": (lambda parts: parts.update({f"{n}.xml": b"" for n in range(2_000)}), "parts, and at most 2,000"),
    "too many cells": (rows(b"<row>" + b'<c t="b"/>' * 1_000_000 + b"</row>"), f"{SHEET}: it has more than 1,000,000"),
    "too many rows": (rows(b"<row/>" * 1_000_000), f"{SHEET}: it has more than 1,000,000 cells and other"),
    "a merged cell over the whole sheet": (
        inside(b'<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'),
        f"{SHEET}: it has more than 1,000,000 cells",
    ),
    "entities": (lambda parts: parts.update({"xl/sharedStrings.xml": LAUGHS}), "xl/sharedStrings.xml: it declares a"),
    "entities in another encoding": (
        lambda parts: parts.update({"xl/theme.bin": LAUGHS.decode().encode("utf-16")}),
        "xl/theme.bin: it declares a DOCTYPE",
    ),
}


@pytest.mark.parametrize(("change", "message"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_within_little_memory(
    change: Change, message: str, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = changed(book, change)
    if "unpacks to 1" in message or "1,000,000" in message:
        monkeypatch.setattr(sheet_guard, "MAX_RATIO", 10_000)  # the limit behind it
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="rules export-xlsx has written") as caught:
            open_workbook(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert most < 10_000_000


def test_a_directory_that_lies_about_a_size_is_found_out(book: Path) -> None:
    path = changed(book, lambda parts: parts.update({"xl/a.xml": b"<a>" + b"x" * 5_000_000}))
    content = path.read_bytes()
    path.write_bytes(content.replace((5_000_003).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(InputError, match="is not an .xlsx workbook"):
        open_workbook(path)


def test_what_is_encrypted_is_no_workbook(book: Path) -> None:
    content = bytearray(book.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    content[6] |= 1
    book.write_bytes(bytes(content))
    with pytest.raises(InputError, match="is not an .xlsx workbook"):
        open_workbook(book)


def test_a_workbook_with_a_picture_and_a_heading_far_to_the_right_is_opened(book: Path) -> None:
    path = changed(book, lambda parts: parts.update({"xl/media/image1.png": b"\x89PNG\r\n\x1a\n" + bytes(99)}))
    changed(path, rows(b'<row r="9"><c r="XFD9"><v>1</v></c></row>'))
    assert open_workbook(path).active.max_column == 16_384
