"""JSON Schema of ``cases/*.yaml``: profiles, facts by type, the records a case may give, what it expects."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from decision_service.case_runs import SOURCES
from decision_service.portrait import records as record_types
from decision_service.portrait.records import EnterpriseRecords
from decision_service.rulebook.case_file import COMPUTED, UNKNOWN
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.ruleset import Ruleset
from decision_service.workbench.record_words import FIELDS, KINDS
from decision_service.workbench.schema_rules import reason_codes, rule_ids
from decision_service.workbench.schema_values import (
    Schema,
    day,
    described,
    fact_names,
    fact_value,
    fact_words,
    listing,
    mapping,
    number,
    outcomes,
    text,
    words,
)

FACTS = {"$ref": "#/definitions/facts"}
RECORDS = {"$ref": "#/definitions/records"}


def case_file(ruleset: Ruleset, profiles: Iterable[str]) -> Schema:
    """The schema of a file of cases; ``profiles`` are the names of all profiles of the folder."""
    properties = {
        "profiles": described(
            {"type": "object", "additionalProperties": described(FACTS_OF, "一个基准企业。", "One firm to start from.")},
            "基准企业：例句从这里出发。没有给出的事实是未知。",
            "Profiles that cases start from. A fact that is not given is unknown.",
        ),
        "cases": described(
            listing(_case(ruleset, tuple(profiles))),
            "例句：这些事实，在这一天，必须这样决定。",
            "Sentences: these facts, on this date, must be decided like this.",
        ),
    }
    return {
        **mapping(properties),
        "definitions": {"facts": facts(ruleset.catalogue), "records": records()},
    }


FACTS_OF: Schema = {"allOf": [FACTS]}


def facts(catalogue: FactCatalogue) -> Schema:
    """The facts that a case may give: not those that are computed."""
    given = {
        fact.name: described(_given(fact), *fact_words(fact))
        for fact in catalogue.values()
        if fact.derived is None and fact.source not in COMPUTED
    }
    return mapping(given)


def _given(fact: Fact) -> Schema:
    """A value of the fact, or the word that makes it unknown."""
    if UNKNOWN in fact.choices:
        return fact_value(fact)
    return {"anyOf": [fact_value(fact), words({UNKNOWN: "未知 · unknown"})]}


def _case(ruleset: Ruleset, profiles: tuple[str, ...]) -> Schema:
    properties = {
        "name": text("例句：一句话说明要决定什么，全部文件中唯一。", "The case as a sentence, unique over all files."),
        "base": described(words(dict.fromkeys(profiles, "profile")), "基准企业。", "The profile it starts from."),
        "as_of": day("决定的日期；参数按这一天。", "The date of the decision; parameters are those of this day."),
        "policy_on": day("改按这一天的规则和参数决定。", "Decide by the rules and parameters of this day instead."),
        "client": described(_client(ruleset), "按该客户的叠加规则决定。", "Decide by the overlay of this client."),
        "industry": described(_industry(ruleset), "行业代码，加引号。", "The industry's code, in quotes."),
        "facts": described(FACTS_OF, "与基准不同的事实；unknown 使其未知。", "The facts that differ; unknown makes one unknown."),
        "records": described({"allOf": [RECORDS]}, "记录：事实由记录算出。", "Records, from which facts are computed."),
        "expect": described(_expectation(ruleset), "期望的结果。", "What must be decided."),
        "matches": described(listing(rule_ids(ruleset)), "必须命中的规则。", "Rules that must match."),
        "misses": described(listing(rule_ids(ruleset)), "必须错过的规则。", "Rules that must not match."),
    }
    return mapping(properties, required=("name", "as_of", "expect"))


def _client(ruleset: Ruleset) -> Schema:
    """A client that has an overlay."""
    known = dict.fromkeys(ruleset.overlays, "overlays/…")
    return words(known) if known else {"type": "string", "maxLength": 64, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}


def _industry(ruleset: Ruleset) -> Schema:
    codes = {code: "excluded · 不准入" for code in ruleset.excluded_industries}
    codes |= {code: "covered · 准入" for code in sorted(ruleset.industries.keys())}
    return {"anyOf": [words(dict(sorted(codes.items()))), {"type": ["string", "integer"], "minLength": 1}]}


def _expectation(ruleset: Ruleset) -> Schema:
    unknown = words({UNKNOWN: "未知 · unknown"})
    properties = {
        "outcome": described(outcomes(), "期望的结果。", "The outcome."),
        "reasons": described(listing(reason_codes(ruleset)), "全部原因代码，不分先后。", "All reason codes, as a set."),
        "limit": described({"anyOf": [number(), unknown]}, "额度（元）。", "The limit in CNY."),
        "rate_spread_bp": described(number(whole=True, least=0), "利率加点（基点）。", "The spread in basis points."),
        "conditions": described(
            listing(_condition_codes(ruleset)), "全部附加条件代码，不分先后。", "All conditions, as a set."
        ),
        "unknown": described(
            listing(fact_names(ruleset.catalogue.values())),
            "原因必须点名的未知事实。",
            "Unknown facts that the reasons must name.",
        ),
    }
    for name in ("card", "whitelisted"):
        if name in ruleset.catalogue:
            fact = ruleset.catalogue[name]
            properties[name] = described({"anyOf": [fact_value(fact), unknown]}, *fact_words(fact))
    return mapping(properties, required=("outcome",))


def _condition_codes(ruleset: Ruleset) -> Schema:
    rules = ruleset.every_rule()
    known = {code for rule in rules if rule.effects is not None for code in rule.effects.conditions}
    return {"type": "string", **({"enum": sorted(known)} if known else {})}


def records() -> Schema:
    """The kinds of record that a case may give, with the fields of the record types."""
    hints = typing.get_type_hints(EnterpriseRecords, vars(record_types))
    return mapping({kind: described(_kind(hints[kind]), *KINDS[kind]) for kind in SOURCES})


def _kind(hint: Any) -> Schema:
    """A record, a list of records, or such lists by related party."""
    if hint is EnterpriseRecords:
        return {"allOf": [RECORDS]}
    arguments = typing.get_args(hint)
    if not arguments:
        return _record(hint)
    if typing.get_origin(hint) is tuple:
        return listing(_kind(arguments[0]))
    party = described(_kind(arguments[1]), "该关联方的记录。", "The records of this related party.")
    return {"type": "object", "additionalProperties": party}


def _record(record: type) -> Schema:
    hints = typing.get_type_hints(record, vars(record_types))
    defaults: Mapping[str, Any] = getattr(record, "_field_defaults", {})
    fields = getattr(record, "__dataclass_fields__", {})
    required = [
        name for name in hints if name not in defaults and not (name in fields and _has_default(fields[name]))
    ]
    return mapping({name: described(_field(hint), *FIELDS[name]) for name, hint in hints.items()}, required=required)


def _has_default(field: Any) -> bool:
    return field.default is not field.default_factory  # both are the same marker when neither is given


def _field(hint: Any) -> Schema:
    """A value of a record's field; numbers may stand for texts (``2017``)."""
    accepted = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return {"anyOf": [form for kind in accepted for form in _FORMS[kind]]}


_FORMS: Mapping[Any, list[Schema]] = {
    bool: [{"type": "boolean"}],
    int: [number(whole=True)],
    Decimal: [number()],
    str: [{"type": ["string", "integer"]}],
    date: [day("日期。", "A date.")],
    type(None): [{"type": "null"}],
}
