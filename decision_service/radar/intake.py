"""Loads feed files into the store: good rows are kept, bad ones reported and set aside, nothing is lost silently."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, Protocol

from decision_service.errors import InputError, Problem
from decision_service.portrait.invoice_totals import InvoiceTotals
from decision_service.radar.files import UnusableFile, read_rows
from decision_service.radar.kinds import INVOICES, KINDS, LISTS, lists_of
from decision_service.radar.manifest import SHANGHAI, Feed, find_feeds
from decision_service.radar.validation import Keyed, Reject, Validator

CLOCK_TOLERANCE = timedelta(hours=3)
MOST_PROBLEMS = 1_000

Progress = Callable[[str, int], None]
"""Called with a feed kind and the number of rows read since the last call."""


class RecordStore(Protocol):
    """What intake needs of the store."""

    def write_records(
        self, kind: str, rows: Iterable[tuple[str, str, Any]], *, source_time: datetime, now: datetime
    ) -> int:
        """Insert or replace records by (uscc, kind, key)."""

    def set_feed(self, kind: str, source_time: datetime) -> None:
        """Note the newest complete delivery of a kind."""

    def has_records(self, kind: str) -> bool:
        """Whether anything of a kind is on file."""


class Counts(NamedTuple):
    """Rows of one kind. For invoices ``written`` counts the invoices that went into the sums."""

    read: int
    written: int
    rejected: int


@dataclass(frozen=True, slots=True)
class IntakeReport:
    """What was loaded. ``problems`` holds the first thousand; the reject files hold every rejected row."""

    kinds: dict[str, Counts]
    problems: tuple[Problem, ...]
    problem_count: int
    reject_files: tuple[Path, ...]


@dataclass
class _Tally:
    """The report in the making."""

    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    reject_files: list[Path] = field(default_factory=list)

    def problem(self, problem: Problem) -> None:
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    def counts(self, kind: str) -> Counts:
        return Counts(self.read.get(kind, 0), self.written.get(kind, 0), self.rejected.get(kind, 0))

    def report(self) -> IntakeReport:
        kinds = {kind: self.counts(kind) for kind in self.read}
        return IntakeReport(kinds, tuple(self.problems), self.problem_count, tuple(self.reject_files))


def load_feeds(
    paths: Sequence[Path | str],
    store: RecordStore,
    *,
    now: datetime,
    progress: Progress | None = None,
    rejects: Path | None = None,
    lists: Collection[str] | None = None,
) -> IntakeReport:
    """Load files and folders (with a ``manifest.json``) into the store. ``now`` is aware.

    ``lists`` are the names that an entry of a list may give; with ``None`` the names are not checked.

    A file by itself belongs to the kind that is its name and to the moment ``now``. Rejected rows are written to a file
    beside their source, or in the folder ``rejects``. A file that cannot be used at all is a problem of the report; the
    others are loaded. Raises ``InputError`` for a path that is neither and for a folder ``rejects`` that cannot be
    written to, before anything is loaded; ``StoreError`` from the store.
    """
    if rejects is not None:
        _prove_writable(rejects)
    tally = _Tally()
    feeds = [feed for path in paths for feed in find_feeds(Path(path), now=now, problem=tally.problem)]
    for feed in sorted(feeds, key=lambda feed: list(KINDS).index(feed.kind.name)):
        if feed.kind.name == LISTS and lists is not None:
            feed = replace(feed, kind=lists_of(lists))
        _load(feed, store, now=now, tally=tally, progress=progress or (lambda kind, rows: None), rejects=rejects)
    return tally.report()


def _prove_writable(folder: Path) -> None:
    """Create the folder if need be, and a file in it that vanishes at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        what = f"rejected rows cannot be written there ({error.strerror})"
        raise InputError(what, where=str(folder), remedy="name a folder that can be written to") from error


def _load(
    feed: Feed, store: RecordStore, *, now: datetime, tally: _Tally, progress: Progress, rejects: Path | None
) -> None:
    kind = feed.kind.name
    tally.read.setdefault(kind, 0)
    before = tally.counts(kind)
    folder = rejects or feed.path.parent
    with _RejectFile(feed, folder / f"{feed.path.name}.rejected-{now:%Y%m%dT%H%M%S}.csv", tally) as reject_file:
        today = (now + CLOCK_TOLERANCE).astimezone(SHANGHAI).date()
        validator = Validator(feed.kind, today, reject_file.add)
        names = tuple(column.name for column in validator.columns)
        required = frozenset(column.name for column in validator.columns if column.required)
        try:
            chunks = validator.chunks(read_rows(feed.path, names, required))
            _write(feed, _counted(chunks, kind, tally, progress), store, now=now)
        except UnusableFile as error:
            tally.problem(Problem(error.file, error.line, error.what, error.remedy))
            return
    delivered = Counts(*(after - earlier for after, earlier in zip(tally.counts(kind), before)))
    _advance(feed, store, delivered=delivered, now=now, tally=tally)


def _counted(
    chunks: Iterator[tuple[int, list[Keyed]]], kind: str, tally: _Tally, progress: Progress
) -> Iterator[list[Keyed]]:
    for read, records in chunks:
        tally.read[kind] += read
        yield records
        tally.written[kind] = tally.written.get(kind, 0) + len(records)
        progress(kind, read)


def _write(feed: Feed, chunks: Iterator[list[Keyed]], store: RecordStore, *, now: datetime) -> None:
    times = {"source_time": min(feed.source_time, now), "now": now}
    if feed.kind is not INVOICES:
        for records in chunks:
            store.write_records(feed.kind.name, records, **times)
        return
    totals = InvoiceTotals(feed.as_of)
    for records in chunks:
        for uscc, _, invoice in records:
            totals.add(uscc, invoice)
    store.write_records("months", totals.months(), **times)
    store.write_records("counterparties", totals.counterparties(), **times)


def _advance(feed: Feed, store: RecordStore, *, delivered: Counts, now: datetime, tally: _Tally) -> None:
    """Note the delivery, unless it claims a future time or lacks rows whose absence would speak for an enterprise.

    A file of which no row is good tells nothing new, whatever its kind. A file without rows, of a kind that has
    records, looks like a source that failed: somebody must vouch for it.
    """
    where = feed.path.name
    kinds = ("invoices", "months", "counterparties") if feed.kind is INVOICES else (feed.kind.name,)
    if feed.source_time > now + CLOCK_TOLERANCE:
        what = f"source_time {feed.source_time.isoformat()} lies in the future; the feed's time is not advanced"
        tally.problem(Problem(where, 0, what, "check the source's clock and deliver again"))
    elif delivered.rejected and not delivered.written:
        what = f"every row was rejected, so this delivery of {feed.kind.name} does not count; its time is not advanced"
        tally.problem(Problem(where, 0, what, "correct the rows and deliver the file again"))
    elif delivered.rejected and feed.kind.absence_counts:
        what = f"rows were rejected, so this delivery of {feed.kind.name} is not complete; its time is not advanced"
        tally.problem(Problem(where, 0, what, "correct the rejected rows and deliver the file again"))
    elif not delivered.read and not feed.complete and any(map(store.has_records, kinds)):
        what = f"no rows, though {feed.kind.name} has records on file; the feed's time is not advanced"
        remedy = 'deliver the file again, or write "complete": true in its manifest entry if nothing is new'
        tally.problem(Problem(where, 0, what, remedy))
    else:
        for kind in kinds:
            store.set_feed(kind, feed.source_time)


class _RejectFile:
    """Counts and names rejected rows, and writes them to a file that is opened at the first one."""

    def __init__(self, feed: Feed, path: Path, tally: _Tally) -> None:
        self._feed, self._path, self._tally = feed, path, tally
        self._file: Any = None

    def __enter__(self) -> "_RejectFile":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, reject: Reject) -> None:
        """One rejected or flagged row."""
        self._tally.problem(Problem(self._feed.path.name, reject.line, reject.what, reject.remedy))
        if reject.kept:
            return
        kind = self._feed.kind.name
        self._tally.rejected[kind] = self._tally.rejected.get(kind, 0) + 1
        row = json.dumps(reject.cells, ensure_ascii=False)
        self._writer().writerow([self._feed.path.name, reject.line, reject.what, reject.remedy, row])

    def _writer(self) -> Any:
        if self._file is None:
            try:
                self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
            except OSError as error:
                what = f"cannot write rejected rows ({error.strerror})"
                raise UnusableFile(what, file=str(self._path), remedy="make it writable, or give --rejects") from error
            self._tally.reject_files.append(self._path)
            csv.writer(self._file).writerow(["file", "line", "what", "remedy", "row"])
        return csv.writer(self._file)
