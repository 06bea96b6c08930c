"""How the limit came about: the product's bounds with their inputs, the rules' caps and factors, the rounding."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from decision_service.explain_view import TRUTH, View
from decision_service.lending.limit_steps import Bound, bounds
from decision_service.lending.limits import FEN_10K, MILLION, Whole, before_rounding, own_bound
from decision_service.rulebook.rules import Rule, Stage

Part = dict[str, Any]


def limit(view: View) -> Part:
    """Every step from the facts to the limit: ``bound``, then at most ``cap``, times ``factor``, rounded down.

    Amounts are CNY with two decimals; ``None`` is unknown, or no cap. A step that rests on something the reader may not
    see is left out, and so is what would give it away.
    """
    assessment = view.assessment
    found = bounds(assessment.facts)
    parts = {
        "bounds": [_bound(view, one) for one in found],
        "caps": list(_effects(view, "limit_cap")),
        "factors": list(_effects(view, "limit_factor")),
    }
    return {
        **parts,
        **({} if any("withheld" in one for part in parts.values() for one in part) else _sums(view)),
        "rounded_down_to": _amount(FEN_10K),
        "limit": _amount(assessment.limit),
    }


def _sums(view: View) -> Part:
    effects, numbers = view.assessment.effects, Whole(view.assessment.facts)
    bound, cap = own_bound(numbers), effects.limit_cap
    return {
        "bound": _amount(bound),
        "cap": _amount(cap),
        "factor": _ratio(effects.limit_factor),
        "before_rounding": _amount(before_rounding(numbers, bound, cap=cap, factor=effects.limit_factor)),
    }


def _bound(view: View, bound: Bound) -> Part:
    """One bound; of these the least counts."""
    part = {
        "bound": bound.name,
        "title": bound.title.get(view.lang, bound.name),
        "formula": bound.formula.get(view.lang, bound.name),
        "inputs": [view.fact(name) for name in bound.inputs],
    }
    if not all(map(view.may_see, bound.inputs)):
        return {**part, "withheld": True}
    if bound.grade_percent is not None:
        part["grade_factor"] = _ratio(bound.grade_percent * MILLION // 100)
    return {**part, "amount": _amount(bound.value)}


def _effects(view: View, kind: str) -> Iterator[Part]:
    """The caps (``limit_cap``) or factors (``limit_factor``) of rules that matched or are unknown; the least counts."""
    for rule, trace in view.traced(Stage.LIMIT):
        effect = None if rule.effects is None else getattr(rule.effects, kind)
        if effect is None or (trace.truth is False and not view.withheld(rule)):
            continue
        if view.withheld(rule):
            yield {**view.head(rule), "withheld": True}
        else:
            yield {**view.head(rule), "result": TRUTH[trace.truth], **_effect(view, rule, kind, effect)}


def _effect(view: View, rule: Rule, kind: str, effect: int | str) -> Part:
    """What one rule does, and the fact it takes it from; a fact that is unknown counts as zero."""
    known = view.assessment.facts[effect] if isinstance(effect, str) else effect
    value = known if isinstance(known, int) else 0
    shown = {"amount": _amount(value)} if kind == "limit_cap" else {"factor": _ratio(value)}
    if not isinstance(effect, str):
        return shown
    if not view.may_see(effect):
        return {"withheld": True}
    return {"from": view.fact(effect), **shown}


def _amount(fen: int | None) -> str | None:
    return None if fen is None else f"{Decimal(fen).scaleb(-2):.2f}"


def _ratio(millionths: int) -> str:
    return f"{Decimal(millionths).scaleb(-6):.6f}"
