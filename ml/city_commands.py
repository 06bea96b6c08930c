"""The commands ``python -m ml city`` and ``python -m ml train-city``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from tqdm import tqdm

from decision_service.errors import InputError
from decision_service.login import os_user
from ml.city import Place, draw_firms, draw_population
from ml.city_release import Release, champions, release
from ml.city_training import NAMES, POPULATION, Sizes, Trained, train_city
from ml.city_traits import read_industries
from ml.console import AS_JSON, prepare_mlflow, reported
from ml.feeds import write_city, write_json
from ml.registration import tracking_uri
from ml.showcase import showcase

SHANGHAI = ZoneInfo("Asia/Shanghai")
PROMOTE = "python -m ml promote"
SHOWN = ("auc", "ks", "brier", "ece")
RULES = click.option(
    "--rules", default=Path("rules"), type=click.Path(path_type=Path), show_default=True, help="The rules folder."
)
AS_OF = click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date up to which the city's data reach. Default: yesterday in Shanghai, delivered now.",
)


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the files.")
@click.option(
    "--enterprises",
    default=3000,
    type=click.IntRange(0, 400_000),
    show_default=True,
    help="How many besides the showcase.",
)
@click.option("--seed", default=7, type=click.IntRange(0), show_default=True, help="Same seed, same city.")
@AS_OF
@RULES
@AS_JSON
@reported
def city(out: Path, enterprises: int, seed: int, as_of: datetime | None, rules: Path, as_json: bool) -> None:
    """Write a synthetic city as feed files, with a showcase of one firm for each kind of decision.

    \b
    Example:
      python -m ml city --out var/demo/feeds --enterprises 3000
    """
    place = place_of(seed, as_of, rules, now=datetime.now(SHANGHAI))
    population = draw_population(place, _bar(range(1, enterprises + 1), "firms", quiet=as_json))
    shown, entries = showcase(place)
    counts = write_city(out, draw_firms(place, population) + shown, place)
    write_json(out / "showcase.json", entries)
    if as_json:
        click.echo(json.dumps({"as_of": place.as_of.isoformat(), "seed": seed, "rows": counts}))
    else:
        click.echo(f"{enterprises} enterprises and {len(shown)} of the showcase as of {place.as_of} in {out}")


@click.command("train-city")
@click.option("--population", default=POPULATION, type=click.IntRange(1000), show_default=True, help="Firms drawn.")
@click.option("--seed", default=20231015, type=click.IntRange(0), show_default=True, help="Seed of everything drawn.")
@AS_OF
@RULES
@click.option("--if-none", is_flag=True, help="Do nothing where every model of the city has a champion.")
@click.option("--replace", is_flag=True, help="Put the new versions in force in place of champions, past all gates.")
@AS_JSON
@reported
def train_city_command(
    population: int,
    seed: int,
    as_of: datetime | None,
    rules: Path,
    if_none: bool,
    replace: bool,
    as_json: bool,
) -> None:
    """Train XGBoost and LSTM of both products on a city of their own, and register them.

    Where there is no champion they become the first ones, all at one moment. Beside a champion a new version becomes
    its challenger, which python -m ml promote may put in force.

    \b
    Example:
      MLFLOW_TRACKING_URI=sqlite:///mlruns/mlflow.db python -m ml train-city
    """
    if if_none and replace:
        raise InputError("--if-none and --replace contradict each other", remedy="give one of them")
    uri = tracking_uri(os.environ)
    prepare_mlflow(uri)
    if if_none and len(standing := champions(uri)) == len(NAMES):
        told = ", ".join(f"{name} {version}" for name, version in standing.items())
        click.echo("[]" if as_json else f"every model has a champion, nothing was trained: {told}")
        return
    place = place_of(seed, as_of, rules, now=datetime.now(SHANGHAI))
    share = population / POPULATION
    sizes = Sizes(population, round(Sizes().good_firms * share), round(Sizes().test_firms * share))
    with tqdm(desc="train", unit=" firms", disable=as_json or not sys.stderr.isatty(), leave=False) as bar:
        trained = train_city(place, rules, uri=uri, sizes=sizes, told=lambda step, count: _tell(bar, step, count))
    done = release(trained, uri=uri, person=os_user(), replace=replace)
    if as_json:
        click.echo(json.dumps([_as_data(model, done.alias(model.name)) for model in trained]))
    else:
        click.echo("\n".join([*(_line(model, done.alias(model.name)) for model in trained), *_next(done)]))


def place_of(seed: int, as_of: datetime | None, rules: Path, *, now: datetime) -> Place:
    """The city's place: by default its data reach to yesterday and were delivered now, else on the next morning."""
    industries, excluded = read_industries(rules)
    if as_of is None:
        today = now.astimezone(SHANGHAI).date()
        return Place(seed, today - timedelta(days=1), now.replace(microsecond=0), industries, excluded)
    day: date = as_of.date()
    morning = datetime.combine(day + timedelta(days=1), time(6), tzinfo=SHANGHAI)
    return Place(seed, day, min(morning, now.replace(microsecond=0)), industries, excluded)


def _bar(numbers: range, what: str, *, quiet: bool) -> Any:
    return tqdm(numbers, desc=what, delay=2, leave=False, disable=quiet or not sys.stderr.isatty())


def _tell(bar: Any, step: str, count: int) -> None:
    bar.set_description(step)
    bar.update(count)


def _as_data(model: Trained, alias: str) -> dict[str, Any]:
    metrics = {name: [one.value, one.low, one.high] for name, one in model.metrics.items()}
    return {"name": model.name, "version": model.version, "alias": alias, "metrics": metrics}


def _line(model: Trained, alias: str) -> str:
    shown = "  ".join(f"{name} {model.metrics[name]}" for name in SHOWN)
    return f"{model.name} version {model.version} is {alias}  {shown}"


def _next(done: Release) -> Iterator[str]:
    if done.challengers:
        yield f"champions stand and go on deciding; to judge the new versions: {PROMOTE} {' '.join(done.challengers)}"
