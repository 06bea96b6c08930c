"""The report on a shadow: counts, intervals, rules by id, flips with what lies behind them, and what it cannot tell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from decision_service.rulebook.ruleset import Ruleset
from decision_service.store import Shadowed, ShadowResult
from decision_service.vocabulary import Outcome
from decision_service.workbench.shadow_compare import Pairs
from decision_service.workbench.shadow_document import document
from decision_service.workbench.shadow_notes import notes
from decision_service.workbench.shadow_page import html
from decision_service.workbench.shadow_report import Agreement, Report, RuleAgreement, RuleBehind, agreement, report
from tests.rulebook.small_rulebook import RULE, SOURCES, TODAY, changed, load_sources

ACTIVE = load_sources(SOURCES)
MORNING = datetime(2024, 6, 3, 1, tzinfo=UTC)


def one(leaf: int, active: str, shadow: str, pairs: Pairs = Pairs(), *, limits: Any = (1, 1)) -> Shadowed:
    """A compared decision of 1,000.00 CNY, a minute after the one before."""
    result = ShadowResult(0, leaf, "compared", shadow, 100_000, *limits, pairs.written())
    return Shadowed(f"D-{leaf}", "bank-01", "plain", active, MORNING + timedelta(minutes=leaf), ACTIVE.digest, result)


def left_out(leaf: int, status: str) -> Shadowed:
    return Shadowed(f"D-{leaf}", "bank-01", "plain", "REFER", MORNING, ACTIVE.digest, ShadowResult(0, leaf, status))


def reported(rows: Iterable[Shadowed], shadow: Ruleset = ACTIVE) -> Report:
    return report(shadow, rows, {ACTIVE.digest: ACTIVE}.__getitem__)


def shadow(path: str, before: str, after: str) -> Ruleset:
    return load_sources(changed(path, before, after))


WILSON = {
    "none": (0, 0, None),
    "all of one": (1, 1, (1.0, 0.206549, 1.0)),
    "nothing of ten": (0, 10, (0.0, 0.0, 0.277533)),
    "half of ten": (5, 10, (0.5, 0.236593, 0.763407)),
    "95 of 100": (95, 100, (0.95, 0.888249, 0.978456)),
}


@pytest.mark.parametrize(("same", "compared", "expected"), WILSON.values(), ids=WILSON)
def test_agreement_is_a_share_with_its_wilson_interval(same: int, compared: int, expected: Any) -> None:
    found = agreement(same, compared)
    if expected is None:
        assert found == Agreement(0, 0)
    else:
        assert (found.share, found.low, found.high) == pytest.approx(expected, abs=1e-6)


def test_outcomes_stand_in_a_matrix_with_the_amounts_applied_for() -> None:
    found = reported([one(1, "APPROVE", "APPROVE"), one(2, "APPROVE", "REFER"), one(3, "APPROVE", "REFER")])
    assert [(cell.active.name, cell.shadow.name, cell.count, cell.amount) for cell in found.matrix] == [
        ("APPROVE", "APPROVE", 1, 100_000),
        ("APPROVE", "REFER", 2, 200_000),
    ]
    assert (found.agreement.same, found.agreement.compared) == (1, 3)
    assert (found.first, found.last) == (MORNING + timedelta(minutes=1), MORNING + timedelta(minutes=3))
    assert found.active == ((ACTIVE.version, ACTIVE.digest),)


def test_what_is_left_out_is_counted_by_its_reason_and_nowhere_else() -> None:
    rows = [left_out(1, "erased"), left_out(2, "erased"), left_out(3, "unreadable"), one(4, "REFER", "REFER")]
    found = reported(rows)
    assert (found.left_out, found.agreement.compared) == ({"erased": 2, "unreadable": 1}, 1)


def test_nothing_compared_is_a_report_too() -> None:
    found = reported([left_out(1, "erased")])
    assert (found.agreement, found.matrix, found.rules, found.flips, found.notes) == (Agreement(0, 0), (), (), (), ())
    assert document(found)["agreement"] == {"same": 0, "share": None, "low": None, "high": None}


LIMITS = {
    "same": (5, 5),
    "lower": (5, 4),
    "higher": (5, 6),
    "became known": (None, 0),
    "became unknown": (0, None),
}


@pytest.mark.parametrize(("name", "limits"), LIMITS.items(), ids=LIMITS)
def test_limits_are_counted_by_how_they_move(name: str, limits: Any) -> None:
    found = reported([one(1, "REFER", "REFER", limits=limits), one(2, "REFER", "REFER", limits=(None, None))])
    assert {what: count for what, count in found.limits.items() if count} == (
        {"same": 2} if name == "same" else {name: 1, "same": 1}
    )


BOTH, UNKNOWN = Pairs(("AUTO-1",), ("WL-1",)), Pairs((), (), {"AUTO-1": ("unknown", "matched")})
LOST, WON = Pairs((), (), {"AUTO-1": ("matched", "missed")}), Pairs((), (), {"AUTO-1": ("missed", "matched")})


def test_rules_are_counted_by_id_and_those_that_differ_most_come_first() -> None:
    pairs = (BOTH, BOTH, LOST, WON, WON, UNKNOWN, Pairs(("AMT-1",)), Pairs((), (), {"CARD-1": ("missed", "unknown")}))
    found = reported(one(leaf, "REFER", "REFER", pair) for leaf, pair in enumerate(pairs))
    titles = ({"zh": "秒批", "en": "instant"}, {"zh": "红牌", "en": "red"}, {"zh": "超线", "en": "above the line"})
    assert found.rules == (
        RuleAgreement("AUTO-1", titles[0], "both", both=2, active_only=1, shadow_only=2, unknown=1),
        RuleAgreement("CARD-1", titles[1], "both", both=0, active_only=0, shadow_only=0, unknown=1),
        RuleAgreement("AMT-1", titles[2], "both", both=1, active_only=0, shadow_only=0, unknown=0),
    )
    assert [rule.differing for rule in found.rules] == [4, 1, 0]


def test_a_rule_that_only_one_version_has_is_told_even_if_it_never_matched() -> None:
    version = shadow("decision.yaml", "id: AMT-1", "id: AMT-2")
    rows = [one(1, "REFER", "REFER", Pairs((), (), {"AMT-2": ("absent", "matched")}))]
    told = {rule.rule: (rule.exists, rule.shadow_only) for rule in reported(rows, version).rules}
    assert told == {"AMT-1": ("active only", 0), "AMT-2": ("shadow only", 1)}


def test_behind_a_flip_stand_rules_whose_truth_differs_and_rules_that_do_something_else() -> None:
    version = shadow("decision.yaml", "outcome: REFER", "outcome: DECLINE")
    pairs = Pairs(("AMT-1", "LIM-1"), (), {"AUTO-1": ("matched", "missed")})
    rows = [one(1, "REFER", "DECLINE", pairs), one(2, "REFER", "REFER", pairs)]
    (flip,) = reported(rows, version).flips
    assert (flip.decision_id, flip.client_id, flip.amount) == ("D-1", "bank-01", 100_000)
    assert (flip.active, flip.shadow) == (Outcome.REFER, Outcome.DECLINE)
    assert flip.rules == (
        RuleBehind("AMT-1", {"zh": "超线", "en": "above the line"}, "matched", "matched", True),
        RuleBehind("AUTO-1", {"zh": "秒批", "en": "instant"}, "matched", "missed", False),
    )


EVERYWHERE = "facts as recorded"
FACT = "  - {name: more, type: count, range: [0, 9], source: registry, level: 1, label: {zh: 多, en: more}}\n"
NOTES = {
    "nothing differs": (ACTIVE, []),
    "a file that the portrait reads": (shadow("lists.yaml", "[]", "[] # new"), ["lists.yaml differs"]),
    "another one": (shadow("indicators.csv", "%", "1"), ["indicators.csv differs"]),
    "a model": (shadow("products/plain.yaml", "pd-lstm", "pd-lstm-2"), ["scores are as recorded"]),
    "a status rule": (shadow("status.yaml", "overdue >= 30", "overdue >= 31"), ["stage status"]),
    "a decision rule": (shadow("decision.yaml", "outcome: REFER", "outcome: DECLINE"), []),
    "a fact more": (load_sources({**SOURCES, "facts.yaml": SOURCES["facts.yaml"] + FACT}), ["unknown: more"]),
    "a fact in another unit": (shadow("facts.yaml", "count, range: [0, 200]", "days, range: [0, 9]"), [": years"]),
    "a rule more": (load_sources({**SOURCES, "more.yaml": "stage: decision\nrules:\n" + RULE}), []),
}


@pytest.mark.parametrize(("version", "expected"), NOTES.values(), ids=NOTES)
def test_what_the_numbers_cannot_tell_is_told(version: Ruleset, expected: list[str]) -> None:
    first, *others = notes([ACTIVE], version, TODAY)
    assert EVERYWHERE in first["en"]
    assert len(others) == len(expected) and all(text in note["en"] for text, note in zip(expected, others))
    assert all(re.search("[一-鿿]", note["zh"]) for note in (first, *others))


def test_the_json_has_every_flip_and_the_page_the_first_ones_and_nothing_from_elsewhere() -> None:
    found = reported(one(leaf, "APPROVE", "REFER", LOST) for leaf in range(30))
    assert len(document(found)["flips"]) == 30
    page = html([found], most_flips=7)
    assert [f"D-{leaf}<" in page for leaf in (0, 6, 7, 29)] == [True, True, False, False]
    assert not re.search(r"(src|href)=|url\(|https?://", page)
    assert page == html([found], most_flips=7)


def test_what_people_wrote_is_text_in_the_page() -> None:
    version = shadow("decision.yaml", "zh: 秒批", "zh: '<b>秒批</b>'")
    page = html([reported([one(1, "APPROVE", "REFER", LOST)], version)], most_flips=1)
    assert "&lt;b&gt;秒批" in page and "<b>秒批" not in page
