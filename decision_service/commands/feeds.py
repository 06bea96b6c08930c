"""`feeds load`: records of enterprises from files into the store."""

from __future__ import annotations

from pathlib import Path

import click

from decision_service.commands.console import FOUND, as_json_option, bar, finish, now, platform, print_json, print_table
from decision_service.decide import Platform
from decision_service.errors import NotFound
from decision_service.radar.intake import IntakeReport, load_feeds
from decision_service.radar.kinds import LISTS

MOST_SHOWN = 50


@click.group()
def feeds() -> None:
    """Records from the city's sources.

    Example: decision-service feeds load deliveries/2026-11-24
    """


@feeds.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rejects", type=click.Path(file_okay=False, path_type=Path), help="Folder for rejected rows.")
@as_json_option
def load(paths: tuple[Path, ...], rejects: Path | None, as_json: bool) -> None:
    """Load files or folders with a manifest.json; exit 1 if a row was rejected or a file could not be used.

    Example: decision-service feeds load deliveries/2026-11-24 overdues.csv
    """
    with platform() as built, bar("loading") as moved:
        lists = _declared_lists(built)
        report = load_feeds(
            paths, built.store, now=now(), progress=lambda kind, rows: moved.update(rows), rejects=rejects, lists=lists
        )
    _print(report, as_json)
    if lists is None and LISTS in report.kinds:
        click.echo("note: no rules are active, so the names of the lists were not checked", err=True)
    finish(FOUND if report.problem_count else 0)


def _declared_lists(built: Platform) -> tuple[str, ...] | None:
    """The lists of the active rules; ``None`` when no rules are active."""
    try:
        return tuple(built.policies.current().lists)
    except NotFound:
        return None


def _print(report: IntakeReport, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "kinds": {kind: counts._asdict() for kind, counts in report.kinds.items()},
                "problems": [str(problem) for problem in report.problems],
                "problem_count": report.problem_count,
                "reject_files": [str(path) for path in report.reject_files],
            }
        )
        return
    print_table(("kind", "read", "written", "rejected"), [(kind, *counts) for kind, counts in report.kinds.items()])
    for problem in report.problems[:MOST_SHOWN]:
        click.echo(str(problem), err=True)
    hidden = report.problem_count - len(report.problems[:MOST_SHOWN])
    if hidden > 0:
        click.echo(f"… and {hidden} more", err=True)
    for path in report.reject_files:
        click.echo(f"rejected rows are in {path}", err=True)
