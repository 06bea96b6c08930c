"""Runs the cases of a ruleset through the real path: records become facts by the portrait, both engines assess."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any

from decision_service.decide import SHANGHAI, Assessment, assess
from decision_service.errors import Problem, RulebookError
from decision_service.policy import Policy
from decision_service.portrait import records as record_types
from decision_service.portrait.records import FEEDS, EnterpriseRecords, ListEntry, Registration, Relation
from decision_service.portrayal import portray
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.cases import CaseReport, run_cases
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.ruleset import RulesInForce

SOURCES: Mapping[str, str] = {
    "registration": "registrations",
    "lists": "lists",
    "tax_ratings": "tax_ratings",
    "overdues": "overdues",
    "relations": "relations",
    "related_lists": "relations",
    "related_relations": "relations",
    "controllers": "relations",
    "control_changes": "control_changes",
    "months": "invoices",
}
"""The kinds of record a case may give, and the source of the facts that they speak about (as in rules/facts.yaml)."""
NOBODY = Registration("", "", "company", "active", date(2000, 1, 1), "", "2017")


def run_ruleset(policy: Policy, cases: Iterable[Case]) -> CaseReport:
    """Evaluate every case with both engines. Raises ``RulebookError`` for records that cannot be used."""

    def evaluate(rules: RulesInForce, facts: Facts) -> Assessment:
        return assess(policy.on(rules.on, rules.client), facts)

    def facts_from_records(case: Case, rules: RulesInForce) -> dict[str, Any]:
        return record_facts(case, rules, policy=policy)

    return run_cases(policy.ruleset, cases, evaluate=evaluate, facts_from_records=facts_from_records)


def record_facts(case: Case, rules: RulesInForce, *, policy: Policy) -> dict[str, Any]:
    """The facts that a case's records speak about; every feed counts as delivered at noon of ``as_of``."""
    now = datetime.combine(case.as_of, time(12), SHANGHAI)
    product = str(case.facts.get("product", case.profile.get("product")))
    in_force = policy.on(rules.on, rules.client)
    portrait = portray(enterprise(case, now), policy=policy, in_force=in_force, product=product, now=now)
    spoken_about = {SOURCES[kind] for kind in case.records}
    return {
        name: value for name, value in portrait.facts.items() if rules.catalogue[name].source in spoken_about
    }


def enterprise(case: Case, now: datetime) -> EnterpriseRecords:
    """A case's ``records`` as record types. Raises ``RulebookError`` naming the case and the field."""
    try:
        return _enterprise(case.records, now)
    except (TypeError, ValueError) as error:
        what = f"case '{case.name}': records: {error}"
        raise RulebookError((Problem(case.file, case.line, what, "see the record types' field names"),)) from None


def _enterprise(records: Any, now: datetime) -> EnterpriseRecords:
    if not isinstance(records, Mapping):
        raise ValueError(f"{records!r} is not a mapping of kinds to records")
    given = {kind: _records(kind, value, now) for kind, value in records.items()}
    return EnterpriseRecords(**{"registration": NOBODY, "feeds": dict.fromkeys(FEEDS, now), **given})


def _records(kind: str, value: Any, now: datetime) -> Any:
    if kind not in SOURCES:
        raise ValueError(f"'{kind}' cannot stand in a case; use one of {', '.join(SOURCES)}")
    if kind == "registration":
        return _record(Registration, value)
    if kind in ("controllers", "related_lists", "related_relations") and not isinstance(value, dict):
        raise ValueError(f"{kind} is not a mapping from related parties to their records")
    if kind == "controllers":
        return {other: _enterprise(rows, now) for other, rows in value.items()}
    if kind in ("related_lists", "related_relations"):
        record = ListEntry if kind == "related_lists" else Relation
        return {other: tuple(_record(record, row) for row in rows) for other, rows in value.items()}
    return tuple(_record(_record_type(kind), row) for row in value)


@cache
def _record_type(kind: str) -> type:
    """The record type inside ``EnterpriseRecords.<kind>``, a ``tuple[Type, ...]``."""
    found = typing.get_args(_hints(EnterpriseRecords)[kind])[0]
    assert isinstance(found, type)
    return found


@cache
def _hints(record: type) -> dict[str, Any]:
    return typing.get_type_hints(record, vars(record_types))


def _record(record: type, values: Any) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"{values!r} is not a mapping of fields")
    hints = _hints(record)
    for name in values:
        if name not in hints:
            raise ValueError(f"{record.__name__} has no field '{name}'")
    return record(**{name: _value(hints[name], value, name) for name, value in values.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    """A value in the type of its field: numbers may stand for text (``2017``) and whole numbers for decimals."""
    accepted = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in accepted or type(value) in accepted:
        return value
    if str in accepted and isinstance(value, int):
        return str(value)
    if Decimal in accepted and isinstance(value, int):
        return Decimal(value)
    raise ValueError(f"{name} cannot be {value!r}")
