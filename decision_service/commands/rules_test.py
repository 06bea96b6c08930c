"""`rules test`: runs the cases of a folder, tells what they do not cover, and suggests cases for it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import click

from decision_service.case_runs import run_ruleset
from decision_service.commands.console import FOUND, as_json_option, finish, print_json, print_table, progress
from decision_service.commands.rules_shared import (
    folder_argument,
    on_option,
    print_report,
    report_problems,
    rule_folder,
)
from decision_service.errors import InputError, Problem, RulebookError
from decision_service.policy import Policy
from decision_service.rule_folder import check_folder
from decision_service.rulebook.cases import CaseReport
from decision_service.rulebook.coverage import ComparisonCoverage
from decision_service.rulebook.files import CASES
from decision_service.workbench.case_text import write_new
from decision_service.workbench.junit import junit, junit_of_mistakes
from decision_service.workbench.suggest import Suggestions, in_file_order, suggest

SUGGESTED = "suggested"


@click.command()
@folder_argument
@on_option
@click.option("--coverage", "--verbose", "whole", is_flag=True, help="Print what cases show of every comparison.")
@click.option("--strict", is_flag=True, help="Exit 1 also when no case shows a state of a comparison.")
@click.option(
    "--suggest",
    "suggest_to",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Write cases that close the gaps to a new FILE (default: FOLDER/cases/suggested.yaml); name the folder first.",
)
@click.option("--junit", "junit_to", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML to a file.")
@as_json_option
def test(
    folder: Path | None,
    on: date,
    whole: bool,
    strict: bool,
    suggest_to: str | None,
    junit_to: Path | None,
    as_json: bool,
) -> None:
    """Run all cases with both engines; exit 1 if one fails or a rule is never matched or never missed.

    Of every comparison of every rule it is told which states no case shows: true, false, unknown; deciding its rule
    by being true and by being false (MC/DC); its boundary and the next unit. --suggest writes a case for each, with
    the present result as expectation, for a person to confirm.

    Example: decision-service rules test rules --suggest --junit report.xml
    """
    folder = rule_folder(folder)
    target = None if suggest_to is None else _target(suggest_to, folder)
    try:
        policy, cases = check_folder(folder, on=on)
        report = run_ruleset(policy, progress(cases, total=len(cases), what="cases"))
    except RulebookError as error:
        if junit_to is not None:
            junit_to.write_bytes(junit_of_mistakes(error.problems))
        report_problems(error.problems, as_json)
    suggested = None
    if target is not None:
        suggested = _suggest(policy, report, target)
        if suggested.cases and target.parent.resolve() == (folder / CASES).resolve():
            policy, cases = check_folder(folder, on=on)
            report = run_ruleset(policy, progress(cases, total=len(cases), what="cases"))
    if junit_to is not None:
        junit_to.write_bytes(junit(report, policy.ruleset.every_rule(), folder=str(folder), strict=strict))
    if as_json:
        print_json(_document(report, suggested, target))
    else:
        _print(report, folder, whole, suggested, target)
    finish(0 if report.passed and not (strict and report.gaps) else FOUND)


def _target(given: str, folder: Path) -> Path:
    """The file for suggestions, a new one: nothing that people wrote is touched. Raises ``InputError``."""
    if given:
        target = Path(given)
        if target.exists():
            what = "this is a folder" if target.is_dir() else "this file exists"
            remedy = "name a new file; the folder of rules stands before --suggest"
            raise InputError(f"{what}, and nothing is overwritten", where=given, remedy=remedy)
        return target
    number, target = 1, folder / CASES / f"{SUGGESTED}.yaml"
    while target.exists():
        number += 1
        target = folder / CASES / f"{SUGGESTED}_{number}.yaml"
    return target


def _suggest(policy: Policy, report: CaseReport, target: Path) -> Suggestions:
    """Cases for the gaps of a report, written to a file if there are any."""
    gaps = in_file_order(report.gaps)
    found = suggest(policy, report, progress(gaps, total=len(gaps), what="gaps"))
    if found.cases:
        write_new(target, found.cases, policy.ruleset.catalogue, version=policy.ruleset.version)
    return found


def _print(
    report: CaseReport, folder: Path, whole: bool, suggested: Suggestions | None, target: Path | None
) -> None:
    if whole:
        _print_coverage(report)
    for gap in in_file_order(report.gaps):
        click.echo(str(_problem(gap, folder)))
    if suggested is not None:
        for one in suggested.unfound:
            what = f"{one.gap.rule.name}: found no case that shows {one.gap.showing(one.states)}"
            click.echo(str(Problem(f"{folder}/{one.gap.rule.file}", one.gap.rule.line, what, one.why)))
        written = f"{len(suggested.cases)} cases written to {target}; a person must confirm each"
        click.echo(written if suggested.cases else "no case to suggest; nothing written")
    elif report.gaps:
        click.echo("to write cases for these gaps, add --suggest")
    print_report(report)


def _problem(gap: ComparisonCoverage, folder: Path) -> Problem:
    return Problem(f"{folder}/{gap.rule.file}", gap.rule.line, f"{gap.rule.name}: {gap.gap}")


def _print_coverage(report: CaseReport) -> None:
    head = ("rule", "comparison", "true", "false", "unknown", "decides: true", "false", "boundary, members")
    print_table(head, [(one.rule.name, one.comparison.text, *_counts(one)) for one in report.comparisons])


def _counts(one: ComparisonCoverage) -> tuple[Any, ...]:
    counts = {state: seen.cases for state, seen in one.states.items()}
    first = [counts.pop(state) for state in ("true", "false", "unknown", "decides_true", "decides_false")]
    return (*first, ", ".join(f"{state} {cases}" for state, cases in counts.items()))


def _document(report: CaseReport, suggested: Suggestions | None, target: Path | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "cases": report.cases,
        "failures": [str(failure.problem) for failure in report.failures],
        "never_matched": report.never_matched,
        "never_missed": report.never_missed,
        "rules": {
            name: {"matched": len(seen.matched), "missed": len(seen.missed), "unknown": len(seen.unknown)}
            for name, seen in report.coverage.items()
        },
        "gaps": sum(len(gap.missing) for gap in report.gaps),
        "comparisons": [_comparison(one) for one in report.comparisons],
    }
    if suggested is not None:
        document["suggested"] = {
            "file": str(target) if suggested.cases else None,
            "cases": [case.name for case in suggested.cases],
            "not_found": [
                {"rule": one.gap.rule.name, "comparison": one.gap.comparison.text, "states": one.states, "why": one.why}
                for one in suggested.unfound
            ],
        }
    return document


def _comparison(one: ComparisonCoverage) -> dict[str, Any]:
    return {
        "rule": one.rule.name,
        "file": one.rule.file,
        "line": one.rule.line,
        "comparison": one.comparison.text,
        "states": {state: {"cases": seen.cases, "first": seen.first or None} for state, seen in one.states.items()},
        "missing": one.missing,
        "mcdc": one.paired,
    }
