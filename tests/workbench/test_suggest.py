"""Suggested cases: what closes a gap, how little they change, how they are told and written, what cannot be found."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from decision_service.case_runs import run_ruleset
from decision_service.policy import Policy
from decision_service.rule_folder import check_folder
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.cases import CaseReport
from decision_service.rulebook.evaluate import truth_of
from decision_service.rulebook.facts import Facts
from decision_service.workbench.case_proof import CaseProof
from decision_service.workbench.case_search import CaseSearch, goals_of, in_force_for
from decision_service.workbench.case_text import text_of
from decision_service.workbench.suggest import Suggestions, suggest
from tests.api.real import RULES

TODAY = date(2026, 11, 24)
BARE = ("sound_manufacturer", "whitelisted_manufacturer", "sound_invoice_firm")

ODD_RULES = """\
stage: decision
rules:
  - id: ODD-1
    title: {zh: 一, en: never}
    when: {all: [lenders_30d > 5, lenders_30d < 4]}
    outcome: REFER
    reason: AMT_GROUP
    effective_from: 2023-10-15
    reference: test
  - id: ODD-2
    title: {zh: 二, en: nested and still to come}
    when:
      any:
        - all: [model_gap > 0.3, whitelisted == true, card == yellow, grade == P1]
        - none: [tax_rating == A, group_exposure_total > 100]
    outcome: REFER
    reason: AMT_GROUP
    effective_from: 2027-10-15
    reference: test
  - id: ODD-3
    title: {zh: 三, en: gone}
    when: purpose in [payroll, research]
    outcome: REFER
    reason: AMT_GROUP
    effective_from: 2023-10-15
    effective_to: 2023-11-01
    reference: test
  - id: ODD-4
    title: {zh: 四, en: at the end of the range}
    when: {all: [product == working_capital, pd_12m <= 1, term_months == 24, limit_max >= 1]}
    outcome: REFER
    reason: AMT_GROUP
    effective_from: 2027-10-15
    reference: test
  - id: ODD-5
    title: {zh: 五, en: a limit that only its whole formula gives}
    when: {all: [limit_max >= 1_230_000, grade == P3]}
    outcome: REFER
    reason: AMT_GROUP
    effective_from: 2027-10-15
    reference: test
  - id: ODD-6
    title: {zh: 六, en: a choice called unknown}
    when: entity_type == unknown
    outcome: REFER
    reason: AMT_GROUP
    effective_from: 2027-10-15
    reference: test
"""


def loaded(folder: Path) -> tuple[Policy, tuple[Case, ...]]:
    return check_folder(folder, on=TODAY)


def suggested(policy: Policy, report: CaseReport, rule: str) -> Suggestions:
    return suggest(policy, report, [gap for gap in report.gaps if gap.rule.id == rule])


@pytest.fixture(scope="module")
def shipped() -> Iterator[tuple[Policy, tuple[Case, ...]]]:
    policy, cases = loaded(RULES)
    yield policy, cases
    policy.close()


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Policy, CaseReport]]:
    folder = tmp_path_factory.mktemp("odd") / "rules"
    shutil.copytree(RULES, folder)
    (folder / "odd.yaml").write_text(ODD_RULES, encoding="utf-8")
    facts = (folder / "facts.yaml").read_text(encoding="utf-8")
    facts = facts.replace("choice[company, partnership", "choice[unknown, company, partnership")
    (folder / "facts.yaml").write_text(facts, encoding="utf-8")
    policy, cases = loaded(folder)
    yield policy, run_ruleset(policy, cases)
    policy.close()


@pytest.fixture(scope="module")
def of_rule(odd: tuple[Policy, CaseReport]) -> Callable[[str], Suggestions]:
    """What is suggested for a rule; it is searched once."""
    return cache(lambda rule: suggested(*odd, rule))


def missing(report: CaseReport) -> int:
    return sum(len(gap.missing) for gap in report.gaps)


def test_the_shipped_cases_leave_no_gap(shipped: tuple[Policy, tuple[Case, ...]]) -> None:
    policy, cases = shipped
    report = run_ruleset(policy, cases)
    assert report.passed
    assert [gap.gap for gap in report.gaps] == []
    assert all(one.paired for one in report.comparisons)


def test_without_the_confirmed_suggestions_27_states_are_missing_and_suggestions_close_all(
    shipped: tuple[Policy, tuple[Case, ...]]
) -> None:
    policy, cases = shipped
    fewer = [case for case in cases if not case.file.endswith("/boundaries.yaml")]
    before = run_ruleset(policy, fewer)
    found = suggest(policy, before)
    after = run_ruleset(policy, [*fewer, *found.cases])
    assert (len(before.gaps), missing(before)) == (25, 27)
    assert (len(found.cases), found.unfound) == (26, ())
    assert after.passed and after.gaps == ()


def test_from_three_bare_profiles_cases_for_every_comparison_are_found(
    shipped: tuple[Policy, tuple[Case, ...]]
) -> None:
    policy, cases = shipped
    profiles = {case.base: case for case in reversed(cases) if case.base in BARE and not case.records}
    bare = [replace(case, facts={}, matches=(), misses=()) for case in profiles.values()]
    report = run_ruleset(policy, bare)
    found = suggest(policy, report)
    after = run_ruleset(policy, found.cases)
    assert missing(report) > 300
    unfound = [(one.gap.comparison.fact, one.states) for one in found.unfound]
    assert unfound == [("industry_status", ("unknown",))] * 2, "no fact can say it: the word is one of its choices"
    assert after.failures == () and (after.never_matched, after.never_missed) == ((), ())
    assert max(len(case.facts) for case in found.cases) <= 4


def test_the_same_cases_give_the_same_suggestions_and_read_back_as_written(
    shipped: tuple[Policy, tuple[Case, ...]], tmp_path: Path
) -> None:
    policy, cases = shipped
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    (folder / "cases" / "boundaries.yaml").unlink()
    fewer = [case for case in cases if not case.file.endswith("/boundaries.yaml")]
    texts = []
    for _ in range(2):
        found = suggest(policy, run_ruleset(policy, fewer))
        texts.append(text_of(found.cases, policy.ruleset.catalogue, version=policy.ruleset.version))
    assert texts[0] == texts[1]
    (folder / "cases" / "new.yaml").write_text(texts[0], encoding="utf-8")
    other, read = loaded(folder)
    other.close()
    written = [case for case in read if case.file.endswith("/new.yaml")]
    assert [replace(case, file="", line=0) for case in written] == list(found.cases)


def by_name(found: Suggestions) -> dict[str, Case]:
    return {case.name.partition(": ")[2]: case for case in found.cases}


def test_boundaries_of_derived_and_computed_facts_are_reached_through_what_they_come_from(
    odd: tuple[Policy, CaseReport], of_rule: Callable[[str], Suggestions]
) -> None:
    names = by_name(of_rule("ODD-2"))
    assert {
        "model_gap exactly 0.3",
        "model_gap one millionth above 0.3",
        "model_gap unknown",
        "whitelisted == true is false and decides",
        "whitelisted unknown",
        "card == yellow is false and decides",
        "card unknown",
        "grade == P1 is false and decides",
        "tax_rating == A is true and decides",
        "group_exposure_total one fen above 100.00",
    } <= set(names)
    catalogue = odd[0].ruleset.catalogue
    for case in names.values():
        assert case.policy_on == date(2027, 10, 15), "decided by the first day on which the rule is in force"
        assert not [name for name in case.facts if catalogue[name].derived or catalogue[name].source == "status"]


def test_a_rule_that_is_gone_is_tested_on_its_last_day_and_every_member_of_a_list_is_shown(
    of_rule: Callable[[str], Suggestions]
) -> None:
    names = by_name(of_rule("ODD-3"))
    assert {case.policy_on for case in names.values()} == {date(2023, 10, 31)}
    assert {"purpose is payroll", "purpose is research"} <= set(names)


def test_what_nothing_can_show_is_proven_and_not_made_up(of_rule: Callable[[str], Suggestions]) -> None:
    unfound = {one.gap.comparison.text: one for one in of_rule("ODD-1").unfound}
    assert set(unfound["lenders_30d > 5"].states) == {"decides_true", "at", "above"}
    assert set(unfound["lenders_30d < 4"].states) == {"decides_true", "at", "below"}
    assert {one.why for one in unfound.values()} == {
        "proven: no application shows it with the parameters in force on 2024-06-03"
    }


def test_what_no_search_nearby_reaches_is_looked_for_among_all_applications(
    odd: tuple[Policy, CaseReport], of_rule: Callable[[str], Suggestions]
) -> None:
    policy, report = odd
    gap = next(gap for gap in report.gaps if gap.comparison.text == "limit_max >= 1_230_000.00")
    search = CaseSearch(policy, report.ran)
    assert search.find(gap, "at") is None
    found = CaseProof(search).find(gap, "at").case
    assert found is not None and search.assessed(found).limit == 123_000_000
    assert by_name(of_rule("ODD-5"))["limit_max exactly 1,230,000.00"].expect.others["limit"] == 123_000_000
    below = CaseProof(search).find(gap, "below")
    assert below.case is None and below.why.startswith("proven"), "limits are whole tens of thousands"


def test_what_a_case_cannot_say_is_told_to_be_so(odd: tuple[Policy, CaseReport]) -> None:
    policy, report = odd
    cases = [case for case in report.ran if case.base == "sound_manufacturer" and not case.facts]
    (one,) = suggested(policy, run_ruleset(policy, cases), "ODD-6").unfound
    assert one.states == ("unknown",), "unknown is one of the choices, so that the word says the choice"
    assert "the facts of a case cannot say them" in one.why


def test_a_boundary_beyond_the_range_of_a_fact_is_none_and_equality_has_both_neighbours(
    odd: tuple[Policy, CaseReport], of_rule: Callable[[str], Suggestions]
) -> None:
    policy, report = odd
    gaps = {gap.comparison.text: gap for gap in report.gaps if gap.rule.id == "ODD-4"}
    assert "above" not in gaps["pd_12m <= 1"].states
    assert {"below", "at", "above"} <= set(gaps["term_months == 24"].states)
    found = of_rule("ODD-4")
    after = run_ruleset(policy, [*report.ran, *found.cases])
    left = {gap.comparison.text: set(gap.missing) for gap in after.gaps if gap.rule.id == "ODD-4"}
    assert left == {one.gap.comparison.text: set(one.states) for one in found.unfound}
    assert left == {"pd_12m <= 1": {"false", "decides_false"}, "limit_max >= 1.00": {"at", "below"}}, (
        "nothing is above 1; limits are whole tens of thousands"
    )
    assert {"ODD-4: term_months one below 24", "ODD-4: term_months one above 24"} <= {case.name for case in found.cases}


def test_a_suggestion_expects_the_present_result_and_pins_the_rule(
    odd: tuple[Policy, CaseReport], of_rule: Callable[[str], Suggestions]
) -> None:
    policy, report = odd
    found = [case for rule in ("ODD-2", "ODD-3", "ODD-4") for case in of_rule(rule).cases]
    again = run_ruleset(policy, found)
    assert again.failures == ()
    for case in found:
        assert set(case.expect.others) >= {"reasons", "card", "whitelisted", "limit"}
        assert case.matches or case.misses or "unknown" in case.name
    assert len({case.name for case in found} | {case.name for case in report.ran}) == len(found) + len(report.ran)


def test_a_name_that_is_taken_gets_a_number(
    odd: tuple[Policy, CaseReport], of_rule: Callable[[str], Suggestions]
) -> None:
    policy, report = odd
    taken = of_rule("ODD-3").cases[0]
    again = run_ruleset(policy, [*(case for case in report.ran if not case.records), replace(taken, facts={})])
    assert f"{taken.name} (2)" in {case.name for case in suggested(policy, again, "ODD-3").cases}


def test_cases_with_records_start_nothing(odd: tuple[Policy, CaseReport]) -> None:
    policy, report = odd
    only = run_ruleset(policy, [case for case in report.ran if case.records])
    assert only.cases and suggested(policy, only, "ODD-3").cases == ()


def test_a_search_meets_its_goals_with_the_fewest_changes(odd: tuple[Policy, CaseReport]) -> None:
    policy, report = odd
    search = CaseSearch(policy, report.ran)
    gap = next(gap for gap in report.gaps if gap.rule.id == "ODD-2" and "grade" in gap.comparison.text)
    found = search.find(gap, "decides_true")
    assert found is not None
    facts: Facts = found.assessment.facts
    assert all(goal.met(facts) for goal in next(goals_of(gap, "decides_true")))
    assert truth_of(gap.rule.when, facts) is True
    assert len(found.case.facts) == 3, dict(found.case.facts)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("AUTO-001", None), ("ODD-2", date(2027, 10, 15)), ("ODD-3", date(2023, 10, 31))],
)
def test_a_case_is_decided_on_a_day_on_which_the_rule_is_in_force(
    odd: tuple[Policy, CaseReport], rule: str, expected: date | None
) -> None:
    policy, report = odd
    start = next(case for case in report.ran if case.as_of == date(2024, 6, 3) and case.policy_on is None)
    found = next(one for one in policy.ruleset.rules if one.id == rule)
    assert in_force_for(start, found).policy_on == expected
