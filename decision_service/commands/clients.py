"""`clients add|list|limit|bind|revoke`: who may call the API."""

from __future__ import annotations

from datetime import datetime

import click

from decision_service.commands.client_keys import keys
from decision_service.commands.console import (
    FOUND,
    as_json_option,
    finish,
    now,
    platform,
    print_json,
    print_table,
    settings,
)
from decision_service.commands.persons import os_user
from decision_service.errors import InputError, NotFound
from decision_service.permissions import KINDS
from decision_service.quotas import DEFAULTS, Quota, parsed
from decision_service.store import Store

LONGEST_NAME = 200


@click.group()
def clients() -> None:
    """Who may call the API.

    Example: decision-service clients add --name "Bank of the River" --kind bank
    """


clients.add_command(keys)


@clients.command()
@click.option("--name", required=True, help="How people call the client.")
@click.option("--kind", required=True, type=click.Choice(tuple(KINDS)), help="What it may do, see above.")
@click.option("--id", "client_id", help="Its id, such as bank-03, by which its overlay of rules is called. [random]")
@click.option("--no-key", is_flag=True, help="No bearer key: the client signs for access tokens (clients keys add).")
@click.option("--bind-certificate", is_flag=True, help="Bind its tokens to its TLS certificate; implies --no-key.")
@as_json_option
def add(
    name: str, kind: str, client_id: str | None, no_key: bool, bind_certificate: bool, as_json: bool
) -> None:
    """Add a client and show its key, once.

    \b
    bank      applies for decisions, reads its own, simulates
    fintech   as a bank
    risk      reads everybody's decisions, simulates, reviews what was referred
    auditor   reads everybody's decisions
    steward   works on objections; reads no decision
    admin     simulates; decides nothing

    All of them read the rules and models in force and the log's checkpoints. Each client that decides counts as one
    lender (MULTI_LENDER): add one per bank, not one per clerk. An id is given once, also when its client was revoked.
    Who adds a client and who holds its key are one person where acts on the rules ask for two.

    Example: decision-service clients add --name "Bank of the River" --kind bank --id bank-03 --json
    """
    if not name.isprintable() or len(name) > LONGEST_NAME:
        what = f"{ascii(name[:LONGEST_NAME])} holds control characters or is longer than {LONGEST_NAME} characters"
        raise InputError(what, where="--name", remedy="give a name that people can read in a list")
    with platform() as built:
        client, key = built.store.add_client(name, kind, now(), client_id=client_id, created_by=os_user())
        if bind_certificate:
            built.store.bind_certificate(client.client_id, True)
    shown = None if no_key or bind_certificate or not settings().static_keys else key
    if as_json:
        print_json({"client_id": client.client_id, "key": shown})
        return
    click.echo(f"client {client.client_id} ({client.kind}, {client.name})")
    if shown is None:
        click.echo(f"no key; register a public one: decision-service clients keys add {client.client_id} FILE")
        return
    click.echo(f"key    {key}")
    click.echo("Keep the key now: it is stored only as a hash and cannot be shown again.")


@clients.command()
@click.argument("client_id")
@click.option("--off", is_flag=True, help="Its key and tokens without a certificate count again.")
def bind(client_id: str, off: bool) -> None:
    """From now on only tokens count that are bound to the client's TLS certificate; its bearer key counts no more.

    The certificate is told by a proxy that ends TLS (setting DECISION_TRUSTED_PROXIES).

    Example: decision-service clients bind bank-03
    """
    with platform() as built:
        built.store.bind_certificate(client_id, not off)
    click.echo(f"tokens of client {client_id} are bound to {'nothing' if off else 'its certificate'}")


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
            "created_by": None if entry.created_by is None else str(entry.created_by),
            "bound": entry.bound,
        }
        for entry in entries
    ]
    if as_json:
        print_json(rows)
    else:
        head = ("client_id", "kind", "name", "created", "revoked", "created by", "bound")
        print_table(head, [tuple(row.values()) for row in rows])


@clients.command()
@click.argument("client_id")
def revoke(client_id: str) -> None:
    """End a client's access, within seconds in every running server; exit 1 if it had ended before.

    Example: decision-service clients revoke 0b54c7a2-...
    """
    with platform() as built:
        before = _revoked_at(built.store, client_id)
        if before is None:
            built.store.revoke_client(client_id, now())
    if before is not None:
        click.echo(f"{client_id} was revoked before, at {before.isoformat()}; nothing changed", err=True)
        finish(FOUND)
    click.echo(f"revoked {client_id}")


@clients.command()
@click.argument("client_id")
@click.argument("quotas", nargs=-1, metavar="[KIND=REQUESTS/SECONDS]...")
@click.option("--reset", is_flag=True, help="Give the client the general quotas again.")
@as_json_option
def limit(client_id: str, quotas: tuple[str, ...], reset: bool, as_json: bool) -> None:
    """Show or set how much a client may send; running servers follow within seconds.

    \b
    decide    POST /v1/decisions
    batch     POST /v1/decision-batches
    compute   simulations, explanations, proofs
    write     whatever else changes something
    read      everything that only reads

    What is not set is as in general (setting DECISION_LIMITS).

    Example: decision-service clients limit bank-03 decide=2000/10 batch=120/3600
    """
    if reset and quotas:
        raise InputError("quotas and --reset exclude each other", where="--reset", remedy="leave one of them out")
    given = parsed(quotas, "KIND=REQUESTS/SECONDS")
    with platform() as built:
        own = dict(built.store.quotas().get(client_id, {}))
        if given or reset:
            own = {} if reset else {**own, **given}
            built.store.set_quotas(client_id, own.values())
        elif client_id not in {entry.client.client_id for entry in built.store.list_clients()}:
            raise NotFound(f"there is no client {client_id}", remedy="run: decision-service clients list")
    general = settings().quotas
    rows = [
        (name, *_shown(own.get(name) or (general or {}).get(name)), "own" if name in own else "general")
        for name in DEFAULTS
    ]
    if as_json:
        print_json([dict(zip(("kind", "requests", "seconds", "whose"), row)) for row in rows])
    else:
        print_table(("kind", "requests", "in seconds", "whose"), rows)


def _shown(quota: Quota | None) -> tuple[int | None, int | None]:
    return (None, None) if quota is None else (quota.count, quota.seconds)


def _revoked_at(store: Store, client_id: str) -> datetime | None:
    return next((one.revoked_at for one in store.list_clients() if one.client.client_id == client_id), None)
