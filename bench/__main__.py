"""`make bench`: engines beside GoRules ZEN, scoring beside MLflow, a whole city's backtest, HTTP decisions."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
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
    scoring_requests,
)

ROUNDS = 3


def main() -> None:
    """Entry point of ``python -m bench``."""
    bench()


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="Seconds per round and server.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--skip-engines", is_flag=True, help="Leave out the engines.")
@click.option("--skip-backtest", is_flag=True, help="Leave out the backtest.")
@click.option("--skip-scoring", is_flag=True, help="Leave out the models.")
@click.option("--skip-http", is_flag=True, help="Leave out the HTTP comparison.")
def bench(
    seconds: float, as_json: bool, skip_engines: bool, skip_backtest: bool, skip_scoring: bool, skip_http: bool
) -> None:
    """Measure engines, models and HTTP side by side, the backtest of a whole city, and lint of a large rulebook.

    Example: python -m bench --seconds 20
    """
    report: dict[str, object] = {}
    if not skip_engines:
        report["engines"] = _run("bench.engines", as_json)
    if not skip_backtest:
        report["backtest"] = _run("bench.backtest", as_json)
    if not skip_scoring:
        report["scoring"] = _run("bench.scoring", as_json)
        report["portfolio"] = _run("bench.portfolio", as_json)
    report["lint"] = _run("bench.lint", as_json)
    if not skip_http:
        report["http"] = _http(seconds, as_json)
    if as_json:
        click.echo(json.dumps(report))


def _run(module: str, as_json: bool) -> object:
    command = [sys.executable, "-m", module, *(["--json"] if as_json else [])]
    if as_json:
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    subprocess.run(command, check=True)
    return None


def _http(seconds: float, as_json: bool) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Path(folder)
        environ = environment(home)
        city = prepare(home, environ)
        loads = _measure(home, environ, city, seconds)
    return _report(loads, as_json)


def _measure(home: Path, environ: dict[str, str], city: City, seconds: float) -> dict[str, Load]:
    """Both servers stand at once and are loaded in turns, so that the machine's mood hits both alike."""
    ours, theirs = free_port(), free_port()
    requests = decision_requests(city.uscc, city.keys[0], "bench")
    decisions = Target("audited decision", ours, "/v1/decisions", requests, 201)
    scoring = Target("mlflow models serve", theirs, "/invocations", scoring_requests(city.rows), 200)
    loads: dict[str, list[Load]] = {decisions.name: [], scoring.name: []}
    with decision_server(ours, environ, home / "decisions.log"):
        with model_server("models:/pd-xgboost@champion", theirs, environ, home / "mlflow.log"):
            for target in (decisions, scoring):
                run(target, seconds=3, start=900_000_000)  # warm-up, not counted
            for turn in range(ROUNDS):
                for target in (decisions, scoring):
                    loads[target.name].append(run(target, seconds=seconds, start=turn * 10_000_000))
    return {name: merged(rounds) for name, rounds in loads.items()}


def _report(loads: dict[str, Load], as_json: bool) -> dict[str, object]:
    ours, theirs = loads["audited decision"], loads["mlflow models serve"]
    result = {
        name: {
            "requests": load.requests,
            "errors": load.errors,
            "per_second": round(load.per_second, 1),
            "p50_ms": round(load.percentile(50), 2),
            "p99_ms": round(load.percentile(99), 2),
        }
        for name, load in loads.items()
    }
    ratio = ours.per_second / theirs.per_second
    if not as_json:
        click.echo(f"\nHTTP, 2 workers and 8 clients each, {ROUNDS} rounds in turns")
        for name, row in result.items():
            click.echo(f"  {name:22}" + "  ".join(f"{key} {value}" for key, value in row.items()))
        click.echo(f"  ratio of requests per second: {ratio:.1f}×")
    return {**result, "ratio": round(ratio, 2)}


if __name__ == "__main__":
    main()
