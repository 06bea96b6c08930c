"""Finds the feeds to load: a folder with its manifest, or single files named after their kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from decision_service.errors import InputError, Problem
from decision_service.radar.cells import CellError, day, shown
from decision_service.radar.files import SUFFIXES
from decision_service.radar.kinds import KINDS, Kind
from decision_service.regular_file import REMEDY, irregular

SHANGHAI = ZoneInfo("Asia/Shanghai")
YEARS = range(1900, 2200)

Report = Callable[[Problem], None]


@dataclass(frozen=True, slots=True)
class Feed:
    """One file to load: its kind, the source's time, and the date up to which it covers events.

    ``complete`` says that the source vouches for it even when it is empty.
    """

    kind: Kind
    path: Path
    source_time: datetime
    as_of: date
    complete: bool = False


def find_feeds(path: Path, *, now: datetime, problem: Report) -> Iterator[Feed]:
    """The feeds of a folder (by its manifest) or of one file named after its kind; ``problem`` takes bad entries.

    Raises ``InputError`` when there is nothing to read.
    """
    if path.is_dir():
        manifest = path / "manifest.json"
        if not manifest.is_file():
            remedy = "add one, or name the files themselves"
            raise InputError("the folder has no manifest.json", where=str(path), remedy=remedy)
        yield from _manifest_feeds(manifest, problem)
    elif path.is_file():
        if path.stem not in KINDS or path.suffix not in SUFFIXES:
            remedy = f"name it after its kind: {', '.join(KINDS)}, ending in {', '.join(SUFFIXES)}"
            raise InputError("the file's name is not a feed kind", where=path.name, remedy=remedy)
        yield Feed(KINDS[path.stem], path, now, now.astimezone(SHANGHAI).date())
    else:
        what = irregular(path) if path.exists() else None
        raise InputError(what or "no such file or folder", where=str(path), remedy=REMEDY if what else "check the path")


def _manifest_feeds(manifest: Path, problem: Report) -> Iterator[Feed]:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"not readable as JSON ({error})", where=str(manifest), remedy="write it again") from error
    entries = content.get("feeds") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        remedy = 'write {"as_of": "2024-01-31", "feeds": [{"kind", "file", "source_time"}]}'
        raise InputError("feeds is not a list", where=str(manifest), remedy=remedy)
    for number, entry in enumerate(entries, start=1):
        try:
            yield _entry(manifest.parent, content.get("as_of"), entry)
        except (InputError, CellError) as error:
            problem(Problem(manifest.name, 0, f"feeds[{number}]: {_what(error)}", error.remedy))


def _entry(folder: Path, as_of: object, entry: object) -> Feed:
    names = ("kind", "file", "source_time")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in names):
        raise InputError("kind, file and source_time are needed, as texts", remedy="complete the entry")
    name = entry["file"]
    if entry["kind"] not in KINDS:
        raise InputError(f"unknown kind {entry['kind']!r}", remedy=f"use one of {', '.join(KINDS)}")
    if not name.isprintable() or name != Path(name).name or name in ("", ".", ".."):
        raise InputError(f"file {shown(name)} is not a plain name", remedy="keep the files beside the manifest")
    if not isinstance(as_of, str):
        raise InputError("as_of is missing", remedy='add "as_of": "2024-01-31" to the manifest')
    complete = entry.get("complete", False)
    if not isinstance(complete, bool):
        raise InputError(f"complete is {complete!r}", remedy="write true or false")
    return Feed(KINDS[entry["kind"]], folder / name, _moment(entry["source_time"]), day(as_of), complete)


def _moment(text: str) -> datetime:
    """An aware time between 1900 and 2199. Raises ``InputError``."""
    remedy = "write it like 2024-01-31T06:00:00+08:00"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"source_time: {ascii(str(error))}", remedy=remedy) from error
    if moment.tzinfo is None:
        raise InputError("source_time has no time zone", remedy=remedy)
    if moment.year not in YEARS:
        raise InputError(f"source_time {text} is out of range", remedy=remedy)
    return moment


def _what(error: InputError | CellError) -> str:
    return error.what if isinstance(error, InputError) else f"as_of: {error}"
