"""`rules …`: the group of commands about the rule files of the risk team, and `rules check`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from decision_service.commands.console import Lazy, as_json_option, print_json
from decision_service.commands.rules_shared import folder_argument, on_option, report_problems, rule_folder
from decision_service.errors import RulebookError
from decision_service.rule_folder import check_folder

WORKBENCH: dict[str, str] = {
    "test": "decision_service.commands.rules_test:test",
    "prove": "decision_service.commands.rules_prove:prove_",
    "diff": "decision_service.commands.rules_diff:diff",
    "list": "decision_service.commands.rules_versions:list_",
    "show": "decision_service.commands.rules_versions:show",
    "export": "decision_service.commands.rules_versions:export_",
    "publish": "decision_service.commands.rules_release:publish",
    "approve": "decision_service.commands.rules_release:approve",
    "activate": "decision_service.commands.rules_release:activate",
    "rollback": "decision_service.commands.rules_release:rollback",
    "switch": "decision_service.commands.rules_switch:switch",
    "shadow": "decision_service.commands.rules_shadow:shadow",
    "backtest": "decision_service.commands.rules_backtest:backtest_",
    "facts": "decision_service.commands.rules_backtest:facts_",
    "schemas": "decision_service.commands.rules_schemas:schemas",
    "export-xlsx": "decision_service.commands.rules_editing:export_xlsx",
    "import-xlsx": "decision_service.commands.rules_editing:import_xlsx",
}
"""Commands that are loaded when they are called, ``module:attribute`` by name: some need large libraries."""


@click.group(cls=Lazy, lazy=WORKBENCH)
def rules() -> None:
    """The rule files: what they say, what they can never do, what a change would do, and who let it.

    Example: decision-service rules test rules
    """


@rules.command()
@folder_argument
@on_option
@as_json_option
def check(folder: Path | None, on: date, as_json: bool) -> None:
    """Read every rule file and case, and report all mistakes and gaps at once; exit 1 if there is one.

    Example: decision-service rules check rules
    """
    folder = rule_folder(folder)
    try:
        policy, cases = check_folder(folder, on=on)
    except RulebookError as error:
        report_problems(error.problems, as_json)
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
        "overlays": list(ruleset.overlays),
    }
    if as_json:
        print_json(summary)
        return
    counts = ", ".join(f"{summary[what]} {what}" for what in ("rules", "facts", "reasons", "cases"))
    click.echo(f"{folder}: {counts}: fine")
    for overlay in ruleset.overlays.values():
        rows = len(overlay.policy.rows)
        click.echo(f"overlay of {overlay.client}: {len(overlay.rules)} rules, {rows} rows of parameters")
    click.echo(f"version {ruleset.version}  {ruleset.digest}")
