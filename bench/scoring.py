"""Single-row scoring side by side: `mlflow.pyfunc`, the models' own libraries and the graphs that the service runs."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import torch
import xgboost

from decision_service.login import os_user
from decision_service.scoring.blend import expit
from decision_service.scoring.models import WEIGHTS_FILE, LstmModel, XgboostModel
from decision_service.scoring.registry import ModelRegistry
from decision_service.scoring.rows import feature_row, series_window
from decision_service.scoring.scorer import Scorer
from ml.city import Place, draw_firms, draw_population
from ml.city_release import release
from ml.city_training import TEST_FROM, Sizes, train_city
from ml.city_traits import read_industries
from ml.features import Table, read_portraits, read_table
from ml.registration import tracking

RULES = Path(__file__).resolve().parents[1] / "rules"
NAMES = ("pd-xgboost", "pd-lstm")
WEIGHTS = (Decimal("0.6"), Decimal("0.4"))
FIRMS = 1500
TAKEN_OUT = 0.15  # of the indicators and of the months, beyond what the city itself does not know
ROUNDS = 5
CALLS = {"mlflow.pyfunc": 60}  # of one round; the others
MANY_CALLS = 600
RESAMPLES = 1000
LEAST_RATIO, TOLERANCE = 40.0, 1e-6
BATCH = 500
Times = dict[str, list[float]]
SERVED = "as served"


@dataclass(frozen=True, slots=True)
class Firm:
    """What both models read of one firm, as the portrait gives it and as each way of scoring wants it."""

    features: Mapping[str, Any]
    series: list[list[float]]
    mask: list[bool]
    row: Any
    window: Any
    frames: tuple[pd.DataFrame, pd.DataFrame]


def main() -> None:
    """Entry point of ``python -m bench.scoring``."""
    bench()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--rows", default=10_000, show_default=True, help="Rows on which all ways must agree.")
@click.option("--registry", help="MLflow registry with both champions; by default models are trained for this.")
def bench(as_json: bool, rows: int, registry: str | None) -> None:
    """Time both models on one firm; exit 1 if the served way is too slow or a way differs from another.

    Example: python -m bench.scoring --json
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="bench-scoring-") as folder:
        uri = registry or trained(Path(folder))
        with tracking(uri):
            report = compared(uri, rows=rows)
    click.echo(json.dumps(report) if as_json else _text(report))
    sys.exit(0 if report["ratio"] >= LEAST_RATIO and report["most_apart"] <= TOLERANCE else 1)


def place() -> Place:
    """A city as of yesterday."""
    now = datetime.now(ZoneInfo("Asia/Shanghai")).replace(microsecond=0)
    day: date = now.date() - timedelta(days=1)
    return Place(20231015, day, now, *read_industries(RULES))


def trained(folder: Path) -> str:
    """A registry with models that are trained for this."""
    uri = f"sqlite:///{folder}/mlflow.db"
    release(train_city(place(), RULES, uri=uri, sizes=Sizes(6000, 900, 500)), uri=uri, person=os_user())
    return uri


def compared(uri: str, *, rows: int) -> dict[str, Any]:
    """Times of every way in turns, and by how much they differ on all rows."""
    registry = ModelRegistry(uri)
    files = [registry.files(name, str(registry.state(name, "champion").version))[0] for name in NAMES]
    scorer = Scorer(uri)
    scorer.versions(NAMES)
    trees, network = (one.in_force().model for one in scorer.standing(NAMES).values())
    assert isinstance(trees, XgboostModel) and isinstance(network, LstmModel)
    own = (
        XgboostModel(files[0][WEIGHTS_FILE["xgboost"]], trees.spec),
        LstmModel(files[1][WEIGHTS_FILE["lstm"]], network.spec),
    )
    pyfunc = tuple(mlflow.pyfunc.load_model(f"models:/{name}@champion") for name in NAMES)
    firms = _firms(trees, network, rows)
    ways: dict[str, Callable[[Firm], Any]] = {
        "mlflow.pyfunc": lambda firm: (pyfunc[0].predict(firm.frames[0]), pyfunc[1].predict(firm.frames[1])),
        "native": lambda firm: (own[0].probability(firm.features), own[1].probability(firm.series, firm.mask)),
        SERVED: lambda firm: (trees.probability(firm.features), network.probability(firm.series, firm.mask)),
        "native, arrays ready": lambda firm: (own[0].margin(firm.row), own[1].margin(firm.window)),
        "graphs, arrays ready": lambda firm: (trees.margin(firm.row), network.margin(firm.window)),
        "scorer with blend": lambda firm: scorer.score(
            firm.features, firm.series, firm.mask, models=(NAMES[0], NAMES[1]), weights=WEIGHTS
        ),
        "contributions alone": lambda firm: trees.contributions(firm.features),
    }
    wall, used = _in_turns(ways, firms)
    ratios = {
        clock: _ratio(times["mlflow.pyfunc"], times[SERVED]) for clock, times in (("wall", wall), ("processor", used))
    }
    return {
        "ways": {name: _speed(wall[name], used[name]) for name in ways},
        "ratio": min(ratio[0] for ratio in ratios.values()),
        "ratios": ratios,
        "rows": len(firms),
        "missing_values": sum(sum(value != value for value in firm.row[0]) for firm in firms),
        "missing_months": sum(firm.mask.count(False) for firm in firms),
        **_apart(firms, (trees, network), own, pyfunc),
        "machine": machine(),
    }


def _firms(trees: XgboostModel, network: LstmModel, rows: int) -> list[Firm]:
    """Firms of a city, each several times with other values and months taken out."""
    portraits, city = read_portraits(RULES), place()
    drawn = draw_firms(city, draw_population(city, range(TEST_FROM, TEST_FROM + min(FIRMS, rows))))
    table = read_table([firm.records for firm in drawn], portraits, now=city.delivered)
    random = np.random.default_rng(1)
    firms = (_varied(table, number % len(drawn), portraits.names, random) for number in range(10 * rows))
    usable = (firm for firm in firms if sum(firm[2]) >= network.spec.min_months)
    return [_firm(*firm, trees=trees, network=network) for firm, _ in zip(usable, range(rows))]


def _varied(
    table: Table, number: int, names: Sequence[str], random: np.random.Generator
) -> tuple[dict[str, Any], list[list[float]], list[bool]]:
    values = np.where(random.random(len(names)) < TAKEN_OUT, np.nan, table.indicators[number])
    values[0] = 1.0 if np.isnan(values).all() else values[0]
    mask = table.mask[number] & (random.random(len(table.mask[number])) >= TAKEN_OUT)
    series = np.where(mask[:, np.newaxis], table.series[number], np.nan)
    series[random.random(series.shape) < TAKEN_OUT / 3] = np.nan
    features = dict(zip(names, values.tolist(), strict=True)) | {"industry_code": table.industry_codes[number]}
    return features, series.tolist(), mask.tolist()


def _firm(
    features: dict[str, Any],
    series: list[list[float]],
    mask: list[bool],
    *,
    trees: XgboostModel,
    network: LstmModel,
) -> Firm:
    row, window = feature_row(features, trees.spec), series_window(series, mask, network.spec)
    frames = (
        pd.DataFrame(row.astype(float), columns=list(trees.spec.columns)),
        pd.DataFrame({"series": [series], "mask": [mask]}),
    )
    return Firm(features, series, mask, row, window, frames)


def _in_turns(ways: Mapping[str, Callable[[Firm], Any]], firms: Sequence[Firm]) -> tuple[Times, Times]:
    """Microseconds of single calls, on the clock and of processor time; the ways alternate, so that the machine's mood
    hits all alike."""
    wall: Times = {name: [] for name in ways}
    used: Times = {name: [] for name in ways}
    for name, score in ways.items():
        for firm in firms[:20]:
            score(firm)  # warm-up, not counted
    for turn in range(ROUNDS):
        for name, score in ways.items():
            calls = CALLS.get(name, MANY_CALLS)
            for number in range(turn * calls, (turn + 1) * calls):
                firm = firms[number % len(firms)]
                began, started = time.process_time_ns(), time.perf_counter_ns()
                score(firm)
                ended, finished = time.perf_counter_ns(), time.process_time_ns()
                wall[name].append((ended - started) / 1000)
                used[name].append((finished - began) / 1000)
    return wall, used


def _speed(wall: Sequence[float], used: Sequence[float]) -> dict[str, Any]:
    """p50 and p99 with 95 % intervals, and p50 of the processor's time, in microseconds."""
    values = np.array(wall)
    resampled = np.random.default_rng(1).choice(values, size=(RESAMPLES, len(values)))
    spread = np.percentile(np.percentile(resampled, (50, 99), axis=1), (2.5, 97.5), axis=1)
    return {
        f"p{name}": [round(float(one), 1) for one in (np.percentile(values, name), *spread[:, place])]
        for place, name in enumerate((50, 99))
    } | {"processor_p50": round(float(np.median(used)), 1), "calls": len(values)}


def _ratio(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, float, float]:
    """How often the fast p50 goes into the slow one, with a 95 % interval. On a busy machine a long call loses its turn
    more often than a short one, so processor time is compared too and the smaller ratio counts."""
    random = np.random.default_rng(1)
    one, other = (
        np.median(random.choice(np.array(times), size=(RESAMPLES, len(times))), axis=1) for times in (slow, fast)
    )
    low, high = np.percentile(one / other, (2.5, 97.5))
    return round(float(np.median(slow) / np.median(fast)), 1), round(float(low), 1), round(float(high), 1)


def _apart(
    firms: Sequence[Firm], served: tuple[XgboostModel, LstmModel], own: tuple[XgboostModel, LstmModel], pyfunc: Any
) -> dict[str, Any]:
    """The greatest difference of a probability between the served way and the others, over all firms, row by row.

    MLflow gives the trees' own probability, before calibration, so both are compared before it, too.
    """
    found = np.array(
        [[served[0].probability(firm.features), served[1].probability(firm.series, firm.mask)] for firm in firms]
    )
    alone = np.array([[own[0].probability(one.features), own[1].probability(one.series, one.mask)] for one in firms])
    raw = np.array([expit(served[0].margin(firm.row)) for firm in firms])
    parts = [firms[start : start + BATCH] for start in range(0, len(firms), BATCH)]
    trees, network = (
        np.concatenate([model.predict(pd.concat([one.frames[place] for one in part])) for part in parts])
        for place, model in enumerate(pyfunc)
    )
    apart = {
        "xgboost, native": float(np.abs(found[:, 0] - alone[:, 0]).max()),
        "lstm, native": float(np.abs(found[:, 1] - alone[:, 1]).max()),
        "xgboost, mlflow.pyfunc": float(np.abs(raw - trees).max()),
        "lstm, mlflow.pyfunc": float(np.abs(found[:, 1] - network).max()),
    }
    shares = max(
        abs(sum(served[0].contributions(firm.features).values()) - served[0].margin(firm.row)) for firm in firms[:2000]
    )
    return {"apart": apart, "most_apart": max(apart.values()), "contributions_apart": shares}


def machine() -> dict[str, Any]:
    """What the figures were seen on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "mlflow": mlflow.__version__,
        "xgboost": xgboost.__version__,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines: Iterator[str] = iter(info.read_text().splitlines() if info.is_file() else ())
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _text(report: Mapping[str, Any]) -> str:
    lines = ["\nBoth models on one firm, microseconds (95 % interval)"]
    for name, speed in report["ways"].items():
        shown = "  ".join(f"p{at} {value:.0f} ({low:.0f}–{high:.0f})" for at, (value, low, high) in _named(speed))
        lines.append(f"  {name:22}{shown}  processor p50 {speed['processor_p50']:.0f}  {speed['calls']} calls")
    times = report["ratios"].items()
    ratios = "; ".join(f"{one}× ({low}–{high}) by {clock} time" for clock, (one, low, high) in times)
    lines.append(f"  as served as fast as mlflow.pyfunc {ratios} (at least {LEAST_RATIO:.0f}×)")
    lines.append(
        f"  {report['rows']:,} rows, {report['missing_values']:,} values, {report['missing_months']:,} months missing:"
        f" probabilities at most {report['most_apart']:.1e} apart (at most {TOLERANCE:.0e}),"
        f" contributions sum to the margin to {report['contributions_apart']:.1e}"
    )
    lines += [f"    {name}: {apart:.1e}" for name, apart in report["apart"].items()]
    lines.append("  " + ", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    return "\n".join(lines)


def _named(speed: Mapping[str, Any]) -> list[tuple[int, Sequence[float]]]:
    return [(at, speed[f"p{at}"]) for at in (50, 99)]


if __name__ == "__main__":
    main()
