"""`python -m bench.backtest`: a backtest of a whole city's portfolio, timed, and compared row by row with the reference."""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
import pyarrow
import pyarrow.parquet

from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset
from decision_service.workbench.backtest import backtest
from decision_service.workbench.bulk import ENGINES, KEY, Engine, judged, opened
from decision_service.workbench.populations import Population
from tests.rulebook.columns import differing
from tests.workbench.two_rulesets import ON, RULES, changed, reference, synthetic, write

ROWS, SAMPLE, THREADS = 870_000, 20_000, 2
MOST_SECONDS, MOST_BYTES = 20.0, 6 * 10**9


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took and found; ``differing`` tells the first values that are not the reference's."""

    engine: str
    rows: int
    rules: int
    seconds: float
    peak_bytes: int
    changed: int
    swaps: dict[str, int]
    compared: int
    differing: tuple[str, ...]

    @property
    def fine(self) -> bool:
        """As the reference says, within the time and the memory that are wanted of a whole city."""
        return not self.differing and self.seconds <= MOST_SECONDS and self.peak_bytes <= MOST_BYTES


@click.command()
@click.option("--rows", default=ROWS, show_default=True, help="Enterprises.")
@click.option("--sample", default=SAMPLE, show_default=True, help="Rows compared with the reference evaluator.")
@click.option("--engine", type=click.Choice(ENGINES), default=ENGINES[0], show_default=True)
@click.option("--threads", default=THREADS, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(rows: int, sample: int, engine: str, threads: int, as_json: bool) -> None:
    """Backtest the shipped rules against edited ones. Exit 1 if a row differs, or beyond 20 s or 6 GB.

    Example: python -m bench.backtest --rows 100000
    """
    with tempfile.TemporaryDirectory(prefix="bench-backtest-") as name:
        found = measured(Path(name), rows=rows, sample=min(sample, rows), engine=engine, threads=threads)
    if as_json:
        click.echo(json.dumps({**asdict(found), "fine": found.fine}))
    else:
        _print(found)
    sys.exit(0 if found.fine else 1)


def measured(folder: Path, *, rows: int, sample: int, engine: str, threads: int) -> Measured:
    """Two rulesets over ``rows`` synthetic enterprises; then both once more over a sample, value by value."""
    old, new = load(RULES), changed(folder / "edited")
    whole = folder / "facts.parquet"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        apart.submit(_make, rows, whole).result()  # making the table must not count as memory of the backtest
    with opened(engine, folder / "work", threads=threads) as database:
        started = time.perf_counter()
        found = backtest(old, new, [Population("synthetic", whole, rows)], on=ON, engine=database)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        chosen = _sample(whole, sample)
        wrong = [one for ruleset in (old, new) for one in _differing(database, ruleset, chosen, folder)]
    swaps = {f"{cell.old.name} → {cell.new.name}": cell.count for cell in found.results[0].swaps.cells}
    rules = sum(len(old.in_force(ON).rules(stage)) for stage in Stage)
    return Measured(engine, rows, rules, round(seconds, 1), peak, found.changed, swaps, chosen.num_rows, tuple(wrong[:9]))


def _make(rows: int, path: Path) -> None:
    write(synthetic(load(RULES).in_force(ON), rows), path)


def _sample(path: Path, rows: int) -> pyarrow.Table:
    """Rows from all over the table, at equal distances."""
    table = pyarrow.parquet.read_table(path)
    return table.take([place * table.num_rows // rows for place in range(rows)])


def _differing(engine: Engine, ruleset: Ruleset, table: pyarrow.Table, folder: Path) -> Iterator[str]:
    """Every value that the columnar engine gives otherwise than the reference evaluator."""
    path = write(table, folder / f"sample-{ruleset.version}.parquet")
    found = judged(engine, engine.read(path), partial(ruleset.in_force, ON), overlays=sorted(ruleset.overlays))
    by_key = {row[KEY]: row for part, _ in found.parts for row in engine.rows(part)}
    keys = table.column(KEY).to_pylist()
    yield from differing(reference(ruleset, table), [by_key[key] for key in keys])


def _print(found: Measured) -> None:
    click.echo(f"backtest of {found.rows:,} enterprises, {found.rules} rules against edited ones, {found.engine}")
    click.echo(f"  {found.seconds} s (wanted: {MOST_SECONDS:.0f} at most for {ROWS:,})")
    click.echo(f"  peak memory {found.peak_bytes / 1e9:.1f} GB (wanted: {MOST_BYTES / 1e9:.0f} at most)")
    for swap, count in found.swaps.items():
        click.echo(f"  {swap:20}{count:>12,}")
    click.echo(f"  {found.compared:,} rows under both, value by value beside the reference: {len(found.differing)} differ")
    for one in found.differing:
        click.echo(f"    {one}")


if __name__ == "__main__":
    bench()
