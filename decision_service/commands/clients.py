"""`clients add|list|revoke`: who may call the API."""

from __future__ import annotations

import click

from decision_service.api.requests import ALL_KINDS
from decision_service.commands.console import as_json_option, now, platform, print_json, print_table
from decision_service.errors import InputError

LONGEST_NAME = 200


@click.group()
def clients() -> None:
    """Who may call the API.

    Example: decision-service clients add --name "Bank of the River" --kind bank
    """


@clients.command()
@click.option("--name", required=True, help="How people call the client.")
@click.option("--kind", required=True, type=click.Choice(ALL_KINDS), help="What it may do.")
@as_json_option
def add(name: str, kind: str, as_json: bool) -> None:
    """Add a client and show its key, once.

    Example: decision-service clients add --name "Bank of the River" --kind bank --json
    """
    if not name.isprintable() or len(name) > LONGEST_NAME:
        what = f"{ascii(name[:LONGEST_NAME])} holds control characters or is longer than {LONGEST_NAME} characters"
        raise InputError(what, where="--name", remedy="give a name that people can read in a list")
    with platform() as built:
        client, key = built.store.add_client(name, kind, now())
    if as_json:
        print_json({"client_id": client.client_id, "key": key})
        return
    click.echo(f"client {client.client_id} ({client.kind}, {client.name})")
    click.echo(f"key    {key}")
    click.echo("Keep the key now: it is stored only as a hash and cannot be shown again.")


@clients.command("list")
@as_json_option
def list_(as_json: bool) -> None:
    """All clients, revoked ones too.

    Example: decision-service clients list --json
    """
    with platform() as built:
        entries = built.store.list_clients()
    rows = [
        {
            "client_id": entry.client.client_id,
            "kind": entry.client.kind,
            "name": entry.client.name,
            "created_at": entry.created_at.isoformat(),
            "revoked_at": None if entry.revoked_at is None else entry.revoked_at.isoformat(),
        }
        for entry in entries
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("client_id", "kind", "name", "created", "revoked"), [tuple(row.values()) for row in rows])


@clients.command()
@click.argument("client_id")
def revoke(client_id: str) -> None:
    """End a client's access, within seconds in every running server.

    Example: decision-service clients revoke 0b54c7a2-...
    """
    with platform() as built:
        built.store.revoke_client(client_id, now())
    click.echo(f"revoked {client_id}")
