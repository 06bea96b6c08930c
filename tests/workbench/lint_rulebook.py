"""A small rulebook in which lint finds nothing, and what lint finds once something is planted into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from decision_service.lending.limits import limit
from decision_service.rulebook.cases import cases_of
from decision_service.rulebook.files import load_sources
from decision_service.rulebook.findings import Finding
from decision_service.rulebook.lint import case_findings, fact_findings, reason_findings
from decision_service.rulebook.ruleset import RESERVED_REASONS
from decision_service.workbench.difference import bases_of
from decision_service.workbench.lint_days import Asking
from decision_service.workbench.lint_rules import RuleFindings
from decision_service.workbench.reference import judge
from tests.rulebook.small_rulebook import SOURCES, reasons_text

ON = date(2026, 6, 3)
UNUSED = ("years", "established")
"""Facts of the small rulebook that nothing reads."""
PLATFORM = frozenset(
    "product amount existing pd rating listed disputed overdue months industry_status".split()
    + ["card", "whitelisted", "limit_max"]
)
"""What a platform would give or read by name."""

DECISION = """\
stage: decision
rules:
  - id: AUTO-1
    title: {zh: 秒批, en: instant}
    when:
      all: [exposure <= policy.line, pd <= industry.cutoff, card == none]
    outcome: APPROVE
    reason: AUTO_OK
    effective_from: 2023-10-15
    reference: rule six
  - id: CARD-1
    title: {zh: 红牌, en: red}
    when: card == red
    outcome: DECLINE
    reason: CARD
    effective_from: 2023-10-15
    reference: rule seven
  - id: CARD-2
    title: {zh: 黄牌, en: yellow}
    when: card == yellow
    outcome: REFER
    reason: CARD
    effective_from: 2023-10-15
    reference: rule seven
  - id: AMT-1
    title: {zh: 超线, en: above the line}
    when: exposure > policy.line
    outcome: REFER
    reason: AMOUNT
    effective_from: 2023-10-15
    reference: rule eight
  - id: PD-1
    title: {zh: 违约概率过高, en: too likely to default}
    when: pd > industry.cutoff
    outcome: REFER
    reason: PD
    effective_from: 2023-10-15
    reference: rule nine
  - id: IND-1
    title: {zh: 行业不明, en: no such industry}
    when: industry_status != covered
    outcome: REFER
    reason: INDUSTRY
    effective_from: 2023-10-15
    reference: rule ten
  - id: TERM-1
    title: {zh: 期限, en: term}
    when: months > product.term
    outcome: REFER
    reason: TERM
    effective_from: 2023-10-15
    reference: rule eleven
"""
CODES = RESERVED_REASONS + ("LISTED", "HALVED", "AUTO_OK", "CARD", "AMOUNT", "PD", "INDUSTRY", "TERM")
CASES = """\
profiles:
  sound:
    product: plain
    amount: 1_000_000.00
    existing: 0
    pd: 0.02
    rating: B
    listed: false
    disputed: false
    overdue: 0
    months: 6
cases:
  - name: A sound firm is approved
    base: sound
    as_of: 2026-06-03
    industry: "35"
    expect: {outcome: APPROVE, reasons: [AUTO_OK]}
    matches: [AUTO-1]
    misses: [AMT-1, CARD-1]
"""


def _facts() -> str:
    lines = SOURCES["facts.yaml"].splitlines(keepends=True)
    kept = [line for line in lines if not any(f"name: {one}," in line for one in UNUSED)]
    rest = "range: [1, 360], source: application, level: 1, label: {zh: 期限, en: term}"
    return "".join(kept) + f"  - {{name: months, type: count, {rest}}}\n"


BASE: Mapping[str, str] = {
    **SOURCES,
    "facts.yaml": _facts(),
    "decision.yaml": DECISION,
    "limit.yaml": SOURCES["limit.yaml"].replace("when: amount >= 0.01", "when: whitelisted == false"),
    "reasons.yaml": reasons_text(CODES),
}


def planted(sources: Mapping[str, str]) -> tuple[Finding, ...]:
    """What lint finds in texts, their cases under ``cases/``. Raises ``RulebookError`` for what cannot be read."""
    return tuple(sorted(_findings(sources), key=lambda one: (one.file, one.line, one.code)))


def _findings(sources: Mapping[str, str]) -> Iterator[Finding]:
    cases = {path: text for path, text in {"cases/cases.yaml": CASES, **sources}.items() if path.startswith("cases/")}
    ruleset = load_sources({path: text for path, text in sources.items() if path not in cases})
    read = cases_of(cases, ruleset)
    yield from fact_findings(ruleset, platform=PLATFORM, read_beside=frozenset())
    yield from reason_findings(ruleset)
    yield from RuleFindings(Asking(ruleset, ON, judge, limit), bases_of(read, ON)).all()
    yield from case_findings(ruleset, read, evaluate=judge, facts_from_records=None)
