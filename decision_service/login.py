"""Who is behind a command that brings no key: the operating-system user, as the kernel saw the login."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from decision_service.vocabulary import Person

LOGIN = Path("/proc/self/loginuid")
NO_LOGIN = 2**32 - 1
NUMBER = re.compile(r"[0-9]{1,10}")


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
