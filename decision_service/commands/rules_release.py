"""`rules approve|activate|rollback`: who lets which version of the rules decide, from when on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from decision_service.audit.release import Act, Named, written_person
from decision_service.commands.console import (
    FOUND,
    as_json_option,
    finish,
    now,
    platform,
    print_json,
    progress,
    say,
    step,
)
from decision_service.commands.moments import moment
from decision_service.commands.persons import acting_person, checked_note, key_option, note_option
from decision_service.decide import Platform, business_date
from decision_service.errors import InputError, NotFound, Refused
from decision_service.rule_folder import Candidate, candidate
from decision_service.store import ReleaseEvent, RulesetEntry
from decision_service.workbench import release
from decision_service.workbench.gates import GATES
from decision_service.workbench.judging import Judgement, judge
from decision_service.workbench.release import Done
from decision_service.workbench.versions import ensure_whole, find

version_argument = click.argument("version")


@click.command()
@version_argument
@note_option
@key_option
@as_json_option
def approve(version: str, note: str, key: str | None, as_json: bool) -> None:
    """Let a published version become active; exit 1 for the person who published it.

    VERSION is a version, a digest or the beginning of one, or a folder with the very same texts.

    Example: decision-service rules approve 3f9c21 --key "$KEY_OF_THE_SECOND_PERSON"
    """
    with platform() as built:
        act = acting(built, key, note)
        entry = _ready(built, _stored(built, version), now())
        done = release.approve(built, entry, replace(act, at=now()))
    tell(done, "approved", as_json)


@click.command()
@version_argument
@click.option("--at", metavar="TIME", help="From this moment on, such as 2026-12-01T00:00:00+08:00, and not at once.")
@note_option
@key_option
@as_json_option
def activate(version: str, at: str | None, note: str, key: str | None, as_json: bool) -> None:
    """Decide by an approved version; exit 1 for any other. Every running server follows within seconds.

    The last word wins: what was to become active at that moment or later is cancelled. The very first rules of a store
    may be a folder that nobody published: it is judged by every gate, and the log says that it was installed.

    VERSION is a version, a digest or the beginning of one, or a folder with the very same texts.

    Example: decision-service rules activate 3f9c21 --at 2026-12-01T00:00:00+08:00
    """
    effective_at = None if at is None else _later(at)
    with platform() as built:
        act, history = acting(built, key, note), built.store.releases()
        if not release.was_active(history) and Path(version).is_dir() and effective_at is None:
            done = _install(built, Path(version), act, as_json)
        else:
            entry = _ready(built, _stored(built, version), effective_at or now())
            done = release.activate(built, entry, replace(act, at=now()), effective_at=effective_at)
    _tell_activation(done, as_json)


@click.command()
@note_option
@key_option
@as_json_option
def rollback(note: str, key: str | None, as_json: bool) -> None:
    """Decide at once by the version that was active before the present one; exit 1 if there is none.

    One person may do it. Rolling back again goes further back, never forth to what was rolled back from.

    Example: decision-service rules rollback --note "too many referrals in industry 35"
    """
    with platform() as built:
        act = acting(built, key, note)
        ensure_whole(built, release.rolls_back_to(built.store.releases(), now()), on=business_date(now()))
        done = release.rollback(built, replace(act, at=now()))
    _tell_activation(done, as_json)


def told_event(event: ReleaseEvent) -> dict[str, Any]:
    """An act on the rules as JSON."""
    content, person = event.content, event.person
    return {
        "leaf_index": event.leaf_index,
        "person": None if person is None else written_person(person),
        "at": event.at.isoformat(),
        "note": content.get("note", ""),
    }


def judged(folder: Path, as_json: bool) -> tuple[Candidate, tuple[Judgement, ...]]:
    """A folder, read once, and what every gate says of it, told as each ends.

    Raises ``RulebookError``, ``InputError``.
    """
    found = candidate(folder, on=business_date(now()))
    tell_gate = _step_gate if as_json else _tell_gate
    return found, judge(found, progress(GATES, total=len(GATES), what="judging"), tell=tell_gate)


def _tell_gate(one: Judgement) -> None:
    for problem in one.result.problems:
        say(problem)
    say(_told_gate(one))


def _step_gate(one: Judgement) -> None:
    step(_told_gate(one))


def _told_gate(one: Judgement) -> str:
    return f"{one.gate}: {'passed' if one.result.passed else 'NOT passed'}: {one.result.summary}"


def passed(judgements: Iterable[Judgement]) -> bool:
    """Whether every gate was passed."""
    return all(one.result.passed for one in judgements)


def _install(built: Platform, folder: Path, act: Act, as_json: bool) -> Done:
    found, judgements = judged(folder, as_json)
    if not passed(judgements):
        tell_failures(judgements, "not activated", as_json)
    return release.install_candidate(built, found, judgements, act)


def _stored(built: Platform, version: str) -> RulesetEntry:
    """The version that is called so. Raises ``Refused`` for a folder with other texts than any, ``NotFound``."""
    try:
        return find(built.store, version)
    except NotFound as error:
        if not Path(version).is_dir():
            raise
        raise Refused(error.what, where=version, remedy="publish it, and let another person approve it") from error


def _ready(built: Platform, entry: RulesetEntry, at: datetime) -> RulesetEntry:
    """A version that is loaded and whole: the act gets its moment afterwards, as servers hurry from it on."""
    ensure_whole(built, Named(entry.digest, entry.version), on=business_date(at))
    return entry


def acting(built: Platform, key: str | None, note: str) -> Act:
    """Who acts, now, and why. Raises ``Unauthorized`` or ``InputError``."""
    return Act(acting_person(built.store, key), now(), checked_note(note))


def _later(text: str) -> datetime:
    found = moment(text, "--at")
    if found <= now():
        raise InputError(f"{text} has passed", where="--at", remedy="give a moment to come, or leave it out")
    return found


def gates(judgements: Iterable[Judgement]) -> list[dict[str, Any]]:
    """What the gates said as JSON."""
    return [
        {
            "gate": one.gate,
            "passed": one.result.passed,
            "summary": one.result.summary,
            "problems": list(one.result.problems),
        }
        for one in judgements
    ]


def tell_failures(judgements: Iterable[Judgement], what: str, as_json: bool) -> None:
    """That a gate was not passed, with all that the gates said as JSON, and the end of the command."""
    if as_json:
        print_json({what.replace("not ", ""): False, "gates": gates(judgements)})
    click.echo(f"{what}: every gate must be passed first", err=True)
    finish(FOUND)


def tell(done: Done, what: str, as_json: bool, **more: Any) -> None:
    """An act that was done, and more as JSON."""
    ruleset = done.event.content["ruleset"]
    if as_json:
        print_json({**ruleset, "new": done.new, **told_event(done.event), **more})
        return
    person = f" by {done.event.person}" if done.event.person else ""
    before = "" if done.new else "before, "
    when = f"{before}at {done.event.at.isoformat()}{person}"
    click.echo(f"{what}: version {ruleset['version']}  {ruleset['digest']}  ({when}, leaf {done.event.leaf_index})")


def _tell_activation(done: Done, as_json: bool) -> None:
    event = done.event
    scheduled = event.effective_at != event.at
    if as_json:
        cancelled = [{**one.content["ruleset"], "effective_at": one.effective_at.isoformat()} for one in done.cancelled]
        instead_of = event.content.get("instead_of")
        told = {"effective_at": event.effective_at.isoformat(), "instead_of": instead_of, "cancelled": cancelled}
        tell(done, "active", True, how=event.how, scheduled=scheduled, **told)
        return
    what = f"scheduled for {event.effective_at.isoformat()}" if scheduled else "active"
    tell(done, f"{event.how}, {what}" if done.new else what, False)
    for one in done.cancelled:
        version = one.content["ruleset"]["version"]
        click.echo(f"cancelled: version {version} was to become active at {one.effective_at.isoformat()}")
