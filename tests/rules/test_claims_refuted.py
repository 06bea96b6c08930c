"""Each claim about the shipped rules is refuted once a fault is planted, by an application that really breaks it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from decision_service.lending.limits import limit
from decision_service.rulebook.cases import load_cases
from decision_service.rulebook.conditions import Condition
from decision_service.rulebook.evaluate import truth_of
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.invariants import Claim, Invariant
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.prover import Prover, Verdict
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from decision_service.vocabulary import Outcome
from decision_service.workbench.difference import bases_of
from decision_service.workbench.reference import judge

TODAY = date(2026, 11, 24)
RULES = Path(__file__).resolve().parents[2] / "rules"
SHIPPED = load(RULES)
BASES = bases_of(load_cases(RULES, SHIPPED), TODAY)
CLIENT = "bank-01"

Edit = tuple[str, str, str]
"""A path, a text that stands there exactly once, and what stands there instead; no text for a new file."""

AUTO, POLICY, NEVER = "auto_approval.yaml", "credit_policy.yaml", "never_automatic.yaml"
CAP = "{name: auto_cap, value: 5_000_000.00"
LINE_OF_AUTO_001 = "- exposure_total <= 5_000_000\n        - pd_12m <= industry.pd_cutoff_auto\n"
LINE_OF_AUTO_002 = "- exposure_total <= 5_000_000\n        - pd_12m <= pd_cutoff_auto_whitelist\n"
CUT_OFF_OF_AUTO_101 = "- pd_12m <= product.pd_cutoff_auto\n        - card == none\n"
YELLOW = "when: card == yellow\n    outcome: REFER"
LIM_01 = "when: not (whitelisted == true and card == none)"

FAULTS: Mapping[str, tuple[Edit, ...]] = {
    "line-5m": (
        (AUTO, LINE_OF_AUTO_001, LINE_OF_AUTO_001.replace("5_000_000", "5_000_000.01")),
        ("parameters.yaml", CAP, CAP.replace(".00", ".01")),
    ),
    "line-5m-whitelist": (
        (AUTO, LINE_OF_AUTO_002, LINE_OF_AUTO_002.replace("5_000_000", "6_000_000")),
        ("parameters.yaml", CAP, CAP.replace("5_", "6_")),
    ),
    "red-declines": ((POLICY, "when: card == red\n    outcome: DECLINE", "when: card == red\n    outcome: REFER"),),
    "dishonest-declines": (
        ("cards.yaml", "when: controller_dishonest == true", "when: controller_dishonest == true and tax_rating == D"),
    ),
    "red-records-decline": (("cards.yaml", "overdue_days_serious >= 90", "overdue_days_serious > 90"),),
    "card-never-approved": (
        (POLICY, YELLOW, YELLOW.replace("yellow", "yellow and product == working_capital")),
        (AUTO, CUT_OFF_OF_AUTO_101, "- pd_12m <= product.pd_cutoff_auto\n"),
    ),
    "whitelist-never-outweighs-card": (
        (POLICY, YELLOW, YELLOW.replace("yellow", "yellow and whitelisted == false")),
        (AUTO, "- card == none\n        - whitelisted == true", "- whitelisted == true"),
        (POLICY, "- pd_12m > industry.pd_cutoff_auto\n", "- pd_12m > industry.pd_cutoff_review\n"),
    ),
    "disputed-red-is-yellow": (("cards.yaml", "        - list_wage_arrears == disputed\n", ""),),
    "yellow-records-refer": (("cards.yaml", "- overdue_days_recent >= 30", "- overdue_days_recent > 30"),),
    "yellow-halves-limit": (("limits.yaml", "limit_factor: 0.5", "limit_factor: 0.6"),),
    "whitelist-three-years": (("whitelist.yaml", "tax_rating_a_years >= 3", "tax_rating_a_years >= 2"),),
    "three-years-whitelist": (("whitelist.yaml", "tax_rating_a_years >= 3", "tax_rating_a_years > 3"),),
    "covered-industries-only": (
        (POLICY, "when: industry_status == unknown", "when: industry_status == unknown and product == working_capital"),
        ("limits.yaml", LIM_01, f"{LIM_01} and product == working_capital"),
    ),
    "excluded-industry-declines": (
        (
            POLICY,
            "industry_status == excluded\n    outcome: DECLINE",
            "industry_status == excluded\n    outcome: REFER",
        ),
    ),
    "firm-within-industry": (
        (POLICY, "tax_continuity_index < industry.min_tax_continuity", "tax_continuity_index < 0.5"),
    ),
    "both-models": (
        (NEVER, "models_status in [single, unavailable, fallback]", "models_status in [unavailable, fallback]"),
    ),
    "models-agree": ((NEVER, "model_gap > policy.model_gap_max", "model_gap > 0.2"),),
    "cut-offs": (
        (AUTO, CUT_OFF_OF_AUTO_101, CUT_OFF_OF_AUTO_101.replace("auto", "review")),
        ("invoice_loan.yaml", "pd_12m > product.pd_cutoff_auto", "pd_12m > product.pd_cutoff_review"),
    ),
    "review-cut-offs": (
        (POLICY, "pd_cutoff_review\n    outcome: DECLINE", "pd_cutoff_review\n    outcome: REFER"),
    ),
    "higher-pd-never-better": (
        ("invoice_loan.yaml", "pd_12m > product.pd_cutoff_review", "pd_12m < product.pd_cutoff_review"),
    ),
    "group-line": ((NEVER, "group_exposure_total > policy.group_auto_cap", "exposure_total > policy.group_auto_cap"),),
    "restricted-industry-cap": (
        (NEVER, "exposure_total > policy.restrict_auto_cap", "amount > policy.restrict_auto_cap"),
    ),
    "first-time-cap": ((NEVER, "exposure_total > policy.first_time_auto_cap", "amount > policy.first_time_auto_cap"),),
    "data-complete": ((NEVER, "stale_feeds > 0", "stale_feeds > 1"),),
    "control-change": ((NEVER, "control_changes_90d >= 1", "control_changes_90d > 1"),),
    "several-lenders": ((NEVER, "lenders_30d >= policy", "lenders_30d > policy"),),
    "related-and-public": (
        (NEVER, "when: bank_related == true", "when: bank_related == true and public_sector == true"),
    ),
    "purposes": ((NEVER, "[property, securities, equity_investment", "[property, equity_investment"),),
    "data-undisputed": ((NEVER, "industry_classification != gbt_2017", "industry_classification == gbt_2011"),),
    "within-limit": ((NEVER, "amount > limit_max", "amount > product.max_amount"),),
    "kill-switch": ((NEVER, "disabled, auto_approval_switch == disabled]", "disabled]"),),
    "suspicious-revenue": (
        (NEVER, "invoiced_revenue_yoy_status != not_applicable", "invoiced_revenue_yoy_status == ok"),
    ),
    "approved-once": (
        (NEVER, "when: application_approved == true", "when: application_approved == true and exposure_pending > 0"),
    ),
    "term-within-product": ((POLICY, "term_months > product.max_term_months", "term_months > 36"),),
    "limit-within-product": (
        (
            "limits.yaml",
            "product == invoice_loan\n    effects: {limit_cap: product.max_amount}",
            "product == invoice_loan\n    effects: {limit_factor: 1}",
        ),
    ),
    "limit-within-industry": (("limits.yaml", LIM_01, f"{LIM_01} and product == invoice_loan"),),
    "more-asked-never-better": ((NEVER, "when: amount > limit_max", "when: amount > limit_max or amount < 10_000"),),
    "more-exposure-never-better": (
        (
            NEVER,
            "- exposure_total > policy.first_time_auto_cap",
            "- exposure_total > policy.first_time_auto_cap\n        - exposure_existing == 0",
        ),
    ),
    "more-overdue-never-better": (("cards.yaml", "overdue_days_serious >= 90", "overdue_days_serious == 90"),),
    "more-leverage-never-better": (
        (
            POLICY,
            "- debt_to_asset_ratio > industry.max_leverage",
            "- debt_to_asset_ratio > industry.max_leverage\n        - debt_to_asset_ratio < 0.95",
        ),
    ),
    "shorter-history-never-better": (
        (
            POLICY,
            "- years_in_operation < industry.min_years_in_operation",
            "- years_in_operation < industry.min_years_in_operation\n        - years_in_operation > 0.5",
        ),
    ),
    "more-lenders-never-better": ((NEVER, "lenders_30d >= policy", "lenders_30d == policy"),),
    "fewer-good-years-never-better": (("whitelist.yaml", "tax_rating_a_years >= 3", "tax_rating_a_years == 2"),),
    "unknown-never-approves": (
        (AUTO, LINE_OF_AUTO_001, f"- limit_max <= 15_000_000\n        {LINE_OF_AUTO_001}"),
        (AUTO, LINE_OF_AUTO_002, f"- limit_max <= 15_000_000\n        {LINE_OF_AUTO_002}"),
    ),
    "always-decided": ((AUTO, "- pd_12m <= industry.pd_cutoff_auto", "- pd_12m < industry.pd_cutoff_auto"),),
    "overlays-only-tighten": (
        (
            f"overlays/{CLIENT}/parameters.yaml",
            "",
            "parameters:\n  - {name: lenders_30d_max, value: 4, effective_from: 2024-01-01, reference: own}\n",
        ),
    ),
}


def planted(edits: tuple[Edit, ...]) -> Ruleset:
    """The shipped rules with these texts replaced."""
    sources = dict(SHIPPED.sources)
    for path, before, after in edits:
        if before:
            assert sources[path].count(before) == 1, (path, before)
            sources[path] = sources[path].replace(before, after)
        else:
            assert path not in sources
            sources[path] = after
    return load_sources(sources)


def verdict_on(claim: Invariant, ruleset: Ruleset) -> Verdict:
    prover = Prover(ruleset.in_force(TODAY), evaluate=judge, limit=limit, bases=BASES)
    return prover.prove(claim, against=ruleset.in_force(TODAY, CLIENT))


def breaks(claim: Invariant, found: Verdict, ruleset: Ruleset) -> bool:
    """Whether the applications of a verdict break the claim, by nothing but the reference evaluator."""
    rules = ruleset.in_force(TODAY)
    one, other = found.application, found.other or found.application
    assert one is not None and other is not None
    first = judge(rules, one.facts(rules))
    last = judge(rules, other.facts(rules))
    if claim.claim is Claim.IMPLICATION:
        return holds(claim.given, one, rules) is True and holds(claim.then, one, rules) is not True
    if claim.claim is Claim.UNKNOWN_NEVER_APPROVES:
        return (first.outcome, last.outcome) == (Outcome.REFER, Outcome.APPROVE) and hides(one, other)
    if claim.claim is Claim.ALWAYS_DECIDED:
        return [reason.code for reason in first.reasons] == ["NO_APPROVAL"] and not first.unknown
    if claim.claim is Claim.OVERLAY_NEVER_LOOSENS:
        return judge(own := ruleset.in_force(TODAY, CLIENT), one.facts(own)).outcome < first.outcome
    assert [name for name, value in one.values.items() if other.values[name] != value] == [claim.fact]
    return int(last.limit or 0) > int(first.limit or 0) if claim.of == "limit" else last.outcome < first.outcome


def holds(condition: Condition | None, application: Application, rules: RulesInForce) -> bool | None:
    found = judge(rules, application.facts(rules))
    return condition is None or truth_of(condition, {**found.facts, "outcome": found.outcome.name})


def hides(one: Application, other: Application) -> bool:
    """Whether the second knows less than the first and nothing else."""
    changed = [value for name, value in other.values.items() if one.values[name] != value]
    return (bool(changed) or bool(other.hidden)) and not any(changed)


def test_there_is_a_planted_fault_for_every_shipped_claim() -> None:
    assert list(FAULTS) == [claim.id for claim in SHIPPED.invariants]


@pytest.mark.parametrize("claim", SHIPPED.invariants, ids=[claim.id for claim in SHIPPED.invariants])
def test_a_planted_fault_is_refuted_by_an_application_that_breaks_the_claim(claim: Invariant) -> None:
    faulty = planted(FAULTS[claim.id])
    found = verdict_on(claim, faulty)
    assert (found.proven, found.doubt) == (False, "")
    assert breaks(claim, found, faulty)
    assert not breaks(claim, found, SHIPPED), "it breaks without the fault, too"
    assert found.base in BASES
