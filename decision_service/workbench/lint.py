"""Lint of a version of the rules: what can never matter, what is left open, what nobody uses, each at its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from decision_service.case_runs import record_facts
from decision_service.lending.limits import limit
from decision_service.rule_folder import Candidate, named_by_platform
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.findings import Finding
from decision_service.rulebook.lint import case_findings, fact_findings, reason_findings
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.reads import INDUSTRY
from decision_service.vocabulary import Outcome
from decision_service.workbench.difference import bases_of
from decision_service.workbench.lint_days import Asking
from decision_service.workbench.lint_rules import RuleFindings
from decision_service.workbench.reference import judge

READ_BESIDE = frozenset(
    {
        "industry.seasonality",  # the portrait's seasons and the synthetic city
        "industry.sci_tech_eligible",  # the synthetic city
        "industry.weight_xgb",  # the blend of the two models
        "industry.weight_lstm",
        "product.weight_xgb",
        "product.weight_lstm",
        "product.base_rate",  # training: the default rate to which a product's models are calibrated
    }
)
"""Parameters that no rule reads and that something else does."""


def lint(candidate: Candidate) -> tuple[Finding, ...]:
    """Every finding of a version from the business date on by which it is judged, by file and line."""
    return tuple(sorted(_findings(candidate), key=lambda one: (one.file, one.line, one.code, one.client)))


def _findings(candidate: Candidate) -> Iterator[Finding]:
    policy, ruleset = candidate.policy, candidate.policy.ruleset
    yield from fact_findings(ruleset, platform=named_by_platform(policy), read_beside=READ_BESIDE)
    yield from reason_findings(ruleset)
    asking = Asking(ruleset, candidate.on, judge, limit, _applications(candidate))
    yield from RuleFindings(asking, bases_of(candidate.cases, candidate.on)).all()
    records = partial(record_facts, policy=policy)
    for finding in case_findings(ruleset, candidate.cases, evaluate=judge, facts_from_records=records):
        yield replace(finding, file=_inside(finding.file, candidate))


def _applications(candidate: Candidate) -> dict[str, tuple[Application, ...]]:
    """The cases as applications, but for those that give parameters themselves.

    For a client its own cases and those that the base approves: its rules may refer them.
    """
    usable = [case for case in candidate.cases if not any("." in name for name in {**case.profile, **case.facts})]
    found = {"": tuple(_application(case, candidate) for case in usable)}
    for client in candidate.policy.ruleset.overlays:
        of_interest = (case for case in usable if case.client == client or case.expect.outcome is Outcome.APPROVE)
        found[client] = tuple(_application(case, candidate) for case in of_interest)
    return found


def _application(case: Case, candidate: Candidate) -> Application:
    values = {**case.profile, **case.facts}
    values.pop(INDUSTRY, None)
    return Application(values, case.industry, candidate.on)


def _inside(file: str, candidate: Candidate) -> str:
    """A case's file by its path inside the folder."""
    return next((path for path in candidate.case_texts if file.endswith(path)), file)
