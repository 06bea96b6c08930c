"""The city's files are feeds that the intake takes without a single reject, and they hold what the city holds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from city_for_tests import firms, place

from decision_service.radar.intake import load_feeds
from ml.city import FEEDS, Firm
from ml.feeds import RECORDS, write_city, write_json
from ml.showcase import showcase


class Notebook:
    """Takes records as the store would."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        self.times: dict[str, datetime] = {}

    def write_records(
        self, kind: str, rows: Iterable[tuple[str, str, Any]], *, source_time: datetime, now: datetime
    ) -> int:
        before = len(self.rows[kind])
        self.rows[kind] += [(uscc, record) for uscc, _, record in rows]
        return len(self.rows[kind]) - before

    def set_feed(self, kind: str, source_time: datetime) -> None:
        self.times[kind] = source_time

    def has_records(self, kind: str) -> bool:
        return bool(self.rows[kind])


@pytest.fixture(scope="module")
def city() -> list[Firm]:
    return list(firms()) + showcase(place())[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, city: list[Firm]) -> Path:
    found = tmp_path_factory.mktemp("feeds")
    write_city(found, city, place())
    return found


def test_the_intake_takes_every_row_and_they_are_the_city_s_records(folder: Path, city: list[Firm]) -> None:
    notebook = Notebook()
    report = load_feeds([folder], notebook, now=place().delivered)
    assert report.problems == ()
    for kind in FEEDS:
        attribute = RECORDS[kind][1]
        expected = []
        for firm in city:
            held = getattr(firm.records, attribute)
            rows = held if isinstance(held, tuple) else () if held is None else (held,)
            expected += [(firm.records.registration.uscc, row) for row in rows]
        assert sorted(map(repr, notebook.rows[kind])) == sorted(map(repr, expected)), kind
    assert set(notebook.times) == set(FEEDS)


def test_the_truth_is_no_feed(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {feed["kind"] for feed in manifest["feeds"]} == set(FEEDS)
    assert len((folder / "truth.csv").read_text(encoding="utf-8").splitlines()) == 1 + 200 + len(showcase(place())[0])


def test_the_same_city_gives_the_same_bytes(folder: Path, city: list[Firm], tmp_path: Path) -> None:
    write_city(tmp_path, city, place())
    for path in sorted(folder.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_json_keeps_chinese_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"zh": "红牌"})
    assert "红牌" in (tmp_path / "x.json").read_text(encoding="utf-8")
