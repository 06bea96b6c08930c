"""What applicants read is true for them: every reason beside every outcome it may stand with, in both languages."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from decision_service.rulebook.facts import Facts
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Rule, Stage, StageResult
from decision_service.rulebook.ruleset import LANGUAGES, OWN_SOURCES, PLACEHOLDERS, RESERVED_REASONS, SUPPLIED_SOURCES
from decision_service.rulebook.stages import combine
from decision_service.vocabulary import Outcome, Reason

RULES = load(Path(__file__).resolve().parents[2] / "rules").in_force(date(2026, 6, 1))
NOTHING_KNOWN = Facts(RULES.catalogue, {"product": "working_capital"})
GIVING = [rule for stage in Stage for rule in RULES.rules(stage) if rule.reason]
ALARMS = ("ENGINE_MISMATCH", "ENGINE_FAILED")
OURS = {"MODEL_DOWN", "MODEL_GAP", "KILL_SWITCH", "DATA_STALE", "CALENDAR_MISSING", *ALARMS}
"""Reasons of which an applicant can do nothing."""
DERIVED_FROM_OURS = {"model_gap", "pd_cutoff_auto_whitelist", "limit_cap_whitelist"}
SAYS_WHAT_TO_DO_INSTEAD = {"APP_REPEATED"}
PEOPLE = re.compile(r"人工|people|review", re.IGNORECASE)
REVIEW = {lang: words["review"] for lang, words in LANGUAGES.items()}
ASKS = re.compile(r"请(授权|补充|提交)|请备好|(?<!not )\b(supply|handed in|authorised?)\b", re.IGNORECASE)
APPROVED = re.compile(r"审批通过|has been approved|was approved", re.IGNORECASE)
DECLINED = re.compile(r"不予通过|拒绝|declined|cannot be granted", re.IGNORECASE)
SAID_OF: dict[Outcome, tuple[re.Pattern[str], ...]] = {
    Outcome.APPROVE: (PEOPLE, DECLINED),
    Outcome.REFER: (APPROVED, DECLINED),
    Outcome.DECLINE: (PEOPLE, APPROVED),
}
"""What no text beside an outcome says: it would not be true."""
CHINESE = re.compile("[\u4e00-\u9fff]")


def told(rule: Rule, beside: tuple[str, ...] = (), alarms: tuple[str, ...] = ()) -> tuple[Outcome, tuple[Reason, ...]]:
    """What is decided when a rule matches, and rules of stage ``decision`` beside it."""
    results = {stage: StageResult() for stage in Stage}
    results[rule.stage] = StageResult((rule.id,))
    results[Stage.DECISION] = StageResult(tuple(sorted({*results[Stage.DECISION].matched, *beside})))
    return combine(RULES, results, NOTHING_KNOWN, alarms=alarms)


def assert_true(outcome: Outcome, reasons: tuple[Reason, ...]) -> None:
    """No text of a decision says what its outcome is not."""
    for reason in reasons:
        for lang in LANGUAGES:
            text = getattr(reason, lang)
            wrong = [one.pattern for one in SAID_OF[outcome] if one.search(text)]
            assert not wrong, (outcome.name, reason.code, text)
            assert not [name for name in PLACEHOLDERS if name in text], text
            assert bool(CHINESE.search(text)) == (lang == "zh"), text


@pytest.mark.parametrize("rule", GIVING, ids=lambda rule: rule.id)
def test_a_declined_applicant_is_not_promised_a_review(rule: Rule) -> None:
    outcome, reasons = told(rule, beside=("PD-003",))
    said = {"PD_DECLINE"} if rule.outcome is Outcome.APPROVE else {"PD_DECLINE", rule.reason}
    assert outcome is Outcome.DECLINE and {one.code for one in reasons} == said
    assert_true(outcome, reasons)


@pytest.mark.parametrize(
    "rule", [rule for rule in GIVING if rule.outcome is not Outcome.DECLINE], ids=lambda rule: rule.id
)
def test_a_referred_applicant_reads_that_people_review_and_nothing_of_an_approval(rule: Rule) -> None:
    outcome, reasons = told(rule)
    assert outcome is Outcome.REFER
    assert_true(outcome, reasons)
    for lang, sentence in REVIEW.items():
        assert [one.code for one in reasons if sentence in getattr(one, lang)]


@pytest.mark.parametrize("alarm", ALARMS)
@pytest.mark.parametrize("rule", GIVING, ids=lambda rule: rule.id)
def test_where_the_engines_raise_an_alarm_no_text_says_approved_or_declined(rule: Rule, alarm: str) -> None:
    outcome, reasons = told(rule, alarms=(alarm,))
    assert outcome is Outcome.REFER and reasons[0].code == alarm
    assert (rule.reason in {one.code for one in reasons}) == (rule.outcome is not Outcome.APPROVE)
    assert_true(outcome, reasons)


@pytest.mark.parametrize("rule", [rule for rule in GIVING if rule.outcome is Outcome.APPROVE], ids=lambda one: one.id)
def test_an_approved_applicant_reads_of_neither_review_nor_refusal(rule: Rule) -> None:
    assert_true(Outcome.APPROVE, tuple(RULES.reasons_of([rule.id], referred=False)))


@pytest.mark.parametrize("code", RESERVED_REASONS)
def test_the_reasons_of_the_platform_itself_are_true_when_referred(code: str) -> None:
    assert_true(Outcome.REFER, (RULES.reason(code, facts=("revenue_12m",)),))


def test_every_rule_that_refers_says_that_people_review_but_the_one_that_names_another_decision() -> None:
    referring = [RULES.reason(str(one.reason)) for one in GIVING if one.outcome is Outcome.REFER]
    silent = {one.code for one in referring for lang, sentence in REVIEW.items() if sentence not in getattr(one, lang)}
    assert silent == SAYS_WHAT_TO_DO_INSTEAD


@pytest.mark.parametrize("name", sorted(RULES.catalogue))
def test_missing_data_asks_an_applicant_only_for_what_he_can_give(name: str) -> None:
    fact, found = RULES.catalogue[name], RULES.reason("DATA_MISSING", rule="X-1", facts=(name,))
    for lang in LANGUAGES:
        text, label = getattr(found, lang), fact.label[lang]
        assert (label in text) == (fact.source not in OWN_SOURCES and name not in DERIVED_FROM_OURS), text
        assert bool(ASKS.search(text)) == (fact.source in SUPPLIED_SOURCES), text


def test_missing_data_asks_for_the_papers_among_several_facts_alone() -> None:
    found = RULES.reason("DATA_MISSING", facts=("pd_12m", "exposure_existing", "revenue_12m"))
    assert found.en == (
        "Necessary data is missing: existing exposure, net invoiced revenue of 12 months. "
        "People will review this application, as a rule within three working days. "
        "If you have not yet authorised or handed in the following, please do: net invoiced revenue of 12 months."
    )
    assert "违约概率" not in found.zh and found.facts == ("pd_12m", "exposure_existing", "revenue_12m")


@pytest.mark.parametrize("referred", [True, False])
@pytest.mark.parametrize("code", sorted(OURS))
def test_nothing_is_asked_of_an_applicant_for_what_the_platform_lacks(code: str, referred: bool) -> None:
    found = RULES.reason(code, referred=referred)
    assert not ASKS.search(found.zh) and not ASKS.search(found.en)
