"""Objections in the portrait: what is struck counts for nothing, what is under dispute makes nobody's card red."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any

from decision_service.portrait.calendar import add_months
from decision_service.portrait.formulas import PENALTY_MONTHS
from decision_service.portrait.records import EnterpriseRecords, ListEntry, Mark, Overdue, TaxRating

DISPUTED, STRUCK = "disputed", "struck"
LISTS, OVERDUES, TAX_RATINGS, INDICATORS = DISPUTABLE = ("lists", "overdues", "tax_ratings", "indicators")
"""The kinds of record that an objection may name."""
LEFT_OUT = (LISTS, OVERDUES, TAX_RATINGS)
"""Those of which a struck record is left out. An indicator's value becomes unknown: absence would mean something."""
UNSAID = frozenset({"observed_on", "disputed_on", "dispute_ruled_on"})
REPAIRED = "repaired"
RELATED = "related"


def key_of(record: Any) -> str:
    """What identifies a record among those of its kind and enterprise."""
    if isinstance(record, ListEntry | Overdue):
        return record.record_id
    return str(record.year if isinstance(record, TaxRating) else record.indicator)


def about(record: Any) -> str:
    """The list of an entry; empty for other records."""
    return record.list_name if isinstance(record, ListEntry) else ""


@lru_cache(maxsize=20_000)  # the same few records are read for every decision on their enterprise
def digest_of(record: Any) -> str:
    """SHA-256 of what a record says, in hex.

    When a value was observed is no part of that, nor a dispute, nor what is left empty.
    """
    kind = record.__class__
    said = {name: _text(value) for name, empty in _said(kind) if (value := getattr(record, name)) != empty}
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _text(value: Any) -> str:
    """A decimal in one spelling, whatever its zeros."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


@cache
def _said(record: Any) -> tuple[tuple[str, Any], ...]:
    """The fields of a record type that say something, and what each holds when it is left empty."""
    if is_dataclass(record):
        found = {one.name: None if one.default is MISSING else one.default for one in fields(record)}
    else:
        found = {name: record._field_defaults.get(name) for name in record._fields}
    return tuple((name, empty) for name, empty in found.items() if name not in UNSAID)


def marked(kind: str, records: Iterable[Any], marks: Sequence[Mark]) -> list[Any]:
    """The records of a kind as objections leave them: without the struck ones, entries of lists under dispute."""
    by_key: dict[str, list[Mark]] = {}
    for mark in marks:
        if mark.kind == kind and kind in LEFT_OUT:
            by_key.setdefault(mark.key, []).append(mark)
    found = []
    for record in records:
        effects = {one.effect: one for one in by_key.get(key_of(record), ()) if one.digest in ("", digest_of(record))}
        if STRUCK not in effects:
            disputed = effects.get(DISPUTED) if kind == LISTS else None
            found.append(record if disputed is None else _under_dispute(record, disputed))
    return found


def _under_dispute(entry: ListEntry, mark: Mark) -> ListEntry:
    return replace(entry, disputed_on=min(mark.since, entry.disputed_on or mark.since), dispute_ruled_on=None)


def disputed_keys(records: EnterpriseRecords, kind: str) -> frozenset[str]:
    """Keys of an enterprise's records of a kind that are under dispute by an objection."""
    return frozenset(mark.key for mark in records.marks if mark.effect == DISPUTED and mark.kind == kind)


def is_disputed(records: EnterpriseRecords) -> bool:
    """Whether any record is under dispute by an objection."""
    return any(mark.effect == DISPUTED for mark in records.marks)


def ratings_of(records: EnterpriseRecords) -> tuple[TaxRating, ...]:
    """The ratings, those under dispute as if by score: only a D by direct judgement makes a red card."""
    disputed = disputed_keys(records, TAX_RATINGS)
    if not disputed:
        return records.tax_ratings
    return tuple(replace(one, basis="score") if key_of(one) in disputed else one for one in records.tax_ratings)


def is_repaired(entry: ListEntry, as_of: date = date.max) -> bool:
    """Whether an entry was ended by repair (信用修复), and by when."""
    return entry.end_reason == REPAIRED and entry.ended_on is not None and entry.ended_on <= as_of


def repairs(records: EnterpriseRecords, as_of: date = date.max) -> tuple[Mark, ...]:
    """The repairs that sources told of, as marks; those by a date."""
    return tuple(
        Mark(LISTS, one.record_id, STRUCK, one.ended_on, one.list_name)
        for one in records.lists
        if is_repaired(one, as_of) and one.ended_on is not None
    )


def spoken(records: EnterpriseRecords, as_of: date) -> dict[str, Any]:
    """The records that the portrait may have used, by kind and key, and of related parties their entries; evidence.

    Each with the digest of what it said. What an indicator saw is told by its own fact. An entry that ended speaks as
    long as an indicator looks back.
    """
    found: dict[str, Any] = {
        LISTS: _entries(records.lists, as_of),
        OVERDUES: {one.record_id: digest_of(one) for one in records.overdues if one.started_on <= as_of},
        TAX_RATINGS: {str(one.year): digest_of(one) for one in records.tax_ratings if one.published_on <= as_of},
        RELATED: {other: keys for other, one in records.related_lists.items() if (keys := _entries(one, as_of))},
    }
    return {kind: keys for kind, keys in found.items() if keys}


def _entries(entries: Iterable[ListEntry], as_of: date) -> dict[str, str]:
    def speaks(one: ListEntry) -> bool:
        looked_at = one.ended_on is None or as_of <= add_months(one.ended_on, PENALTY_MONTHS)
        return one.listed_on <= as_of and looked_at and not is_repaired(one, as_of)

    return {one.record_id: digest_of(one) for one in entries if speaks(one)}


def for_training(records: EnterpriseRecords) -> EnterpriseRecords:
    """The records as a training set may read them, whatever its moment: without what was repaired since.

    What was struck is gone already, what is under dispute is left out too. Values that may contain such a record stay
    distrusted: repairs become marks.
    """
    gone = {(mark.kind, mark.key) for mark in (*records.marks, *repairs(records))}
    related = {
        other: tuple(one for one in entries if not is_repaired(one))
        for other, entries in records.related_lists.items()
    }
    if not gone:
        return replace(records, related_lists=related)

    def kept(kind: str, found: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(one for one in found if (kind, key_of(one)) not in gone)

    return replace(
        records,
        lists=kept(LISTS, records.lists),
        overdues=kept(OVERDUES, records.overdues),
        tax_ratings=kept(TAX_RATINGS, records.tax_ratings),
        related_lists=related,
        marks=(*records.marks, *repairs(records)),
    )
