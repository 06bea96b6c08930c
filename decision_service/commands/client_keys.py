"""`clients keys add|list|revoke`: the public keys by which clients get access tokens."""

from __future__ import annotations

from pathlib import Path

import click

from decision_service.commands.console import (
    FOUND,
    InputFile,
    as_json_option,
    finish,
    now,
    platform,
    print_json,
    print_table,
)
from decision_service.commands.persons import os_user
from decision_service.errors import InputError
from decision_service.identity.keys import read_keys
from decision_service.store import ClientKey

HEAD = ("kid", "algorithms", "added_at", "revoked_at")


@click.group()
def keys() -> None:
    """The public keys by which clients sign who they are, to get access tokens.

    Example: decision-service clients keys add bank-03 public.pem
    """


@keys.command()
@click.argument("client_id")
@click.argument("file", type=InputFile())
@click.option("--kid", help="The key's id, which the client names when it signs. [that of the JWK, or its thumbprint]")
@as_json_option
def add(client_id: str, file: Path, kid: str | None, as_json: bool) -> None:
    """Register public keys in FILE: PEM, a JWK or a JWK set.

    Admitted are EC keys on P-256 (ES256), Ed25519 keys (EdDSA) and RSA keys of 2048 bits or more (RS256, PS256); to
    change a key, add the new one, let the client switch to it, revoke the old one. A client makes a pair by

    \b
    openssl genpkey -algorithm ed25519 -out client-key.pem
    openssl pkey -in client-key.pem -pubout -out public.pem

    Example: decision-service clients keys add bank-03 public.pem
    """
    try:
        found = read_keys(file.read_bytes(), kid=kid)
    except InputError as error:
        where = "--kid" if error.where == "kid" and kid is not None else str(file)
        raise InputError(error.what, where=where, remedy=error.remedy) from error
    added = [ClientKey(one.kid, one.algorithms, one.thumbprint, one.jwk, now()) for one in found]
    with platform() as built:
        for key in added:
            built.store.client_keys().add(client_id, key, os_user())
    _tell(added, as_json)


@keys.command("list")
@click.argument("client_id")
@as_json_option
def list_(client_id: str, as_json: bool) -> None:
    """All keys of a client, revoked ones too.

    Example: decision-service clients keys list bank-03 --json
    """
    with platform() as built:
        _tell(built.store.client_keys().list(client_id), as_json)


@keys.command()
@click.argument("client_id")
@click.argument("kid")
def revoke(client_id: str, kid: str) -> None:
    """End a key at once, and within seconds the tokens got by it; exit 1 if it had ended before.

    Example: decision-service clients keys revoke bank-03 GvdwrPPmi0K4rEDv3tJ1xsF8s0XzCmUMz2LmVQE9GLU
    """
    with platform() as built:
        before = built.store.client_keys().revoke(client_id, kid, now())
    if before is not None:
        click.echo(f"{kid} was revoked before, at {before.isoformat()}; nothing changed", err=True)
        finish(FOUND)
    click.echo(f"revoked {kid} of client {client_id}")


def _tell(found: list[ClientKey] | tuple[ClientKey, ...], as_json: bool) -> None:
    rows = [
        (
            one.kid,
            " ".join(one.algorithms),
            one.added_at.isoformat(),
            None if one.revoked_at is None else one.revoked_at.isoformat(),
        )
        for one in found
    ]
    if as_json:
        print_json([{**dict(zip(HEAD, row)), "jwk": dict(one.jwk)} for row, one in zip(rows, found)])
    else:
        print_table(HEAD, rows)
