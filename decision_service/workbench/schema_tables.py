"""JSON Schemas of what rules name: facts, reason codes, dated parameters, products and public lists."""

from __future__ import annotations

from collections.abc import Iterable

from decision_service.portrait.lists import LIST_KEYS, RED, YELLOW
from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.fact_file import NAME
from decision_service.rulebook.parameter_file import FALLBACK, MODELS
from decision_service.rulebook.rule_file import CODE
from decision_service.rulebook.ruleset import POLICY, Ruleset
from decision_service.workbench.schema_values import (
    SCALAR,
    TYPE_WORDS,
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
    text,
    words,
)

LISTED = ("none", "active", "disputed")
FROM = ("生效日期（含当日）。", "In force from this date on.")
UNTIL = ("失效日期（不含当日）。改数值时先给旧行写上它。", "In force until this date, exclusive; end the old row before adding one.")
REFERENCE = ("依据：文件、条款或决议。", "What it rests on: document, clause or resolution.")


def fact_file(ruleset: Ruleset) -> Schema:
    """The schema of ``facts.yaml``."""
    sources = sorted({fact.source for fact in ruleset.catalogue.values()})
    types = [kind.value for kind in FactType if kind is not FactType.CHOICE]
    told = [" · ".join(TYPE_WORDS[FactType(kind)]) for kind in types]
    properties = {
        "name": described(
            {"type": "string", "pattern": f"^{NAME.pattern}$"},
            "事实名：小写字母、数字、_，至多一个点。industry.、product.、policy. 开头的是参数。",
            "The fact's name: lower case, digits, _ and at most one dot. industry., product., policy. are parameters.",
        ),
        "type": described(
            {
                "anyOf": [
                    {"type": "string", "enum": types, "enumDescriptions": told},
                    {"type": "string", "pattern": "^choice\\[[A-Za-z0-9_, ]+\\]$", "examples": ["choice[a, b]"]},
                ]
            },
            "类型；选项写作 choice[第一, 第二]，顺序由弱到强。",
            "The type; a choice lists its words, weakest first: choice[first, second].",
        ),
        "unit": text("单位，仅供阅读。", "The unit, for readers."),
        "range": described(
            {**listing(number(), least=2), "maxItems": 2},
            "最小值与最大值，都含在内。",
            "Least and greatest value, both allowed.",
        ),
        "source": described(
            {"anyOf": [{"type": "string", "enum": sources}, {"type": SCALAR, "minLength": 1}]},
            "由谁提供；status 与 lending 在阶段之间计算。",
            "Who supplies it; status and lending are computed between the stages.",
        ),
        "level": described(
            {"anyOf": [{"enum": [1, 2, 3]}, {"type": "string", "pattern": "^[123]$"}]},
            "公开级别，1至3。",
            "Openness level, 1 to 3.",
        ),
        "label": both_languages("事实的名称", "The fact's label"),
        "derived": text("公式：加减、乘除以数字、min、max、abs。", "Formula: + -, times or divided by a number, min, max, abs."),
        "combine": described(
            words({"strongest": "取最强 · the strongest counts"}),
            "规则可设置；取最强的值。",
            "Rules may set it; the strongest value counts.",
        ),
        "default": described({"type": SCALAR}, "没有规则命中时的值。", "The value if no rule matches."),
    }
    one = mapping(properties, required=("name", "type", "source", "level", "label"))
    one["dependencies"] = {"combine": ["default"], "default": ["combine"]}
    return _file("facts", one, "规则可以引用的全部事实。", "Every fact that a rule may name.", least=1)


def reason_file() -> Schema:
    """The schema of ``reasons.yaml``."""
    properties = {
        "code": described(
            {"type": "string", "pattern": f"^{CODE.pattern}$"}, "原因代码，大写。", "The reason code, in capitals."
        ),
        "customer": both_languages(
            "给申请人的文本，礼貌并说明怎么办；转人工写作{review}", "For the applicant: polite, what to do; a review is {review}"
        ),
        "officer": both_languages("给审核员的文本，确切的发现", "For the officer: the exact finding"),
    }
    one = mapping(properties, required=properties)
    return _file("reasons", one, "原因代码及其文本。", "Reason codes with their texts.")


def policy_file(ruleset: Ruleset) -> Schema:
    """The schema of ``parameters.yaml``."""
    return {**mapping({"parameters": _parameters(ruleset, POLICY)}, required=("parameters",))}


def product_file(ruleset: Ruleset) -> Schema:
    """The schema of ``products/*.yaml``."""
    facts = ruleset.catalogue.values()
    declared = ruleset.catalogue["product"].choices if "product" in ruleset.catalogue else ()
    models = {
        "xgboost": text("XGBoost模型的登记名。", "Registered name of the XGBoost model."),
        "lstm": text("LSTM模型的登记名。", "Registered name of the LSTM model."),
        FALLBACK: text("备用评分卡的登记名：前两者缺一时使用，转人工。", "Scorecard used if one of them is down; a person decides."),
    }
    properties = {
        "name": described(
            words(dict.fromkeys(declared, "products/….yaml")), "产品名，与文件同名。", "The product; its file has its name."
        ),
        "label": both_languages("产品名称", "The product's label"),
        "models": described(mapping(models, required=MODELS), "评分模型。", "The models that score it."),
        "required": described(
            listing(fact_names(facts)), "必需事实：未知即转人工。", "Facts that must be known; otherwise a person decides."
        ),
        "single_model_blend": described(
            words(dict.fromkeys(MODELS, "alone · 单独")),
            "缺另一模型时可单独使用的模型。",
            "The model that may stand alone while the other is down.",
        ),
        "assumptions": described(
            listing(both_languages("一条假设", "One assumption")), "装载时的假设，随决定打印。", "What a loader assumes; printed."
        ),
        "parameters": _parameters(ruleset, "product"),
    }
    return mapping(properties, required=("name", "label", "models", "required", "parameters"))


def list_file(ruleset: Ruleset) -> Schema:
    """The schema of ``lists.yaml``."""
    months = {"type": ["integer", "string"], "minimum": 0, "maximum": 9999, "pattern": "^[0-9]{1,4}$"}
    period = {
        "severity": described(
            {"anyOf": [words({"any": "", "minor": "", "general": "", "serious": ""}), {"type": SCALAR}]},
            "严重程度；any 适用于全部。",
            "Severity; any fits all.",
        ),
        "min_months": described(months, "可申请修复的最短月数。", "Repair may be requested after so many months."),
        "max_months": described(months, "公示月数；不写则直到移出。", "Published for so many months; without it until removed."),
        "effective_from": day(*FROM),
        "effective_to": day("失效日期（不含当日）。", "In force until this date, exclusive."),
        "reference": described({"type": [*SCALAR, "null"]}, *REFERENCE),
    }
    names = [fact for fact in ruleset.catalogue.values() if fact.choices == LISTED]
    anything: Schema = {"type": SCALAR, "minLength": 1}
    one = {
        "name": described(
            {"anyOf": [fact_names(names), anything] if names else [anything]},
            "名单：同名的事实。",
            "The list: the fact of this name.",
        ),
        "card": described(
            words({RED: "红牌 · red", YELLOW: "黄牌 · yellow"}), "有效记录给出的牌。", "The card that an entry gives."
        ),
        "label": both_languages("名单名称", "The list's label"),
        "feed": described({"type": [*SCALAR, "null"]}, "带来记录的数据源。", "The feed that brings its entries."),
        "periods": described(
            listing(mapping(period, required=("severity", "effective_from")), least=1),
            "公示与修复期限，按列入日期生效。",
            "Publicity and repair, by the date of listing.",
        ),
    }
    assert set(one) == set(LIST_KEYS)
    definition = mapping(one, required=("name", "card", "label", "periods"))
    return _file("lists", definition, "公共名单。", "The public lists.")


def _file(key: str, one: Schema, zh: str, en: str, *, least: int = 0) -> Schema:
    return mapping({key: described(listing(one, least=least), zh, en)}, required=(key,))


def _parameters(ruleset: Ruleset, scope: str) -> Schema:
    facts = [fact for fact in ruleset.catalogue.values() if fact.name.startswith(f"{scope}.")]
    zh = "带日期的参数。改数值：旧行写 effective_to，另加一行。"
    return described(listing(_parameter(facts, scope)), zh, "Dated parameters. To change one, end its row and add one.")


def _parameter(facts: Iterable[Fact], scope: str) -> Schema:
    """A row whose ``value`` is of the type of the fact that its ``name`` names."""
    told = {fact.name.removeprefix(f"{scope}."): " · ".join(fact.label.values()) for fact in facts}
    properties = {
        "name": described(words(told), f"参数名；事实为 {scope}.…。", f"Makes the fact {scope}.<name>."),
        "value": {},  # typed and explained by the row's name below; an editor shows the first text it finds
        "effective_from": day(*FROM),
        "effective_to": day(*UNTIL),
        "reference": text(*REFERENCE),
    }
    row = mapping(properties, required=("name", "value", "effective_from", "reference"))
    row["allOf"] = [
        {
            "if": {"properties": {"name": {"const": fact.name.removeprefix(f"{scope}.")}}, "required": ["name"]},
            "then": {"properties": {"value": described(fact_value(fact), *fact_words(fact))}},
        }
        for fact in facts
    ]
    return row
