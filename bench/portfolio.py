"""A whole portfolio through the registered models: rows a second, memory, and the same scores as one by one."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from bench.scoring import FIRMS, RULES, machine, place, trained
from decision_service.scoring.scorer import Scorer
from decision_service.workbench.bulk import SPARK
from ml.bulk import ENGINES, score_portfolio
from ml.bulk_models import INDUSTRY_CODE, KEY, MASK, SERIES, ProductModels, product_models
from ml.city import draw_firms, draw_population
from ml.city_training import TEST_FROM
from ml.features import Portraits, Table, read_portraits, read_table

PRODUCT = "working_capital"
GROUP = 10_000
TAKEN_OUT = 0.1
SCORES = ("pd_xgb", "pd_lstm", "pd_12m")
TOLERANCE, MOST_GIGABYTES = 1.000001e-6, 2.0


def main() -> None:
    """Entry point of ``python -m bench.portfolio``."""
    bench()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--rows", default=870_000, show_default=True, help="Enterprises.")
@click.option("--sample", default=10_000, show_default=True, help="Enterprises that are scored one by one, too.")
@click.option("--workers", default=2, show_default=True, help="Processes, or cores of Spark.")
@click.option("--registry", help="MLflow registry with the champions; by default models are trained for this.")
def bench(as_json: bool, rows: int, sample: int, workers: int, registry: str | None) -> None:
    """Time both engines; exit 1 if they differ from each other or from single scores, or need too much memory.

    Example: python -m bench.portfolio --rows 100000
    """
    with tempfile.TemporaryDirectory(prefix="bench-portfolio-") as place_:
        folder = Path(place_)
        uri = registry or trained(folder)
        models = product_models(PRODUCT, RULES, uri=uri, alias="champion", on=place().as_of)
        data = folder / "portfolio.parquet"
        write_portfolio(data, rows)
        found = {}
        for engine in ENGINES if SPARK else ENGINES[:1]:
            started = time.perf_counter()
            done = score_portfolio(models, [data], folder / engine, engine=engine, workers=workers)
            seconds = time.perf_counter() - started
            found[engine] = {
                "seconds": round(seconds, 1),
                "rows_per_second": round(rows / seconds),
                "unscored": done.unscored,
                "chunks": done.chunks,
                "gigabytes": round(_gigabytes(resource.RUSAGE_SELF), 2),
                "gigabytes_of_a_worker": round(_gigabytes(resource.RUSAGE_CHILDREN), 2),
            }
        scores = {engine: _scores(folder / engine) for engine in found}
        differing = sum(not scores["local"].equals(one) for one in scores.values())
        apart = _apart(models, uri, data, scores["local"], sample)
    report = {"rows": rows, "workers": workers, "engines": found, "engines_differ": differing, **apart}
    report["machine"] = machine()
    click.echo(json.dumps(report) if as_json else _text(report))
    small = found["local"]["gigabytes"] <= MOST_GIGABYTES
    sys.exit(0 if not differing and small and apart["most_apart"] <= TOLERANCE and not apart["status_differs"] else 1)


def _gigabytes(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024**2


def write_portfolio(path: Path, rows: int) -> None:
    """Firms of a city, each many times with other values and months taken out; made a group at a time."""
    portraits, city = read_portraits(RULES), place()
    drawn = draw_firms(city, draw_population(city, range(TEST_FROM, TEST_FROM + min(FIRMS, rows))))
    table = read_table([firm.records for firm in drawn], portraits, now=city.delivered)
    random = np.random.default_rng(1)
    writer = None
    for start in range(0, rows, GROUP):
        part = _group(table, portraits, random, start, min(GROUP, rows - start))
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    assert writer is not None
    writer.close()


def _group(table: Table, portraits: Portraits, random: np.random.Generator, start: int, rows: int) -> pa.Table:
    chosen = random.integers(0, len(table.mask), rows)
    values = np.where(random.random((rows, len(portraits.names))) < TAKEN_OUT, np.nan, table.indicators[chosen])
    mask = table.mask[chosen] & (random.random((rows, table.mask.shape[1])) >= TAKEN_OUT)
    series = np.where(mask[:, :, np.newaxis], table.series[chosen], np.nan)
    months, width = series.shape[1:]
    inner = pa.ListArray.from_arrays(
        np.arange(0, rows * months * width + 1, width, dtype=np.int32), pa.array(series.ravel(), from_pandas=True)
    )
    offsets = np.arange(0, rows * months + 1, months, dtype=np.int32)
    return pa.table(
        {
            KEY: [f"firm-{start + place:07}" for place in range(rows)],
            INDUSTRY_CODE: [table.industry_codes[place] for place in chosen],
            **{name: pa.array(values[:, place], from_pandas=True) for place, name in enumerate(portraits.names)},
            SERIES: pa.ListArray.from_arrays(offsets, inner),
            MASK: pa.ListArray.from_arrays(offsets, pa.array(mask.ravel())),
        }
    )


def _scores(folder: Path) -> pa.Table:
    return pyarrow.dataset.dataset(folder).to_table().sort_by(KEY)


def _apart(models: ProductModels, uri: str, data: Path, scores: pa.Table, sample: int) -> dict[str, Any]:
    """The greatest difference from ``Scorer.score``, firm by firm, and how many differ in their status."""
    scorer = Scorer(uri)
    names = (models.versions[0].name, models.versions[1].name)
    most, digits, statuses = Decimal(0), 0, 0
    rows = pq.ParquetFile(data).iter_batches(min(GROUP, sample))
    firms = (firm for batch in rows for firm in batch.to_pylist())
    count = 0
    for firm, found in zip(firms, scores.slice(0, sample).to_pylist()):
        assert firm[KEY] == found[KEY]
        weights = models.weights.get(firm[INDUSTRY_CODE], models.weights[""])
        alone = scorer.score(firm, firm[SERIES], firm[MASK], models=names, weights=weights)
        statuses += alone.status != found["models_status"]
        for name in SCORES:
            one, other = getattr(alone, name), found[name]
            statuses += (one is None) != (other is None)
            if one is not None and other is not None:
                most, digits = max(most, abs(one - other)), digits + (one != other)
        count += 1
    return {"sample": count, "most_apart": float(most), "last_digits_differ": digits, "status_differs": statuses}


def _text(report: Mapping[str, Any]) -> str:
    lines = [f"\n{report['rows']:,} enterprises through both models, {report['workers']} workers"]
    for engine, one in report["engines"].items():
        memory = f"peak {one['gigabytes']} GB and {one['gigabytes_of_a_worker']} GB a worker"
        lines.append(
            f"  {engine:6} {one['seconds']} s, {one['rows_per_second']:,} a second, {one['chunks']} chunks, "
            f"{one['unscored']:,} without a score; {memory}"
        )
    lines.append(
        f"  {report['engines_differ']} engines differ; {report['sample']:,} one by one: at most"
        f" {report['most_apart']:.6f} apart, {report['last_digits_differ']} last digits and"
        f" {report['status_differs']} statuses differ"
    )
    lines.append("  " + ", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
