"""Who stands behind a command: the client whose key is given, or the operating-system user."""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import replace
from pathlib import Path

import click

from decision_service.errors import InputError
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
LOGIN = Path("/proc/self/loginuid")
NO_LOGIN = 2**32 - 1
NUMBER = re.compile(r"[0-9]{1,10}")
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


def os_user() -> Person:
    """The user who logged in, as the kernel keeps it through sudo and su; whose rights are used is told beside.

    Without a login (in a container, a service) it is the user of this process. What sudo says of who called it is then
    only a variable that root may set: root stays the person, and whoever is named may be the same.
    """
    number, login = os.getuid(), _login()
    if login is not None:
        return _user(login, *({number} - {login}))
    behind = os.environ.get("SUDO_UID", "") if number == 0 else ""
    return _user(number, *({int(behind)} - {number} if NUMBER.fullmatch(behind) else ()))


def _user(number: int, *also: int) -> Person:
    try:
        name = pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        name = f"user {number}"
    return Person("os_user", str(number), name, tuple(_user(one) for one in also))


def _login() -> int | None:
    """Whom the kernel saw log in; ``None`` when nobody did or this kernel does not say."""
    try:
        text = LOGIN.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if NUMBER.fullmatch(text) and int(text) != NO_LOGIN else None


def checked_note(note: str, *, required: bool = False) -> str:
    """A note that people can read in a list. Raises ``InputError``, also for an empty one that is required."""
    if not note.isprintable() or len(note) > LONGEST_NOTE:
        what = f"it holds control characters or is longer than {LONGEST_NOTE} characters"
        raise InputError(what, where="--note", remedy="write one line")
    if required and not note.strip():
        raise InputError("it is empty", where="--note", remedy="say why, for whoever reads the log")
    return note.strip()
