"""The limit stage over columns: combined effects of all rules that match or are unknown, and the limit from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import ibis

from decision_service.rulebook.columnar.numbers import Number, Sheet
from decision_service.rulebook.columnar.truths import RULE
from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce

LimitOf = Callable[..., Any]
"""``limit(numbers, *, cap, factor)``: the formulas of the limit, which belong to the room of lending."""
LIMIT = "limit_max"
EFFECTS = ("limit_cap", "limit_factor", "rate_spread_bp")
UNIT_FACTOR = 1_000_000
NO_CAP = 10**37
"""Stands for no cap: above every bound that a table can hold."""


def with_limit(table: ibis.Table, rules: RulesInForce, limit: LimitOf) -> tuple[ibis.Table, Number]:
    """The table with ``limit_cap``, ``limit_factor``, ``rate_spread_bp`` and ``limit_max``; the last is also returned.

    Reads the truths of the limit rules.
    """
    sheet = Sheet(rules.catalogue)
    caps = _counted(sheet, rules, "limit_cap", otherwise=NO_CAP)
    cap = sheet.least(caps) if caps else None
    factor = sheet.least([sheet.constant(UNIT_FACTOR), *_counted(sheet, rules, "limit_factor", otherwise=UNIT_FACTOR)])
    spread = sheet.most([sheet.constant(0), *_counted(sheet, rules, "rate_spread_bp", otherwise=0)])
    results = {
        "limit_cap": sheet.within(sheet.constant(NO_CAP) if cap is None else cap, INT64_MIN, INT64_MAX),
        "limit_factor": factor,
        "rate_spread_bp": spread,
        LIMIT: limit(sheet, cap=cap, factor=factor),
    }
    columns = {name: sheet.let(number, name) for name, number in results.items()}
    return sheet.apply(table), replace(columns[LIMIT], level=0)


def effects_named(rules: RulesInForce) -> Iterable[str]:
    """Facts that are named as a cap or a factor."""
    for rule in _limiting(rules):
        assert rule.effects is not None
        yield from (one for one in (rule.effects.limit_cap, rule.effects.limit_factor) if isinstance(one, str))


def _limiting(rules: RulesInForce) -> list[Rule]:
    return [rule for rule in rules.rules(Stage.LIMIT) if rule.effects is not None]


def _counted(sheet: Sheet, rules: RulesInForce, effect: str, *, otherwise: int) -> list[Number]:
    """An effect of every rule that has it, where the rule counts; a fact that it names and nobody knows is zero."""
    found = []
    for rule in _limiting(rules):
        value = getattr(rule.effects, effect)
        if value is not None:
            found.append(_where(sheet, rule, _number(sheet, value), otherwise))
    return found


def _number(sheet: Sheet, value: int | str) -> Number:
    if isinstance(value, int):
        return sheet.constant(value)
    fact = sheet.fact(value)
    known = fact.value.fill_null(0)
    return replace(fact, value=known, low=min(0, fact.low), high=max(0, fact.high), plain=False)


def _where(sheet: Sheet, rule: Rule, number: Number, otherwise: int) -> Number:
    other = sheet.constant(otherwise)
    wide = number.wide or other.wide
    one, neutral = (part.widened() if wide else part.value for part in (number, other))
    chosen = ibis.ifelse(ibis._[RULE + rule.id].fill_null(True), one, neutral)
    low, high = min(number.low, otherwise), max(number.high, otherwise)
    return sheet.let(Number(chosen, low, high, wide, number.level))
