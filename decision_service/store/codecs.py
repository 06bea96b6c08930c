"""Record types to JSON and back, with a converter per type that is prepared once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from datetime import date
from decimal import Decimal
from typing import Any, get_args, get_type_hints

from decision_service.errors import StoreError
from decision_service.portrait import records

Convert = Callable[[Any], Any]
_READ: Mapping[type, Convert] = {date: date.fromisoformat, Decimal: Decimal}
_WRITE: Mapping[type, Convert] = {date: date.isoformat, Decimal: str}
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Codec:
    """One record type's JSON form: its fields by name; dates ISO, decimals as text, ``None`` by default left out."""

    def __init__(self, record: type) -> None:
        hints = get_type_hints(record)
        self.record = record
        self._omitted = frozenset(one.name for one in fields(record) if _none_by_default(one))
        self._names = tuple(one.name for one in fields(record))
        self._writes = {name: _WRITE[kind] for name in self._names if (kind := _plain(hints[name])) in _WRITE}
        self._reads = tuple((name, _READ[kind]) for name in self._names if (kind := _plain(hints[name])) in _READ)

    def encode(self, value: Any) -> str:
        """Canonical JSON text of a record."""
        content: dict[str, Any] = {}
        for name in self._names:
            part = getattr(value, name)
            if part is None:
                if name not in self._omitted:
                    content[name] = None
            else:
                write = self._writes.get(name)
                content[name] = part if write is None else write(part)
        return _ENCODER.encode(content)

    def decode(self, content: dict[str, Any]) -> Any:
        """The record; changes ``content``. Raises ``ValueError``, ``TypeError`` for what ``encode`` never wrote."""
        for name, read in self._reads:
            value = content.get(name)
            if value is not None:
                content[name] = read(value)
        return self.record(**content)


def decode_all(rows: list[tuple[str, str]]) -> dict[str, list[Any]]:
    """Records by kind from (kind, payload) rows, in their order. Raises ``StoreError``."""
    found: dict[str, list[Any]] = {kind: [] for kind in CODECS}
    try:
        # One document costs half of what a parser call per record does.
        contents = json.loads(f"[{','.join([payload for _, payload in rows])}]")
        for (kind, _), content in zip(rows, contents, strict=True):
            found[kind].append(CODECS[kind].decode(content))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise StoreError(f"a stored record cannot be read: {error!r}", remedy="load its feed again") from error
    return found


def _plain(hint: Any) -> Any:
    """The type behind ``T | None``."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    return parts[0] if len(parts) == 1 else hint


def _none_by_default(one: "Field[Any]") -> bool:
    return one.default is not MISSING and one.default is None


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
