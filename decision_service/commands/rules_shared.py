"""What the commands about a folder of rule files share: the folder, the day it is judged by, and its mistakes."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import NoReturn

import click

from decision_service.commands.console import FOUND, finish, now, print_json, settings
from decision_service.decide import business_date
from decision_service.errors import InputError, Problem
from decision_service.rulebook.cases import CaseReport

folder_argument = click.argument("folder", required=False, type=click.Path(path_type=Path))


def _day(ctx: click.Context, option: click.Parameter, given: datetime | None) -> date:
    return business_date(now()) if given is None else given.date()


on_option = click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_day,
    help="Judge the folder as of this day (Asia/Shanghai) instead of today, so that the answer is the same on any day.",
)


def rule_folder(given: Path | None) -> Path:
    """The folder that was named, or that of the settings. Raises ``InputError`` if it is none."""
    folder = given or settings().rules
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder), remedy="name the folder of rule files")
    return folder


def report_problems(problems: tuple[Problem, ...], as_json: bool) -> NoReturn:
    """Print every mistake, and end with exit code 1."""
    if as_json:
        print_json({"problems": [str(problem) for problem in problems]})
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(problems)} {'mistake' if len(problems) == 1 else 'mistakes'}")
    finish(FOUND)


def print_report(report: CaseReport) -> None:
    """What failed, which rules no case matches or misses, and how many of everything."""
    for failure in report.failures:
        click.echo(str(failure.problem))
    for title, missing in (("matches", report.never_matched), ("misses", report.never_missed)):
        for name in missing:
            click.echo(f"{name}: no case {title} it; write one")
    gaps = f"{len(report.gaps)} of them with gaps" if report.gaps else "no gap"
    state = "all as expected" if report.passed else f"{len(report.failures)} not as expected"
    click.echo(f"{len(report.comparisons)} comparisons, {gaps}")
    click.echo(f"{report.cases} cases over {len(report.coverage)} rules: {state}")
