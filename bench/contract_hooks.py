"""Enterprises that are on record take the place of well-formed codes that are not, so that requests get to the end."""

from __future__ import annotations

import re
from typing import Any

import schemathesis

from decision_service.sandbox import sandbox_cases

CODE = re.compile("[0-9A-HJ-NPQRTUWXY]{18}")
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
