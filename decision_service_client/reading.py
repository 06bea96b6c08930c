"""From JSON to frozen dataclasses, by their annotations. Fields a dataclass does not know are passed over."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable, Hashable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]


def document_of(content: bytes) -> dict[str, Any]:
    """A JSON object, with exact numbers. Raises ``ValueError``."""
    try:
        found = json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("the answer is nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("the answer is not a JSON object")
    return found


def read(kind: type[T], document: object) -> T:
    """An instance of a dataclass. Raises ``ValueError`` for what is missing or of another type."""
    made: T = _reader(cast(Hashable, kind))(document)
    return made


@cache
def _reader(kind: Any) -> Reader:
    """What reads a value of one annotated type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (_reader(one) for one in arguments if one is not type(None))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda value: tuple(item(one) for one in _typed(list, value))
    if origin is not None and issubclass(origin, Mapping):
        return lambda value: _typed(dict, value)
    if dataclasses.is_dataclass(kind):
        return _record_reader(kind)
    if kind in _FROM_TEXT or issubclass(kind, Enum):
        made = _FROM_TEXT.get(kind, kind)
        return lambda value: _made(made, _typed(str, value))
    return lambda value: _typed(kind, value)


def _record_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    readers = {one.name: _reader(hints[one.name]) for one in dataclasses.fields(kind)}
    optional = {one.name for one in dataclasses.fields(kind) if one.default is not dataclasses.MISSING}

    def record(value: Any) -> Any:
        given, found = _typed(dict, value), {}
        for name, reader in readers.items():
            if name in given:
                found[name] = _named(name, reader, given[name])
            elif name not in optional:
                raise ValueError(f"{name} is missing")
        return kind(**found)

    return record


def _named(name: str, reader: Reader, value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _typed(kind: type[T], value: Any) -> T:
    if type(value) is not kind:  # a flag is no number here
        raise ValueError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _made(make: Callable[[str], Any], text: str) -> Any:
    try:
        return make(text)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"{text!r} cannot be read") from error


def _number(text: str) -> Decimal:
    found = Decimal(text)
    if not found.is_finite():
        raise ValueError(text)
    return found


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


_FROM_TEXT: Mapping[type, Callable[[str], Any]] = {Decimal: _number, datetime: _moment, date: date.fromisoformat}
