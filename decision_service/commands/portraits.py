"""`portrait show` and `portrait features`: what the platform knows of an enterprise."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from decision_service.commands.console import (
    as_json_option,
    ensure_rules,
    now,
    platform,
    print_json,
    print_table,
    progress,
    settings,
)
from decision_service.decide import Platform, business_date, enterprise_records
from decision_service.errors import InputError
from decision_service.portrait.snapshot import Snapshot, feature_names
from decision_service.portrayal import portray
from decision_service.radar.uscc import uscc_problem

WORKING_CAPITAL, INDUSTRY, SHOWN = "working_capital", "industry_code", 100
VALUE_PLACES, SCORE_PLACES = Decimal("0.0001"), Decimal("0.01")
product_option = click.option("--product", default=WORKING_CAPITAL, show_default=True, help="Whose features to show.")


@click.group()
def portrait() -> None:
    """What the platform knows of an enterprise.

    Example: decision-service portrait show 91350100M000100Y43
    """


@portrait.command()
@click.argument("uscc")
@as_json_option
def show(uscc: str, as_json: bool) -> None:
    """The 32 indicators, their scores and the grade, as of now.

    Values are in the unit beside them, rounded to four places, scores (0 to 100) to two; decisions use the exact ones.

    Example: decision-service portrait show 91350100M000100Y43 --json
    """
    problem = uscc_problem(uscc)
    if problem is not None:
        raise InputError(problem, where="USCC", remedy="check the code")
    found = settings()
    with platform(found) as built:
        ensure_rules(built, found)
        seen = take(built, uscc, WORKING_CAPITAL)
        names = {spec.id: spec for spec in built.policies.current().registry.values()}
    scores = seen.portrait.indicators
    rows = [
        {
            "indicator": number,
            "name": names[number].name,
            "value": None if indicator.value is None else _rounded(indicator.value, VALUE_PLACES),
            "unit": names[number].unit,
            "status": indicator.status,
            "score": _rounded(scores[number], SCORE_PLACES) if number in scores else None,
        }
        for number, indicator in seen.indicators.items()
    ]
    head = {
        "uscc": uscc,
        "as_of": seen.as_of.isoformat(),
        "grade": seen.portrait.grade,
        "score": None if seen.portrait.score is None else f"{seen.portrait.score:.2f}",
        "coverage": f"{seen.portrait.coverage:.4f}",
    }
    if as_json:
        print_json({**head, "indicators": rows})
        return
    click.echo("  ".join(f"{name} {value}" for name, value in head.items()))
    print_table(("id", "indicator", "value", "unit", "status", "score"), [tuple(row.values()) for row in rows])


def _rounded(value: Decimal, places: Decimal) -> str:
    """A number for people: rounded, without zeros at its end and without an exponent."""
    text = f"{value.quantize(places) + 0:f}"  # + 0: no minus before a zero
    return text.rstrip("0").rstrip(".") if "." in text else text


@portrait.command()
@click.option("--limit", type=click.IntRange(1, 10_000_000), help="How many: 100, or with --out all.")
@click.option("--columns", is_flag=True, help="As the model in force reads them: the industry as 0/1 columns.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A Parquet file with the series, too.")
@product_option
def features(limit: int | None, columns: bool, out: Path | None, product: str) -> None:
    """What a product's tree model is given, one JSON line per enterprise; null where missing.

    With --out a file with what both models are given, for `python -m ml score-portfolio`.

    Example: decision-service portrait features --limit 500
    """
    if out is not None and columns:
        raise InputError("a file holds features as given", where="--columns", remedy="leave out --columns or --out")
    found = settings()
    with platform(found) as built:
        ensure_rules(built, found)
        count = limit or (built.store.enterprise_count() if out else SHOWN)
        codes = built.store.uscc_list(count) if count else ()
        told = progress(codes, total=len(codes), what="enterprises")
        if out is not None:
            _write(out, built, product, told)
            click.echo(f"{len(codes)} enterprises: {out}")
            return
        for uscc in told:
            values = take(built, uscc, product).features_for(product)
            if columns:
                model = built.policies.current().on(business_date(now())).rules.products[product].xgb_model
                values = built.scorer.columns(values, model)
            click.echo(json.dumps({"uscc": uscc, "features": _known(values)}, ensure_ascii=False))


def _known(values: Mapping[str, float | str]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in values.items()}  # nan is missing


def _write(out: Path, built: Platform, product: str, codes: Iterable[str]) -> None:
    """A row per enterprise; the file has its name once it is whole."""
    import pyarrow  # takes half a second, and most commands write no table

    from decision_service.workbench.populations import write_rows

    names = feature_names(product, built.policies.current().registry)
    numbers = [(name, pyarrow.float64()) for name in names if name != INDUSTRY]
    series, mask = pyarrow.list_(pyarrow.list_(pyarrow.float64())), pyarrow.list_(pyarrow.bool_())
    fixed = [("uscc", pyarrow.string()), (INDUSTRY, pyarrow.string())]
    making = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        rows = (_row(take(built, uscc, product), uscc, product) for uscc in codes)
        write_rows(making, pyarrow.schema([*fixed, *numbers, ("series", series), ("mask", mask)]), rows)
        making.replace(out)
    finally:
        making.unlink(missing_ok=True)


def _row(seen: Snapshot, uscc: str, product: str) -> dict[str, Any]:
    months = [[None if value != value else value for value in month] for month in seen.series]
    features = {**_known(seen.features_for(product)), INDUSTRY: seen.features[INDUSTRY]}
    return {"uscc": uscc, **features, "series": months, "mask": list(seen.mask)}


def take(built: Platform, uscc: str, product: str) -> Snapshot:
    """The portrait of an enterprise as of now. Raises ``NotFound``."""
    moment = now()
    policy = built.policies.current()
    in_force = policy.on(business_date(moment))
    products = in_force.rules.products
    if product not in products:
        raise InputError(f"there is no product {product}", where="--product", remedy=", ".join(products))
    records = enterprise_records(built.store, uscc)
    return portray(records, policy=policy, in_force=in_force, product=product, now=moment)
