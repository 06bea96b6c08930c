"""Who stands behind a command: the client whose key is given, or the operating-system user."""

from __future__ import annotations

from dataclasses import replace

import click

from decision_service.errors import InputError
from decision_service.login import os_user
from decision_service.store import Store
from decision_service.vocabulary import ANY, Person

RELEASING_KINDS = ("risk", "admin")
"""Kinds of clients who may act on the rules."""
KEY = "DECISION_KEY"
key_option = click.option(
    "--key",
    envvar=KEY,
    show_envvar=True,
    help="Act as the risk or admin client who holds this key, instead of the operating-system user.",
)
note_option = click.option("--note", default="", help="Why; kept in the log.")
LONGEST_NOTE = 1_000
SOMEBODY = Person("os_user", ANY, "somebody")
"""Who created a client of before that was kept."""


def acting_person(store: Store, key: str | None) -> Person:
    """The client of a key, else the operating-system user. Raises ``InputError`` for a key of no such client.

    Who created a client could have kept its key, so the two may be one; of an unknown creator any user may be.
    """
    if not key:
        return os_user()
    client = store.client_by_key(key)
    if client is None or client.kind not in RELEASING_KINDS:
        what = "no client holds this key" if client is None else f"{client.name} is a client of the kind {client.kind}"
        remedy = f"use the key of a client of the kind {' or '.join(RELEASING_KINDS)}, or none"
        raise InputError(what, where=f"{KEY} or --key", remedy=remedy)
    creators = {entry.client.client_id: entry.created_by for entry in store.list_clients()}
    creator = creators.get(client.client_id) or SOMEBODY
    return Person("client", client.client_id, client.name, (replace(creator, also=()), *creator.also))


def checked_note(note: str, *, required: bool = False) -> str:
    """A note that people can read in a list. Raises ``InputError``, also for an empty one that is required."""
    if not note.isprintable() or len(note) > LONGEST_NOTE:
        what = f"it holds control characters or is longer than {LONGEST_NOTE} characters"
        raise InputError(what, where="--note", remedy="write one line")
    if required and not note.strip():
        raise InputError("it is empty", where="--note", remedy="say why, for whoever reads the log")
    return note.strip()
