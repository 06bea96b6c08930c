"""Two versions compared: who flips by which change, the proof that nobody does, and what lies beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from decision_service.rulebook.cases import load_cases
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.ruleset import Ruleset
from decision_service.workbench.difference import Compared, bases_of, compare
from decision_service.workbench.difference_words import verdict
from decision_service.workbench.reference import judge
from tests.rulebook.small_rulebook import RULE, SOURCES, product_text, reasons_text

RULES = Path(__file__).parents[2] / "rules"
SHIPPED = load(RULES)
ON = date(2026, 11, 24)
TODAY = date(2024, 6, 3)
BASES = bases_of(load_cases(RULES, SHIPPED), ON)
SMALL = load_sources(SOURCES)
CARD_RED = "when: card == red\n    outcome: DECLINE"

Edit = tuple[str, str, str]


def edited(ruleset: Ruleset, *edits: Edit) -> Ruleset:
    sources = dict(ruleset.sources)
    for path, before, after in edits:
        assert before in sources[path], before
        sources[path] = sources[path].replace(before, after, 1)
    return load_sources(sources)


def compared(*edits: Edit) -> Compared:
    """The shipped rules beside the same with some texts replaced; every flip flips when it is evaluated."""
    return checked(compare(SHIPPED, edited(SHIPPED, *edits), on=ON, bases=BASES))


def small(*edits: Edit) -> Compared:
    return checked(compare(SMALL, edited(SMALL, *edits), on=TODAY, bases={}))


def checked(found: Compared) -> Compared:
    for stretch in found.stretches:
        for flip in stretch.flips:
            rules = [version.in_force(stretch.begins, stretch.client) for version in (found.old, found.new)]
            before, after = (judge(one, flip.application.facts(one)) for one in rules)
            assert flip.aspect.shown_by(before, after)
    return found


def effects(found: Compared, place: int = 0) -> dict[str, set[str]]:
    """By region, what comes out otherwise because of it, on one of the stretches of time."""
    return {
        str(one.region): {str(flip.aspect) for flip in one.flips} for one in found.stretches[place].effects
    }


FLIPS: Mapping[str, tuple[tuple[Edit, ...], dict[str, set[str]]]] = {
    "A lower line refers what was approved, above the new line only": (
        (("auto_approval.yaml", "exposure_total <= 5_000_000", "exposure_total <= 4_000_000"),),
        {"rule AUTO-001": {"APPROVE→REFER", "reasons"}},
    ),
    "A red card from 60 days on declines, and with it goes what a yellow card brings": (
        (("cards.yaml", "overdue_days_serious >= 90", "overdue_days_serious >= 60"),),
        {
            "rule RED-08": {
                "APPROVE→DECLINE",
                "REFER→DECLINE",
                "card",
                "limit_max",
                "rate_spread_bp",
                "conditions",
                "reasons",
            }
        },
    ),
    "One lender more may be asked": (
        (("parameters.yaml", "lenders_30d_max, value: 3", "lenders_30d_max, value: 4"),),
        {"policy.lenders_30d_max": {"REFER→APPROVE", "reasons"}},
    ),
    "A lower factor changes limits, and the outcome only by the amount asked for": (
        (("limits.yaml", "limit_factor: 0.5", "limit_factor: 0.4"),),
        {"rule LIM-03": {"limit_max", "reasons"}},
    ),
    "Another spread is a spread and nothing else": (
        (("limits.yaml", "rate_spread_bp: 50", "rate_spread_bp: 60"),),
        {"rule LIM-03": {"rate_spread_bp"}},
    ),
    "Another condition is a condition and nothing else": (
        (("limits.yaml", "[no_limit_increase]", "[no_limit_increase, monthly_report]"),),
        {"rule LIM-03": {"conditions"}},
    ),
    "A rule that gives another reason changes reasons and nothing else": (
        (("credit_policy.yaml", "reason: PD_DECLINE", "reason: PD_REFER"),),
        {"rule PD-003": {"reasons"}},
    ),
    "Red cards that refer": (
        (("credit_policy.yaml", CARD_RED, CARD_RED.replace("DECLINE", "REFER")),),
        {"rule CARD-001": {"DECLINE→REFER"}},
    ),
    "A figure of one industry": (
        (("industries.csv", "2500000,2,high,12;1", "2500000,1,high,12;1"),),
        {"industry 03": {"REFER→APPROVE", "reasons"}},
    ),
    "A multiple of one product raises its limits": (
        (("products/invoice_loan.yaml", "multiple_of_revenue, value: 0.30", "multiple_of_revenue, value: 0.40"),),
        {"product.limit_multiple_of_revenue of invoice_loan": {"REFER→APPROVE", "limit_max", "reasons"}},
    ),
    "What a product requires": (
        (("products/working_capital.yaml", "registration_status, ", "registration_status, entity_type, "),),
        {"facts that working_capital requires": {"APPROVE→REFER", "reasons"}},
    ),
    "A derived fact": (
        (("facts.yaml", "1.2 * industry.pd_cutoff_auto", "1.1 * industry.pd_cutoff_auto"),),
        {"fact pd_cutoff_auto_whitelist": {"APPROVE→REFER", "reasons"}},
    ),
    "Two changes are kept apart": (
        (
            ("cards.yaml", "card: red}\n    reason: RED_DPD", "card: yellow}\n    reason: RED_DPD"),
            ("parameters.yaml", "lenders_30d_max, value: 3", "lenders_30d_max, value: 2"),
        ),
        {
            "rule RED-08": {"DECLINE→REFER", "card", "limit_max", "rate_spread_bp", "conditions", "reasons"},
            "policy.lenders_30d_max": {"APPROVE→REFER", "reasons"},
        },
    ),
    "Two changes that only together approve are both told": (
        (
            ("auto_approval.yaml", "exposure_total <= 5_000_000", "exposure_total <= 6_000_000"),
            ("parameters.yaml", "{name: auto_cap, value: 5_000_000.00", "{name: auto_cap, value: 6_000_000.00"),
            ("parameters.yaml", "group_auto_cap, value: 5_000_000.00", "group_auto_cap, value: 9_000_000.00"),
        ),
        {
            "rule AUTO-001": {"REFER→APPROVE"},
            "policy.auto_cap": {"REFER→APPROVE", "reasons"},
            "policy.group_auto_cap": {"REFER→APPROVE", "reasons"},
        },
    ),
}


QUICK = (
    "A lower line refers what was approved, above the new line only",
    "Another spread is a spread and nothing else",
    "A figure of one industry",
)
"""The others take seconds each."""


@pytest.mark.parametrize("case", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in FLIPS])
def test_what_comes_out_otherwise_is_told_by_the_change_it_comes_from(case: str) -> None:
    edits, expected = FLIPS[case]
    found = compared(*edits)
    assert effects(found) == expected
    assert verdict(found) == "flips"


LESS_MILD = "all: [exposure <= policy.line, pd <= industry.cutoff, card == none]"
NOTHING: Mapping[str, tuple[tuple[Edit, ...], dict[str, set[str]]]] = {
    "The parts of a condition in another order": (
        (("decision.yaml", LESS_MILD, "all: [card == none, pd <= industry.cutoff, exposure <= policy.line]"),),
        {},
    ),
    "A comment and a number spelled otherwise": (
        (
            ("parameters.yaml", "value: 5_000_000.00", "value: 5000000"),
            ("limit.yaml", "stage: limit", "# x\nstage: limit"),
        ),
        {},
    ),
    "Another title and reference": (
        (("decision.yaml", "en: instant", "en: at once"), ("decision.yaml", "reference: rule six", "reference: six")),
        {},
    ),
    "Texts of a reason": ((("reasons.yaml", "'reason: {facts}'", "'because: {facts}'"),), {}),
    "The opposite, denied": ((("status.yaml", "overdue >= 30", "not (overdue < 30)"),), {"rule YEL-1": set()}),
    "One day less than one more": ((("status.yaml", "overdue >= 30", "overdue > 29"),), {"rule YEL-1": set()}),
    "A rule split in two": (
        (
            (
                "status.yaml",
                "    when: overdue >= 30\n    sets: {card: yellow}",
                "    when: overdue >= 30 and overdue < 60\n    sets: {card: yellow}\n    effective_from: 2023-10-15\n"
                "    reference: two\n  - id: YEL-2\n    title: {zh: 逾期, en: past due}\n    when: overdue >= 60\n"
                "    sets: {card: yellow}",
            ),
        ),
        {"rule YEL-1": set(), "rule YEL-2": set()},
    ),
    "A rule that another already covers": (
        (
            (
                "decision.yaml",
                "rules:\n",
                "rules:\n"
                + RULE.replace("years >= 1", "card == red and card != yellow").replace(
                    "outcome: APPROVE", "outcome: REFER\n    reason: CARD"
                ),
            ),
        ),
        {"rule NEW-1": set()},
    ),
    "A rule of another id in the place of an equal one": (
        (("decision.yaml", "id: CARD-1", "id: CARD-9"),),
        {"rule CARD-1": set(), "rule CARD-9": set()},
    ),
    "A parameter that nothing reads": (
        (("products/plain.yaml", "{name: term, value: 12", "{name: term, value: 24"),),
        {"product.term of plain": set()},
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_no_decision_changes_that_is_proven(case: str) -> None:
    edits, expected = NOTHING[case]
    found = small(*edits)
    assert effects(found) == expected
    assert (verdict(found), found.proven) == ("proven", True)


def test_a_version_beside_itself_needs_no_proof() -> None:
    found = small()
    assert (found.changes, found.proven) == ((), True)
    assert all(not stretch.effects for stretch in found.stretches)


def test_a_row_of_the_future_is_found_on_its_day_and_not_before() -> None:
    found = small(("parameters.yaml", "value: 6_000_000.00", "value: 7_000_000.00"))
    days = {stretch.begins: {str(flip.aspect) for flip in stretch.flips} for stretch in found.stretches}
    assert days[TODAY] == set()
    assert days[date(2025, 1, 1)] == {"REFER→APPROVE", "reasons"}
    assert all(str(flip.application.on) >= "2025-01-01" for one in found.stretches for flip in one.flips)


def test_a_rule_that_ends_is_found_from_that_day_on() -> None:
    found = small(("decision.yaml", "reference: rule seven", "effective_to: 2026-01-01\n    reference: rule seven"))
    days = {stretch.begins: effects(found, place) for place, stretch in enumerate(found.stretches)}
    assert [day for day, here in days.items() if here] == [date(2026, 1, 1), date(2030, 1, 1)]
    assert days[date(2026, 1, 1)] == {"rule CARD-1": {"DECLINE→REFER", "reasons"}}


def test_flips_that_either_of_two_changes_would_bring_are_told_once() -> None:
    two = [
        RULE.replace("NEW-1", name).replace("outcome: APPROVE", "outcome: DECLINE\n    reason: CARD")
        for name in ("NEW-1", "NEW-2")
    ]
    found = small(("decision.yaml", "rules:\n", "rules:\n" + "".join(two)))
    assert {name: here - {"reasons"} for name, here in effects(found).items()} == {
        "rule NEW-1": set(),
        "rule NEW-2": set(),
    }
    assert {"APPROVE→DECLINE", "REFER→DECLINE"} <= {str(flip.aspect) for flip in found.stretches[0].joint}


@pytest.mark.slow
def test_a_flip_that_needs_two_changes_names_both() -> None:
    edits, _ = FLIPS["Two changes that only together approve are both told"]
    (stretch,) = compared(*edits).stretches
    flips = [flip for effect in stretch.effects for flip in effect.flips if str(flip.aspect) == "REFER→APPROVE"]
    assert {"rule AUTO-001", "policy.auto_cap"} <= {str(region) for region in flips[0].regions}


OVERLAY = """\
stage: decision
rules:
  - id: B-1
    title: {zh: 年限, en: years}
    when: years < 3
    outcome: REFER
    reason: AMOUNT
    effective_from: 2023-10-15
    reference: board
"""


def with_overlay(text: str) -> Ruleset:
    return load_sources({**SOURCES, "overlays/bank-03/policy.yaml": text})


def test_a_change_of_an_overlay_flips_for_its_client_only() -> None:
    new = with_overlay(OVERLAY.replace("years < 3", "years < 4"))
    found = checked(compare(with_overlay(OVERLAY), new, on=TODAY, bases={}))
    flips = {(one.client, str(flip.aspect)) for one in found.stretches for flip in one.flips}
    assert flips == {("bank-03", "APPROVE→REFER"), ("bank-03", "reasons")}
    assert {change.name for change in found.changes} == {"bank-03/B-1"}


def test_only_the_client_that_is_asked_for_is_compared() -> None:
    new = with_overlay(OVERLAY.replace("years < 3", "years < 4"))
    assert compare(with_overlay(OVERLAY), new, on=TODAY, client="", bases={}).proven
    assert not compare(with_overlay(OVERLAY), new, on=TODAY, client="bank-03", bases={}).proven


def test_a_range_that_differs_leaves_a_doubt_about_those_whom_one_version_does_not_admit() -> None:
    found = small(("facts.yaml", "years, type: count, range: [0, 200]", "years, type: count, range: [0, 100]"))
    assert [one.name for one in found.beyond] == ["years"]
    assert (verdict(found), found.proven) == ("beyond", False)


def test_models_and_weights_lie_beyond_the_proof() -> None:
    found = compared(
        ("industries.csv", "12;1,0.55,0.45", "12;1,0.60,0.40"),
        ("products/invoice_loan.yaml", "lstm: pd-lstm-invoice", "lstm: pd-lstm"),
    )
    assert {one.name for one in found.beyond} == {
        "industry.weight_xgb of 03",
        "industry.weight_lstm of 03",
        "models of invoice_loan",
    }
    assert (verdict(found), found.stretches[0].proven) == ("beyond", True)


def test_a_line_of_a_portrait_file_lies_beyond_the_proof_but_a_comment_does_not() -> None:
    assert small(("lists.yaml", "lists: []", "# none as yet\nlists: []")).proven
    found = small(("indicators.csv", "IND01,ratio,%", "IND01,ratio,1"))
    assert [one.name for one in found.beyond] == ["indicators.csv"]
    assert (verdict(found), [change.kind for change in found.changes]) == ("beyond", ["portrait"])


def test_a_fact_that_became_another_kind_of_thing_is_not_compared() -> None:
    found = small(("facts.yaml", "years, type: count", "years, type: days"))
    assert (verdict(found), found.proven) == ("doubt", False)


def test_choices_in_another_order_are_the_same_choices() -> None:
    found = small(("facts.yaml", "choice[A, B, D]", "choice[D, C, B, A]"))
    assert (found.stretches[0].proven, [one.name for one in found.beyond]) == (True, ["rating"])
    flips = small(("facts.yaml", "choice[A, B, D]", "choice[D, A, B]"), ("status.yaml", "rating == A", "rating == B"))
    assert effects(flips) == {"rule WL-1": {"whitelisted"}}
    assert {flip.application.values["rating"] for flip in flips.stretches[0].flips} <= {"A", "B", None}


def test_a_new_product_is_compared_where_both_know_it() -> None:
    sources = {**SOURCES, "products/lease.yaml": product_text("lease")}
    sources["facts.yaml"] = sources["facts.yaml"].replace("choice[plain, invoice]", "choice[plain, lease, invoice]")
    found = checked(compare(SMALL, load_sources(sources), on=TODAY, bases={}))
    assert all(stretch.proven for stretch in found.stretches)
    assert [one.name for one in found.beyond] == ["product"]


def test_a_witness_differs_from_a_profile_in_what_matters_only() -> None:
    found = compared(("parameters.yaml", "lenders_30d_max, value: 3", "lenders_30d_max, value: 2"))
    flip = found.stretches[0].flips[0]
    told = flip.application.told(found.new.catalogue, "en", beside=BASES[flip.base])
    assert told == ["lenders applied to in 30 days (lenders_30d): 2"]


def test_reasons_of_the_small_rulebook_can_be_written_anew() -> None:
    """The texts of reasons are compared in both languages."""
    found = small(("reasons.yaml", reasons_text(), reasons_text().replace("原因", "理由")))
    assert {change.kind for change in found.changes} == {"reason"}
    assert all(part.name.endswith("zh") for change in found.changes for part in change.parts)


def test_another_formula_behind_the_limit_is_another_limit() -> None:
    line = next(one for one in SHIPPED.sources["facts.yaml"].splitlines() if "name: working_capital_need," in one)

    def needing(share: str) -> Ruleset:
        raw = line.replace("working_capital_need", "need_as_given")
        made = (
            "  - {name: working_capital_need, type: money, source: derived, level: 2,"
            f' derived: "{share} * revenue_12m", label: {{zh: 需求, en: need}}}}'
        )
        return edited(SHIPPED, ("facts.yaml", line, f"{raw}\n{made}"))

    found = checked(compare(needing("0.5"), needing("0.01"), on=ON, bases=BASES))
    assert "APPROVE→REFER" in {str(flip.aspect) for flip in found.stretches[0].flips}


def test_a_status_fact_that_only_one_version_sets_is_no_difference_by_itself() -> None:
    line = next(one for one in SHIPPED.sources["facts.yaml"].splitlines() if "name: whitelisted," in one)
    rule = (
        "  - id: WL-777\n    title: {zh: 观察, en: watched}\n    when: tax_rating_a_years >= 2\n"
        "    sets: {watch: true}\n    effective_from: 2023-10-15\n    reference: test\n"
    )
    watched = load_sources(
        {
            **SHIPPED.sources,
            "facts.yaml": SHIPPED.sources["facts.yaml"].replace(
                line, f"{line}\n{line.replace('name: whitelisted', 'name: watch')}"
            ),
            "whitelist.yaml": SHIPPED.sources["whitelist.yaml"] + rule,
        }
    )
    for old, new in ((SHIPPED, watched), (watched, SHIPPED)):
        assert not compare(old, new, on=ON, bases=BASES).stretches[0].flips
