"""What a decision used and does not count any more: told beside the decision, whose own bytes never change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from decision_service.audit.canonical import moment
from decision_service.audit.record import FACT_PREFIX, RECORDS, values_of
from decision_service.decide import Platform
from decision_service.portrait.disputes import (
    INDICATORS,
    LISTS,
    OVERDUES,
    RELATED,
    STRUCK,
    TAX_RATINGS,
    digest_of,
    is_repaired,
)
from decision_service.portrait.records import IndicatorValue, ListEntry
from decision_service.store import Store, StoredDecision, StoredObjection

OBJECTION, REPAIR = "objection", "repair"
ANY_DAY = date.min
"""When a value was observed is no part of what it says."""


@dataclass(frozen=True, slots=True)
class LaterRepair:
    """A record that a decision used, and that was ruled wrong (``objection``) or repaired at its source since."""

    kind: str
    how: str
    at: str

    def document(self) -> dict[str, str]:
        """As it is shown: which record it was is not for every reader."""
        return {"kind": self.kind, "how": self.how, "at": self.at}


def later_repairs(platform: Platform, stored: StoredDecision) -> tuple[LaterRepair, ...] | None:
    """What the decision used and does not count any more; ``None`` when its values were erased: nobody can tell.

    By the evidence: the record's id and the digest of what it said. A decision without these (of an older program) is
    judged by its facts.
    """
    if stored.private is None:
        return None
    values = values_of(stored.private)
    found = {*_ruled(platform, stored, values), *_at_source(platform.store, stored, values)}
    return tuple(sorted(found, key=repr))


def told(repairs: tuple[LaterRepair, ...] | None) -> dict[str, Any]:
    """As it stands in documents about a decision; ``null`` where nobody can tell."""
    if repairs is None:
        return {"later_repaired": None, "repairs": []}
    return {"later_repaired": bool(repairs), "repairs": [one.document() for one in repairs]}


def shows(platform: Platform, stored: StoredDecision, uscc: str, kind: str, key: str) -> bool:
    """Whether a decision's evidence names a record: whose decision it is has seen that the record exists.

    Not of decisions that are older than that evidence or whose values were erased: a new one shows it.
    """
    if stored.private is None:
        return False
    values = values_of(stored.private)
    if kind == INDICATORS:
        name = _indicator(platform, key)
        return uscc == stored.uscc and name is not None and _is_known(name, values)
    return key in _said(values.get(RECORDS, {}), stored, uscc, kind)


def _is_known(name: str, values: Mapping[str, Any]) -> bool:
    return values["features"].get(name) is not None or FACT_PREFIX + name in values


def _said(used: Mapping[str, Any], stored: StoredDecision, uscc: str, kind: str) -> Mapping[str, str]:
    """What each record of a kind said that a decision used: of its enterprise, or a related one's entries."""
    if uscc == stored.uscc:
        found: Mapping[str, str] = used.get(kind, {})
        return found
    return used.get(RELATED, {}).get(uscc, {}) if kind == LISTS else {}


def _indicator(platform: Platform, key: str) -> str | None:
    return next((spec.name for spec in platform.policies.current().registry.specs if spec.id == key), None)


def _ruled(platform: Platform, stored: StoredDecision, values: Mapping[str, Any]) -> Iterator[LaterRepair]:
    used = values.get(RECORDS)
    related = {} if used is None else used.get(RELATED, {})
    for one in platform.store.objections().of_enterprises([stored.uscc, *sorted(related)]):
        if one.effect != STRUCK or one.record_kind is None or one.effect_at is None:
            continue
        if one.record_kind == INDICATORS:
            was_used = one.uscc == stored.uscc and _value_used(one, values, platform)
        elif used is None:
            was_used = one.effect_at > stored.decided_at and _spoke(one, values)
        else:
            said = _said(used, stored, one.uscc, one.record_kind)
            was_used = one.record_key in said and one.effect_digest in ("", said[str(one.record_key)])
        if was_used:
            yield LaterRepair(one.record_kind, OBJECTION, str(moment(one.effect_at)))


def _value_used(one: StoredObjection, values: Mapping[str, Any], platform: Platform) -> bool:
    """Whether a model read the value of an indicator that was struck."""
    name = _indicator(platform, str(one.record_key))
    seen = values["features"].get(name) if name is not None else None
    try:
        value = None if seen is None else IndicatorValue(str(one.record_key), Decimal(seen), ANY_DAY)
    except InvalidOperation:
        return False
    return value is not None and digest_of(value) == one.effect_digest


def _spoke(one: StoredObjection, values: Mapping[str, Any]) -> bool:
    """By the facts alone: whether there was any record of that list or kind."""
    facts = {
        LISTS: (str(one.about), ("active", "disputed")),
        OVERDUES: ("overdue_days_recent", ()),
        TAX_RATINGS: ("tax_rating", ("A", "B", "M", "C", "D")),
    }
    name, telling = facts[str(one.record_kind)]
    value = values.get(FACT_PREFIX + name)
    return value in telling if telling else bool(value)


def _at_source(store: Store, stored: StoredDecision, values: Mapping[str, Any]) -> Iterator[LaterRepair]:
    """Entries that their source has repaired since. One that was repaired before was not used."""
    used = values.get(RECORDS)
    records = store.records(stored.uscc) if used else None
    if records is None or used is None:
        return
    related = used.get(RELATED, {})
    parties = [(records.lists, used.get(LISTS, {}))]
    parties += [(entries, related.get(other, {})) for other, entries in records.related_lists.items()]
    for entries, said in parties:
        yield from (_repair(one) for one in entries if one.record_id in said and is_repaired(one))


def _repair(entry: ListEntry) -> LaterRepair:
    return LaterRepair(LISTS, REPAIR, str(entry.ended_on))
