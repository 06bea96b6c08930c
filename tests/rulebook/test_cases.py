"""Cases: reading them, running them, and the coverage of rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from decision_service.errors import RulebookError
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.cases import CaseReport, load_cases, run_cases
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import LimitEffects, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import combine, limit_effects, set_status
from decision_service.vocabulary import Outcome, Reason
from tests.rulebook.small_rulebook import ruleset

RULESET = ruleset()
PROFILE = """\
profiles:
  sound: {product: plain, amount: 3_000_000.00, existing: 0, pd: 0.04, rating: B, listed: false, disputed: false, \
overdue: 0, years: 3}
"""


@dataclass(frozen=True)
class Answer:
    """A fake of what ``decide`` gives: the limit is the cap times the factor."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    card: str | None
    whitelisted: bool | None
    limit: int | None
    effects: LimitEffects
    facts: Facts
    matched: tuple[str, ...]
    unknown: tuple[str, ...]


def evaluate(rules: RulesInForce, facts: Facts) -> Answer:
    engine = ReferenceEngine(rules)
    status = engine.evaluate(Stage.STATUS, facts)
    facts = set_status(rules, status, facts)
    limiting = engine.evaluate(Stage.LIMIT, facts)
    effects = limit_effects(rules, limiting, facts)
    limit = None if effects.limit_cap is None else effects.limit_cap * effects.limit_factor // 1_000_000
    deciding = engine.evaluate(Stage.DECISION, facts)
    results = {Stage.STATUS: status, Stage.LIMIT: limiting, Stage.DECISION: deciding}
    outcome, reasons = combine(rules, results, facts)
    matched = tuple(rule for result in results.values() for rule in result.matched)
    unknown = tuple(rule for result in results.values() for rule in result.unknown)
    listed = facts["whitelisted"]
    white = None if listed is None else bool(listed)
    card: Any = facts["card"]
    return Answer(outcome, reasons, card, white, limit, effects, facts, matched, unknown)


def report(tmp_path: Path, cases: str) -> CaseReport:
    return run_cases(RULESET, written(tmp_path, cases), evaluate=evaluate)


def written(tmp_path: Path, cases: str) -> tuple[Case, ...]:
    (tmp_path / "cases").mkdir(exist_ok=True)
    (tmp_path / "cases" / "b_profiles.yaml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "cases" / "a_cases.yaml").write_text("cases:\n" + cases, encoding="utf-8")
    return load_cases(tmp_path, RULESET)


def case(expect: str, *, facts: str = "{}", more: str = "", name: str = "a case", as_of: str = "2024-06-03") -> str:
    return (
        f'  - name: "{name}"\n    base: sound\n    as_of: {as_of}\n    industry: "35"\n    facts: {facts}\n'
        f"    expect: {expect}\n{more}"
    )


PASSING = [
    ("{outcome: APPROVE, reasons: [AUTO_OK], card: none, whitelisted: false, limit: 20_000_000.00}", "{}"),
    ("{outcome: APPROVE, rate_spread_bp: 0, conditions: []}", "{}"),
    ("{outcome: REFER, rate_spread_bp: 50, conditions: [watch, no_increase]}", "{overdue: 30}"),
    ("{outcome: REFER, reasons: [AMOUNT]}", "{amount: 5_000_000.01}"),
    ("{outcome: REFER, reasons: [AMOUNT]}", "{policy.line: 2_999_999.99}"),
    ("{outcome: DECLINE, card: red, reasons: [LISTED, CARD]}", "{listed: true}"),
    ("{outcome: REFER, card: yellow, limit: 10_000_000.00}", "{overdue: 30}"),
    ("{outcome: REFER, card: unknown, unknown: [overdue]}", "{overdue: unknown}"),
    ("{outcome: APPROVE, whitelisted: unknown}", "{rating: unknown}"),
    ("{outcome: APPROVE}", "{industry_status: unknown}"),
]


@pytest.mark.parametrize(("expect", "facts"), PASSING)
def test_a_case_that_comes_out_as_expected_passes(tmp_path: Path, expect: str, facts: str) -> None:
    assert report(tmp_path, case(expect, facts=facts)).failures == ()


FAILING = [
    ("{outcome: REFER}", "{}", "", "expected REFER, got APPROVE (AUTO_OK by AUTO-1)"),
    ("{outcome: APPROVE, reasons: [CARD]}", "{}", "", "expected reasons [CARD], got [AUTO_OK]"),
    ("{outcome: APPROVE, reasons: []}", "{}", "", "expected reasons [], got [AUTO_OK]"),
    ("{outcome: APPROVE, card: yellow}", "{}", "", "expected card yellow, got none"),
    ("{outcome: APPROVE, whitelisted: true}", "{}", "", "expected whitelisted true, got false"),
    ("{outcome: APPROVE, limit: 20_000_000.01}", "{}", "", "expected limit 20,000,000.01, got 20,000,000.00"),
    ("{outcome: REFER, rate_spread_bp: 49}", "{overdue: 30}", "", "expected rate_spread_bp 49, got 50"),
    ("{outcome: REFER, conditions: [watch]}", "{overdue: 30}", "", "conditions [watch], got [no_increase, watch]"),
    ("{outcome: REFER, unknown: [pd]}", "{overdue: unknown}", "", "expected the reasons to name [pd] as unknown"),
    ("{outcome: APPROVE}", "{}", "    matches: [RED-1]\n", "expected RED-1 to match, it does not"),
    ("{outcome: APPROVE}", "{}", "    misses: [AUTO-1]\n", "expected AUTO-1 not to match, it does"),
    ("{outcome: APPROVE}", "{rating: unknown}", "    misses: [WL-1]\n", "expected WL-1 not to match, it is unknown"),
]


@pytest.mark.parametrize(("expect", "facts", "more", "message"), FAILING)
def test_a_case_that_comes_out_otherwise_fails_with_file_and_line(
    tmp_path: Path, expect: str, facts: str, more: str, message: str
) -> None:
    (failure,) = report(tmp_path, case(expect, facts=facts, more=more)).failures
    assert message in str(failure.problem)
    assert f"{tmp_path}/cases/a_cases.yaml:2: case 'a case'" in str(failure.problem)


def test_a_case_sees_what_was_in_force_on_its_date(tmp_path: Path) -> None:
    facts = "{amount: 5_500_000.00}"
    early = case("{outcome: REFER}", facts=facts, name="before", as_of="2024-12-31")
    late = case("{outcome: APPROVE}", facts=facts, name="after", as_of="2025-01-01")
    assert report(tmp_path, early + late).failures == ()


@pytest.mark.parametrize(("industry", "status"), [("06", "excluded"), ("99", "unknown"), ("35", "covered")])
def test_the_industry_of_a_case_gives_its_status(tmp_path: Path, industry: str, status: str) -> None:
    seen: list[Facts] = []

    def spy(rules: RulesInForce, facts: Facts) -> Answer:
        seen.append(facts)
        return evaluate(rules, facts)

    cases = written(tmp_path, case("{outcome: APPROVE}").replace('"35"', f'"{industry}"'))
    run_cases(RULESET, cases, evaluate=spy)
    assert seen[0]["industry_status"] == status
    assert (seen[0]["industry.cutoff"] is not None) == (status == "covered")


def test_coverage_lists_rules_that_no_case_matches_or_misses(tmp_path: Path) -> None:
    result = report(tmp_path, case("{outcome: APPROVE}") + case("{outcome: REFER}", facts="{pd: unknown}", name="b"))
    assert not result.passed and result.cases == 2
    assert result.coverage["AUTO-1"].matched == ("a case",) and result.coverage["AUTO-1"].unknown == ("b",)
    assert "LIM-1" in result.never_missed and "AUTO-1" in result.never_missed
    assert {"RED-1", "YEL-1", "WL-1", "CARD-1", "AMT-1", "LIM-2"} == set(result.never_matched)


def test_records_become_facts_by_the_callable_and_the_cases_own_facts_win(tmp_path: Path) -> None:
    overdues = '[{started_on: 2024-01-31, max_days: 45, bank: "01", cured_on: null, share: 0.5}]'
    records = f"    records: {{overdues: {overdues}}}\n"
    cases = written(tmp_path, case("{outcome: REFER, card: yellow}", facts="{amount: 6_000_000.00}", more=records))
    (overdue,) = cases[0].records["overdues"]
    assert overdue == {
        "started_on": date(2024, 1, 31),
        "max_days": 45,
        "bank": "01",
        "cured_on": None,
        "share": Decimal("0.5"),
    }

    def read(one: Case, rules: RulesInForce) -> Mapping[str, Any]:
        return {"overdue": one.records["overdues"][0]["max_days"], "amount": Decimal("1.00"), "years": None}

    assert run_cases(RULESET, cases, evaluate=evaluate, facts_from_records=read).failures == ()
    with pytest.raises(RulebookError, match="has records"):
        run_cases(RULESET, cases, evaluate=evaluate)


MISTAKES = [
    (case("{outcome: APPROVE}").replace("sound", "sond"), "unknown profile 'sond'; did you mean sound?"),
    (case("{outcome: APPROVE}", facts="{yeers: 3}"), "unknown fact 'yeers'; did you mean years?"),
    (case("{outcome: APPROVE}", facts="{years: 201}"), "out of range"),
    (case("{outcome: APPROVE}", facts="{exposure: 3}"), "'exposure' is computed; give the facts it is computed from"),
    (case("{outcome: APPROVE}", facts="{card: red}"), "'card' is computed"),
    (case("{outcome: APPROVE}", facts="{limit_max: 3}"), "'limit_max' is computed"),
    (case("{outcome: APPROVED}"), "unknown outcome 'APPROVED'"),
    (case("{card: red}"), "'outcome' is missing"),
    (case("{outcome: APPROVE, reasons: [AUTO_KO]}"), "reasons: 'AUTO_KO' does not exist; did you mean AUTO_OK?"),
    (case("{outcome: APPROVE, card: blue}"), "use one of none, yellow, red"),
    (case("{outcome: APPROVE, limit: 0.001}"), "more than 2 decimal places"),
    (case("{outcome: APPROVE}", more="    matches: [AUTO-9]\n"), "matches: 'AUTO-9' does not exist"),
    (case("{outcome: APPROVE}", as_of="2024-02-30"), "does not exist"),
    (case("{outcome: APPROVE}", more="    nmae: x\n"), "unknown key 'nmae'"),
    (case("{outcome: APPROVE}", more="    records: [1]\n"), "records is not a mapping"),
    (case("{outcome: APPROVE}") + case("{outcome: APPROVE}"), "the case 'a case' stands twice"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_in_a_case_is_reported_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RulebookError) as caught:
        written(tmp_path, text)
    assert message in str(caught.value) and "a_cases.yaml:" in str(caught.value)


def test_a_folder_without_cases_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(RulebookError, match="no cases"):
        load_cases(tmp_path, RULESET)
