"""How calls are made: their bytes and keys, chosen before the first try, and how answers are read."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from decision_service_client.exchange import Answer, Call, json_bytes
from decision_service_client.reading import document_of, read
from decision_service_client.records import Act, money

T = TypeVar("T")
JSON, JSON_LINES = "application/json", "application/x-ndjson"
PAGE = 100
"""Items of a page."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and the call for those that follow."""

    items: tuple[T, ...]
    next: Call[Page[T]] | None


def write(path: str, body: Mapping[str, Any] | bytes, reader: Callable[[Answer], T], key: str | None) -> Call[T]:
    """A POST that acts at most once: its key is chosen here, before anything is sent."""
    chosen = str(uuid.uuid4()) if key is None else key
    if not _KEY.fullmatch(chosen):
        raise ValueError(f"{chosen!r} is no idempotency key: 1 to 128 printable ASCII characters without blanks")
    made = post(path, body, reader)
    return replace(made, key=chosen, headers={**made.headers, "Idempotency-Key": chosen})


def act(decision_id: str, what: str, body: Mapping[str, Any], key: str | None) -> Call[Act]:
    """An act on an application."""
    return write(path_of("decisions", decision_id, what), present(body), record_of(Act), key)


def post(path: str, body: Mapping[str, Any] | bytes, reader: Callable[[Answer], T]) -> Call[T]:
    """A POST without a key; bytes are JSON Lines."""
    if isinstance(body, bytes):
        return Call("POST", path, reader, body, {"Content-Type": JSON_LINES})
    return Call("POST", path, reader, json_bytes(body), {"Content-Type": JSON})


def get(path: str, reader: Callable[[Answer], T], **query: Any) -> Call[T]:
    """A GET; what of the query is ``None`` is left out."""
    asked = urlencode(present(query))
    return Call("GET", f"{path}?{asked}" if asked else path, reader)


def listed(
    path: str, name: str, item: Callable[[Any], T], after: str | None, **query: Any
) -> Call[Page[T]]:
    """A page of a list, read item by item, and with it the call for the next."""

    def page(answer: Answer) -> Page[T]:
        found = document_of(answer.content)
        items = tuple(item(one) for one in member(found, name, list))
        cursor = found.get("next")
        return Page(items, None if cursor is None else listed(path, name, item, str(cursor), **query))

    return get(path, page, **query, after=after, limit=PAGE)


def whole_document(answer: Answer) -> Mapping[str, Any]:
    """The answer as it is."""
    return document_of(answer.content)


def record_of(kind: type[T]) -> Callable[[Answer], T]:
    """Reads an answer as a record."""
    return lambda answer: read(kind, document_of(answer.content))


def several(name: str, kind: type[T]) -> Callable[[Answer], tuple[T, ...]]:
    """Reads all records of a list without pages."""
    return lambda answer: tuple(read(kind, one) for one in member(document_of(answer.content), name, list))


def member(document: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A part of a document. Raises ``ValueError`` where it is missing."""
    found = document.get(name)
    if not isinstance(found, kind):
        raise ValueError(f"{name} is missing")
    return found


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is ``None``."""
    return {name: value for name, value in values.items() if value is not None}


def money_text(amount: Decimal | int | None) -> str | None:
    """As ``money``, of what may be left out."""
    return None if amount is None else money(amount)


def path_of(collection: str, identity: str, what: str = "") -> str:
    """The address of one thing, or of something about it. Raises ``ValueError`` for what is no id."""
    return f"/v1/{collection}/{part(identity)}" + (f"/{what}" if what else "")


def part(identity: str) -> str:
    """An id as one part of an address: an empty one would be that of the list, ``..`` that of something else."""
    if not _ID.fullmatch(identity):
        raise ValueError(f"{identity!r} is no id of the platform")
    return identity
