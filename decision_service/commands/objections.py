"""`objections`: what is objected to, how far it is, what is late; and forgetting comments."""

from __future__ import annotations

from typing import Any

import click

from decision_service.audit import canonical
from decision_service.commands.console import (
    FOUND,
    as_json_option,
    existing_platform,
    finish,
    now,
    print_json,
    print_table,
)
from decision_service.governance.objection import STATES
from decision_service.objections import BREACHED, ObjectionDesk
from decision_service.repair_watch import late_repairs, late_sources
from decision_service.store import ToldRepair
from decision_service.vocabulary import Client

STEWARD = Client("", "", "steward")
"""Whoever may use the command line sees what stewards see."""


@click.group()
def objections() -> None:
    """Objections to records and decisions, and what is due.

    Example: decision-service objections list --state filed
    """


@objections.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--after", help="The cursor that --json gives as next.")
@as_json_option
def list_(state: str | None, limit: int, after: str | None, as_json: bool) -> None:
    """All objections, newest first.

    Example: decision-service objections list --state accepted --json
    """
    with existing_platform() as built:
        found = ObjectionDesk(built).page(STEWARD, state=state, after=after, limit=limit, now=now())
    if as_json:
        print_json(found)
        return
    head = ("objection", "about", "state", "next step", "due", "clock", "ruling")
    print_table(head, [_row(one) for one in found["objections"]])
    if found["next"] is not None:
        click.echo(f"more: --after {found['next']}", err=True)


@objections.command()
@click.argument("objection_id")
@as_json_option
def show(objection_id: str, as_json: bool) -> None:
    """One objection with all acts: when, by whom, with which documents.

    Example: decision-service objections show 0b54c7a2-...
    """
    with existing_platform() as built:
        found = ObjectionDesk(built).history(objection_id, STEWARD, now())
    if as_json:
        print_json(found)
        return
    print_table(("objection", "about", "state", "next step", "due", "clock", "ruling"), [_row(found)])
    click.echo()
    print_table(("at", "act", "by", "leaf", "details"), map(_act, found["acts"]))


@objections.command()
@as_json_option
def clock(as_json: bool) -> None:
    """What is late: objections of which a due time is over, sources that still deliver what was ruled wrong 20 working
    days ago, repairs that sources told of, within the last 30 days, more than 3 working days after them. Exit 1 if
    anything is.

    Example: decision-service objections clock
    """
    with existing_platform() as built:
        desk, moment = ObjectionDesk(built), now()
        waiting = [desk.one(one.objection_id, STEWARD, moment) for one in built.store.objections().open()]
        late = [one for one in waiting if one["sla"] == BREACHED]
        sources = [desk.one(one.objection_id, STEWARD, moment) for one in late_sources(built, moment)]
        repairs = [_repair(one) for one in late_repairs(built, moment)]
    if as_json:
        print_json({"late": late, "sources": sources, "repairs": repairs})
    else:
        rows = [("objection", *_row(one)[:5]) for one in late]
        rows += [("source", one["objection_id"], about(one["target"]), one["state"], None, None) for one in sources]
        rows += [("repair", None, *_told(one), None, None) for one in repairs]
        print_table(("late", "objection", "about", "state", "next step", "due"), rows)
    finish(FOUND if late or sources or repairs else 0)


@objections.command()
@click.argument("objection_id")
def erase(objection_id: str) -> None:
    """Forget the comments of an objection; a leaf of the log says so, and the log still verifies.

    Example: decision-service objections erase 0b54c7a2-...
    """
    with existing_platform() as built:
        ObjectionDesk(built).erase(objection_id, now())
    click.echo(f"erased the comments of {objection_id}")


def _repair(one: ToldRepair) -> dict[str, Any]:
    told_at = canonical.moment(one.told_at)
    return {
        "uscc": one.uscc, "list": one.list_name, "key": one.record_key, "ended_on": str(one.ended_on),
        "told_at": told_at,
    }  # fmt: skip


def _told(repair: dict[str, Any]) -> tuple[str, str]:
    named = " ".join(repair[name] for name in ("uscc", "list", "key"))
    return named, f"repaired {repair['ended_on']}, told {repair['told_at']}"


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    step = one["steps"][0] if one["steps"] else {}
    return (
        one["objection_id"], about(one["target"]), one["state"],
        step.get("step"), step.get("due_at"), one["sla"], one["ruling"],
    )  # fmt: skip


def about(target: dict[str, Any]) -> str:
    """What is objected to, in one line."""
    if target["type"] == "decision":
        return f"decision {target['decision_id']}"
    return f"{target['uscc']} {target['list'] or target['kind']} {target['key']}"


def _act(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["at"], one["act"], _who(one["by"]), one["leaf_index"], _details(one["details"])


def _who(by: dict[str, Any] | None) -> str:
    return "the platform" if by is None else f"{by['kind']} {by['id']}"


def _details(details: dict[str, Any]) -> str:
    shown = {name: value for name, value in details.items() if name not in ("evidence", "texts", "record_digest")}
    parts = [f"{name} {value}" for name, value in shown.items()]
    return ", ".join([*parts, f"{len(details.get('evidence', ()))} documents"])
