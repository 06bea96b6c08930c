"""Reads a JSON body exactly: no duplicate names, no NaN, no floats, no deep nesting, no control characters. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Any

from decision_service.api.problems import bad_json, invalid_fields

MAX_DEPTH = 16
MAX_NUMBER_LENGTH = 40
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_UNWELCOME = frozenset({"Cc", "Cs"})
"""Unicode categories that no field may hold: controls and lone surrogates. Rare characters of names may be private or
newer than this Python knows, so those pass."""
_MARKS_OF_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Invisible marks that make a text read otherwise than it is stored."""
WELCOME = r"^[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]*$"
"""The same for the document; a lone surrogate is no text there."""


def parse(body: bytes) -> Any:
    """The document, with numbers as ``int`` or ``Decimal``.

    Raises a 400 problem for what is not this JSON, a 422 problem for characters that no field may hold.
    """
    _refuse_depth(body)
    try:
        document = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise bad_json(f"byte {error.start} is not UTF-8", "send UTF-8") from error
    except json.JSONDecodeError as error:
        raise bad_json(f"{error.msg} at line {error.lineno}, column {error.colno}", "send one JSON document") from error
    if b"\\" in body or not body.isascii() or b"\x7f" in body:
        _refuse_characters(document)
    return document


def _refuse_depth(body: bytes) -> None:
    """Counts brackets outside of strings; the decoder itself would fail on deep nesting."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for byte in _STRING.sub(b"", body):
        if byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise bad_json(f"the document is nested more than {MAX_DEPTH} deep", "send flat JSON")
        elif byte in b"]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise bad_json(f"the name {shown(twice[0])} occurs twice in one object", "send each name once")
    return found


def _constant(text: str) -> Any:
    raise bad_json(f"{text} is not a JSON number", "send finite numbers, money as text such as \"3000000.00\"")


def _number(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_LENGTH:
        raise bad_json(f"a number has {len(text)} characters", f"send at most {MAX_NUMBER_LENGTH}")
    try:
        return Decimal(text)
    except InvalidOperation as error:  # an exponent beyond what Decimal can hold
        raise bad_json(f"the number {text} is out of reach", "send numbers of a sensible size") from error


def _integer(text: str) -> int:
    return int(_number(text))


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_integer, parse_constant=_constant, strict=True
)


def _refuse_characters(document: Any, path: str = "") -> None:
    if isinstance(document, str):
        bad = unwelcome(document)
        if bad is not None:
            raise invalid_fields([(path or "body", f"contains U+{ord(bad):04X}, which no field may hold")])
    elif isinstance(document, list):
        for index, item in enumerate(document):
            _refuse_characters(item, f"{path}[{index}]")
    elif isinstance(document, dict):
        for name, value in document.items():
            _refuse_characters(name, "a name of the body" if not path else f"a name inside {path}")
            _refuse_characters(value, f"{path}.{name}" if path else name)


def unwelcome(text: str) -> str | None:
    """The first character that no field may hold, or ``None``."""
    for character in text:
        if character in _MARKS_OF_DIRECTION or unicodedata.category(character) in _UNWELCOME:
            return character
    return None


def shown(text: str) -> str:
    """A caller's text, short and printable, for a message."""
    return repr(text[:40].encode("unicode_escape").decode("ascii")) + ("…" if len(text) > 40 else "")
