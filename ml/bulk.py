"""Scores a whole portfolio in chunks, on this machine or on Spark; what is done stays done, whatever ends the run.

Each chunk becomes one Parquet file, renamed into place when it is whole, whose own metadata says what it rests on. A
run that was killed goes on with the chunks that are not there; other models or data are refused in the same folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from decision_service.errors import EngineError, InputError
from decision_service.interrupts import end_with_parent
from decision_service.regular_file import REMEDY, irregular
from ml.bulk_models import Score, Scoring
from ml.tables.kinds import texts
from ml.tables.read import read_table

FORMAT = 1
ENGINES = ("local", "spark")
CHUNK_ROWS = 20_000
MOST_FILES = 256
MANIFEST, LOCK, STAGED = "_manifest.json", "_lock", "_staged"  # Parquet readers pass over names that begin with _
PLAN = b"rests_on"
WAVE = 4  # chunks a Spark core is given at once; after each wave the progress is told

_RAISED = re.compile(r"[\w.]*(Error|Exception)\b.*:")

Progress = Callable[[int], object]
"""Told how many rows were scored since the last call."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Row groups of a Parquet file; ``start`` is the number of its first row in the whole."""

    number: int
    path: str
    groups: tuple[int, ...]
    start: int
    rows: int

    @property
    def part(self) -> str:
        """The name of its scores' file."""
        return f"part-{self.number:05}.parquet"

    def table(self) -> pa.Table:
        """Its rows."""
        return pq.ParquetFile(self.path).read_row_groups(list(self.groups))


@dataclass(frozen=True, slots=True)
class Work:
    """What every process needs to score any chunk."""

    scoring: Scoring
    rests_on: str
    out: str


@dataclass(frozen=True, slots=True)
class Done:
    """A whole folder of scores: rows read, units scored, those without a score, chunks found from an earlier run."""

    rows: int
    units: int
    unscored: int
    chunks: int
    found: int


def score_portfolio(
    scoring: Scoring,
    data: Sequence[Path],
    out: Path,
    *,
    engine: str = "local",
    workers: int = 1,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress = lambda rows: None,
) -> Done:
    """Score every row (or unit) of the files into ``out``; raises ``InputError``, ``ModelError`` or ``EngineError``.

    Memory is bounded by ``chunk_rows`` a worker for Parquet; text is read whole once and laid out as Parquet.
    """
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}", where="--engine", remedy=f"use one of {', '.join(ENGINES)}")
    rests_on = _identity(scoring, data, chunk_rows)
    with _alone_in(out):
        chunks = _chunks_of(out, rests_on, scoring, data, chunk_rows)
        ahead = [one for one in chunks if _whole(out / one.part, rests_on) is None]
        found = len(chunks) - len(ahead)
        progress(sum(one.rows for one in chunks) - sum(one.rows for one in ahead))
        work = Work(scoring, rests_on["digest"], str(out.resolve()))
        run = _on_spark if engine == "spark" else _here
        for rows in run(work, ahead, workers):
            progress(rows)
        return _finished(out, rests_on, chunks, found)


def rows_of(data: Sequence[Path]) -> int | None:
    """How many rows the files have; ``None`` where only reading them tells."""
    if any(path.suffix.lower() != ".parquet" for path in data):
        return None
    return sum(_opened(path).metadata.num_rows for path in data)


def _identity(scoring: Scoring, data: Sequence[Path], chunk_rows: int) -> dict[str, Any]:
    content = {
        "format": FORMAT,
        **scoring.told,
        "data": [{"name": path.name, "sha256": _sha256(path)} for path in data],
        "chunk_rows": chunk_rows,
    }
    return {**content, "digest": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}


def _sha256(path: Path) -> str:
    wrong = irregular(path)
    if wrong:
        raise InputError(wrong, where=str(path), remedy=REMEDY)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """The folder for this run only; the kernel frees it when the process ends, however it ends."""
    if out.exists() and not out.is_dir():
        raise InputError("this is a file", where=str(out), remedy="name a folder for the scores")
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError("another run is writing here", where=str(out), remedy="wait for it") from error
        for path in out.glob(".part-*"):
            path.unlink()  # of a run that was killed
        yield


def _chunks_of(
    out: Path, rests_on: Mapping[str, Any], scoring: Scoring, data: Sequence[Path], chunk_rows: int
) -> list[Chunk]:
    """Those of an earlier run on the same, or new ones."""
    path = out / MANIFEST
    if path.exists():
        chunks = _read_manifest(path, rests_on)
        lost = [one for one in chunks if not Path(one.path).exists() and _whole(out / one.part, rests_on) is None]
        if not lost:
            return chunks
    elif any(out.glob("part-*.parquet")):
        raise InputError("the folder holds other scores", where=str(out), remedy="give another folder")
    plain = scoring.unit is None and all(_is_plain(one, chunk_rows) for one in data)
    chunks = list(_grouped(data, chunk_rows)) if plain else _staged(out / STAGED, data, scoring.unit, chunk_rows)
    if not sum(one.rows for one in chunks):
        raise InputError("there are no rows", where=str(data[0]), remedy="give a file with rows")
    _write(path, {"rests_on": rests_on, "chunks": [asdict(one) for one in chunks]})
    return chunks


def _read_manifest(path: Path, rests_on: Mapping[str, Any]) -> list[Chunk]:
    try:
        manifest = json.loads(path.read_bytes())
        before = manifest["rests_on"]
        chunks = [Chunk(**{**one, "groups": tuple(one["groups"])}) for one in manifest["chunks"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("this is no manifest of scores", where=str(path), remedy="give another folder") from error
    if before != rests_on:
        names = sorted(name for name in {*before, *rests_on} - {"digest"} if before.get(name) != rests_on.get(name))
        what = f"the folder holds scores by other {', '.join(names)}"
        raise InputError(what, where=str(path.parent), remedy="give another folder")
    return chunks


def _is_plain(path: Path, chunk_rows: int) -> bool:
    """Whether the file's own row groups are small enough to be read one by one."""
    if path.suffix.lower() != ".parquet":
        return False
    metadata = _opened(path).metadata
    return all(metadata.row_group(one).num_rows <= chunk_rows for one in range(metadata.num_row_groups))


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        what = f"cannot be read ({str(error).splitlines()[0][:200]})"
        raise InputError(what, where=str(path), remedy="give CSV, Parquet or ARFF") from error


def _grouped(data: Sequence[Path], chunk_rows: int) -> Iterator[Chunk]:
    """Neighbouring row groups of a file, as many as are no more than a chunk."""
    number, start = 0, 0
    for path in data:
        metadata = _opened(path).metadata
        groups: list[int] = []
        rows = 0
        for group in range(metadata.num_row_groups):
            more = metadata.row_group(group).num_rows
            if groups and rows + more > chunk_rows:
                yield Chunk(number, str(path.resolve()), tuple(groups), start, rows)
                number, start, groups, rows = number + 1, start + rows, [], 0
            groups.append(group)
            rows += more
        if groups:
            yield Chunk(number, str(path.resolve()), tuple(groups), start, rows)
            number, start = number + 1, start + rows


def _staged(folder: Path, data: Sequence[Path], unit: str | None, chunk_rows: int) -> list[Chunk]:
    """The rows laid out in files of a chunk each: one after the other, or all rows of a unit in the same."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if unit is None:
        return _one_by_one(folder, data, chunk_rows)
    rows = sum(_rows(path) for path in data)
    return _by_unit(folder, data, unit, files=min(MOST_FILES, -(-rows // chunk_rows)), chunk_rows=chunk_rows)


def _rows(path: Path) -> int:
    parquet = path.suffix.lower() == ".parquet"
    return int(_opened(path).metadata.num_rows) if parquet else len(read_table(path).frame)


def _blocks(path: Path, rows: int) -> Iterator[pa.Table]:
    if path.suffix.lower() == ".parquet":
        for batch in _opened(path).iter_batches(rows):
            yield pa.Table.from_batches([batch])
        return
    whole = pa.Table.from_pandas(read_table(path).frame, preserve_index=False)
    for start in range(0, len(whole), rows):
        yield whole.slice(start, rows)


def _one_by_one(folder: Path, data: Sequence[Path], chunk_rows: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    start = 0
    for path in data:
        for block in _blocks(path, chunk_rows):
            place = folder / f"{len(chunks):05}.parquet"
            pq.write_table(block, place)
            chunks.append(_staged_chunk(len(chunks), place, start))
            start += len(block)
    return chunks


def _by_unit(folder: Path, data: Sequence[Path], unit: str, *, files: int, chunk_rows: int) -> list[Chunk]:
    places = [folder / f"{number:05}.parquet" for number in range(files)]
    writers: dict[int, pq.ParquetWriter] = {}
    try:
        for path in data:
            for block in _blocks(path, chunk_rows):
                for number, rows in _apart(block, unit, files, path):
                    if number not in writers:
                        writers[number] = pq.ParquetWriter(places[number], rows.schema)
                    writers[number].write_table(rows.cast(writers[number].schema))
    except (pa.ArrowInvalid, ValueError) as error:
        what = f"the files' columns differ ({str(error).splitlines()[0][:100]})"
        raise InputError(what, where=str(path), remedy="give files of the same columns and types") from error
    finally:
        for writer in writers.values():
            writer.close()
    return [_staged_chunk(number, places[number], 0) for number in sorted(writers)]


def _apart(block: pa.Table, unit: str, files: int, path: Path) -> Iterator[tuple[int, pa.Table]]:
    raw = next((name for name in block.column_names if " ".join(name.split()) == unit), None)
    if raw is None:
        raise InputError(f"the table lacks {unit!r}", where=str(path), remedy="give the columns the model reads")
    named = texts(block[raw].to_pandas()).fillna("").to_numpy(dtype=object)
    numbers = pd.util.hash_array(named, categorize=True) % files
    for number in sorted(set(numbers.tolist())):
        yield number, block.filter(pa.array(numbers == number))


def _staged_chunk(number: int, path: Path, start: int) -> Chunk:
    metadata = pq.ParquetFile(path).metadata
    return Chunk(number, str(path.resolve()), tuple(range(metadata.num_row_groups)), start, metadata.num_rows)


def _here(work: Work, chunks: Sequence[Chunk], workers: int) -> Iterator[int]:
    if workers < 2 or len(chunks) < 2:
        yield from (_scored(work, chunk) for chunk in chunks)
        return
    with _one_thread_each():
        context = multiprocessing.get_context("spawn")  # a forked child would share the parent's libraries' threads
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)
        try:
            started = [pool.submit(_scored, work, chunk) for chunk in chunks]
            yield from (one.result() for one in as_completed(started))
        except BrokenProcessPool as error:
            remedy = "run it again: it goes on where it was; fewer --workers need less memory"
            raise EngineError("a worker was killed", where="--workers", remedy=remedy) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that begin inside compute in one thread, unless the user says otherwise."""
    given = "OMP_NUM_THREADS" in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        yield
    finally:
        if not given:
            del os.environ["OMP_NUM_THREADS"]


def _on_spark(work: Work, chunks: Sequence[Chunk], workers: int) -> Iterator[int]:
    """Spark gives chunks to its workers; each reads and writes the folders itself, so they must see them."""
    from decision_service.workbench.bulk import spark_session

    def scored(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [_scored(work, _chunk_from(text)) for text in batch.column("chunk").to_pylist()]
            yield pa.RecordBatch.from_pydict({"rows": pa.array(rows, pa.int64())})

    if not chunks:
        return
    place = Path(work.out) / STAGED / "spark"
    place.mkdir(parents=True, exist_ok=True)
    with _one_thread_each(), spark_session(place, workers, "portfolio scores") as session, _spark_failures():
        session.sparkContext.setLogLevel("OFF")  # its errors are told below
        width = session.sparkContext.defaultParallelism
        for first in range(0, len(chunks), WAVE * width):
            wave = chunks[first : first + WAVE * width]
            frame = session.createDataFrame([(json.dumps(asdict(one)),) for one in wave], "chunk string")
            spread = frame.repartition(min(width, len(wave)))
            yield sum(row["rows"] for row in spread.mapInArrow(scored, "rows bigint").collect())


@contextmanager
def _spark_failures() -> Iterator[None]:
    """Spark's own errors, and those of this project that come from its workers as the text of a traceback."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        own = next((line for line in lines if line.startswith("decision_service.errors.")), None)
        if own is not None:
            raise InputError(own.partition(": ")[2]) from error
        why = next((line for line in reversed(lines) if _RAISED.match(line)), lines[0])
        raise EngineError(f"spark could not score a chunk: {why[:200]}", remedy="run it again") from error


def _chunk_from(text: str) -> Chunk:
    data = json.loads(text)
    return Chunk(**{**data, "groups": tuple(data["groups"])})


_OPENED: dict[str, Score] = {}
"""The models of this process, by what the scores rest on."""


def _scored(work: Work, chunk: Chunk) -> int:
    """Score one chunk into its file; gives its rows."""
    if work.rests_on not in _OPENED:
        _OPENED.clear()
        _OPENED[work.rests_on] = work.scoring.opened()
    found = _OPENED[work.rests_on](chunk.table(), chunk.start)
    place, making = Path(work.out) / chunk.part, Path(work.out) / f".{chunk.part}.{os.getpid()}"
    pq.write_table(found.replace_schema_metadata({PLAN: work.rests_on}), making, write_page_checksum=True)
    _keep(making, place)
    return chunk.rows


def _keep(making: Path, place: Path) -> None:
    """Durable before it has its name."""
    with making.open("rb") as file:
        os.fsync(file.fileno())
    making.replace(place)


def _whole(path: Path, rests_on: Mapping[str, Any]) -> pa.Table | None:
    """A chunk's scores, if they are there, undamaged, and rest on the same."""
    try:
        scores = pq.ParquetFile(path, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException):
        return None
    return scores if (scores.schema.metadata or {}).get(PLAN) == rests_on["digest"].encode() else None


def _finished(out: Path, rests_on: Mapping[str, Any], chunks: Sequence[Chunk], found: int) -> Done:
    parts, units, unscored = [], 0, 0
    for chunk in chunks:
        path = out / chunk.part
        scores = _whole(path, rests_on)
        if scores is None:
            raise EngineError("was written and is damaged", where=str(path), remedy="check the disk, run it again")
        values = scores.column("pd_12m" if "product" in rests_on else "probability")
        units, unscored = units + len(values), unscored + values.null_count
        parts.append({"file": chunk.part, "units": len(values), "sha256": _sha256(path)})
    if not units:
        raise InputError("no unit has enough rows", remedy="give more rows a unit, or check the id column")
    rows = sum(one.rows for one in chunks)
    told = {"rows": rows, "units": units, "unscored": unscored}
    manifest = {"rests_on": rests_on, **told, "chunks": [asdict(one) for one in chunks], "parts": parts}
    _write(out / MANIFEST, manifest)
    shutil.rmtree(out / STAGED, ignore_errors=True)
    return Done(rows, units, unscored, len(chunks), found)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    making = path.with_name(f".{path.name}")
    making.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    _keep(making, path)
