"""`rules backtest` and `rules facts`: what two versions say of stored decisions, the portfolio and tables of facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from decision_service.commands.backtest_runs import Over
from decision_service.commands.backtest_runs import page as written
from decision_service.commands.backtest_runs import portrayed, run
from decision_service.commands.console import (
    FOUND,
    InputFile,
    as_json_option,
    finish,
    platform,
    print_json,
    print_table,
    settings,
)
from decision_service.commands.rules_shared import on_option
from decision_service.workbench.backtest import ABSENT, MOST_FLIPS, Backtest, Hits, Rate, Result
from decision_service.workbench.backtest_document import document, separated
from decision_service.workbench.bulk import ENGINES
from decision_service.workbench.portfolio import Standard
from decision_service.workbench.versions import version

SHOWN = 10
"""Flips, and values of a group, that the text shows; `--json` and `--html` have more."""


def _amount(ctx: click.Context, option: click.Parameter, given: str) -> Decimal:
    try:
        return Decimal(given.replace("_", "").replace(",", ""))
    except InvalidOperation:
        raise click.BadParameter(f"{given!r} is not an amount in CNY") from None


amount_option = click.option(
    "--amount",
    default=str(Standard().amount),
    show_default=True,
    callback=_amount,
    help="What each enterprise of the portfolio is taken to ask for, in CNY.",
)
fresh_option = click.option("--fresh", is_flag=True, help="Make the portfolio's facts again, even if nothing changed.")


@click.command("backtest")
@click.argument("old")
@click.argument("new")
@on_option
@click.option(
    "--facts",
    multiple=True,
    type=InputFile(),
    help="A Parquet table of facts (docs/backtest.md); may be given several times.",
)
@click.option("--no-portfolio", is_flag=True, help="Leave out the enterprises on record.")
@click.option("--no-decisions", is_flag=True, help="Leave out the stored decisions.")
@click.option("--engine", type=click.Choice(ENGINES), default=ENGINES[0], show_default=True)
@amount_option
@click.option(
    "--flips", default=MOST_FLIPS, show_default=True, type=click.IntRange(0, 10_000), help="Flips listed per kind."
)
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as a page.")
@fresh_option
@as_json_option
def backtest_(
    old: str,
    new: str,
    on: date,
    facts: tuple[Path, ...],
    no_portfolio: bool,
    no_decisions: bool,
    engine: str,
    amount: Decimal,
    flips: int,
    page: Path | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Evaluate two versions of the rules, folders or stored ones, over the same facts; exit 1 if a decision changes.

    The facts are those of the stored decisions, of every enterprise on record as if it applied now for every product,
    and of tables that are given. Parameters are those of each version on the day of --on.

    Example: decision-service rules backtest 3f9c21 rules --html report.html
    """
    if no_portfolio and no_decisions and not facts:
        raise click.UsageError("nothing is left to evaluate; give --facts or leave out one of the --no- options")
    over = Over(facts, not no_decisions, not no_portfolio, Standard(amount), fresh)
    with platform() as built:
        one, other = (version(built.store, called, on=on).policy for called in (old, new))
        found = run(built, one, other, over, on=on, engine=engine, most_flips=flips)
    if page is not None:
        page.write_text(written(found, one), encoding="utf-8")
    _tell(found, as_json, page)
    finish(FOUND if found.changed else 0)


@click.command("facts")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Parquet file to write.")
@click.option("--rules", "called", help="The version or folder that portrays them; by default the settings' folder.")
@on_option
@amount_option
@fresh_option
@as_json_option
def facts_(out: Path, called: str | None, on: date, amount: Decimal, fresh: bool, as_json: bool) -> None:
    """Write the facts of every enterprise on record, as if it applied now for every product, for `rules backtest`.

    Example: decision-service rules facts --out portfolio.parquet
    """
    with platform() as built:
        policy = version(built.store, called or str(settings().rules), on=on).policy
        found = portrayed(built, policy, Standard(amount), fresh)
        out.write_bytes(found.path.read_bytes())
    if as_json:
        print_json({"file": str(out), "rows": found.rows, "notes": [dict(note) for note in found.notes]})
    else:
        click.echo(f"{out}: {found.rows} rows")
        tell_notes(found.notes)


def _tell(found: Backtest, as_json: bool, page: Path | None) -> None:
    if as_json:
        print_json(document(found))
        return
    click.echo(f"OLD {found.old.version}  NEW {found.new.version}  parameters of {found.on}  engine {found.engine}")
    tell_notes(found.notes)
    for result in found.results:
        _tell_result(result)
    click.echo(f"\n{found.changed:,} applications come out otherwise" if found.changed else "\nno decision changes")
    if page is not None:
        click.echo(f"report: {page}")


def tell_notes(notes: Sequence[Any]) -> None:
    """What a reader of the numbers must know, in English."""
    for note in notes:
        click.echo(f"  {note['en']}")


def _tell_result(result: Result) -> None:
    about, swaps = result.population, result.swaps
    left = f", {about.left_out:,} left out" if about.left_out else ""
    click.echo(f"\n{about.name}: {about.rows:,} rows{left}")
    tell_notes(about.notes)
    for mistake in about.mistakes:
        click.echo(f"  {mistake}")
    rows = [
        (cell.old.name, cell.new.name, f"{cell.count:,}", separated(cell.amount), _rate(cell.bad_rate))
        for cell in swaps.cells
    ]
    print_table(("OLD", "NEW", "count", "requested CNY", "bad rate"), rows)
    for by in ("old", "new"):
        count, fen = swaps.approved(by)
        click.echo(f"approved by {by.upper()}: {count:,} of {separated(fen)} CNY, bad rate {_rate(swaps.bad_rate(by))}")
    limits = swaps.limits
    one, other = separated(limits["limit_old"]), separated(limits["limit_new"])
    click.echo(f"limits: {one} → {other} CNY, {limits['limit_up']:,} up, {limits['limit_down']:,} down")
    _tell_rules(result)
    for flip in result.flips[:SHOWN]:
        rules = ", ".join(f"{rule.rule} {rule.old} → {rule.new}" for rule in flip.rules) or "what the product requires"
        click.echo(f"  {flip.key}: {flip.old.name} → {flip.new.name}: {rules}")
    _tell_hidden(result)


def _tell_hidden(result: Result) -> None:
    flipped = sum(cell.rows for cell in result.swaps.cells if cell.old is not cell.new)
    hidden = flipped - len(result.flips[:SHOWN])
    if hidden:
        click.echo(f"  … and {hidden:,} more; --html and --json list them, as many of each kind as --flips says")


def _tell_rules(result: Result) -> None:
    changed = [one for one in result.rules if one.old != one.new]
    for one in changed:
        click.echo(f"  rule {one.rule}: {_hits(one.old)} → {_hits(one.new)}")


def _hits(found: Hits | None) -> str:
    return ABSENT if found is None else f"{found.matched:,} matched {found.unknown:,} unknown"


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "unknown"
    return f"{rate.share:.2%} ({rate.low:.2%} to {rate.high:.2%}, {rate.known:,} known)"
