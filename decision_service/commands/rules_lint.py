"""`rules lint` and `rules check`: what is wrong with a folder of rule files, and what in it can never matter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import click

from decision_service.commands.console import FOUND, as_json_option, finish, print_json
from decision_service.commands.rules_shared import folder_argument, on_option, report_problems, rule_folder
from decision_service.errors import Problem, RulebookError
from decision_service.rule_folder import candidate
from decision_service.rulebook.findings import LANGUAGES, Finding
from decision_service.rulebook.ruleset import Ruleset
from decision_service.workbench.lint import lint as findings_of

PAGES = "docs/lint"

lang_option = click.option(
    "--lang", type=click.Choice(["en", "zh"]), default="en", help="Language of the findings; default: en."
)


@click.command()
@folder_argument
@on_option
@lang_option
@as_json_option
def lint(folder: Path | None, on: date, lang: str, as_json: bool) -> None:
    """Find what can never match, matters to no decision, is left open, or is used by nobody; exit 1 if there is any.

    Decided for all applications at once, from --on on for every day still to come, not by trying some. The code in
    brackets is the name of a page in docs/lint/ with a bad and a good example.

    Example: decision-service rules lint rules --lang zh
    """
    folder = rule_folder(folder)
    try:
        judged = candidate(folder, on=on)
    except RulebookError as error:
        report_problems(tuple(_coded(problem) for problem in error.problems), as_json)
    found = findings_of(judged)
    if as_json:
        print_json({"findings": [document(one, folder) for one in found]})
    else:
        _print(found, folder, lang)
    finish(FOUND if found else 0)


@click.command()
@folder_argument
@on_option
@lang_option
@as_json_option
def check(folder: Path | None, on: date, lang: str, as_json: bool) -> None:
    """Read every rule file and case, and report all mistakes and gaps at once; exit 1 if there is one.

    Where all can be read, what lint finds is reported, too.

    Example: decision-service rules check rules
    """
    folder = rule_folder(folder)
    try:
        judged = candidate(folder, on=on)
    except RulebookError as error:
        report_problems(error.problems, as_json)
    ruleset, found = judged.policy.ruleset, findings_of(judged)
    summary: dict[str, Any] = {
        "problems": [str(one.problem("en", folder=f"{folder}/")) for one in found],
        "findings": [document(one, folder) for one in found],
        "version": ruleset.version,
        "digest": ruleset.digest,
        "facts": len(ruleset.catalogue),
        "rules": len(ruleset.rules),
        "reasons": len(ruleset.reasons),
        "products": sorted(ruleset.products),
        "cases": len(judged.cases),
        "overlays": list(ruleset.overlays),
    }
    if as_json:
        print_json(summary)
    elif found:
        _print(found, folder, lang)
    else:
        _print_summary(summary, ruleset, folder)
    finish(FOUND if found else 0)


def document(finding: Finding, folder: Path) -> dict[str, Any]:
    """A finding as JSON."""
    return {
        "code": finding.code,
        "file": f"{folder}/{finding.file}",
        "line": finding.line,
        **{lang: finding.sentence(lang) for lang in LANGUAGES},
        "remedy": {lang: finding.remedy(lang) for lang in LANGUAGES},
        "since": str(finding.since) if finding.since else None,
        "client": finding.client or None,
        "witness": {lang: list(lines) for lang, lines in finding.witness.items()} or None,
        "page": f"{PAGES}/{finding.code}.md",
    }


def _print(found: Iterable[Finding], folder: Path, lang: str) -> None:
    number = 0
    for number, finding in enumerate(found, start=1):
        click.echo(str(finding.problem(lang, folder=f"{folder}/")))
        for line in finding.witness.get(lang, ()):
            click.echo(f"  {line}")
    counted = "no finding" if not number else f"{number} finding{'' if number == 1 else 's'}; see {PAGES}/"
    click.echo(f"{folder}: {counted}")


def _print_summary(summary: dict[str, Any], ruleset: Ruleset, folder: Path) -> None:
    counts = ", ".join(f"{summary[what]} {what}" for what in ("rules", "facts", "reasons", "cases"))
    click.echo(f"{folder}: {counts}: fine")
    for overlay in ruleset.overlays.values():
        rows = len(overlay.policy.rows)
        click.echo(f"overlay of {overlay.client}: {len(overlay.rules)} rules, {rows} rows of parameters")
    click.echo(f"version {ruleset.version}  {ruleset.digest}")


def _coded(problem: Problem) -> Problem:
    """A mistake of reading with the code of its page, if it has one."""
    what = f"{problem.what} [{problem.code}]" if problem.code else problem.what
    return Problem(problem.file, problem.line, what, problem.remedy, code=problem.code)
