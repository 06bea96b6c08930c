"""`models drift`: how far scores, inputs, approvals and outcomes have moved, by day; a red warning acts."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import click

from decision_service.audit.release import Act
from decision_service.commands.console import (
    FOUND,
    as_json_option,
    bar,
    existing_platform,
    finish,
    now,
    print_json,
    print_table,
    settings,
)
from decision_service.commands.persons import acting_person, key_option
from decision_service.errors import InputError
from decision_service.radar.drift import APPROVAL, CALIBRATION, SCORE, WARNING
from decision_service.radar.levels import COLOURS
from decision_service.scoring.profiles import profile_of
from decision_service.scoring.registry import ModelRegistry
from decision_service.store import Revised
from decision_service.workbench.drift import Watch, concerning, document, watch
from decision_service.workbench.drift_page import html, shown

PLOTTED = timedelta(days=90)
MAIN = (WARNING, SCORE, APPROVAL, CALIBRATION)


@click.command()
@click.option("--day", metavar="YYYY-MM-DD", help="The day to tell of.  [default: yesterday]")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots.")
@click.option("--all", "everything", is_flag=True, help="Show every figure, not only those with a colour.")
@key_option
@as_json_option
def drift(day: str | None, page: Path | None, everything: bool, key: str | None, as_json: bool) -> None:
    """Count and judge all days up to one that were not yet, and tell of it: PSI of scores and inputs since training,
    missing values, automatic approvals, defaults beside scores.

    To be run each day, after midnight. A product whose warning W8 is red is referred to people from then on; another
    person than who runs this can switch on again. Exit 1 if an alert stands.

    Example: decision-service models drift --html drift.html
    """
    registry = ModelRegistry(settings().tracking_uri)
    wanted = None if day is None else _date(day)
    with existing_platform() as built, bar("days") as moved:
        act = Act(acting_person(built.store, key), now(), "W8")
        found = watch(
            built, lambda one: profile_of(registry, one), day=wanted, act=act, told=lambda _: moved.update(1)
        )
        if page is not None:
            first = (found.day - PLOTTED).isoformat()
            history = built.store.drifts().measures(first, found.day.isoformat())
            page.write_text(html(found, history), encoding="utf-8")
    if as_json:
        print_json(document(found))
    else:
        _print(found, everything)
    finish(FOUND if any(one.measure.alert in COLOURS for one in found.measures) else 0)


def _date(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as error:
        raise InputError(f"{text!r} is not a day", where="--day", remedy="write it as 2026-11-28") from error


def _print(found: Watch, everything: bool) -> None:
    click.echo(f"{found.day}: {found.counted} days counted, {found.revised} figures written")
    for one in found.off:
        state = "switched off" if one.new else "was off already"
        click.echo(f"automatic approval {state} for {one.event.subject}: {one.event.note}")
    coloured = {id(one) for one in concerning(found.measures)}
    rows = [one for one in found.measures if everything or one.measure.kind in MAIN or id(one) in coloured]
    if not rows:
        click.echo("no decisions on this day or in the week before")
        return
    head = ("product", "model", "figure", "n", "value", "without change", "by chance", "by itself", "alert", "note")
    print_table(head, map(_cells, rows))
    if left_out := len(found.measures) - len(rows):
        click.echo(f"{left_out} more figures have no colour; give --all or --json")


def _cells(one: Revised) -> tuple[str, ...]:
    row = one.measure
    bounds = "" if row.high is None else f"{shown(row, 'low')} to {shown(row, 'high')}"
    note = row.note if one.revision == 1 else f"{row.note} revision {one.revision}".strip()
    figure = f"{row.kind} {row.name}" if row.name and row.kind not in (SCORE, WARNING) else row.kind
    values = (str(row.n), shown(row, "value"), shown(row, "expected"), bounds)
    return (row.product, row.model, figure, *values, row.level, row.alert, note)
