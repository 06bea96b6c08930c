"""JSON Schemas of rule files, one per stage: conditions that begin with a declared fact, results with their choices."""

from __future__ import annotations

import re

from decision_service.rulebook.encoding import FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.rule_file import CONDITION_CODE, RULE_ID
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset
from decision_service.rulebook.syntax import MAX_LENGTH
from decision_service.workbench.schema_values import (
    Schema,
    both_languages,
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

STAGE_WORDS = {
    Stage.STATUS: ("先定牌与白名单：规则设置事实", "first: rules set facts such as the card"),
    Stage.LIMIT: ("再定额度：规则只会收紧额度", "second: rules narrow the limit"),
    Stage.DECISION: ("最后定结果：最严的胜出", "third: rules give outcomes, the strictest wins"),
}


def rule_file(stage: Stage, ruleset: Ruleset) -> Schema:
    """The schema of a rule file of this stage."""
    zh, en = STAGE_WORDS[stage]
    properties = {
        "stage": described(words({stage.value: f"{zh} · {en}"}), f"阶段。{zh}。", f"The stage; {en}."),
        "rules": described(
            listing(_rule(stage, ruleset), least=1), "规则，顺序无关。", "The rules; their order never matters."
        ),
    }
    return {
        **mapping(properties, required=("stage", "rules")),
        "definitions": {"condition": condition(), "comparison": comparison(ruleset.catalogue)},
    }


def _rule(stage: Stage, ruleset: Ruleset) -> Schema:
    result, schema = _result(stage, ruleset)
    properties = {
        "id": described(
            {"type": "string", "pattern": f"^{RULE_ID.pattern}$"},
            "规则编号，全部文件与日期中唯一，统计与例句据此跟踪。",
            "The rule's id, unique over all files and dates; cases and statistics follow it.",
        ),
        "title": both_languages("规则标题", "The rule's title"),
        "when": when(),
        result: schema,
        "reason": reason(ruleset),
        "effective_from": day("生效日期（含当日，上海时间零点）。", "In force from this date on, Asia/Shanghai midnight."),
        "effective_to": day("失效日期（不含当日）。", "In force until this date, exclusive."),
        "reference": text("依据：文件、条款或决议。", "What the rule rests on: document, clause or resolution."),
    }
    required = [key for key in properties if key not in ("reason", "effective_to")]
    schema = mapping(properties, required=required)
    if stage is Stage.DECISION:
        refers = {"properties": {"outcome": {"enum": ["REFER", "DECLINE"]}}, "required": ["outcome"]}
        schema |= {"if": refers, "then": {"required": ["reason"]}}
    return schema


def when() -> Schema:
    """The key ``when`` of a rule."""
    return described(
        {"allOf": [{"$ref": "#/definitions/condition"}]},
        "条件：事实 运算符 值，用 and、or、not 连接；或 all、any、none 列表。未知不等于否。",
        "The condition: fact operator value, joined by and, or, not; or lists under all, any, none. "
        "Unknown is not false.",
    )


def reason(ruleset: Ruleset) -> Schema:
    """A reason code with its officer's text."""
    return described(
        reason_codes(ruleset),
        "原因代码，文本在 reasons.yaml；转人工和拒绝必须给出。",
        "The reason code; its texts stand in reasons.yaml. A rule that refers or declines must give one.",
    )


def reason_codes(ruleset: Ruleset) -> Schema:
    """One of the reason codes, those of overlays among them, with the officer's texts."""
    known = [ruleset.reasons, *(overlay.reasons for overlay in ruleset.overlays.values())]
    return words({code: " · ".join(one.officer.values()) for codes in known for code, one in codes.items()})


def rule_ids(ruleset: Ruleset) -> Schema:
    """One of the rules, those of overlays among them, with its title."""
    rules = [*ruleset.rules, *(rule for overlay in ruleset.overlays.values() for rule in overlay.rules)]
    return words({rule.id: " · ".join(rule.title.values()) for rule in rules})


def condition() -> Schema:
    """A condition: a text, a list of which all must hold, or all, any and none with lists."""
    parts = listing({"$ref": "#/definitions/condition"}, least=1)
    joined = {
        "all": described(parts, "全部成立。", "Each of them holds."),
        "any": described(parts, "至少一个成立。", "At least one of them holds."),
        "none": described(parts, "没有一个成立。", "None of them holds."),
    }
    return {"anyOf": [{"$ref": "#/definitions/comparison"}, parts, {**mapping(joined), "minProperties": 1}]}


def comparison(catalogue: FactCatalogue) -> Schema:
    """A condition as text; parentheses are not counted, which is the loader's matter."""
    names = "|".join(re.escape(name) for name in sorted(catalogue, key=len, reverse=True))
    value = r"(\[[^\]]*\]|[-+A-Za-z0-9_.]+)"
    one = rf"(\s*(\(|not(?=[\s(])))*\s*({names})\s*(<=|>=|==|!=|<|>|in(?=[\s\[]))\s*{value}(\s*\))*\s*"
    return {
        "type": "string",
        "maxLength": MAX_LENGTH,
        "pattern": f"^{one}((?<=[\\s)\\]])(and|or)(?=[\\s(]){one})*$",
        "patternErrorMessage": (
            "write: fact operator value, joined by and, or; only facts of facts.yaml · "
            "写作：事实 运算符 值，用 and、or 连接；只能用 facts.yaml 中的事实"
        ),
        "defaultSnippets": [
            {"label": name, "description": " · ".join(fact.label.values()), "body": f"{name} ${{1:==}} $2"}
            for name, fact in catalogue.items()
        ],
    }


def _result(stage: Stage, ruleset: Ruleset) -> tuple[str, Schema]:
    if stage is Stage.DECISION:
        zh, en = "结果：取最严，DECLINE 严于 REFER。", "The outcome; the strictest wins: DECLINE, then REFER."
        return "outcome", described(outcomes(), zh, en)
    if stage is Stage.LIMIT:
        zh, en = "对额度的作用；命中或未知时都生效。", "What it does to the limit, when it matches or is unknown."
        return "effects", described(effects(ruleset), zh, en)
    facts = {fact.name: described(fact_value(fact), *fact_words(fact)) for fact in ruleset.catalogue.settable}
    zh, en = "规则设置的事实；多条规则取最强的值。", "The facts that the rule sets; of several rules the strongest value holds."
    return "sets", described({**mapping(facts), "minProperties": 1}, zh, en)


def effects(ruleset: Ruleset) -> Schema:
    """What a limit rule may do."""
    known = sorted({code for rule in ruleset.rules if rule.effects for code in rule.effects.conditions})
    codes = {"anyOf": [{"type": "string", "enum": known}] if known else []}
    codes["anyOf"].append({"type": "string", "pattern": f"^{CONDITION_CODE.pattern}$"})
    properties = {
        "limit_factor": described(
            _amount(FactType.RATIO, ruleset, number(least=0, greatest=1)),
            "额度系数（0至1），取最小；可写比例类事实的名称。",
            "A factor from 0 to 1, the least counts; or the name of a ratio fact.",
        ),
        "limit_cap": described(
            _amount(FactType.MONEY, ruleset, number(least=0)),
            "额度上限（元），取最小；可写金额类事实的名称。",
            "A cap in CNY, the least counts; or the name of a money fact.",
        ),
        "rate_spread_bp": described(
            number(whole=True, least=0, greatest=10_000),
            "加点（基点，0至10000），取最大。",
            "A spread in basis points, 0 to 10000; the greatest counts.",
        ),
        "conditions": described(
            listing(codes),
            "附加条件代码，取并集。",
            "Codes of conditions of the loan; all count.",
        ),
    }
    return {**mapping(properties), "minProperties": 1}


def _amount(kind: FactType, ruleset: Ruleset, literal: Schema) -> Schema:
    named = [fact for fact in ruleset.catalogue.values() if fact.type is kind]
    return {"anyOf": [literal, fact_names(named)]} if named else literal
