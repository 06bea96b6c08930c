"""The same rules for GoRules ZEN: its expression text, and a decision in each form that ZEN offers for a rule list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import zen

from decision_service.rulebook.conditions import AllOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.rules import Rule

Context = dict[str, Exact]
Evaluate = Callable[[Context], tuple[str, ...]]


def zen_name(fact: str) -> str:
    """A fact's name as one ZEN identifier; a dot would mean nesting there."""
    return fact.replace(".", "__")


def zen_text(condition: Condition) -> str:
    """A condition in ZEN's expression language. ZEN has no unknown, so facts must be known."""
    if isinstance(condition, Comparison):
        return f"{zen_name(condition.fact)} {condition.operator} {_operand(condition)}"
    if isinstance(condition, Not):
        return f"not ({zen_text(condition.part)})"
    joiner = " and " if isinstance(condition, AllOf) else " or "
    return joiner.join(f"({zen_text(part)})" for part in condition.parts)


def _operand(comparison: Comparison) -> str:
    operand = comparison.operand
    if isinstance(operand, FactName):
        return zen_name(operand.name)
    return json.dumps(list(operand) if isinstance(operand, tuple) else operand, ensure_ascii=False)


def decision_table(rules: Iterable[Rule]) -> Evaluate:
    """A decision table with hit policy collect, one row per rule, compiled once."""
    rows = [{"_id": rule.id, "when": zen_text(rule.when), "rule": json.dumps(rule.id)} for rule in rules]
    content = {
        "hitPolicy": "collect",
        "inputs": [{"id": "when", "name": "when", "type": "expression"}],
        "outputs": [{"id": "rule", "name": "rule", "field": "rule", "type": "expression"}],
        "rules": rows,
    }
    decision = zen.ZenEngine().create_decision(_graph("decisionTableNode", content))
    return lambda context: tuple(sorted(row["rule"] for row in decision.evaluate(context)["result"]))


def expression_node(rules: Iterable[Rule]) -> Evaluate:
    """An expression node that yields one list of truth values, compiled once."""
    ids = tuple(rule.id for rule in rules)
    content = {"expressions": [{"id": "all", "key": "truths", "value": _list_of_truths(rules)}]}
    decision = zen.ZenEngine().create_decision(_graph("expressionNode", content))
    return lambda context: _true_ones(ids, decision.evaluate(context)["result"]["truths"])


def bare_expression(rules: Iterable[Rule]) -> Evaluate:
    """One compiled expression without ZEN's decision model: what its expression language alone costs."""
    ids = tuple(rule.id for rule in rules)
    expression = zen.compile_expression(_list_of_truths(rules))
    return lambda context: _true_ones(ids, expression.evaluate(context))


def _list_of_truths(rules: Iterable[Rule]) -> str:
    return f"[{', '.join(zen_text(rule.when) for rule in rules)}]"


def _true_ones(ids: tuple[str, ...], truths: list[bool]) -> tuple[str, ...]:
    return tuple(rule_id for rule_id, truth in zip(ids, truths, strict=True) if truth)


def _graph(kind: str, content: Mapping[str, Any]) -> str:
    place = {"position": {"x": 0, "y": 0}}
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode", **place},
        {"id": "rules", "name": "rules", "type": kind, "content": content, **place},
        {"id": "out", "name": "out", "type": "outputNode", **place},
    ]
    ways = (("in", "rules"), ("rules", "out"))
    edges = [{"id": f"{one}-{two}", "type": "edge", "sourceId": one, "targetId": two} for one, two in ways]
    return json.dumps({"nodes": nodes, "edges": edges})
