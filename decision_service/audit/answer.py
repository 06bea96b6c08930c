"""Compares a stored answer with the record of its decision: every byte, and the signed receipt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from decision_service.audit.decided import decision_of
from decision_service.audit.signing import LogKey
from decision_service.vocabulary import Decision

RECEIPT = ("leaf_index", "leaf_hash", "signature")

Render = Callable[[Decision, Mapping[str, Any]], bytes]
"""Gives the bytes that are answered, from a decision and its receipt; the same that answered in the first place."""


def answer_problems(
    body: Any, record: Mapping[str, Any], *, leaf_index: Any, leaf: bytes, key: LogKey, render: Render
) -> Iterator[str]:
    """What of an answer differs from the rendered record, and whether its receipt is not the log's.

    Only the signature comes from the answer itself, so equal bytes are the bytes that were answered. Raises what
    ``decision_of`` raises when the record itself lacks a part.
    """
    answer = _parsed(body)
    if answer is None:
        yield "the answer is not a JSON object in bytes"
        return
    receipt = answer.get("receipt")
    signature = receipt.get("signature") if isinstance(receipt, dict) else None
    right = {"leaf_index": leaf_index, "leaf_hash": leaf.hex(), "signature": signature}
    found = [
        *_receipt_problems(receipt, right, record["decision_id"], key),
        *_differences(answer, json.loads(expected := render(decision_of(record), right))),
    ]
    if not found and body != expected:
        found = ["the answer's bytes are not as they were written"]
    yield from found


def _parsed(body: Any) -> dict[str, Any] | None:
    if not isinstance(body, bytes):
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _receipt_problems(receipt: Any, right: Mapping[str, Any], decision_id: str, key: LogKey) -> Iterator[str]:
    if not isinstance(receipt, dict) or receipt.keys() != {*RECEIPT}:
        yield "the answer has no receipt"
    elif not _same(receipt, right):
        yield "the receipt is of another leaf"
    elif not key.receipt_is_valid(decision_id, receipt):
        yield "the receipt's signature does not verify"


def _differences(answer: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    for name in answer.keys() - {"receipt"}:
        if name not in expected or not _same(answer[name], expected[name]):
            yield f"the answer's {name} is not the record's"
    missing = [name for name in expected if name not in answer and name != "receipt"]
    if missing:
        yield f"the answer lacks {', '.join(missing)}"


def _same(value: Any, expected: Any) -> bool:
    """Equal in type as well: to Python ``True`` equals ``1``, to a reader of JSON it does not."""
    return value == expected and json.dumps(value, sort_keys=True) == json.dumps(expected, sort_keys=True)
