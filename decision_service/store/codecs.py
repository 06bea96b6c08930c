"""Record types to JSON and back, each record as the list of its fields, with converters that are prepared once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any, get_args, get_type_hints

import orjson

from decision_service.errors import InputError, StoreError
from decision_service.portrait import records

Convert = Callable[[Any], Any]
_READ: Mapping[type, Convert] = {date: date.fromisoformat, Decimal: Decimal}
_WRITE: Mapping[type, Convert] = {date: date.isoformat, Decimal: str}


class Codec:
    """One record type's JSON form: its fields in their order; dates ISO, decimals as text.

    A field that is added later goes last and has a default: a shorter list takes it.
    """

    def __init__(self, record: type) -> None:
        hints = get_type_hints(record)
        kinds = [_plain(hint) for hint in hints.values()]
        self.record = record
        self._values = attrgetter(*hints)
        self._writes = tuple((place, _WRITE[kind]) for place, kind in enumerate(kinds) if kind in _WRITE)
        self._reads = tuple((place, _READ[kind]) for place, kind in enumerate(kinds) if kind in _READ)

    def encode(self, value: Any) -> list[Any]:
        """A record's fields as JSON takes them."""
        content = list(self._values(value))
        for place, write in self._writes:
            if content[place] is not None:
                content[place] = write(content[place])
        return content

    def decode(self, contents: Any) -> list[Any]:
        """Records; changes ``contents``. Raises ``ValueError``, ``TypeError``, … for what ``encode`` never wrote."""
        if type(contents) is not list or not contents:
            raise ValueError("not a list of records")
        record, reads = self.record, self._reads
        for content in contents:
            if type(content) is not list:
                raise ValueError("not a list of fields")
            for place, read in reads:
                # A list as short as an older program wrote it ends before the newest fields.
                if place < len(content) and content[place] is not None:
                    content[place] = read(content[place])
        return [record(*content) for content in contents]


def written(content: Any) -> str:
    """JSON text. Raises ``InputError`` for lone surrogates and numbers beyond 64 bits."""
    try:
        return orjson.dumps(content).decode()
    except orjson.JSONEncodeError as error:
        raise InputError(f"this record is not Unicode text and 64-bit numbers: {error}") from error


def read(text: str) -> Any:
    """What ``written`` wrote. Raises ``StoreError``."""
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise _damaged(error) from error


def decode_all(rows: Iterable[tuple[str, str]]) -> dict[str, list[Any]]:
    """Records by kind from (kind, payload) rows, one row of each kind. Raises ``StoreError``."""
    found: dict[str, list[Any]] = {kind: [] for kind in CODECS}
    for kind, payload in rows:
        found[kind] = decode(kind, payload)
    return found


def decode(kind: str, payload: str) -> list[Any]:
    """An enterprise's records of one kind. Raises ``StoreError``."""
    try:
        return CODECS[kind].decode(orjson.loads(payload))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> StoreError:
    return StoreError(f"a stored record cannot be read: {error!r}", remedy="load its feed again")


def _plain(hint: Any) -> Any:
    """The type behind ``T | None``."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    return parts[0] if len(parts) == 1 else hint


CODECS: Mapping[str, Codec] = {
    "registrations": Codec(records.Registration),
    "months": Codec(records.Month),
    "counterparties": Codec(records.Counterparty),
    "indicators": Codec(records.IndicatorValue),
    "financials": Codec(records.Financials),
    "lists": Codec(records.ListEntry),
    "tax_ratings": Codec(records.TaxRating),
    "overdues": Codec(records.Overdue),
    "exposures": Codec(records.CreditLine),
    "relations": Codec(records.Relation),
    "control_changes": Codec(records.ControlChange),
}
