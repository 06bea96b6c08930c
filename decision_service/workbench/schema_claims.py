"""JSON Schema of ``invariants.yaml``: the forms of a claim, the keys of each, conditions that may name the outcome."""

from __future__ import annotations

from decision_service.rulebook.invariants import COMMON, KEYS, OF, WORSE, Claim, is_given, with_outcome
from decision_service.rulebook.ruleset import Ruleset
from decision_service.workbench.schema_rules import comparison, condition
from decision_service.workbench.schema_values import (
    Schema,
    both_languages,
    described,
    fact_names,
    listing,
    mapping,
    text,
    words,
)

FORMS = {
    Claim.IMPLICATION: "if 成立则 then 必成立 · whenever 'if' holds, 'then' holds",
    Claim.MONOTONE: "事实变差，结果不会变好 · when a fact gets worse, nothing gets better",
    Claim.UNKNOWN_NEVER_APPROVES: "事实变为未知不会变成批准 · making facts unknown never makes an approval",
    Claim.ALWAYS_DECIDED: "事实齐备必有规则决定 · with every fact known, some rule decides",
    Claim.OVERLAY_NEVER_LOOSENS: "银行自有规则只能更严 · a bank's overlay only tightens",
}
KEY_SCHEMAS = ("if", "then", "fact", "worse", "of")


def claim_file(ruleset: Ruleset) -> Schema:
    """The schema of the file of claims."""
    zh, en = "断言：对一切申请成立，发布前证明。", "Claims about all applications, proven before a version is published."
    properties = {"invariants": described(listing(_claim(ruleset)), zh, en)}
    return {
        **mapping(properties, required=("invariants",)),
        "definitions": {"condition": condition(), "comparison": comparison(with_outcome(ruleset.catalogue))},
    }


def _claim(ruleset: Ruleset) -> Schema:
    properties = {
        "id": text("断言编号，唯一；rules prove --only 用它。", "The claim's id, unique; rules prove --only names it."),
        "claim": described(words({form.value: FORMS[form] for form in Claim}), "断言的形式。", "The form of the claim."),
        "title": both_languages("断言标题", "The claim's title"),
        "reference": text("依据：文件、条款或决议。", "What the claim rests on: document, clause or resolution."),
        **_keys(ruleset),
    }
    return {**mapping(properties, required=COMMON), "allOf": [_form(form) for form in Claim]}


def _keys(ruleset: Ruleset) -> dict[str, Schema]:
    """The keys that some forms have."""
    given = {"allOf": [{"$ref": "#/definitions/condition"}]}
    facts = [fact for fact in ruleset.catalogue.values() if is_given(fact)]
    return {
        "if": described(
            given,
            "条件；可写 outcome（结果）。只看条件为真的申请。",
            "A condition, which may name the outcome; only applications for which it is true are meant.",
        ),
        "then": described(given, "必须为真的条件；未知不算真。", "What must then be true; unknown is not true."),
        "fact": described(fact_names(facts), "变差的事实（输入，不是计算所得）。", "The given fact that gets worse."),
        "worse": described(
            words({WORSE[0]: "越高越差 · worse when higher", WORSE[1]: "越低越差 · worse when lower"}),
            "哪个方向是变差。",
            "Which way is worse.",
        ),
        "of": described(
            words({OF[0]: "结果 · the outcome", OF[1]: "测算额度 · the computed limit"}),
            "什么不得变好；缺省为结果。",
            "What must not get better; the outcome if it is not written.",
        ),
    }


def _form(form: Claim) -> Schema:
    required, optional = KEYS[form]
    others = [key for key in KEY_SCHEMAS if key not in (*required, *optional)]
    then: Schema = {"required": list(required)}
    if others:
        then["not"] = {"anyOf": [{"required": [key]} for key in others]}
    return {"if": {"properties": {"claim": {"const": form.value}}, "required": ["claim"]}, "then": then}
