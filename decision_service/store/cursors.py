"""Cursors of lists that begin with the newest: opaque to callers, a place in an ascending number to the store."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from decision_service.errors import InputError


def cursor_before(place: int) -> str:
    """The cursor of what comes before a place."""
    return urlsafe_b64encode(f"before:{place}".encode()).decode().rstrip("=")


def place_before(cursor: str) -> int:
    """The place of a cursor. Raises ``InputError``."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        text = ""
    place = re.fullmatch(r"before:(\d{1,18})", text, re.ASCII)
    if place is None:
        raise InputError("this is not a cursor", where="after", remedy="use the cursor of the page before")
    return int(place[1])
