"""`rules switch off|on|list`: the kill switch of automatic approval."""

from __future__ import annotations

from typing import Any

import click

from decision_service.audit.release import EVERYTHING, Act
from decision_service.commands.console import as_json_option, existing_platform, now, platform, print_json, print_table
from decision_service.commands.persons import acting_person, checked_note, key_option
from decision_service.commands.rules_release import told_event
from decision_service.decide import Platform
from decision_service.errors import InputError
from decision_service.store import ReleaseEvent
from decision_service.workbench import switches
from decision_service.workbench.release import Done


def scope_options(command: Any) -> Any:
    """The scopes of a switch: exactly one is given."""
    for option in (
        click.option("--client", metavar="ID", help="Applications of this client."),
        click.option("--industry", metavar="NN", help="Enterprises of this two-digit industry."),
        click.option("--product", metavar="P", help="Applications for this product."),
        click.option("--all", "everything", is_flag=True, help="Every application."),
    ):
        command = option(command)
    return command


required_note = click.option("--note", required=True, help="Why; kept in the log.")


@click.group()
def switch() -> None:
    """Automatic approval off and on again, for a product, an industry, a client or all; red cards still decline.

    Example: decision-service rules switch off --all --note "the model's scores are not plausible"
    """


@switch.command()
@scope_options
@required_note
@key_option
@as_json_option
def off(
    everything: bool,
    product: str | None,
    industry: str | None,
    client: str | None,
    note: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Refer every application of a scope to people, from the next one on. One person may do it.

    Example: decision-service rules switch off --industry 35 --note "invoices of the trade are under investigation"
    """
    with platform() as built:
        scope = _scope(built, everything, product, industry, client)
        done = switches.switch_off(built, scope, _act(built, key, note))
    _tell(done, as_json)


@switch.command()
@scope_options
@required_note
@key_option
@as_json_option
def on(
    everything: bool,
    product: str | None,
    industry: str | None,
    client: str | None,
    note: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Approve automatically again; exit 1 for the person who switched it off.

    Example: decision-service rules switch on --industry 35 --note "investigation closed" --key "$KEY_OF_ANOTHER_PERSON"
    """
    with platform() as built:
        scope = _scope(built, everything, product, industry, client)
        done = switches.switch_on(built, scope, _act(built, key, note))
    _tell(done, as_json)


@switch.command("list")
@as_json_option
def list_(as_json: bool) -> None:
    """What is switched off, since when, by whom and why.

    Example: decision-service rules switch list
    """
    with existing_platform() as built:
        found = switches.switched_off(built)
    if as_json:
        print_json([_told(event) for event in found])
    elif found:
        rows = [(event.subject, event.at.isoformat(timespec="seconds"), event.person, event.note) for event in found]
        print_table(("off for", "since", "by", "why"), rows)
    else:
        click.echo("automatic approval is switched on for everything")


def _act(built: Platform, key: str | None, note: str) -> Act:
    return Act(acting_person(built.store, key), now(), checked_note(note, required=True))


def _scope(
    built: Platform, everything: bool, product: str | None, industry: str | None, client: str | None
) -> str:
    given = [value for value in (product, industry, client) if value is not None]
    if len(given) + everything != 1:
        what = "name exactly one scope" if given or everything else "no scope is named"
        raise InputError(what, remedy="give one of --all, --product P, --industry NN, --client ID")
    return EVERYTHING if everything else switches.scope(built, product=product, industry=industry, client=client)


def _told(event: ReleaseEvent) -> dict[str, Any]:
    return {"scope": event.subject, "state": event.how, **told_event(event)}


def _tell(done: Done, as_json: bool) -> None:
    event = done.event
    if as_json:
        print_json({**_told(event), "new": done.new})
        return
    since = f"since {event.at.isoformat()} by {event.person} (leaf {event.leaf_index})"
    before = "" if done.new else "was already "
    click.echo(f"automatic approval {before}{event.how} for {event.subject} {since}")
