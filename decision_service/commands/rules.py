"""`rules check|test|list|activate`: the rule files of the risk team."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from decision_service.case_runs import run_ruleset
from decision_service.commands.console import (
    FOUND,
    Lazy,
    as_json_option,
    finish,
    keep_rules,
    now,
    platform,
    print_json,
    print_table,
    settings,
)
from decision_service.decide import business_date
from decision_service.errors import InputError, Problem, RulebookError
from decision_service.rule_folder import check_folder
from decision_service.rulebook.cases import CaseReport
from decision_service.rulebook.files import load

folder_argument = click.argument("folder", required=False, type=click.Path(path_type=Path))


WORKBENCH: dict[str, str] = {
    "schemas": "decision_service.commands.rules_schemas:schemas",
}
"""Commands that are loaded when they are called, ``module:attribute`` by name: some need large libraries."""


@click.group(cls=Lazy, lazy=WORKBENCH)
def rules() -> None:
    """The rule files: what they say, what they can never do, what a change would do, and who let it.

    Example: decision-service rules test rules
    """


@rules.command()
@folder_argument
@as_json_option
def check(folder: Path | None, as_json: bool) -> None:
    """Read every rule file and case, and report all mistakes and gaps at once; exit 1 if there is one.

    Example: decision-service rules check rules
    """
    folder = _folder(folder)
    try:
        policy, cases = check_folder(folder, on=business_date(now()))
    except RulebookError as error:
        _report_problems(error.problems, as_json)
    ruleset = policy.ruleset
    summary = {
        "problems": [],
        "version": ruleset.version,
        "digest": ruleset.digest,
        "facts": len(ruleset.catalogue),
        "rules": len(ruleset.rules),
        "reasons": len(ruleset.reasons),
        "products": sorted(ruleset.products),
        "cases": len(cases),
    }
    if as_json:
        print_json(summary)
        return
    counts = ", ".join(f"{summary[what]} {what}" for what in ("rules", "facts", "reasons", "cases"))
    click.echo(f"{folder}: {counts}: fine")
    click.echo(f"version {ruleset.version}  {ruleset.digest}")


@rules.command()
@folder_argument
@as_json_option
def test(folder: Path | None, as_json: bool) -> None:
    """Run all cases with both engines; exit 1 if one fails or a rule is never matched or never missed.

    Example: decision-service rules test rules
    """
    folder = _folder(folder)
    try:
        policy, cases = check_folder(folder, on=business_date(now()))
        report = run_ruleset(policy, cases)
    except RulebookError as error:
        _report_problems(error.problems, as_json)
    if as_json:
        print_json(
            {
                "cases": report.cases,
                "failures": [str(failure.problem) for failure in report.failures],
                "never_matched": report.never_matched,
                "never_missed": report.never_missed,
            }
        )
    else:
        print_report(report)
    finish(0 if report.passed else FOUND)


@rules.command("list")
@folder_argument
@as_json_option
def list_(folder: Path | None, as_json: bool) -> None:
    """Without a folder: the rulesets in the store. With one: its rules.

    A ruleset that only `decide --rules` used is in the store, too, so that its decisions can be replayed: it was never
    active.

    Example: decision-service rules list rules
    """
    if folder is None:
        _list_store(as_json)
        return
    found = sorted(load(folder).rules, key=lambda rule: (rule.file, rule.line))
    rows: list[dict[str, Any]] = [
        {
            "rule": rule.id,
            "stage": rule.stage.value,
            "reason": rule.reason,
            "place": f"{rule.file}:{rule.line}",
            "zh": rule.title.get("zh"),
            "en": rule.title.get("en"),
        }
        for rule in found
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("rule", "stage", "reason", "place", "标题", "title"), [tuple(row.values()) for row in rows])


@rules.command()
@click.argument("folder", type=click.Path(path_type=Path))
@as_json_option
def activate(folder: Path, as_json: bool) -> None:
    """Check a folder, run its cases, store it and decide by it from now on; exit 1, storing nothing, if a case fails.

    Example: decision-service rules activate rules
    """
    policy, cases = check_folder(_folder(folder), on=business_date(now()))
    report = run_ruleset(policy, cases)
    if not report.passed:
        print_report(report)
        click.echo("not activated: every case must pass first", err=True)
        finish(FOUND)
    with platform() as built:
        keep_rules(built, policy)
        built.store.activate(policy.ruleset.digest, now(), built.signer.receipt)
    ruleset = policy.ruleset
    if as_json:
        print_json({"version": ruleset.version, "digest": ruleset.digest, "cases": report.cases})
    else:
        click.echo(f"active: version {ruleset.version}  {ruleset.digest}  ({report.cases} cases passed)")


def print_report(report: CaseReport) -> None:
    """What failed, and what no case covers."""
    for failure in report.failures:
        click.echo(str(failure.problem))
    for title, missing in (("matches", report.never_matched), ("misses", report.never_missed)):
        for rule_id in missing:
            click.echo(f"{rule_id}: no case {title} it; write one")
    state = "all as expected" if report.passed else f"{len(report.failures)} not as expected"
    click.echo(f"{report.cases} cases over {len(report.coverage)} rules: {state}")


def _folder(given: Path | None) -> Path:
    folder = given or settings().rules
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder), remedy="name the folder of rule files")
    return folder


def _report_problems(problems: tuple[Problem, ...], as_json: bool) -> None:
    if as_json:
        print_json({"problems": [str(problem) for problem in problems]})
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(problems)} {'mistake' if len(problems) == 1 else 'mistakes'}")
    finish(FOUND)


def _list_store(as_json: bool) -> None:
    with platform() as built:
        active = built.store.active_ruleset()
        entries = built.store.list_rulesets()
    rows = [
        {
            "version": entry.version,
            "digest": entry.digest,
            "saved_at": entry.saved_at.isoformat(),
            "activated_at": None if entry.activated_at is None else entry.activated_at.isoformat(),
            "active": entry.digest == active,
        }
        for entry in entries
    ]
    if as_json:
        print_json(rows)
    else:
        table = [(*list(row.values())[:3], row["activated_at"] or "never", _state(row)) for row in rows]
        print_table(("version", "digest", "saved", "last activated", "state"), table)


def _state(row: Mapping[str, Any]) -> str:
    if row["active"]:
        return "active"
    return "no longer active" if row["activated_at"] else "never active"
