"""Cursors of lists that begin with the newest: a place in an ascending number."""

from __future__ import annotations

import re

from decision_service.errors import InputError

CURSOR = re.compile(r"before_([0-9]{1,18})")


def cursor_before(place: int) -> str:
    """The cursor of what comes before a place."""
    return f"before_{place}"


def place_before(cursor: str) -> int:
    """The place of a cursor. Raises ``InputError``."""
    place = CURSOR.fullmatch(cursor)
    if place is None:
        raise InputError("this is not a cursor", where="after", remedy="use the cursor of the page before")
    return int(place[1])
