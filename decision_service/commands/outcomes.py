"""`outcomes export`: what became of money lent, beside what the models read, as a table to train on."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import click
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from decision_service.commands.console import as_json_option, existing_platform, print_json, stepping
from decision_service.commands.rules_shared import on_option
from decision_service.decide import Platform
from decision_service.errors import InputError
from decision_service.workbench.outcomes import ERASED, REPAIRED, TARGET, outcomes, training_row

KNOWN, DEFAULTED, OPEN = "known", "defaulted", "not known yet"


@click.group("outcomes")
def outcomes_() -> None:
    """What became of money lent.

    Example: decision-service outcomes export --product working_capital --out outcomes.parquet
    """


@outcomes_.command()
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .csv or .parquet file.")
@click.option("--product", required=True, help="The product: each has models and inputs of its own.")
@on_option
@as_json_option
def export(out: Path, product: str, on: date, as_json: bool) -> None:
    """Write a row for each contract whose outcome is known on a day: the inputs of its decision, and `defaulted`, which
    is 1 when it was 90 days overdue or written off within a year of the first drawdown.

    Example: decision-service outcomes export --product working_capital --out outcomes.csv, then
    python -m ml train --data outcomes.csv --target defaulted --id decision_id --time decided_on --group enterprise
    """
    if out.suffix not in (".csv", ".parquet"):
        remedy = "end its name in .csv or .parquet"
        raise InputError("a table is written as CSV or Parquet", where=str(out), remedy=remedy)
    with existing_platform() as built:
        counts, rows = _rows(built, on, product)
    if not rows:
        told = _left_out(counts)
        remedy = "look again when contracts have aged, or name another product"
        raise InputError(f"no outcome of {product} is known on {on}: {told}", remedy=remedy)
    table = pyarrow.Table.from_pylist(rows)
    if out.suffix == ".csv":
        pyarrow.csv.write_csv(table, out)
    else:
        pyarrow.parquet.write_table(table, out)
    found = {name.replace(" ", "_"): counts[name] for name in (KNOWN, DEFAULTED, OPEN, ERASED, REPAIRED)}
    if as_json:
        print_json({"file": str(out), "on": on.isoformat(), **found})
        return
    click.echo(f"{out}: {counts[KNOWN]} outcomes, {counts[DEFAULTED]} defaulted")
    click.echo(f"left out: {_left_out(counts)}")


def _left_out(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[why]} {why}" for why in (OPEN, ERASED, REPAIRED))


def _rows(built: Platform, on: date, product: str) -> tuple[Counter[str], list[dict[str, object]]]:
    counts: Counter[str] = Counter()
    rows = []
    for one in stepping(outcomes(built, on, product), what="reading contracts"):
        row = OPEN if one.defaulted is None else training_row(built, one)
        if isinstance(row, str):
            counts[row] += 1
            continue
        rows.append(row)
        counts[KNOWN] += 1
        counts[DEFAULTED] += row[TARGET]
    return counts, rows
