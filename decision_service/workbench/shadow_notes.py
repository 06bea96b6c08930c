"""What the numbers about a shadow cannot tell, as sentences in Chinese and English."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from decision_service.workbench.shadow_compare import PARAMETERS

PORTRAIT_FILES = ("indicators.csv", "lists.yaml")
WEIGHTS = ("weight_xgb", "weight_lstm")
Note = Mapping[str, str]


def notes(active: Iterable[Ruleset], shadow: Ruleset, on: date) -> Iterator[Note]:
    """The limits that every shadow has, then those that these versions have, judged as of a day."""
    active = tuple(active)
    yield {
        "zh": "影子版本依据已记录的事实；它若批准也不占用额度，后续申请的敞口仍为实际敞口",
        "en": "a shadow is judged on the facts as recorded; what it would approve reserves nothing, so the exposure of "
        "later applications is the real one",
    }
    for path in PORTRAIT_FILES:
        if any(one.sources.get(path) != shadow.sources.get(path) for one in active):
            yield {
                "zh": f"{path} 有改动：画像按其会得出的结果未予评估，事实按记录",
                "en": f"{path} differs: what the portrait would make of it is not shadowed, the facts are as recorded",
            }
    if any(_scoring(one, on) != _scoring(shadow, on) for one in active):
        yield {
            "zh": "模型或融合权重有改动：评分按记录，其影响未予评估",
            "en": "models or their blend weights differ: scores are as recorded, so the effect is not shadowed",
        }
    if any(_status_rules(one, on) != _status_rules(shadow, on) for one in active):
        yield {
            "zh": "红黄牌规则有改动：上级控制企业是否红牌的事实按记录",
            "en": "rules of the stage status differ: whether a firm above the enterprise has a red card is as recorded",
        }
    if lacking := sorted({name for one in active for name in _lacking(one, shadow)}):
        yield {
            "zh": f"以下事实只有影子版本声明，记录中没有，按未知处理：{'、'.join(lacking)}",
            "en": f"only the shadow declares these facts; records lack them, so they are unknown: {', '.join(lacking)}",
        }


def _scoring(ruleset: Ruleset, on: date) -> Any:
    """Which models score, and how they are blended, by product and industry."""
    rules = ruleset.in_force(on)
    models = {name: (*one.models, one.single_model_blend) for name, one in rules.products.items()}
    codes = None, *rules.industry_codes()
    return models, {(name, code): _weights(rules, name, code) for name in rules.products for code in codes}


def _weights(rules: RulesInForce, product: str, code: str | None) -> Any:
    found = rules.parameters(product, code)
    return {name: value for name, value in found.items() if name.rpartition(".")[2] in WEIGHTS}


def _status_rules(ruleset: Ruleset, on: date) -> Any:
    return [(rule.id, rule.when, rule.sets) for rule in ruleset.in_force(on).rules(Stage.STATUS)]


def _lacking(active: Ruleset, shadow: Ruleset) -> Iterator[str]:
    """Facts that are given to the shadow and that records of the active version cannot hold."""
    for name, fact in shadow.catalogue.items():
        if fact.derived is None and fact.combine is None and not name.startswith(PARAMETERS):
            if name not in active.catalogue or active.catalogue[name].type is not fact.type:
                yield name
