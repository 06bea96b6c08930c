"""Who stands behind a command: the client whose key is given, or the operating-system user."""

from __future__ import annotations

import os
import pwd

import click

from decision_service.errors import InputError
from decision_service.store import Store
from decision_service.vocabulary import Person

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


def acting_person(store: Store, key: str | None) -> Person:
    """The client of a key, else the operating-system user. Raises ``InputError`` for a key of no such client."""
    if not key:
        return os_user()
    client = store.client_by_key(key)
    if client is None or client.kind not in RELEASING_KINDS:
        what = "no client holds this key" if client is None else f"{client.name} is a client of the kind {client.kind}"
        remedy = f"use the key of a client of the kind {' or '.join(RELEASING_KINDS)}, or none"
        raise InputError(what, where=f"{KEY} or --key", remedy=remedy)
    return Person("client", client.client_id, client.name)


def os_user() -> Person:
    """The user of this process; under sudo the one who called it, so that one person cannot be two."""
    number = os.getuid()
    if number == 0 and (behind := os.environ.get("SUDO_UID", "")).isdigit():
        number = int(behind)
    try:
        name = pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        name = f"user {number}"
    return Person("os_user", str(number), name)


def checked_note(note: str) -> str:
    """A note that people can read in a list. Raises ``InputError``."""
    if not note.isprintable() or len(note) > LONGEST_NOTE:
        what = f"it holds control characters or is longer than {LONGEST_NOTE} characters"
        raise InputError(what, where="--note", remedy="write one line")
    return note.strip()
