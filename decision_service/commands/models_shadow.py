"""`models shadow`: what challengers say of live decisions beside the champions."""

from __future__ import annotations

from datetime import datetime

import click

from decision_service.commands.console import (
    FOUND,
    as_json_option,
    bar,
    existing_platform,
    finish,
    print_json,
    print_table,
)
from decision_service.commands.moments import moment
from decision_service.decide import Platform
from decision_service.errors import NotFound
from decision_service.workbench.challenger import catch_up, challenges
from decision_service.workbench.challenger_report import QUANTILES, ChallengerReport, Distribution, report

SHOWN = 20
FEW = "too few"


@click.command()
@click.argument("subject", nargs=-1, metavar="[NAME/VERSION]...")
@click.option("--since", help="Only decisions from this moment on, such as 2026-11-01T00:00:00+08:00.")
@click.option("--limit", default=SHOWN, show_default=True, type=click.IntRange(0), help="Flips shown (JSON: all kept).")
@as_json_option
def shadow(subject: tuple[str, ...], since: str | None, limit: int, as_json: bool) -> None:
    """Scores of challengers on live decisions: distribution, PSI, rank correlation, outcomes that would flip, by rule.

    Without NAME/VERSION: every version behind the alias challenger now. Decisions that no server has scored by it yet
    are scored first. Exit 1 if an outcome would flip.

    Example: decision-service models shadow pd-xgboost/7 --since 2026-11-01T00:00:00+08:00
    """
    begin = None if since is None else moment(since, "--since")
    with existing_platform() as built:
        found = [_report(built, one, begin) for one in _wanted(built, " ".join(sorted(subject)))]
    if as_json:
        print_json(found[0].document() if subject else [one.document() for one in found])
    else:
        for one in found:
            _print(one, limit)
    finish(FOUND if any(one.flipped for one in found) else 0)


def _wanted(built: Platform, called: str) -> list[str]:
    """The subjects to report on, scored as far as decisions go. Raises ``NotFound``."""
    running = {one.subject: one for one in challenges(built)}
    with bar("scoring") as moved:
        for subject, challenge in running.items():
            if called in ("", subject):
                for count in catch_up(built, challenge):
                    moved.update(count)
    known = built.store.challengers().subjects()
    wanted = [called] if called else list(running)
    if not wanted or any(subject not in known for subject in wanted):
        what = f"no decision was scored by {called}" if called else "no model that a product names has a challenger"
        remedy = "run: python -m ml challenge NAME/VERSION, of a model that a product's file names"
        raise NotFound(what, remedy=remedy)
    return wanted


def _report(built: Platform, subject: str, since: datetime | None) -> ChallengerReport:
    return report(subject, built.store.challengers().results(subject, since))


def _print(found: ChallengerReport, limit: int) -> None:
    click.echo(f"{found.subject}: {found.summary}")
    for status, count in found.left_out.items():
        click.echo(f"left out: {count} decisions ({status})")
    if found.unknown:
        click.echo(f"{found.unknown} decisions would have had no score")
    head = ("score", "n", *(f"{share:.0%}" for share in QUANTILES), "PSI", "rank correlation")
    rows = [row for name, one in (("model", found.own), ("pd_12m", found.blend)) if one for row in _rows(name, one)]
    if rows:
        print_table(head, rows)
    if found.outcomes:
        print_table(("answered", "with the challenger", "decisions"), found.outcomes)
    if found.rules:
        print_table(("rule behind flips", "decisions"), found.rules)
    for flip in found.flips[:limit]:
        behind = ", ".join(f"{rule}: {was} → {now}" for rule, was, now in flip.rules)
        click.echo(f"{flip.decision_id}  {flip.product}  {flip.active} → {flip.challenger}  {behind}")
    if found.flipped > limit:
        click.echo(f"{found.flipped - limit} more flips; give --limit or --json")


def _rows(name: str, one: Distribution) -> list[tuple[str, ...]]:
    told = tuple("" if value is None else f"{value:.4f}" for value in (one.psi, one.rank_correlation))
    told = told if told[0] else (FEW, told[1])
    active, challenger = (tuple(f"{value:.6f}" for value in values) for values in (one.active, one.challenger))
    return [(f"{name}, recorded", str(one.n), *active, "", ""), (f"{name}, challenger", str(one.n), *challenger, *told)]
