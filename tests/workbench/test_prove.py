"""Claims proven for everybody, each overlay and each stretch of time; what breaks one is told, and becomes a case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from decision_service.errors import NotFound
from decision_service.policy import Policy
from decision_service.rule_folder import Candidate
from decision_service.rulebook.cases import Failure, cases_of, load_cases, run_cases
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.invariants import Claim
from decision_service.rulebook.ruleset import Ruleset
from decision_service.vocabulary import Outcome
from decision_service.workbench.case_append import append
from decision_service.workbench.counterexamples import COMMENT, HEAD, case, told
from decision_service.workbench.gates import GATES
from decision_service.workbench.prove import Proof, Result, familiar, prove, reports, tasks_of
from decision_service.workbench.reference import judge
from tests.rules.test_claims_refuted import FAULTS, planted

TODAY = date(2026, 11, 24)
LATER = date(2027, 1, 1)
RULES = Path(__file__).resolve().parents[2] / "rules"
SHIPPED = load(RULES)
CASES = load_cases(RULES, SHIPPED)
BANK = "bank-07"
DATED = "    effective_from: 2024-01-01\n    reference: board of the bank\n"


def candidate(ruleset: Ruleset) -> Candidate:
    return Candidate(Policy(ruleset), CASES, {}, TODAY)


def laid_over(files: Mapping[str, str]) -> Ruleset:
    return load_sources({**SHIPPED.sources, **{f"overlays/{BANK}/{path}": text for path, text in files.items()}})


def proofs(ruleset: Ruleset, *only: str, seconds: float = 60) -> list[Proof]:
    return list(prove(candidate(ruleset), tasks_of(ruleset, on=TODAY, only=only), seconds=seconds))


def own_rule(stage: str, rule_id: str, when: str, gives: str) -> str:
    title = "    title: {zh: 本行规定, en: rule of the bank}\n"
    return f"stage: {stage}\nrules:\n  - id: {rule_id}\n{title}    when: {when}\n    {gives}\n{DATED}"


def own_row(name: str, value: str, begins: str = "2024-01-01") -> str:
    return f"parameters:\n  - {{name: {name}, value: {value}, effective_from: {begins}, reference: board}}\n"


AUTO_101 = (
    "product == invoice_loan and exposure_total <= 5_000_000 and pd_12m <= product.pd_cutoff_auto and card == none"
)
APPROVES = "outcome: APPROVE\n    reason: AUTO_OK"
TIGHTEN = {
    "one more approval rule, for which others leave no room": {
        "own.yaml": own_rule("decision", "B7-04", "product == working_capital and card == none", APPROVES)
    },
    "a parameter lowered": {"parameters.yaml": own_row("auto_cap", "1_000_000.00")},
    "a rule that refers": {
        "own.yaml": own_rule("decision", "B7-01", "years_in_operation < 5", "outcome: REFER\n    reason: IND_YEARS")
    },
    "an approval rule with one condition more": {
        "own.yaml": own_rule("decision", "AUTO-101", f"{AUTO_101} and inv_months >= 36", APPROVES)
    },
    "a smaller limit, a higher spread and a condition": {
        "own.yaml": own_rule(
            "limit",
            "B7-02",
            "first_time_borrower == true",
            "effects: {limit_factor: 0.8, rate_spread_bp: 30, conditions: [monthly_report]}",
        )
    },
    "a red card for what is yellow to everybody": {
        "own.yaml": own_rule("status", "B7-03", "list_executee == active", "sets: {card: red}\n    reason: RED_COURT")
    },
}
LOOSEN = {
    "a parameter raised": {"parameters.yaml": own_row("lenders_30d_max", "4")},
    "a rule replaced by one with a weaker condition": {
        "own.yaml": own_rule("decision", "NA-10", "control_changes_90d >= 2", "outcome: REFER\n    reason: CTRL_CHANGE")
    },
    "a decline replaced by a referral": {
        "own.yaml": own_rule(
            "decision", "IND-001", "industry_status == excluded", "outcome: REFER\n    reason: IND_EXCLUDED"
        )
    },
    "one more approval rule, above the line": {
        "own.yaml": own_rule("decision", "B7-04", "product == working_capital and card == none", APPROVES),
        "parameters.yaml": own_row("auto_cap", "6_000_000.00"),
    },
    "a cap taken away": {
        "own.yaml": own_rule("limit", "LIM-06", "product == invoice_loan", "effects: {limit_factor: 0.999999}")
    },
    "a spread lowered": {
        "own.yaml": own_rule(
            "limit",
            "LIM-03",
            "card == yellow",
            "effects: {limit_factor: 0.5, rate_spread_bp: 49, conditions: [no_limit_increase]}",
        )
    },
    "a condition dropped": {
        "own.yaml": own_rule("limit", "LIM-03", "card == yellow", "effects: {limit_factor: 0.5, rate_spread_bp: 50}")
    },
    "a red card made yellow": {
        "own.yaml": own_rule(
            "status", "RED-08", "overdue_days_serious >= 90", "sets: {card: yellow}\n    reason: RED_DPD"
        )
    },
}


@pytest.mark.parametrize("files", TIGHTEN.values(), ids=list(TIGHTEN))
def test_an_overlay_that_tightens_is_proven_to(files: Mapping[str, str]) -> None:
    (proof,) = proofs(laid_over(files), "overlays-only-tighten")
    assert (proof.result, proof.task.client) == (Result.PROVEN, BANK)


@pytest.mark.parametrize("files", LOOSEN.values(), ids=list(LOOSEN))
def test_an_overlay_that_loosens_is_refuted_by_somebody_better_off(files: Mapping[str, str]) -> None:
    ruleset = laid_over(files)
    (proof,) = proofs(ruleset, "overlays-only-tighten")
    assert proof.result is Result.REFUTED and proof.verdict.application is not None
    base, own = (
        judge(rules := ruleset.in_force(TODAY, client), proof.verdict.application.facts(rules)) for client in ("", BANK)
    )
    milder, higher = own.outcome < base.outcome, (own.limit or 0) > (base.limit or 0)
    cheaper = own.effects.rate_spread_bp < base.effects.rate_spread_bp
    freer = bool(set(base.effects.conditions) - set(own.effects.conditions))
    assert milder or (own.outcome is not Outcome.DECLINE and (higher or cheaper or freer))


def test_an_overlay_is_proven_to_tighten_though_nobody_claims_it() -> None:
    text = SHIPPED.sources["invariants.yaml"]
    silent = text[: text.index("  - id: overlays-only-tighten")]
    ruleset = load_sources({**laid_over(LOOSEN["a parameter raised"]).sources, "invariants.yaml": silent})
    assert Claim.OVERLAY_NEVER_LOOSENS not in {claim.claim for claim in ruleset.invariants}
    assert [proof.result for proof in proofs(ruleset, "overlays-only-tighten")] == [Result.REFUTED]


def test_other_claims_hold_for_an_overlay_too_but_for_the_days_on_which_it_is_not_in_force() -> None:
    row = own_row("group_auto_cap", "4_000_000.00", "2027-01-01")
    found = tasks_of(laid_over({"parameters.yaml": row}), on=TODAY)
    places = {(task.on, task.client) for task in found}
    assert places == {(TODAY, ""), (LATER, ""), (LATER, BANK)}
    own = {task.invariant.claim for task in found if task.client}
    assert own == {*Claim} - {Claim.ALWAYS_DECIDED}


MILD = """\
  - id: young-not-declined
    title: {zh: 无牌的年轻企业不拒绝, en: Without a card nobody young is declined}
    claim: implication
    if: outcome == DECLINE and years_in_operation < 5
    then: card != none or industry_status != covered or pd_12m > 0.01 or not years_in_operation >= 0
    reference: board
"""
OWN_RULES: Mapping[str, tuple[str, str, str, str]] = {
    "more-lenders-never-better": ("decision", "B7-9", "lenders_30d == 1", "outcome: REFER\n    reason: MULTI_LENDER"),
    "young-not-declined": ("decision", "B7-9", "years_in_operation < 5", "outcome: DECLINE\n    reason: IND_YEARS"),
}


@pytest.mark.parametrize("claim", OWN_RULES)
def test_a_claim_that_an_overlay_breaks_though_it_tightens_is_refuted(claim: str) -> None:
    overlay = laid_over({"own.yaml": own_rule(*OWN_RULES[claim])})
    claims = overlay.sources["invariants.yaml"].replace("invariants:\n", f"invariants:\n{MILD}")
    ruleset = load_sources({**overlay.sources, "invariants.yaml": claims})
    found = proofs(ruleset, claim, "overlays-only-tighten", "line-5m")
    results = {(one.task.invariant.id, one.task.client): one.result for one in found}
    assert results == {
        (claim, ""): Result.PROVEN,
        (claim, BANK): Result.REFUTED,
        ("line-5m", ""): Result.PROVEN,
        ("line-5m", BANK): Result.PROVEN,
        ("overlays-only-tighten", BANK): Result.PROVEN,
    }


def test_claims_of_an_overlay_that_loosens_are_proven_by_themselves() -> None:
    overlay = laid_over(LOOSEN["a rule replaced by one with a weaker condition"])
    found = proofs(overlay, "control-change", "overlays-only-tighten")
    results = {(one.task.invariant.id, one.task.client): one.result for one in found}
    assert results[("control-change", "")] is Result.PROVEN
    assert results[("control-change", BANK)] is results[("overlays-only-tighten", BANK)] is Result.REFUTED


def test_a_claim_broken_by_a_change_still_to_come_is_refuted_from_that_day_on() -> None:
    (path, before, after) = FAULTS["several-lenders"][0]
    text = SHIPPED.sources[path]
    begins = text.index("  - id: NA-11")
    rule = text[begins : text.index("  - id: NA-12A")]
    ended = rule.replace("effective_from: 2023-10-15", "effective_from: 2023-10-15\n    effective_to: 2027-01-01")
    followed = rule.replace(before, after).replace("id: NA-11", "id: NA-11B").replace("2023-10-15", "2027-01-01")
    ruleset = load_sources({**SHIPPED.sources, path: text.replace(rule, ended + followed)})
    found = [(proof.task.on, proof.result) for proof in proofs(ruleset, "several-lenders")]
    assert found == [(TODAY, Result.PROVEN), (LATER, Result.REFUTED)]


def test_a_claim_that_there_is_not_is_named_with_the_one_that_may_be_meant() -> None:
    with pytest.raises(NotFound, match="line-5m"):
        tasks_of(SHIPPED, on=TODAY, only=["line-5"])


def test_out_of_time_a_claim_is_undecided_and_undecided_is_not_proven() -> None:
    found = proofs(SHIPPED, "limit-within-product", seconds=0.000001)
    assert [(one.result, one.verdict.doubt) for one in found] == [(Result.UNDECIDED, "Z3 gave no answer in time")]
    (report,) = reports(candidate(SHIPPED), found, ["limit-within-product"])
    assert report.result is Result.UNDECIDED


DEMANDED = {
    "line-5m": "expected REFER, got APPROVE",
    "red-declines": "expected DECLINE, got REFER",
    "three-years-whitelist": "expected whitelisted true, got false",
    "yellow-halves-limit": "expected limit ",
    "higher-pd-never-better": "expected DECLINE, got ",
    "unknown-never-approves": "expected REFER, got APPROVE",
    "always-decided": "expected DECLINE, got REFER (NO_APPROVAL",
    "fewer-good-years-never-better": "expected ",  # an outcome or a limit, as Z3 finds either first
}


def failures(proof: Proof, ruleset: Ruleset, path: Path) -> tuple[Failure, ...]:
    """A counterexample written as a case, read again and run."""
    found = case(proof, familiar(candidate(ruleset)), as_of=TODAY)
    assert found is not None and found.base is not None
    append(path, [found], ruleset.catalogue, version="v", head=HEAD, comment=COMMENT)
    texts = {"cases/a.yaml": path.read_text(encoding="utf-8")}
    texts["cases/profiles.yaml"] = (RULES / "cases" / "profiles.yaml").read_text(encoding="utf-8")
    written = [one for one in cases_of(texts, ruleset) if one.file.endswith("a.yaml")]
    return run_cases(ruleset, written, evaluate=judge).failures


@pytest.mark.parametrize("claim", DEMANDED)
def test_a_counterexample_is_a_case_that_fails_until_the_rules_are_mended(claim: str, tmp_path: Path) -> None:
    faulty = planted(FAULTS[claim])
    (proof,) = proofs(faulty, claim)
    (failure,) = failures(proof, faulty, tmp_path / "a.yaml")
    assert DEMANDED[claim] in failure.differences[0]
    if claim in ("line-5m", "red-declines", "three-years-whitelist"):  # the others only name what is wrong at present
        assert run_cases(SHIPPED, [failure.case], evaluate=judge).failures == ()


LOOSENED = {
    "a parameter raised": "expected REFER, got APPROVE",
    "a cap taken away": "expected limit ",
    "a spread lowered": "expected rate_spread_bp 50, got 49",
    "a condition dropped": "expected conditions [no_limit_increase], got []",
}


@pytest.mark.parametrize("overlay", LOOSENED)
def test_a_case_of_the_client_expects_no_better_terms_than_the_base_gives(overlay: str, tmp_path: Path) -> None:
    ruleset = laid_over(LOOSEN[overlay])
    (proof,) = proofs(ruleset, "overlays-only-tighten")
    (failure,) = failures(proof, ruleset, tmp_path / "a.yaml")
    assert failure.case.client == BANK
    assert any(LOOSENED[overlay] in one for one in failure.differences), failure.differences


def test_what_breaks_a_claim_is_told_in_both_languages_and_only_what_differs() -> None:
    faulty = planted(FAULTS["line-5m"])
    (proof,) = proofs(faulty, "line-5m")
    title, *facts, outcome, rules = told(proof, familiar(candidate(faulty)))
    assert title == "如案例档案 sound_manufacturer，但： · as profile sound_manufacturer, but with"
    assert len(facts) == 1 and re.fullmatch(r"  \w+（(\w+)）：([\d,]+\.01 CNY) · [a-z ]+ \(\1\): \2", facts[0]), facts
    assert outcome.startswith("结果 · comes out as: 批准 APPROVE, 红黄牌 · card none")
    assert rules == "  命中规则 · rules that match: LIM-01, LIM-05, AUTO-001"


def test_of_an_overlay_both_decisions_are_told_with_the_rules_of_each() -> None:
    ruleset = laid_over(LOOSEN["a decline replaced by a referral"])
    (proof,) = proofs(ruleset, "overlays-only-tighten")
    lines = told(proof, familiar(candidate(ruleset)))
    assert [line.split(",")[0] for line in lines if line.startswith(("基础", "叠加"))] == [
        "基础规则 · by the base: 拒绝 DECLINE",
        f"叠加 {BANK} 的规则 · with the overlay of {BANK}: 转人工 REFER",
    ]


def test_an_overlay_that_loosens_does_not_pass_the_gate_and_the_gate_says_why() -> None:
    gate = next(gate for gate in GATES if gate.name == "prove")
    claims = SHIPPED.sources["invariants.yaml"]
    few = claims[: claims.index("  - id: line-5m-whitelist")]
    loosened = laid_over(LOOSEN["a parameter raised"]).sources
    result = gate.run(candidate(load_sources({**loosened, "invariants.yaml": few})))
    assert (result.passed, result.summary) == (False, "2 claims, 1 overlays: overlays-only-tighten refuted")
    (problem,) = result.problems
    assert BANK in problem and "lenders_30d" in problem and "with the overlay of" in problem
    assert gate.run(candidate(load_sources({**SHIPPED.sources, "invariants.yaml": few}))).passed
