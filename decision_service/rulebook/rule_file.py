"""Reads rule files (``stage: …``) and ``reasons.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from decision_service.rulebook.conditions import Condition, Exact, facts_named
from decision_service.rulebook.encoding import FactType, encode_number
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.literals import parse_literal
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.rules import Effects, ReasonCode, Rule, Stage
from decision_service.rulebook.syntax import did_you_mean, read_condition
from decision_service.rulebook.yamltree import Branch, Node, Scalar
from decision_service.vocabulary import Outcome

RULE_ID = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*")
CODE = re.compile(r"[A-Z][A-Z0-9_]*")
CONDITION_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
NO_TEXT = "reason-without-text"
EFFECTS = ("limit_factor", "limit_cap", "rate_spread_bp", "conditions")
RESULT_KEY = {Stage.STATUS: "sets", Stage.LIMIT: "effects", Stage.DECISION: "outcome"}
NOT_YET_KNOWN = {Stage.STATUS: ("status", "lending"), Stage.LIMIT: ("lending",), Stage.DECISION: ()}
"""Sources of facts that a stage cannot read, because they are computed after it."""


def read_rules(root: Node, catalogue: FactCatalogue, sheet: Sheet) -> list[Rule]:
    """The rules of one file; every mistake is reported to ``sheet``."""
    branch = sheet.branch(root, "the file", required=("stage", "rules"))
    stage = _stage(branch, sheet) if branch else None
    if branch is None or stage is None:
        return []
    nodes = sheet.items(branch.entries.get("rules"), "rules")
    if "rules" in branch.entries and not nodes:
        sheet.report(branch.line, "the file has no rules", "write a rule or delete the file")
    return [rule for node in nodes if (rule := _rule(node, stage, catalogue, sheet)) is not None]


def _stage(branch: Branch, sheet: Sheet) -> Stage | None:
    node = branch.entries.get("stage")
    text = sheet.text(node, "stage")
    if text in [stage.value for stage in Stage]:
        return Stage(text)
    if text is not None and node is not None:
        sheet.report(node.line, f"unknown stage '{text}'", "use status, limit or decision")
    return None


def _rule(node: Node, stage: Stage, catalogue: FactCatalogue, sheet: Sheet) -> Rule | None:
    required = ("id", "title", "when", RESULT_KEY[stage], "effective_from", "reference")
    branch = sheet.branch(node, _name(node), required=required, optional=("reason", "effective_to"))
    rule_id = sheet.text(branch.entries.get("id"), "id") if branch else None
    if branch is None or rule_id is None:
        return None
    what = f"rule {rule_id}"
    if not RULE_ID.fullmatch(rule_id):
        sheet.report(node.line, f"{what}: unusable id", "use letters, digits and hyphens, e.g. RC-003")
    begins, ends = sheet.period(branch, what)
    title = sheet.texts(branch.entries.get("title"), f"{what}: title") or {}
    reference = sheet.text(branch.entries.get("reference"), f"{what}: reference") or ""
    reason = sheet.text(branch.entries.get("reason"), f"{what}: reason")
    result = _result(stage, branch, what, catalogue, sheet)
    when = _when(branch, what, catalogue, sheet)
    if when is None:
        return None
    rule = Rule(
        id=rule_id,
        stage=stage,
        title=title,
        when=when,
        reason=reason,
        effective_from=begins,
        effective_to=ends,
        reference=reference,
        file=sheet.file,
        line=node.line,
        **result,
    )
    _check_order(rule, catalogue, sheet)
    return rule


def _when(branch: Branch, what: str, catalogue: FactCatalogue, sheet: Sheet) -> Condition | None:
    node = branch.entries.get("when")
    if node is None:
        return None

    def report(line: int, mistake: str, remedy: str) -> None:
        sheet.report(line, f"{what}: {mistake}", remedy)

    return read_condition(node, catalogue, report=report)


def _result(stage: Stage, branch: Branch, what: str, catalogue: FactCatalogue, sheet: Sheet) -> dict[str, Any]:
    """What the rule of a stage gives: the one of ``sets``, ``effects``, ``outcome`` that belongs to it."""
    node = branch.entries.get(RESULT_KEY[stage])
    if stage is Stage.STATUS:
        return {"sets": _sets(node, what, catalogue, sheet)}
    if stage is Stage.LIMIT:
        return {"effects": _effects(node, what, catalogue, sheet)}
    outcome = _outcome(node, what, sheet)
    if outcome in (Outcome.REFER, Outcome.DECLINE) and "reason" not in branch.entries:
        sheet.report(branch.line, f"{what}: a rule that refers or declines gives no reason", "add reason: CODE")
    return {"outcome": outcome}


def _name(node: Node) -> str:
    """How messages call a rule whose keys are still being checked."""
    rule_id = node.entries.get("id") if isinstance(node, Branch) else None
    return f"rule {rule_id.text}" if isinstance(rule_id, Scalar) else "a rule"


def _outcome(node: Node | None, what: str, sheet: Sheet) -> Outcome | None:
    text = sheet.text(node, f"{what}: outcome")
    if text is None or node is None:
        return None
    if text in Outcome.__members__:
        return Outcome[text]
    sheet.report(node.line, f"{what}: unknown outcome '{text}'", "use APPROVE, REFER or DECLINE")
    return None


def _sets(node: Node | None, what: str, catalogue: FactCatalogue, sheet: Sheet) -> tuple[tuple[str, Exact], ...]:
    branch = sheet.free_branch(node, f"{what}: sets")
    if branch is None:
        return ()
    if not branch.entries:
        sheet.report(branch.line, f"{what}: sets nothing", "write sets: {card: red}")
    settable = [fact.name for fact in catalogue.settable]
    values = []
    for name, value in branch.entries.items():
        if name not in settable:
            hint = did_you_mean(name, settable, otherwise=f"only {', '.join(settable)} can be set")
            sheet.report(value.line, f"{what}: '{name}' cannot be set by a rule", hint)
        elif (exact := sheet.value(value, name, catalogue)) is not None:
            values.append((name, exact))
    return tuple(values)


def _effects(node: Node | None, what: str, catalogue: FactCatalogue, sheet: Sheet) -> Effects | None:
    branch = sheet.branch(node, f"{what}: effects", optional=EFFECTS)
    if branch is None:
        return None
    if not branch.entries:
        sheet.report(branch.line, f"{what}: has no effect", f"give one of {', '.join(EFFECTS)}")
    factor = _amount(branch.entries.get("limit_factor"), FactType.RATIO, f"{what}: limit_factor", catalogue, sheet)
    if isinstance(factor, int) and not 0 <= factor <= FactType.RATIO.scale:
        sheet.report(branch.line, f"{what}: limit_factor is not between 0 and 1", "a factor only narrows the limit")
    cap = _amount(branch.entries.get("limit_cap"), FactType.MONEY, f"{what}: limit_cap", catalogue, sheet)
    if isinstance(cap, int) and cap < 0:
        sheet.report(branch.line, f"{what}: limit_cap is below zero", "write zero or more")
    spread = sheet.whole(branch.entries.get("rate_spread_bp"), f"{what}: rate_spread_bp")
    if spread is not None and not 0 <= spread <= 10_000:
        sheet.report(branch.line, f"{what}: rate_spread_bp is not between 0 and 10000", "give basis points")
    return Effects(factor, cap, spread, _conditions(branch.entries.get("conditions"), what, sheet))


def _amount(
    node: Node | None, kind: FactType, what: str, catalogue: FactCatalogue, sheet: Sheet
) -> int | str | None:
    """A number of the given type, or the name of a fact of that type."""
    text = sheet.text(node, what)
    if text is None or node is None:
        return None
    if text in catalogue:
        if catalogue[text].type is kind:
            return text
        sheet.report(node.line, f"{what}: '{text}' is a {catalogue[text].type.value}", f"name a {kind.value}")
        return None
    literal = sheet.attempt(node.line, what, lambda: parse_literal(text))
    if isinstance(literal, str):
        hint = did_you_mean(text, catalogue, otherwise="give a number")
        sheet.report(node.line, f"{what}: unknown fact '{text}'", hint)
        return None
    return None if literal is None else sheet.attempt(node.line, what, lambda: encode_number(kind, literal))


def _conditions(node: Node | None, what: str, sheet: Sheet) -> tuple[str, ...]:
    codes = sheet.names(node, f"{what}: conditions")
    for code in codes:
        if not CONDITION_CODE.fullmatch(code) and node is not None:
            sheet.report(node.line, f"{what}: unusable condition code '{code}'", "use letters, digits and _")
    return tuple(sorted(codes))


def _check_order(rule: Rule, catalogue: FactCatalogue, sheet: Sheet) -> None:
    """A stage reads only what is known before it; otherwise results would depend on the order of rules."""
    named = set(facts_named(rule.when))
    if rule.effects is not None:
        named |= {value for value in (rule.effects.limit_cap, rule.effects.limit_factor) if isinstance(value, str)}
    for name in sorted(named):
        for source in sorted(_sources(name, catalogue) & set(NOT_YET_KNOWN[rule.stage])):
            sheet.report(
                rule.line,
                f"rule {rule.id}: stage {rule.stage.value} reads '{name}', which is computed after it ({source})",
                "move the rule to a later stage",
            )


def _sources(name: str, catalogue: FactCatalogue) -> set[str]:
    fact = catalogue[name]
    if fact.derived is not None:
        return set().union(*(_sources(given, catalogue) for given in fact.derived.inputs))
    return {"status"} if fact.combine is not None else {fact.source}


def read_reasons(root: Node, sheet: Sheet) -> dict[str, ReasonCode]:
    """The reason codes with their texts."""
    branch = sheet.branch(root, "the file", required=("reasons",))
    codes: dict[str, ReasonCode] = {}
    for node in sheet.items(branch.entries.get("reasons") if branch else None, "reasons"):
        entry = sheet.branch(node, "a reason", required=("code", "customer", "officer"))
        code = sheet.text(entry.entries.get("code"), "code") if entry else None
        if entry is None or code is None:
            continue
        texts: dict[str, Mapping[str, str]] = {
            reader: sheet.coded(NO_TEXT).texts(entry.entries.get(reader), f"reason {code}: {reader}")
            or {"zh": code, "en": code}
            for reader in ("customer", "officer")
        }
        if code in codes or not CODE.fullmatch(code):
            sheet.report(node.line, f"reason {code}: the code is unusable or given twice", "use one entry in capitals")
        codes[code] = ReasonCode(code, texts["customer"], texts["officer"])
    return codes
