"""A small, complete rulebook as texts, from which tests make rulebooks with one thing changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from decision_service.errors import RulebookError
from decision_service.rulebook.files import load_sources
from decision_service.rulebook.ruleset import RESERVED_REASONS, Ruleset

TODAY = date(2024, 6, 3)

_DECLARED = (
    ("product", '"choice[plain, invoice]", source: application'),
    ("amount", "money, range: [0.01, 1_000_000_000.00], source: application"),
    ("existing", "money, range: [0, 1_000_000_000.00], source: exposures"),
    ("exposure", "money, source: derived, derived: existing + amount"),
    ("pd", "ratio, range: [0, 1], source: scoring"),
    ("rating", '"choice[A, B, D]", source: tax'),
    ("listed", "flag, source: lists"),
    ("disputed", "flag, source: lists"),
    ("years", "count, range: [0, 200], source: registry"),
    ("overdue", "days, range: [0, 36500], source: banks"),
    ("established", "date, source: registry"),
    ("card", '"choice[none, yellow, red]", source: status, combine: strongest, default: none'),
    ("whitelisted", "flag, source: status, combine: strongest, default: false"),
    ("limit_max", "money, source: lending"),
    ("industry_status", '"choice[covered, excluded, unknown]", source: registry'),
    ("industry.cutoff", "ratio, range: [0, 1], source: parameter"),
    ("industry.ceiling", "money, source: parameter"),
    ("product.term", "count, source: parameter"),
    ("policy.line", "money, source: parameter"),
)
FACTS = "facts:\n" + "".join(
    f"  - {{name: {name}, type: {rest}, level: 1, label: {{zh: 事实{name}, en: the {name}}}}}\n"
    for name, rest in _DECLARED
)

STATUS = """\
stage: status
rules:
  - id: RED-1
    title: {zh: 名单, en: listed}
    when: listed == true and disputed == false
    sets: {card: red}
    reason: LISTED
    effective_from: 2023-10-15
    reference: rule one
  - id: YEL-1
    title: {zh: 逾期, en: past due}
    when: overdue >= 30
    sets: {card: yellow}
    effective_from: 2023-10-15
    reference: rule two
  - id: WL-1
    title: {zh: 白名单, en: whitelist}
    when: rating == A
    sets: {whitelisted: true}
    effective_from: 2023-10-15
    reference: rule three
"""

LIMIT = """\
stage: limit
rules:
  - id: LIM-1
    title: {zh: 顶, en: ceiling}
    when: amount >= 0.01
    effects: {limit_cap: industry.ceiling}
    effective_from: 2023-10-15
    reference: rule four
  - id: LIM-2
    title: {zh: 黄牌, en: yellow}
    when: card == yellow
    effects: {limit_factor: 0.5, rate_spread_bp: 50, conditions: [no_increase, watch]}
    reason: HALVED
    effective_from: 2023-10-15
    reference: rule five
"""

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
  - id: AMT-1
    title: {zh: 超线, en: above the line}
    when: exposure > policy.line
    outcome: REFER
    reason: AMOUNT
    effective_from: 2023-10-15
    effective_to: 2030-01-01
    reference: rule eight
"""

PARAMETERS = """\
parameters:
  - {name: line, value: 5_000_000.00, effective_from: 2023-10-15, effective_to: 2025-01-01, reference: first}
  - {name: line, value: 6_000_000.00, effective_from: 2025-01-01, reference: second}
"""

INDUSTRIES = """\
code,name_zh,cutoff,ceiling,effective_from,effective_to,reference
35,专用设备,0.045,20000000,2023-10-15,,first
35,专用设备,0.040,18000000,2025-01-01,,second
51,批发,0.030,10000000.00,2023-10-15,2024-01-01,first
"""

EXCLUDED = "code,name_zh,section,section_zh,reason\n06,煤炭,B,采矿业,state groups\n"


RULE = """\
  - id: NEW-1
    title: {zh: 新, en: new}
    when: years >= 1
    outcome: APPROVE
    effective_from: 2023-10-15
    reference: new
"""


def product_text(name: str) -> str:
    return f"""\
name: {name}
label: {{zh: 产品, en: product}}
models: {{xgboost: pd-xgboost, lstm: pd-lstm}}
required: [amount, pd, exposure]
parameters:
  - {{name: term, value: 12, effective_from: 2023-10-15, reference: term}}
"""


def reasons_text(codes: tuple[str, ...] = RESERVED_REASONS + ("LISTED", "HALVED", "AUTO_OK", "CARD", "AMOUNT")) -> str:
    texts = "{zh: 原因：{facts}, en: 'reason: {facts}'}".replace("原因：{facts}", "'原因：{facts}'")
    return "reasons:\n" + "".join(f"  - {{code: {code}, customer: {texts}, officer: {texts}}}\n" for code in codes)


SOURCES: Mapping[str, str] = {
    "facts.yaml": FACTS,
    "status.yaml": STATUS,
    "limit.yaml": LIMIT,
    "decision.yaml": DECISION,
    "parameters.yaml": PARAMETERS,
    "industries.csv": INDUSTRIES,
    "industries_excluded.csv": EXCLUDED,
    "products/plain.yaml": product_text("plain"),
    "products/invoice.yaml": product_text("invoice"),
    "reasons.yaml": reasons_text(),
    "lists.yaml": "lists: []\n",
    "indicators.csv": "id,name,unit\nIND01,ratio,%\n",
}


def ruleset(**changes: str) -> Ruleset:
    """The small rulebook; keyword ``decision="…"`` replaces decision.yaml, and so on."""
    return load_sources({**SOURCES, **{f"{name}.yaml": text for name, text in changes.items()}})


def problems(sources: Mapping[str, str]) -> list[str]:
    """Every problem of a rulebook as text; fails when it loads."""
    try:
        load_sources(sources)
    except RulebookError as error:
        return [str(problem) for problem in error.problems]
    raise AssertionError("the rulebook loaded, although it should not")


def changed(path: str, before: str, after: str) -> dict[str, str]:
    """The small rulebook with one text replaced once."""
    assert before in SOURCES[path], before
    return {**SOURCES, path: SOURCES[path].replace(before, after, 1)}


def without(path: str) -> dict[str, str]:
    return {name: text for name, text in SOURCES.items() if name != path}
