"""Makes requests that get to the end: enterprises on record in the place of well-formed codes, keys not used before."""

from __future__ import annotations

import itertools
import re
from typing import Any

import schemathesis

from decision_service.sandbox import sandbox_cases

CODE = re.compile("[0-9A-HJ-NPQRTUWXY]{18}")
KEY = "Idempotency-Key"
NUMBERS = itertools.count()
KNOWN = [case.uscc for case in sandbox_cases()]


@schemathesis.hook
def map_body(_: Any, body: Any) -> Any:
    """A code of an enterprise, wherever it stands in a body; three in four become one of the sandbox's."""
    if isinstance(body, dict):
        return {name: map_body(_, value) for name, value in body.items()}
    if isinstance(body, list):
        return [map_body(_, value) for value in body]
    if isinstance(body, str) and CODE.fullmatch(body) and (place := sum(body.encode())) % 4:
        return KNOWN[place % len(KNOWN)]
    return body


@schemathesis.hook
def map_headers(_: Any, headers: Any) -> Any:
    """Three in four keys that could be one become new, the fourth stays what it may have been before."""
    found = dict(headers or {})
    key = found.get(KEY)
    if isinstance(key, str) and re.fullmatch("[!-~]{1,100}", key) and (number := next(NUMBERS)) % 4:
        found[KEY] = f"{key}-{number}"
    return found
