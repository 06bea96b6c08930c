"""`reviews list` and `reviews clock`: what waits for people, and what is to be told of it."""

from __future__ import annotations

import click

from decision_service.card_watch import CardWatch
from decision_service.commands.console import (
    FOUND,
    as_json_option,
    existing_platform,
    finish,
    now,
    print_json,
    print_table,
)
from decision_service.lives import BREACHED, SLA_STATES, LifeDesk
from decision_service.repair_watch import RepairWatch
from decision_service.review_clock import ReviewClock
from decision_service.store import Written

MOST = 1_000_000


@click.group()
def reviews() -> None:
    """Applications that wait for people.

    Example: decision-service reviews list --sla near
    """


@reviews.command("list")
@click.option("--sla", type=click.Choice(SLA_STATES), help="Only those whose clock stands so.")
@as_json_option
def list_(sla: str | None, as_json: bool) -> None:
    """Show the queue: whitelisted first, then by due time. Exit 1 if any is breached.

    Example: decision-service reviews list --sla breached --json
    """
    with existing_platform() as built:
        found = LifeDesk(built).queue(state=None, after=None, limit=MOST, now=now())["reviews"]
    shown = [one for one in found if sla in (None, one["sla"])]
    if as_json:
        print_json({"reviews": shown})
    else:
        head = ("decision_id", "client", "product", "amount", "state", "assignee", "due_at", "sla", "reasons")
        names = ("decision_id", "client_id", "product", "amount", "state", "assignee", "due_at", "sla")
        codes = (" ".join(dict.fromkeys(reason["code"] for reason in one["reasons"])) for one in shown)
        print_table(head, [(*(one[name] for name in names), code) for one, code in zip(shown, codes)])
    finish(FOUND if any(one["sla"] == BREACHED for one in shown) else 0)


@reviews.command()
@as_json_option
def clock(as_json: bool) -> None:
    """Write what is due now and was not yet told: reminders, breaches, changed cards, records repaired later.

    Servers do this by themselves; this is for where none runs.

    Example: decision-service reviews clock
    """
    with existing_platform() as built:
        watches = (ReviewClock(built, now), CardWatch(built, now), RepairWatch(built, now))
        written = [one for watch in watches for one in watch.look()]
    found = [_told(one) for one in written]
    if as_json:
        print_json({"notices": found})
    else:
        print_table(("notice", "subject", "client", "at"), [tuple(one.values()) for one in found])


def _told(written: Written) -> dict[str, str | None]:
    act = written.act
    return {"notice": act.how, "subject": act.subject, "client_id": act.client_id, "at": act.at.isoformat()}
