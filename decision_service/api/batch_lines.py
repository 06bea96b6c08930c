"""From the body of a batch to its lines, each as it was sent: a line's own mistakes are told at that line. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from decision_service.api.problems import HttpProblem, bad_json, invalid_fields
from decision_service.api.strict_json import shown

NAME = "applications"
MAX_LINES = 10_000
_BLANK = re.compile(r"[ \t\r\n]*")
_VALUES = json.JSONDecoder(parse_float=len, parse_int=len, parse_constant=len)
"""Only finds where a value ends: what it is made of is read when its turn comes."""
_FEEDS = bytes.maketrans(b"\r\n", b"  ")


def of_json_lines(body: bytes) -> list[bytes]:
    """The lines of JSON Lines but those that are blank. Raises a 422 problem."""
    return _countable([line.removesuffix(b"\r") for line in body.split(b"\n") if line.strip(b" \t\r")])


def of_json(body: bytes) -> list[bytes]:
    """The elements of ``{"applications": […]}``, each on one line. Raises a 400 or 422 problem."""
    try:
        text = body.decode("utf-8")
        found = _Reader(text).members()
    except UnicodeDecodeError as error:
        raise bad_json(f"byte {error.start} is not UTF-8", "send UTF-8") from error
    except json.JSONDecodeError as error:
        raise bad_json(f"{error.msg} at line {error.lineno}, column {error.colno}", "send one JSON document") from error
    except RecursionError as error:
        raise bad_json("the document is nested too deep", "send flat JSON") from error
    wrong = [(shown(name).strip("'"), "is not a field of this request") for name in found if name != NAME]
    if NAME not in found:
        wrong.append((NAME, "is required"))
    elif found[NAME] is None:
        wrong.append((NAME, "must be a list"))
    if wrong:
        raise invalid_fields(sorted(wrong))
    return _countable(found[NAME] or [])


def _countable(lines: list[bytes]) -> list[bytes]:
    if not lines:
        raise invalid_fields([(NAME, "is empty")])
    if len(lines) > MAX_LINES:
        raise HttpProblem(
            "invalid-fields",
            f"{len(lines):,} applications are more than a batch may hold",
            remedy=f"send at most {MAX_LINES:,} in each of several batches",
            errors=[(NAME, f"has {len(lines):,} entries, more than {MAX_LINES:,}")],
        )
    return lines


class _Reader:
    """Walks one object; values are passed over but the elements of those that are lists."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def members(self) -> dict[str, list[bytes] | None]:
        """Each member's elements by its name; ``None`` if it is no list."""
        found: dict[str, list[bytes] | None] = {}
        if self._next() != "{":
            raise bad_json("the body is not an object", f'send {{"{NAME}": […]}} or application/x-ndjson')
        self._at += 1
        for _ in self._until("}"):
            name = self._name()
            if name in found:
                raise bad_json(f"the name {shown(name)} occurs twice in one object", "send each name once")
            self._take(":")
            found[name] = None
            if self._next() == "[":
                found[name] = self._elements()
            else:
                self._value()
        if _BLANK.fullmatch(self._text, self._at) is None:
            raise json.JSONDecodeError("Extra data", self._text, self._at)
        return found

    def _elements(self) -> list[bytes]:
        self._at += 1
        return [self._value() for _ in self._until("]")]

    def _value(self) -> bytes:
        begin = self._skip()
        _, self._at = _VALUES.raw_decode(self._text, begin)
        return self._text[begin : self._at].encode("utf-8", "surrogatepass").translate(_FEEDS)

    def _name(self) -> str:
        if self._next() != '"':
            raise json.JSONDecodeError("Expecting a name in double quotes", self._text, self._at)
        name, self._at = _VALUES.raw_decode(self._text, self._at)
        return str(name)

    def _until(self, end: str) -> Iterator[None]:
        """Once for each member, with the commas between them taken."""
        if self._next() != end:
            yield
            while self._next() == ",":
                self._at += 1
                yield
        self._take(end)

    def _take(self, expected: str) -> None:
        if self._next() != expected:
            raise json.JSONDecodeError(f"Expecting {expected!r}", self._text, self._at)
        self._at += 1

    def _next(self) -> str:
        begin = self._skip()
        return self._text[begin : begin + 1]

    def _skip(self) -> int:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at
