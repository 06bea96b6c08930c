"""`rules shadow start|stop|list|report`: versions that are judged beside the active one and never answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from decision_service.audit.release import Act
from decision_service.commands.console import (
    FOUND,
    as_json_option,
    bar,
    existing_platform,
    finish,
    now,
    platform,
    print_json,
    print_table,
)
from decision_service.commands.moments import moment
from decision_service.commands.persons import acting_person, checked_note, key_option, note_option
from decision_service.commands.rules_release import told_event, version_argument
from decision_service.decide import Platform
from decision_service.store import ReleaseEvent, ShadowRun
from decision_service.workbench import shadow as shadows
from decision_service.workbench.release import Done
from decision_service.workbench.shadow_document import document, yuan
from decision_service.workbench.shadow_follow import Desk
from decision_service.workbench.shadow_page import html
from decision_service.workbench.shadow_report import BOTH, Flip, Report, report

SHOWN = 20
optional_version = click.argument("version", required=False)


@click.group()
def shadow() -> None:
    """Versions of the rules on live traffic, beside the active one: they are judged on every decision and never answer.

    Example: decision-service rules shadow start 3f9c21 --note "challenger with a lower leverage ceiling"
    """


@shadow.command()
@version_argument
@note_option
@key_option
@as_json_option
def start(version: str, note: str, key: str | None, as_json: bool) -> None:
    """Judge every decision from now on by a stored version, too. It decides nothing, so one person may start it.

    Example: decision-service rules shadow start 3f9c21
    """
    with platform() as built:
        entry = shadows.chosen(built.store, version)
        done = shadows.start(built, entry, _act(built, key, note))
    _tell(done, as_json)


@shadow.command()
@optional_version
@note_option
@key_option
@as_json_option
def stop(version: str | None, note: str, key: str | None, as_json: bool) -> None:
    """Judge no further decision by a version; what it said so far stays. VERSION may be left out when only one runs.

    Example: decision-service rules shadow stop 3f9c21
    """
    with platform() as built:
        entry = shadows.chosen(built.store, version)
        done = shadows.stop(built, entry, _act(built, key, note))
        _catch_up(built, [run for run in built.store.shadows().runs() if run.digest == entry.digest])
    _tell(done, as_json)


@shadow.command("list")
@as_json_option
def list_(as_json: bool) -> None:
    """Which shadows run, since when, by whom and why, and how many decisions each is behind.

    Example: decision-service rules shadow list
    """
    with existing_platform() as built:
        known = built.store.shadows()
        acts = {event.leaf_index: event for event in built.store.releases()}
        rows = [_row(acts[run.leaf], known.behind(run)) for run in known.running()]
    if as_json:
        print_json(rows)
    elif rows:
        told = [(row["version"], row["at"], row["person"]["name"], row["behind"], row["note"]) for row in rows]
        print_table(("shadow", "since", "by", "behind", "why"), told)
    else:
        click.echo("no shadow runs")


@shadow.command("report")
@optional_version
@click.option("--since", help="Only decisions from this moment on, such as 2026-11-01T00:00:00+08:00.")
@click.option("--limit", default=SHOWN, show_default=True, type=click.IntRange(0), help="Flips shown (JSON: all).")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as a page.")
@as_json_option
def report_(version: str | None, since: str | None, limit: int, page: Path | None, as_json: bool) -> None:
    """Agreement with the versions that decided: outcomes, limits, rule by rule, and the flips; exit 1 if there is one.

    Without VERSION: every shadow that runs, or the last one that ran. Decisions that no server has followed yet are
    worked out first.

    Example: decision-service rules shadow report --since 2026-11-01T00:00:00+08:00 --html var/shadow.html
    """
    begin = None if since is None else moment(since, "--since")
    with existing_platform() as built:
        wanted = shadows.to_report(built.store, version)
        found = [_report(built, digest, runs, begin) for digest, runs in wanted.items()]
    if page is not None:
        page.write_text(html(found, most_flips=limit), encoding="utf-8")
    if as_json:
        print_json([document(one) for one in found])
    else:
        for one in found:
            _print(one, limit)
    finish(FOUND if any(one.flips for one in found) else 0)


def _report(built: Platform, digest: str, runs: tuple[ShadowRun, ...], since: datetime | None) -> Report:
    _catch_up(built, runs)
    results = built.store.shadows().results(runs, since)
    return report(
        shadows.ruleset_of(built.store, digest), results, lambda one: built.policies.by_digest(one).ruleset
    )


def _catch_up(built: Platform, runs: list[ShadowRun] | tuple[ShadowRun, ...]) -> None:
    desk = Desk(built)
    with bar("following") as moved:
        for run in runs:
            for count in desk.catch_up(run):
                moved.update(count)


def _act(built: Platform, key: str | None, note: str) -> Act:
    return Act(acting_person(built.store, key), now(), checked_note(note))


def _row(event: ReleaseEvent, behind: int) -> dict[str, Any]:
    return {**event.content["ruleset"], **told_event(event), "behind": behind}


def _tell(done: Done, as_json: bool) -> None:
    event, ruleset = done.event, done.event.content["ruleset"]
    if as_json:
        print_json({**ruleset, "state": event.how, "new": done.new, **told_event(event)})
        return
    before = "" if done.new else "before, "
    when = f"{before}at {event.at.isoformat()} by {event.person}, leaf {event.leaf_index}"
    click.echo(f"{event.how}: version {ruleset['version']}  {ruleset['digest']}  ({when})")


def _print(found: Report, limit: int) -> None:
    against = ", ".join(version for version, _ in found.active) or "nothing yet"
    click.echo(f"shadow {found.version}  {found.digest}  against {against}")
    _print_agreement(found)
    for status, count in found.left_out.items():
        click.echo(f"left out: {count} decisions ({status})")
    if not found.agreement.compared:
        return
    cells = [(one.active.name, one.shadow.name, one.count, yuan(one.amount)) for one in found.matrix]
    print_table(("active", "shadow", "decisions", "amount"), cells)
    click.echo("limit: " + ", ".join(f"{count} {name}" for name, count in found.limits.items()))
    _print_rules(found)
    _print_flips(found.flips, limit)
    for note in found.notes:
        click.echo(f"{note['zh']}\n{note['en']}")


def _print_agreement(found: Report) -> None:
    share = found.agreement
    if share.share is None or share.low is None or share.high is None:
        click.echo("0 decisions compared")
        return
    interval = f"{share.share:.2%}, 95 % interval {share.low:.2%} to {share.high:.2%}"
    click.echo(f"{share.compared} decisions compared, {share.same} with the same outcome ({interval})")


def _print_rules(found: Report) -> None:
    """Rules that say different things or stand in one version only; the others are counted."""
    head = ("rule", "both", "active only", "shadow only", "unknown in one", "exists in", "标题", "title")
    telling = [one for one in found.rules if one.differing or one.exists != BOTH]
    rows = [
        (one.rule, one.both, one.active_only, one.shadow_only, one.unknown, one.exists, *_title(one.title))
        for one in telling
    ]
    if rows:
        print_table(head, rows)
    click.echo(f"{len(found.rules) - len(telling)} rules matched somewhere and never differed; --json has them")


def _title(title: Mapping[str, str]) -> tuple[str, str]:
    return title.get("zh", ""), title.get("en", "")


def _print_flips(flips: tuple[Flip, ...], limit: int) -> None:
    for one in flips[:limit]:
        amount = "unknown" if one.amount is None else yuan(one.amount)
        click.echo(f"{one.decision_id}  {one.client_id}  {amount}  {one.active.name} → {one.shadow.name}")
        for rule in one.rules:
            edited = ", edited" if rule.edited else ""
            click.echo(f"    {' '.join((rule.rule, *_title(rule.title)))}: {rule.active} → {rule.shadow}{edited}")
    if len(flips) > limit:
        click.echo(f"{len(flips) - limit} more flips; give --limit or --json")
