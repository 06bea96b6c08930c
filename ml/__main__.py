"""``python -m ml``: the data scientist's commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module

import click

from ml.console import BEGAN

COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "train": ("ml.table_commands", "train_command", "Train on any labelled table, and register."),
    "score": ("ml.table_commands", "score_command", "Score a table with a registered model."),
    "score-portfolio": ("ml.bulk_commands", "score_portfolio_command", "Score every enterprise, in chunks."),
    "evaluate": ("ml.evaluate_commands", "evaluate_command", "Figures with intervals, calibration, segments, PSI."),
    "compare": ("ml.evaluate_commands", "compare_command", "Is B better than A, or is there no difference?"),
    "benchmark": ("ml.benchmark_commands", "benchmark_command", "Real data, with intervals, beside published figures."),
    "register": ("ml.registry_commands", "register_command", "Make a version of a finished training run."),
    "challenge": ("ml.registry_commands", "challenge_command", "Make a version score live decisions beside."),
    "promote": ("ml.registry_commands", "promote_command", "Put versions in force, if every gate says so."),
    "rollback": ("ml.registry_commands", "rollback_command", "Put the champion before in force again."),
    "list": ("ml.registry_commands", "list_command", "Versions and aliases; what was promoted, by whom."),
    "card": ("ml.registry_commands", "card_command", "The model card of a version."),
    "city": ("ml.city_commands", "city", "Write a synthetic city as feed files."),
    "train-city": ("ml.city_commands", "train_city_command", "Train the service's models on a city."),
    "cumcm": ("ml.cumcm_commands", "cumcm", "Real firms, known by their VAT invoices."),
}


class Lazy(click.Group):
    """Commands by name: their modules, with the model libraries, are imported when one is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        ctx.meta.setdefault(BEGAN, time.monotonic())  # before the libraries, which take seconds
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=Lazy)
def main() -> None:
    """Training, evaluation, registration and scoring of models.

    \b
    Example:
      python -m ml train --data loans.csv --target status --id loan --name loans
    """


if __name__ == "__main__":
    main(prog_name="python -m ml")
