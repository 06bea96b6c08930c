"""`rules publish`: judge a folder, backtest it beside the active version, and freeze it with the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from decision_service.commands.backtest_runs import Over, page, run
from decision_service.commands.console import InputFile, as_json_option, now, platform
from decision_service.commands.persons import key_option, note_option
from decision_service.commands.rules_backtest import tell_notes
from decision_service.commands.rules_release import acting, gates, judged, passed, tell, tell_failures
from decision_service.commands.rules_shared import folder_argument, rule_folder
from decision_service.decide import Platform
from decision_service.errors import InputError
from decision_service.rule_folder import Candidate
from decision_service.workbench import history as past
from decision_service.workbench import release
from decision_service.workbench.backtest import Backtest

LARGEST_REPORT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """What is attached to a publication, if anything, and a sentence about it."""

    said: str
    content: bytes | None = None
    backtest: Backtest | None = None


@click.command()
@folder_argument
@click.option(
    "--report",
    type=InputFile(),
    help="Attach this file as the backtest's report instead of running a backtest now.",
)
@note_option
@key_option
@as_json_option
def publish(folder: Path | None, report: Path | None, note: str, key: str | None, as_json: bool) -> None:
    """Judge a folder by every gate and freeze it, with its cases, as a version under its digest; exit 1 if one fails.

    The active version and this one are backtested over the stored decisions and the enterprises on record; the report
    is kept with the version, and its hash in the log. Publishing the same texts again changes nothing. Then somebody
    else approves the version, and it can be activated.

    Example: decision-service rules publish rules --note "cut-off of industry 35 lowered"
    """
    found, judgements = judged(rule_folder(folder), as_json)
    given = None if report is None else _read(report)
    with platform() as built:
        if not passed(judgements):
            tell_failures(judgements, "not published", as_json)
        acting(built, key, note)  # a wrong key must not wait for the backtest to be told
        attached = given or _backtested(built, found)
        done = release.publish(built, found, judgements, acting(built, key, note), report=attached.content)
        clients = {one.client.client_id for one in built.store.list_clients() if one.revoked_at is None}
    told = {"report": done.event.content.get("report"), "backtest": _told(attached.backtest)}
    tell(done, "published", as_json, gates=gates(judgements), **told)
    if not as_json:
        click.echo(attached.said if done.new else "it was published before, by these very texts: nothing changed")
        tell_notes(_notes(attached.backtest))
    for name in set(found.policy.ruleset.overlays) - clients:
        click.echo(f"overlays/{name}: no client has this id, so nobody is decided by it", err=True)


def _read(file: Path) -> Report:
    if file.stat().st_size > LARGEST_REPORT:
        what = f"it has more than {LARGEST_REPORT:,} bytes"
        raise InputError(what, where=str(file), remedy="attach a smaller report")
    return Report(f"report: {file} is attached", file.read_bytes())


def _backtested(built: Platform, found: Candidate) -> Report:
    """The active version beside the one to be published, where there is anything to compare and to compare over."""
    digest, acts = found.policy.ruleset.digest, built.store.releases()
    active = past.active(acts, now())
    if past.publication(acts, digest) is not None:
        return Report("no report: the version was published before")
    if active is None:
        return Report("no report: no version is active to compare with")
    if active.subject == digest:
        return Report("no report: these very texts decide already")
    if not built.store.enterprise_count() and next(built.store.each_decision(), None) is None:
        return Report("no report: there is no enterprise on record and no decision to compare over")
    old = built.policies.by_digest(active.subject)
    compared = run(built, old, found.policy, Over(), on=found.on)
    count = sum(result.swaps.count for result in compared.results)
    said = f"backtest: {compared.changed:,} of {count:,} come out otherwise than by version {old.ruleset.version}"
    return Report(f"{said}; the report is attached", page(compared, old).encode(), compared)


def _told(found: Backtest | None) -> dict[str, Any] | None:
    """The backtest that was run for this publication, in short."""
    if found is None:
        return None
    changed = {result.population.name: result.swaps.changed for result in found.results}
    notes = [dict(note) for note in _notes(found)]
    return {"old": found.old.version, "on": found.on.isoformat(), "changed": changed, "notes": notes}


def _notes(found: Backtest | None) -> list[Mapping[str, str]]:
    """What whoever reads the count of changes must know."""
    if found is None:
        return []
    return [*found.notes, *(note for result in found.results for note in result.population.notes)]
