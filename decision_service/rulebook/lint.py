"""Findings that need no proof: facts, reason codes and cases that miss what they are about."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import reduce

from decision_service.rulebook.case_file import Case
from decision_service.rulebook.cases import Evaluate, FactsFromRecords, case_facts
from decision_service.rulebook.completeness import line_of
from decision_service.rulebook.conditions import Condition, facts_named
from decision_service.rulebook.findings import Finding, words
from decision_service.rulebook.invariants import OUTCOME
from decision_service.rulebook.overlays import OVERLAYS
from decision_service.rulebook.parameters import ParameterRow
from decision_service.rulebook.reads import PARAMETER, named_by
from decision_service.rulebook.rules import ReasonCode
from decision_service.rulebook.ruleset import PLACEHOLDERS, RESERVED_REASONS, Ruleset

FACTS, REASONS = "facts.yaml", "reasons.yaml"
HAN = re.compile(r"[\u3400-\u9fff]")
LANGUAGE_NAMES: Mapping[str, tuple[str, str]] = {"zh": ("中文", "Chinese"), "en": ("英文", "English")}


def fact_findings(ruleset: Ruleset, *, platform: Set[str], read_beside: Set[str]) -> Iterator[Finding]:
    """Facts that nothing uses, and facts that something uses and nothing supplies.

    ``platform`` are the facts that the way of a decision gives or reads by name, ``read_beside`` parameters that only
    it or training reads.
    """
    users = users_of(ruleset)
    catalogue = ruleset.catalogue
    rows = {name for table in tables(ruleset) for row in table for name in row.values}
    for name, fact in catalogue.items():
        line = line_of(ruleset.sources, FACTS, name)
        if name not in users and name not in platform and name not in read_beside:
            yield Finding("unused-fact", FACTS, line, words({"fact": name}))
        given = fact.derived is None and fact.combine is None
        supplied = name in rows if fact.source == PARAMETER else name in platform
        if name in users and given and not supplied:
            yield Finding("unsupplied-fact", FACTS, line, words({"fact": name, "users": ", ".join(users[name][:3])}))


def tables(ruleset: Ruleset) -> Iterator[Iterable[ParameterRow]]:
    """The rows of every table of parameters, the overlays' too."""
    own = [overlay.policy for overlay in ruleset.overlays.values()]
    yield from (table.rows for table in (ruleset.industries, ruleset.product_parameters, ruleset.policy, *own))


def users_of(ruleset: Ruleset) -> Mapping[str, list[str]]:
    """By fact, the rules, products and invariants that name it, and the derived facts in use that come from it."""
    users: dict[str, list[str]] = defaultdict(list)
    for rule in ruleset.every_rule():
        for name in sorted(named_by(rule)):
            users[name].append(rule.name)
    for product in ruleset.products.values():
        for name in product.required_facts:
            users[name].append(f"products/{product.name}.yaml")
    for claim in ruleset.invariants:
        for name in sorted(_named(claim.given) | _named(claim.then) | ({claim.fact} if claim.fact else set())):
            users[name].append(claim.id)
    for name, _ in reversed(ruleset.catalogue.derivations):
        formula = ruleset.catalogue[name].derived
        for read in formula.inputs if name in users and formula is not None else ():
            users[read].append(name)
    return dict(users)


def _named(condition: Condition | None) -> frozenset[str]:
    return frozenset() if condition is None else facts_named(condition) - {OUTCOME.name}


def reason_findings(ruleset: Ruleset) -> Iterator[Finding]:
    """Reason codes whose text is in another language than it should be, and codes that nothing gives."""
    given = {rule.reason for rule in ruleset.every_rule()} | set(RESERVED_REASONS)
    files = {REASONS: ruleset.reasons}
    files |= {f"{OVERLAYS}/{client}/{REASONS}": one.reasons for client, one in ruleset.overlays.items()}
    for file, reasons in files.items():
        for reason in reasons.values():
            line = _line_of_code(ruleset.sources, file, reason.code)
            if reason.code not in given:
                yield Finding("unused-reason", file, line, words({"reason": reason.code}))
            yield from _texts(reason, file, line)


def _texts(reason: ReasonCode, file: str, line: int) -> Iterator[Finding]:
    """A Chinese text has a Chinese character, an English one has none."""
    for reader, texts in (("customer", reason.customer), ("officer", reason.officer)):
        for lang, (in_zh, in_en) in LANGUAGE_NAMES.items():
            bare = reduce(lambda text, name: text.replace(name, ""), PLACEHOLDERS, texts[lang])
            right = bool(HAN.search(bare)) if lang == "zh" else bool(bare.strip()) and not HAN.search(bare)
            if not right:
                told = {"reason": reason.code, "text": f"{reader}.{lang}"}
                yield Finding(
                    "reason-without-text", file, line, words(told, zh={"language": in_zh}, en={"language": in_en})
                )


def _line_of_code(sources: Mapping[str, str], file: str, code: str) -> int:
    written = re.compile(rf"\bcode: *[\"']?{re.escape(code)}\b")
    lines = sources.get(file, "").splitlines()
    return next((number for number, line in enumerate(lines, start=1) if written.search(line)), 1)


_SAID = {
    True: {"zh": "会命中", "en": "matches"},
    False: {"zh": "不会命中", "en": "does not match"},
    None: {"zh": "未知", "en": "is unknown"},
}


def case_findings(
    ruleset: Ruleset, cases: Iterable[Case], *, evaluate: Evaluate, facts_from_records: FactsFromRecords | None
) -> Iterator[Finding]:
    """Cases in which a rule that they name comes out otherwise than they say. Files as the cases have them."""
    for case in cases:
        if not (case.matches or case.misses):
            continue
        rules = ruleset.in_force(case.decided_by, case.client)
        found = evaluate(rules, case_facts(case, rules, facts_from_records=facts_from_records))
        truths = {**dict.fromkeys(found.matched, True), **dict.fromkeys(found.unknown, None)}
        for expected, ids in ((True, case.matches), (False, case.misses)):
            for rule_id in ids:
                truth = truths.get(rule_id, False)
                if truth is not expected:
                    said = [
                        {"expected": _SAID[expected][lang], "actual": _SAID[truth][lang]} for lang in ("zh", "en")
                    ]
                    told = words({"case": case.name, "rule": rule_id}, zh=said[0], en=said[1])
                    yield Finding("case-off-target", case.file, case.line, told)
