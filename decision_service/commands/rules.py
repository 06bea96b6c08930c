"""`rules …`: the group of commands about the rule files of the risk team."""

from __future__ import annotations

import click

from decision_service.commands.console import Lazy

WORKBENCH: dict[str, str] = {
    "check": "decision_service.commands.rules_lint:check",
    "lint": "decision_service.commands.rules_lint:lint",
    "test": "decision_service.commands.rules_test:test",
    "prove": "decision_service.commands.rules_prove:prove_",
    "diff": "decision_service.commands.rules_diff:diff",
    "list": "decision_service.commands.rules_versions:list_",
    "show": "decision_service.commands.rules_versions:show",
    "export": "decision_service.commands.rules_versions:export_",
    "publish": "decision_service.commands.rules_publish:publish",
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
