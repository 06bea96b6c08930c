"""Ten minutes of decisions on PostgreSQL at 60 % of the measured maximum; latency from the planned moment."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bench.city import City, environment, prepare
from bench.http import (
    Load,
    Target,
    decision_requests,
    decision_server,
    free_port,
    merged,
    model_server,
    run,
    run_open,
    scoring_requests,
)
from bench.postgres import execute, programs, running

ROUNDS = 3
SHARE = 0.6
SAMPLE_SECONDS = 15.0


def main() -> None:
    """Entry point of ``python -m bench.load``."""
    load()


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long the load lasts.")
@click.option("--seconds", default=10.0, show_default=True, help="Seconds per round and server, to find the maximum.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def load(minutes: float, seconds: float, as_json: bool) -> None:
    """Find the maximum beside `mlflow models serve` on the same machine, then hold 60 % of it.

    Example: python -m bench.load --minutes 10
    """
    place = programs()
    if place is None:
        raise click.ClickException("no PostgreSQL programs (initdb, postgres); install Debian's package postgresql")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running(place, durable=True) as url:
        execute(url, "CREATE DATABASE decisions")
        home = Path(folder)
        environ = environment(home, url + "decisions")
        found = _measured(home, environ, prepare(home, environ), minutes=minutes, seconds=seconds)
    click.echo(json.dumps(found) if as_json else _text(found))


def _measured(home: Path, environ: dict[str, str], city: City, *, minutes: float, seconds: float) -> dict[str, float]:
    ours, theirs = free_port(), free_port()
    target = Target("decisions", ours, "/v1/decisions", decision_requests(city.uscc, city.keys[0], "load"), 201)
    scoring = Target("mlflow models serve", theirs, "/invocations", scoring_requests(city.rows), 200)
    with decision_server(ours, environ, home / "decisions.log"):
        with model_server("models:/pd-xgboost@champion", theirs, environ, home / "mlflow.log"):
            most, beside = _maxima(target, scoring, seconds)
        rate = SHARE * most.per_second
        run_open(target, rate=rate, seconds=20, start=500_000_000)  # not counted
        with _memory() as sizes:
            held = run_open(target, rate=rate, seconds=minutes * 60, start=600_000_000)
    return {**_about(most, beside, held), **_flat(sizes)}


def _maxima(target: Target, scoring: Target, seconds: float) -> tuple[Load, Load]:
    loads: dict[str, list[Load]] = {target.name: [], scoring.name: []}
    for one in (target, scoring):
        run(one, seconds=3, start=900_000_000)  # warm-up, not counted
    for turn in range(ROUNDS):
        for one in (target, scoring):
            loads[one.name].append(run(one, seconds=seconds, start=turn * 10_000_000))
    return merged(loads[target.name]), merged(loads[scoring.name])


@contextmanager
def _memory() -> Iterator[list[int]]:
    """Resident kilobytes of the servers, now and then, while the block runs."""
    sizes, end = [], threading.Event()

    def look() -> None:
        while not end.wait(SAMPLE_SECONDS):
            sizes.append(_resident())

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield sizes
    finally:
        end.set()
        watching.join()


def _resident() -> int:
    listed = subprocess.run(["ps", "-eo", "rss=,args="], check=True, capture_output=True, text=True).stdout
    return sum(int(line.split(None, 1)[0]) for line in listed.splitlines() if "decision_service.app:served" in line)


def _about(most: Load, beside: Load, held: Load) -> dict[str, float]:
    return {
        "maximum_per_second": round(most.per_second, 1),
        "mlflow_per_second": round(beside.per_second, 1),
        "ratio": round(most.per_second / beside.per_second, 2),
        "requests": held.requests,
        "errors": held.errors,
        "per_second": round(held.per_second, 1),
        "p50_ms": round(held.percentile(50), 2),
        "p95_ms": round(held.percentile(95), 2),
        "p99_ms": round(held.percentile(99), 2),
        "max_ms": round(max(held.latencies_ms), 1),
    }


def _flat(sizes: list[int]) -> dict[str, float]:
    """Memory of the first and the last fifth of the time, in MiB."""
    part = max(1, len(sizes) // 5)
    first, last = sizes[:part], sizes[-part:]
    if not first:
        return {}
    return {
        "memory_first_mib": round(sum(first) / len(first) / 1024, 1),
        "memory_last_mib": round(sum(last) / len(last) / 1024, 1),
    }


def _text(found: dict[str, float]) -> str:
    return "\n".join(f"{name:20} {value}" for name, value in found.items())


if __name__ == "__main__":
    main()
