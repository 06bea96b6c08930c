"""Reads UBJSON, the form in which XGBoost stores boosters, so that reading one's trees needs no library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

DEEPEST = 64
_NUMBERS: Mapping[str, np.dtype] = MappingProxyType(
    {
        marker: np.dtype(kind)
        for marker, kind in {"i": "i1", "U": "u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}.items()
    }
)
_LENGTHS = frozenset("iUIlL")
_CONSTANTS: Mapping[str, bool | None] = MappingProxyType({"Z": None, "T": True, "F": False})


def from_ubjson(content: bytes) -> Any:
    """The value as Python's ``json`` would give it; raises ``ValueError`` for anything but one whole document.

    Source of the format: the UBJSON specification, draft 12; typed arrays hold numbers only, as XGBoost writes them.
    """
    reader = _Reader(content)
    value = reader.value(reader.marker(), depth=0)
    if not reader.at_end:
        raise ValueError("bytes follow the UBJSON document")
    return value


class _Reader:
    """A place in the bytes, moved on by whatever is read."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0
        self._containers: Mapping[str, Callable[[int], Any]] = {"{": self._object, "[": self._array}

    @property
    def at_end(self) -> bool:
        return self._place == len(self._content)

    def marker(self) -> str:
        return self._take(1).decode("latin-1")

    def value(self, marker: str, *, depth: int) -> Any:
        """The value that a marker announces."""
        if marker in _NUMBERS:
            return self._numbers(marker, 1)[0]
        if marker in self._containers:
            if depth >= DEEPEST:
                raise ValueError("UBJSON is nested too deeply")
            return self._containers[marker](depth + 1)
        if marker == "S":
            return self._text()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        raise ValueError(f"{marker!r} announces no UBJSON value")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._next_is("#"):
            for _ in range(self._length()):
                name = self._text()
                found[name] = self.value(self.marker(), depth=depth)
            return found
        while not self._next_is("}"):
            name = self._text()
            found[name] = self.value(self.marker(), depth=depth)
        return found

    def _array(self, depth: int) -> list[Any]:
        if self._next_is("$"):
            marker = self.marker()
            if marker not in _NUMBERS or not self._next_is("#"):
                raise ValueError("a typed UBJSON array must hold numbers and say how many")
            return self._numbers(marker, self._length())
        if self._next_is("#"):
            return [self.value(self.marker(), depth=depth) for _ in range(self._length())]
        found = []
        while not self._next_is("]"):
            found.append(self.value(self.marker(), depth=depth))
        return found

    def _numbers(self, marker: str, count: int) -> list[Any]:
        kind = _NUMBERS[marker]
        return np.frombuffer(self._take(kind.itemsize * count), dtype=kind).tolist()

    def _text(self) -> str:
        return self._take(self._length()).decode()

    def _length(self) -> int:
        marker = self.marker()
        if marker not in _LENGTHS:
            raise ValueError(f"{marker!r} announces no length")
        length = int(self._numbers(marker, 1)[0])
        if length < 0:
            raise ValueError("a length is negative")
        return length

    def _next_is(self, marker: str) -> bool:
        found = self._content[self._place : self._place + 1] == marker.encode()
        self._place += found
        return found

    def _take(self, size: int) -> bytes:
        taken = self._content[self._place : self._place + size]
        if len(taken) < size:
            raise ValueError("UBJSON ends too early")
        self._place += size
        return taken
