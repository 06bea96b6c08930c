"""The limit stage over columns: combined effects of all rules that match or are unknown, and the limit from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import ibis

from decision_service.rulebook.columnar.numbers import Number, Sheet
from decision_service.rulebook.columnar.truths import RULE, any_of
from decision_service.rulebook.encoding import INT64_MAX
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
    caps = _counted(sheet, rules, "limit_cap", otherwise=INT64_MAX)
    cap = sheet.least(caps) if caps else sheet.constant(0)
    capped = any_of(_counts(rule) for rule, _ in _having(rules, "limit_cap"))
    factor = sheet.least([sheet.constant(UNIT_FACTOR), *_counted(sheet, rules, "limit_factor", otherwise=UNIT_FACTOR)])
    spread = sheet.most([sheet.constant(0), *_counted(sheet, rules, "rate_spread_bp", otherwise=0)])
    results = {
        "limit_cap": replace(cap, value=ibis.cases((capped, cap.value)), plain=False),
        "limit_factor": factor,
        "rate_spread_bp": spread,
        LIMIT: limit(sheet, cap=_or_none(sheet, cap, capped) if caps else None, factor=factor),
    }
    columns = {name: sheet.let(number, name) for name, number in results.items()}
    return sheet.apply(table), replace(columns[LIMIT], level=0)


def effects_named(rules: RulesInForce) -> Iterable[str]:
    """Facts that are named as a cap or a factor."""
    for effect in ("limit_cap", "limit_factor"):
        yield from (value for _, value in _having(rules, effect) if isinstance(value, str))


def _having(rules: RulesInForce, effect: str) -> list[tuple[Rule, Any]]:
    """The limit rules that have an effect, with it."""
    found = [(rule, getattr(rule.effects, effect, None)) for rule in rules.rules(Stage.LIMIT)]
    return [(rule, value) for rule, value in found if value is not None]


def _counted(sheet: Sheet, rules: RulesInForce, effect: str, *, otherwise: int) -> list[Number]:
    """An effect of every rule that has it, where the rule counts; a fact that it names and nobody knows is zero."""
    return [_where(sheet, rule, _number(sheet, value), otherwise) for rule, value in _having(rules, effect)]


def _number(sheet: Sheet, value: int | str) -> Number:
    if isinstance(value, int):
        return sheet.constant(value)
    fact = sheet.fact(value)
    known = fact.value.fill_null(0)
    return replace(fact, value=known, low=min(0, fact.low), high=max(0, fact.high), plain=False)


def _or_none(sheet: Sheet, cap: Number, capped: Any) -> Number:
    """The cap where there is one; elsewhere a number above all bounds."""
    nothing = sheet.constant(NO_CAP)
    value = ibis.ifelse(capped, cap.widened(), nothing.value)
    return sheet.let(Number(value, cap.low, NO_CAP, True, cap.level))


def _counts(rule: Rule) -> Any:
    """A rule counts if it matches or is unknown."""
    return ibis._[RULE + rule.id].fill_null(True)


def _where(sheet: Sheet, rule: Rule, number: Number, otherwise: int) -> Number:
    other = sheet.constant(otherwise)
    wide = number.wide or other.wide
    one, neutral = (part.widened() if wide else part.value for part in (number, other))
    chosen = ibis.ifelse(_counts(rule), one, neutral)
    low, high = min(number.low, otherwise), max(number.high, otherwise)
    return sheet.let(Number(chosen, low, high, wide, number.level))
