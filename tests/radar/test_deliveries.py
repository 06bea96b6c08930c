"""Damaged deliveries: what is wrong is told with its place, and everything around it is loaded."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from decision_service.errors import InputError
from decision_service.radar.files import LONGEST_ROW, LONGEST_SHOWN
from decision_service.radar.intake import Counts, load_feeds
from tests.radar.test_intake import GOOD, NOW, MemoryStore, feed, load, manifest, texts

HEADER = "uscc,month,sales\n"
BEFORE, AFTER = f"{GOOD},2020-01-01,1.00\n", f"{GOOD},2020-02-01,2.00\n{GOOD},2020-03-01,3.00\n"
BROKEN = {
    "a quote left open at the end": (f'{GOOD},2019-12-01,"1.00\n', 1, "a quote that is not closed"),
    "a quote left open at the start": (f'"{GOOD},2019-12-01,1.00\n', 1, "a quote that is not closed"),
    "a quote left open after one inside a cell": (f'{GOOD},2019"-12-01,"1.00\n', 1, "a quote that is not closed"),
    "text after a closing quote": (f'{GOOD},2019-12-01,"1.00"0\n', 1, "cannot be split into cells"),
    "a cell over two lines": (f'{GOOD},2019-12-01,"1.\n00"\n', 2, "a quote that is not closed"),
    "a line that is too long": (f"{GOOD},2019-12-01,{'1' * LONGEST_ROW}\n", 1, "characters"),
}


@pytest.mark.parametrize(("broken", "lines", "fault"), BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_a_broken_line_costs_no_other(broken: str, lines: int, fault: str, ending: str, tmp_path: Path) -> None:
    store, report = load(tmp_path, "months.csv", (HEADER + BEFORE + broken + AFTER).replace("\n", ending))
    assert report.kinds["months"] == Counts(3 + lines, 3, lines)
    assert [month.sales for month in store.of("months")] == [100, 200, 300]
    assert str(report.problems[0]).startswith("months.csv:3: ") and fault in str(report.problems[0])
    rejected = list(csv.DictReader(report.reject_files[0].open(encoding="utf-8")))
    assert [row["line"] for row in rejected] == [str(3 + number) for number in range(lines)]
    assert json.loads(rejected[0]["row"])[0] == broken.split("\n")[0][:LONGEST_SHOWN]


def test_quoted_cells_are_read(tmp_path: Path) -> None:
    header = "uscc,name,entity_type,registration_status\n"
    store, report = load(tmp_path, "registrations.csv", f'{header}{GOOD},"a ""b"", c",company,"active"\n')
    assert report.problem_count == 0
    assert [entry.name for entry in store.of("registrations")] == ['a "b", c']


@pytest.mark.parametrize(("header", "fault"), [("uscc,mont\n", "unknown column 'mont'"), ('uscc,"month\n', "a quote")])
def test_a_wrong_header_has_one_line_number(header: str, fault: str, tmp_path: Path) -> None:
    _, report = load(tmp_path, "months.csv", header)
    assert str(report.problems[0]).startswith("months.csv:1: ") and fault in str(report.problems[0])


BAD_ENTRIES = {
    "a NUL in the name": (feed("exposures", "a\0b.csv"), "file 'a\\x00b.csv' is not a plain name"),
    "half a character in the name": (feed("exposures", "\ud800.csv"), "is not a plain name"),
    "a line break in the name": (feed("exposures", "a\n.csv"), "is not a plain name"),
    "a name longer than any file's": (feed("exposures", "x" * 5_000 + ".csv"), "cannot be read"),
    "the manifest itself": (feed("exposures", "manifest.json"), "cannot read a .json file"),
    "a time in year 1": (feed("exposures", "e.csv", "0001-01-01T00:00:00+08:00"), "0001-01-01T00:00:00+08:00 is out"),
    "a time in year 1899": (feed("exposures", "e.csv", "1899-12-31T23:59:59+08:00"), "is out of range"),
    "a time in year 2200": (feed("exposures", "e.csv", "2200-01-01T00:00:00+08:00"), "is out of range"),
    "a time in year 9999": (feed("exposures", "e.csv", "9999-12-31T23:59:59-14:00"), "is out of range"),
    "a time with half a character": (feed("exposures", "e.csv", "\ud800"), "source_time"),
}


@pytest.mark.parametrize(("entry", "fault"), BAD_ENTRIES.values(), ids=BAD_ENTRIES.keys())
def test_a_bad_entry_is_named_and_the_others_are_loaded(entry: dict[str, str], fault: str, tmp_path: Path) -> None:
    (tmp_path / "months.csv").write_text(HEADER + BEFORE)
    store = MemoryStore()
    report = load_feeds([manifest(tmp_path, entry, feed("months", "months.csv"))], store, now=NOW)
    assert fault in texts(report) and report.problem_count == 1
    assert len(store.of("months")) == 1 and "months" in store.feeds
    texts(report).encode()


@pytest.mark.parametrize("time", ["1900-01-01T00:00:00+08:00", "2019-12-31T23:59:59-12:00"])
def test_an_old_delivery_is_one(time: str, tmp_path: Path) -> None:
    (tmp_path / "months.csv").write_text(HEADER)
    store = MemoryStore()
    load_feeds([manifest(tmp_path, feed("months", "months.csv", time))], store, now=NOW)
    assert store.feeds["months"].isoformat() == time


def test_the_folder_for_rejected_rows_is_created(tmp_path: Path) -> None:
    (tmp_path / "months.csv").write_text(f"{HEADER}x,y,z\n")
    folder = tmp_path / "new" / "rejects"
    report = load_feeds([tmp_path / "months.csv"], MemoryStore(), now=NOW, rejects=folder)
    assert [path.parent for path in report.reject_files] == [folder]
    assert list(folder.iterdir()) == list(report.reject_files)


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "months.csv").write_text(HEADER + BEFORE)
    (tmp_path / "file").write_text("")
    store = MemoryStore()
    with pytest.raises(InputError, match="file/rejects: rejected rows cannot be written there"):
        load_feeds([tmp_path / "months.csv"], store, now=NOW, rejects=tmp_path / "file" / "rejects")
    assert not store.records and not store.feeds


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_told(tmp_path: Path) -> None:
    (tmp_path / "months.csv").write_text(HEADER)
    (tmp_path / "rejects").mkdir(mode=0o500)
    with pytest.raises(InputError, match="Permission denied"):
        load_feeds([tmp_path / "months.csv"], MemoryStore(), now=NOW, rejects=tmp_path / "rejects")
