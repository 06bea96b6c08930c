"""Compares a stored answer with the record of its decision: every value, every byte, and the signed receipt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from decision_service.audit.signing import LogKey

_ZONES = (timezone.utc, timezone(timedelta(hours=8)))
_PRECISIONS = ("auto", "seconds", "milliseconds", "microseconds")
_STYLES = [
    json.JSONEncoder(separators=separators, ensure_ascii=ascii_only, allow_nan=False)
    for separators in ((",", ":"), (", ", ": "))
    for ascii_only in (False, True)
]
_REASON = ("code", "rule", "zh", "en")
_SCORES = ("pd_12m", "pd_xgb", "pd_lstm")
_SAME = (
    "decision_id",
    "outcome",
    "approved_amount",
    "limit",
    "card",
    "whitelisted",
    "conditions",
    "rate_spread_bp",
    "ruleset",
    "models",
)
_APPLICATION = ("application_id", "product", "amount", "term_months", "purpose", "authorization_id")
_MOMENTS = ("decided_at", "due_at")


def answer_problems(
    body: Any, record: Mapping[str, Any], *, leaf_index: Any, leaf: bytes, key: LogKey
) -> Iterator[str]:
    """What of an answer differs from the record, and whether its receipt is not the log's.

    Raises ``KeyError`` or ``TypeError`` when the record itself lacks a part.
    """
    answer = _parsed(body)
    if answer is None:
        yield "the answer's bytes are not as they were written"
        return
    receipt = answer.pop("receipt", None)
    yield from _value_problems(answer, record)
    if not isinstance(receipt, dict) or receipt.keys() != {"leaf_index", "leaf_hash", "signature"}:
        yield "the answer has no receipt"
    elif receipt["leaf_index"] != leaf_index or receipt["leaf_hash"] != leaf.hex():
        yield "the receipt is of another leaf"
    elif not key.receipt_is_valid(record["decision_id"], receipt):
        yield "the receipt's signature does not verify"


def _parsed(body: Any) -> dict[str, Any] | None:
    """The answer, if its bytes are exactly what one of the usual encoders writes for it (whatever the key order)."""
    if not isinstance(body, bytes):
        return None
    try:
        text = body.decode()
        value = json.loads(text)
        if not isinstance(value, dict) or text.removesuffix("\n") not in (style.encode(value) for style in _STYLES):
            return None
    except (ValueError, RecursionError):
        return None
    return value


def _value_problems(answer: dict[str, Any], record: Mapping[str, Any]) -> Iterator[str]:
    expected = {name: record[name] for name in _SAME}
    expected |= {name: record["application"][name] for name in _APPLICATION}
    expected["reasons"] = [{name: reason[name] for name in _REASON} for reason in record["reasons"]]
    expected["scores"] = {**{name: record["scores"][name] for name in _SCORES}, "grade": record["grade"]}
    for name, value in answer.items():
        if name in _MOMENTS:
            same = _same_moment(value, record[name])
        else:
            same = name in expected and _same(value, expected[name])
        if not same:
            yield f"the answer's {name} is not the record's"
    missing = [name for name in ("decision_id", "outcome", "limit", "reasons", "ruleset") if name not in answer]
    if missing:
        yield f"the answer lacks {', '.join(missing)}"


def _same(value: Any, expected: Any) -> bool:
    """Equal in type as well: to Python ``True`` equals ``1``, to a reader of JSON it does not."""
    return value == expected and json.dumps(value, sort_keys=True) == json.dumps(expected, sort_keys=True)


def _same_moment(value: Any, expected: str | None) -> bool:
    """One of the usual ways to write the record's moment, in UTC or in the city's time."""
    if expected is None or value is None:
        return value is expected
    moment = datetime.fromisoformat(expected)
    written = [moment.astimezone(zone).isoformat(timespec=precision) for zone in _ZONES for precision in _PRECISIONS]
    return value in written or value in [text.replace("+00:00", "Z") for text in written]
