"""A backtest at the size of a city: the shipped rules beside changed ones over 870,000 enterprises, on two cores."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import click
import pyarrow
import pyarrow.parquet

from bench.synthetic import KEY, portfolio
from decision_service.lending.limits import limit_max
from decision_service.rulebook.columnar import INDUSTRY_CODE
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from decision_service.rulebook.stages import combine, limit_effects, set_status
from decision_service.workbench import bulk
from decision_service.workbench.backtest import Backtest, backtest
from decision_service.workbench.populations import Population

RULES = Path(__file__).resolve().parents[1] / "rules"
CHANGES = {
    "parameters.yaml": ("name: lenders_30d_max, value: 3", "name: lenders_30d_max, value: 2"),
    "limits.yaml": ("limit_factor: 0.5,", "limit_factor: 0.4,"),
    "products/invoice_loan.yaml": ("name: max_term_months, value: 12", "name: max_term_months, value: 24"),
}
MOST_SECONDS, MOST_GIGABYTES = 20.0, 6.0


def main() -> None:
    """Entry point of ``python -m bench.backtest``."""
    bench()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--rows", default=870_000, show_default=True, help="Enterprises.")
@click.option("--sample", default=20_000, show_default=True, help="Rows that the reference evaluator is asked about.")
@click.option("--engine", default="duckdb", show_default=True, type=click.Choice(bulk.ENGINES))
def bench(as_json: bool, rows: int, sample: int, engine: str) -> None:
    """Time a backtest; exit 1 if it is too slow, too large, or not what the reference evaluator says.

    Example: python -m bench.backtest --json
    """
    on = date(2026, 6, 3)
    with tempfile.TemporaryDirectory(prefix="bench-backtest-") as place:
        folder = Path(place)
        old, new = load(RULES), _changed(folder / "rules")
        path = _table(old.in_force(on), rows, folder)
        with bulk.opened(engine, folder, threads=2) as database:
            started = time.perf_counter()
            found = backtest(old, new, [Population("synthetic", path, rows)], on=on, engine=database)
            seconds = time.perf_counter() - started
            gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
            differing = sum(_differing(database, path, one.in_force(on), sample) for one in (old, new))
    report = _report(found, rows, seconds, gigabytes) | {"sample": sample, "differing": differing}
    click.echo(json.dumps(report) if as_json else _text(report))
    sys.exit(0 if not differing and seconds <= MOST_SECONDS and gigabytes <= MOST_GIGABYTES else 1)


def _changed(folder: Path) -> Ruleset:
    shutil.copytree(RULES, folder)
    for name, (old, new) in CHANGES.items():
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text, f"{name} no longer says {old}"
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    return load(folder)


def _table(rules: RulesInForce, rows: int, folder: Path, chunk: int = 100_000) -> Path:
    """Made a chunk at a time, so that the peak of memory is the backtest's."""
    path = folder / "facts.parquet"
    writer = None
    for start in range(0, rows, chunk):
        table = portfolio(rules, min(chunk, rows - start), seed=start + 1)
        keys = pyarrow.array([str(start + place) for place in range(table.num_rows)])
        table = table.set_column(0, KEY, keys)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    return path


def _differing(engine: bulk.Engine, path: Path, rules: RulesInForce, sample: int) -> int:
    """Rows of which the engine says something else than the reference evaluator: outcome, status, effects or limit."""
    table = pyarrow.parquet.ParquetFile(path).read_row_group(0).slice(0, sample)
    part = path.with_name("sample.parquet")
    pyarrow.parquet.write_table(table, part)
    found = bulk.judged(engine, engine.read(part), lambda client: rules, overlays=[])
    said = {row[KEY]: row for judged, _ in found.parts for row in engine.rows(judged)}
    reference = ReferenceEngine(rules)
    return sum(_expected(rules, reference, row) != _same(said[row[KEY]], rules) for row in table.to_pylist())


def _expected(rules: RulesInForce, engine: ReferenceEngine, row: dict[str, Any]) -> dict[str, Any]:
    code = row[INDUSTRY_CODE]
    status = rules.industry_status(code) if code else row["industry_status"] or rules.industry_status(None)
    given = {name: value for name, value in row.items() if name in rules.catalogue}
    parameters = rules.parameters(str(row["product"]), code)
    facts = Facts(rules.catalogue, {**given, **parameters, "industry_status": status})
    results = {Stage.STATUS: engine.evaluate(Stage.STATUS, facts)}
    facts = set_status(rules, results[Stage.STATUS], facts)
    results[Stage.LIMIT] = engine.evaluate(Stage.LIMIT, facts)
    effects = limit_effects(rules, results[Stage.LIMIT], facts)
    facts = facts.with_values({"limit_max": limit_max(facts, effects)})
    results[Stage.DECISION] = engine.evaluate(Stage.DECISION, facts)
    outcome, _ = combine(rules, results, facts)
    return {
        "outcome": int(outcome),
        "limit_max": facts["limit_max"],
        **{fact.name: facts[fact.name] for fact in rules.catalogue.settable},
        **{name: getattr(effects, name) for name in ("limit_cap", "limit_factor", "rate_spread_bp")},
        "matched": {rule for result in results.values() for rule in result.matched},
        "unknown": {rule for result in results.values() for rule in result.unknown},
    }


def _same(row: dict[str, Any], rules: RulesInForce) -> dict[str, Any]:
    """A row of the engine in the form of the reference's."""
    truths = {rule.id: row[f"rule {rule.id}"] for stage in Stage for rule in rules.rules(stage)}
    plain = {name: value for name, value in row.items() if name != KEY and not name.startswith("rule ")}
    return {
        **plain,
        "matched": {rule for rule, truth in truths.items() if truth},
        "unknown": {rule for rule, truth in truths.items() if truth is None},
    }


def _report(found: Backtest, rows: int, seconds: float, gigabytes: float) -> dict[str, Any]:
    swaps = found.results[0].swaps
    return {
        "rows": rows,
        "engine": found.engine,
        "rules": len(found.results[0].rules),
        "seconds": round(seconds, 1),
        "peak_gigabytes": round(gigabytes, 2),
        "swaps": {f"{cell.old.name} to {cell.new.name}": cell.count for cell in swaps.cells},
    }


def _text(report: dict[str, Any]) -> str:
    swaps = ", ".join(f"{count:,} {pair}" for pair, count in report["swaps"].items())
    return (
        f"\nBacktest of two rulesets of {report['rules']} rules over {report['rows']:,} enterprises"
        f" ({report['engine']})\n"
        f"  {report['seconds']} s (at most {MOST_SECONDS}),"
        f" peak {report['peak_gigabytes']} GB (at most {MOST_GIGABYTES})\n"
        f"  {swaps}\n"
        f"  {report['differing']} of 2 × {report['sample']:,} rows differ from the reference evaluator"
    )


if __name__ == "__main__":
    main()
