"""What breaks a claim, told in people's words in both languages, and as a case that expects what the claim demands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from decision_service.decide import Assessment
from decision_service.rulebook.case_file import CONDITIONS, SPREAD, Case, Expectation
from decision_service.rulebook.conditions import Condition, Exact, FactName, comparisons
from decision_service.rulebook.evaluate import truth_of
from decision_service.rulebook.invariants import OUTCOME, Claim, Invariant
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.inputs import LIMIT
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome
from decision_service.workbench.application_cases import case_of
from decision_service.workbench.prove import Proof
from decision_service.workbench.reference import judge

Bases = Mapping[str, Application]
HEAD = """\
# Written by `decision-service rules prove`: applications for which the rules of version {version} break a claim of
# invariants.yaml. Each case expects what the claim demands, so it fails until the rules are mended.
cases:
"""
COMMENT = "  # expects what the claim demands; a person must see whether the rules or the claim are meant otherwise"
OUTCOMES: Mapping[Outcome, str] = {Outcome.APPROVE: "批准", Outcome.REFER: "转人工", Outcome.DECLINE: "拒绝"}
GIVEN = ("申请：", "an application with")
SAME = ("同一申请，但：", "the same application, but with")
BY_BASE, BY_OVERLAY = ("基础规则", "by the base"), ("叠加 {client} 的规则", "with the overlay of {client}")
COMES_OUT = ("结果", "comes out as")


@dataclass(frozen=True, slots=True)
class Seen:
    """An application as a set of rules decides it; ``title`` introduces it in zh and en, ``by`` says whose rules."""

    application: Application
    rules: RulesInForce
    assessed: Assessment
    title: tuple[str, str]
    by: tuple[str, str] = COMES_OUT
    beside: Application | None = None


def seen(proof: Proof, bases: Bases) -> tuple[Seen, ...]:
    """The application that breaks the claim; then the other one, or the same by the overlay, where two are compared.

    Nothing for a claim that is not refuted.
    """
    verdict = proof.verdict
    one, other, against = verdict.application, verdict.other, verdict.against
    if one is None:
        return ()
    base = bases.get(verdict.base)
    title = GIVEN if base is None else (f"如案例档案 {verdict.base}，但：", f"as profile {verdict.base}, but with")
    if base is not None and not one.told(verdict.rules.catalogue, "en", beside=base):
        title = f"如案例档案 {verdict.base}", f"as profile {verdict.base}"
    first = Seen(one, verdict.rules, _assessed(one, verdict.rules), title, BY_BASE if against else COMES_OUT, base)
    if against is not None:
        zh, en = (text.format(client=against.client) for text in BY_OVERLAY)
        return first, Seen(one, against, _assessed(one, against), SAME, (zh, en), one)
    if other is None:
        return (first,)
    return first, Seen(other, verdict.rules, _assessed(other, verdict.rules), SAME, beside=one)


def _assessed(application: Application, rules: RulesInForce) -> Assessment:
    return judge(rules, application.facts(rules))


def account(proof: Proof) -> str:
    """What became of a claim that is not proven, in one line; doubt is no proof."""
    task, invariant = proof.task, proof.task.invariant
    where = f"{invariant.file}:{invariant.line}: " if invariant.file else ""
    whose = f" for {task.client}" if task.client else ""
    why = f" ({proof.verdict.doubt})" if proof.verdict.doubt else ""
    title = " · ".join(invariant.title.values())
    return f"{where}{invariant.id}: {proof.result.value} from {task.on} on{whose}{why}: {title}"


def told(proof: Proof, bases: Bases) -> Iterator[str]:
    """A counterexample in zh and en, line by line: what differs from a familiar application, and what comes out."""
    for one in seen(proof, bases):
        facts = list(zip(*(_facts(one, lang) for lang in ("zh", "en"))))
        yield " · ".join(one.title)
        yield from (f"  {zh} · {en}" for zh, en in facts)
        yield f"{' · '.join(one.by)}: {_outcome(one)}"
        matched = ", ".join(one.assessed.matched) or "—"
        yield f"  命中规则 · rules that match: {matched}"
        if one.assessed.unknown:
            yield f"  未知规则 · rules that are unknown: {', '.join(one.assessed.unknown)}"


def _facts(one: Seen, lang: str) -> list[str]:
    return one.application.told(one.rules.catalogue, lang, beside=one.beside)


def _outcome(one: Seen) -> str:
    catalogue, found = one.rules.catalogue, one.assessed
    parts = [f"{OUTCOMES[found.outcome]} {found.outcome.name}"]
    for name in ("card", "whitelisted", LIMIT):
        zh, en = (catalogue[name].label.get(lang, name) for lang in ("zh", "en"))
        parts.append(f"{zh} · {en} {catalogue.text(name, found.facts[name])}")
    if found.effects.rate_spread_bp:
        parts.append(f"利率加点 · spread {found.effects.rate_spread_bp} bp")
    if found.effects.conditions:
        parts.append(f"附加条件 · conditions {', '.join(found.effects.conditions)}")
    return ", ".join(parts)


def document(proof: Proof, bases: Bases) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [
        {
            "base": proof.verdict.base or None,
            "industry": one.application.industry,
            "differs": {lang: _facts(one, lang) for lang in ("zh", "en")},
            "facts": {name: one.rules.catalogue.text(name, value) for name, value in one.application.values.items()},
            "client": one.rules.client or None,
            "outcome": one.assessed.outcome.name,
            "card": one.assessed.card,
            "whitelisted": one.assessed.whitelisted,
            "limit": one.rules.catalogue.text(LIMIT, one.assessed.limit),
            "rate_spread_bp": one.assessed.effects.rate_spread_bp,
            "conditions": list(one.assessed.effects.conditions),
            "matched": list(one.assessed.matched),
            "unknown": list(one.assessed.unknown),
        }
        for one in seen(proof, bases)
    ]


def case(proof: Proof, bases: Bases, *, as_of: date) -> Case | None:
    """A counterexample as a case that fails; ``None`` if a case cannot say its facts or what the claim demands."""
    found = seen(proof, bases)
    expect = demanded(proof.task.invariant, found) if found else None
    if expect is None:
        return None
    last, name = found[-1], f"{proof.task.invariant.id}: {proof.task.invariant.title.get('en', '')}"
    return case_of(
        last.application, last.rules, as_of=as_of, expect=expect, name=name, base=proof.verdict.base, bases=bases
    )


def demanded(invariant: Invariant, found: tuple[Seen, ...]) -> Expectation | None:
    """What the claim demands of the last application found, in the words of a case; ``None`` if it has none for it."""
    first, last = found[0].assessed, found[-1].assessed
    if invariant.claim is Claim.IMPLICATION:
        return _implied(invariant, found[0])
    if invariant.claim is Claim.ALWAYS_DECIDED:
        return Expectation(Outcome.DECLINE)  # some rule must decide; the strictest, until a person says which
    if invariant.claim is Claim.UNKNOWN_NEVER_APPROVES:
        return Expectation(Outcome.REFER)
    if last.outcome < first.outcome:
        return Expectation(first.outcome)
    return Expectation(last.outcome, _no_better(first, last))


def _no_better(first: Assessment, last: Assessment) -> dict[str, Any]:
    """The terms of the first where the second's are better."""
    demanded: dict[str, Any] = {}
    if last.limit is not None and (first.limit is None or last.limit > first.limit):
        demanded["limit"] = first.limit
    if last.effects.rate_spread_bp < first.effects.rate_spread_bp:
        demanded[SPREAD] = Decimal(first.effects.rate_spread_bp)
    if not set(first.effects.conditions) <= set(last.effects.conditions):
        demanded[CONDITIONS] = frozenset((*first.effects.conditions, *last.effects.conditions))
    return demanded


def _implied(invariant: Invariant, one: Seen) -> Expectation | None:
    """The first change of one word of a case by which the claim holds: another outcome, card, whitelist or limit."""
    found, catalogue = one.assessed, one.rules.catalogue
    table: dict[str, Exact | None] = {**found.facts, OUTCOME.name: found.outcome.name}

    def holds(name: str, value: Exact | None) -> bool:
        changed = {**table, name: value}
        given = invariant.given is None or truth_of(invariant.given, changed) is True
        return not given or (invariant.then is not None and truth_of(invariant.then, changed) is True)

    for outcome in Outcome:
        if holds(OUTCOME.name, outcome.name):
            return Expectation(outcome)
    demanded = {one.fact for one in comparisons(invariant.then)} if invariant.then is not None else set()
    words: list[tuple[str, Exact | None]] = [("card", choice) for choice in catalogue["card"].choices]
    words += [("whitelisted", flag) for flag in (0, 1)]
    words += [(LIMIT, limit) for limit in _limits(invariant.then, table)]
    words.sort(key=lambda word: word[0] not in demanded)
    for name, value in words:
        if holds(name, value):
            expected = bool(value) if name == "whitelisted" else value
            return Expectation(found.outcome, {"limit" if name == LIMIT else name: expected})
    return None


def _limits(then: Condition | None, table: Mapping[str, Exact | None]) -> list[int]:
    """The limits with which a claim compares, the highest first."""
    found: set[int] = set()
    for one in comparisons(then) if then is not None else ():
        value = table.get(one.operand.name) if isinstance(one.operand, FactName) else one.operand
        if one.fact == LIMIT and isinstance(value, int):
            found.update((value, value - 1))
    return sorted((one for one in found if one >= 0), reverse=True)
