"""Building blocks of the JSON Schemas: texts, numbers, dates, and the values of declared facts, told in two languages.

Numbers are either JSON numbers or texts: a YAML 1.2 editor reads ``0.65`` as a number and ``5_000_000.00`` as a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN, Fact, FactType
from decision_service.rulebook.reading import MAX_TEXT
from decision_service.rulebook.words import chinese
from decision_service.vocabulary import Outcome

Schema = dict[str, Any]
SCALAR = ["string", "number", "boolean"]
"""What an editor takes a text without quotes for: the rule files read every scalar as it is written."""
DIGITS = "[0-9]+(_[0-9]+)*"
NUMBER = f"^-?{DIGITS}(\\.{DIGITS})?$"
DATE = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
TYPE_WORDS: Mapping[FactType, tuple[str, str]] = {
    FactType.MONEY: ("金额（元，两位小数）", "money in CNY, two decimals"),
    FactType.RATIO: ("比例（六位小数，65%写0.65）", "ratio with up to six decimals; 65 percent is 0.65"),
    FactType.COUNT: ("计数（整数）", "count, a whole number"),
    FactType.DAYS: ("天数（整数）", "days, a whole number"),
    FactType.FLAG: ("是否（true或false）", "flag, true or false"),
    FactType.DATE: ("日期（2024-01-31）", "date such as 2024-01-31"),
    FactType.CHOICE: ("选项", "choice"),
}


def described(schema: Schema, zh: str, en: str) -> Schema:
    """The schema with a text to be shown on hover, Chinese first."""
    return {"description": f"{zh}\n\n{en}", **schema}


def text(zh: str, en: str) -> Schema:
    """Any text that is not empty."""
    return described({"type": SCALAR, "minLength": 1, "maxLength": MAX_TEXT, "pattern": "\\S"}, zh, en)


def both_languages(zh: str, en: str) -> Schema:
    """A text in Chinese and English."""
    properties = {
        "zh": text(f"{zh}：中文文本。", f"{en}: the Chinese text."),
        "en": text(f"{zh}：英文文本。", f"{en}: the English text."),
    }
    return described(mapping(properties, required=("zh", "en")), f"{zh}。", f"{en}.")


def mapping(properties: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    """A mapping with these keys and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": dict(properties),
    }


def listing(items: Schema, *, least: int = 0) -> Schema:
    """A list of such items."""
    return {"type": "array", "minItems": least, "items": items}


def day(zh: str, en: str) -> Schema:
    """A date as text; whether that day exists in its month is the loader's matter."""
    hint = "write the date as 2024-01-31 · 日期写作 2024-01-31"
    return described({"type": "string", "pattern": DATE, "patternErrorMessage": hint}, zh, en)


def number(*, whole: bool = False, least: Decimal | int | None = None, greatest: Decimal | int | None = None) -> Schema:
    """A number, or its text with ``_`` between digits; bounds hold for numbers that an editor recognises as such."""
    hint = "write numbers as 5_000_000.00 or 0.65, without an exponent · 数字写作 5_000_000.00 或 0.65，不用指数"
    schema = {"type": ["integer" if whole else "number", "string"], "pattern": NUMBER, "patternErrorMessage": hint}
    bounds = {"minimum": least, "maximum": greatest}
    return {**schema, **{name: _json(bound) for name, bound in bounds.items() if bound is not None}}


def _json(bound: Decimal | int) -> int | float:
    return int(bound) if bound == int(bound) else float(bound)


def words(allowed: Mapping[str, str]) -> Schema:
    """One of these words; each has a text that is shown beside it."""
    return {"type": "string", "enum": list(allowed), "enumDescriptions": list(allowed.values())}


def outcomes() -> Schema:
    """The three outcomes."""
    told = {Outcome.APPROVE: "批准 · approve", Outcome.REFER: "转人工 · refer to a person", Outcome.DECLINE: "拒绝 · decline"}
    return words({outcome.name: told[outcome] for outcome in Outcome})


def fact_value(fact: Fact) -> Schema:
    """What a literal of this fact looks like, without a description."""
    if fact.type is FactType.CHOICE:
        return words({choice: chinese(fact.name, choice) for choice in fact.choices})
    if fact.type is FactType.FLAG:
        return {"type": ["boolean", "string"], "pattern": "^(true|false)$"}
    if fact.type is FactType.DATE:
        return {"type": "string", "pattern": DATE}
    return number(whole=fact.type.places == 0, least=_bound(fact, fact.minimum), greatest=_bound(fact, fact.maximum))


def _bound(fact: Fact, exact: int) -> Decimal | None:
    return None if exact in (INT64_MIN, INT64_MAX) else Decimal(exact) / fact.type.scale


def fact_words(fact: Fact) -> tuple[str, str]:
    """What people may want to know of a fact while they write: label, type, unit, range, source, openness."""
    zh, en = TYPE_WORDS[fact.type]
    told = [(fact.label.get("zh", fact.name), fact.label.get("en", fact.name)), (f"类型：{zh}", f"type: {en}")]
    if fact.choices:
        told.append((" | ".join(fact.choices), " | ".join(fact.choices)))
    if fact.unit:
        told.append((f"单位：{fact.unit}", f"unit: {fact.unit}"))
    least, greatest = _bound(fact, fact.minimum), _bound(fact, fact.maximum)
    if least is not None or greatest is not None:
        told.append((f"范围：{least}至{greatest}", f"range: {least} to {greatest}"))
    told.append((f"来源：{fact.source}", f"source: {fact.source}"))
    told.append((f"公开级别：{fact.level}", f"openness level: {fact.level}"))
    return "；".join(one for one, _ in told) + "。", "; ".join(one for _, one in told) + "."


def fact_names(facts: Iterable[Fact]) -> Schema:
    """One of these facts by name."""
    return words({fact.name: " · ".join(fact.label.values()) or fact.name for fact in facts})
