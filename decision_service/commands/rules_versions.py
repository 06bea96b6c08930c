"""`rules list|show|export`: the versions of the rules in the store, where each stands, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from decision_service.commands.console import (
    as_json_option,
    existing_platform,
    now,
    platform,
    print_json,
    print_table,
)
from decision_service.commands.rules_release import told_event, version_argument
from decision_service.commands.rules_shared import folder_argument, rule_folder
from decision_service.rulebook.files import load
from decision_service.store import ReleaseEvent, RulesetEntry
from decision_service.workbench.history import Standing, standing
from decision_service.workbench.release import History
from decision_service.workbench.shadow import last_started
from decision_service.workbench.versions import export, find, texts


@click.command("list")
@folder_argument
@as_json_option
def list_(folder: Path | None, as_json: bool) -> None:
    """Without a folder: the versions in the store, and where each stands. With one: its rules.

    A version that only `decide --rules` used is in the store, too, so that its decisions can be replayed: it was never
    published.

    Example: decision-service rules list rules
    """
    if folder is None:
        _list_store(as_json)
    else:
        _list_rules(folder, as_json)


@click.command()
@version_argument
@as_json_option
def show(version: str, as_json: bool) -> None:
    """One version: who published, approved and activated it, when and why, and what it had to pass.

    Example: decision-service rules show 3f9c21
    """
    with existing_platform() as built:
        entry = find(built.store, version)
        history = built.store.releases()
        files = texts(built.store, entry.digest)
    found = standing(history, entry.digest, now())
    acts = [event for event in history if event.subject == entry.digest]
    if as_json:
        told = [{"kind": event.kind, "how": event.how, **_judged(event), **_event(event)} for event in acts]
        print_json({**_row(entry, found, history), "acts": told, "files": [*files.sources, *files.cases]})
        return
    click.echo(f"version {entry.version}  {entry.digest}  {_state(_row(entry, found, history))}")
    click.echo(f"{len(files.sources)} files, {len(files.cases)} files of cases")
    for event in acts:
        _print_act(event)


@click.command("export")
@version_argument
@click.argument("folder", type=click.Path(path_type=Path))
@as_json_option
def export_(version: str, folder: Path, as_json: bool) -> None:
    """Write the files of a stored version, its cases among them, into an empty folder.

    Example: decision-service rules export 3f9c21 var/rules-before
    """
    with existing_platform() as built:
        entry = find(built.store, version)
        files = texts(built.store, entry.digest)
    count = export(files, folder)
    if as_json:
        print_json({"version": entry.version, "digest": entry.digest, "folder": str(folder), "files": count})
    else:
        click.echo(f"{folder}: {count} files of version {entry.version}  {entry.digest}")


def _print_act(event: ReleaseEvent) -> None:
    by = f" by {event.person}" if event.person else ""
    note = f": {event.note}" if event.note else ""
    what = event.how or event.kind
    later = f", effective at {event.effective_at.isoformat()}" if event.effective_at != event.at else ""
    click.echo(f"{event.at.isoformat()}  {what}{by}{later} (leaf {event.leaf_index}){note}")
    for gate in event.content.get("gates", ()):
        click.echo(f"    {gate['gate']}: {gate['summary']}")
    if report := event.content.get("report"):
        click.echo(f"    backtest report {report}")


def _judged(event: ReleaseEvent) -> dict[str, Any]:
    return {name: event.content[name] for name in ("gates", "report") if name in event.content}


def _list_rules(folder: Path, as_json: bool) -> None:
    found = sorted(load(rule_folder(folder)).every_rule(), key=lambda rule: (rule.file, rule.line))
    rows: list[dict[str, Any]] = [
        {
            "rule": rule.name,
            "stage": rule.stage.value,
            "reason": rule.reason,
            "place": f"{rule.file}:{rule.line}",
            "zh": rule.title.get("zh"),
            "en": rule.title.get("en"),
        }
        for rule in found
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("rule", "stage", "reason", "place", "标题", "title"), [tuple(row.values()) for row in rows])


def _list_store(as_json: bool) -> None:
    with platform() as built:
        entries, history = built.store.list_rulesets(), built.store.releases()
    rows = [_row_of(entry, history) for entry in entries]
    if as_json:
        print_json(rows)
        return
    head = ("version", "digest", "saved", "published", "approved", "last activated", "state")
    acts = ("published", "approved", "activated")
    print_table(
        head,
        [
            (
                row["version"],
                row["digest"],
                _minute(row["saved_at"]),
                *(_who_and_when(row[act]) for act in acts),
                _state(row),
            )
            for row in rows
        ],
    )


def _row_of(entry: RulesetEntry, history: History) -> dict[str, Any]:
    return _row(entry, standing(history, entry.digest, now()), history)


def _row(entry: RulesetEntry, found: Standing, history: History) -> dict[str, Any]:
    activated = found.activation
    return {
        "version": entry.version,
        "digest": entry.digest,
        "saved_at": entry.saved_at.isoformat(),
        "published": _told(found.publication),
        "approved": _told(found.approval),
        "activated": _told(activated),
        "activated_at": None if activated is None else activated.effective_at.isoformat(),
        "scheduled": [_told(event) for event in found.scheduled],
        "active": found.active,
        "state": found.state,
        "shadow": last_started(history, entry.digest) is not None,
    }


def _told(event: ReleaseEvent | None) -> dict[str, Any] | None:
    return None if event is None else _event(event)


def _event(event: ReleaseEvent) -> dict[str, Any]:
    return {**told_event(event), "effective_at": event.effective_at.isoformat()}


def _who_and_when(event: Mapping[str, Any] | None) -> str:
    if event is None:
        return "never"
    name = event["person"]["name"] if event["person"] else "unknown"
    return f"{_minute(event['effective_at'])} {name}"


def _minute(moment: str) -> str:
    return f"{moment[:16]}Z"


def _state(row: Mapping[str, Any]) -> str:
    coming = ", ".join(_minute(event["effective_at"]) for event in row["scheduled"])
    state = str(row["state"])
    state = f"{state} for {coming}" if state == "scheduled" else f"{state}, again from {coming}" if coming else state
    return f"{state}, runs as a shadow" if row["shadow"] else state
