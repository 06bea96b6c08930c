"""`models …`: the group of commands about the models in use."""

from __future__ import annotations

import click

from decision_service.commands.console import Lazy

MODELS: dict[str, str] = {
    "drift": "decision_service.commands.models_drift:drift",
    "shadow": "decision_service.commands.models_shadow:shadow",
}
"""Commands that are loaded when they are called, ``module:attribute`` by name."""


@click.group(cls=Lazy, lazy=MODELS)
def models() -> None:
    """The models in use: how challengers would have decided, how far scores and approvals have drifted.

    Example: decision-service models drift
    """
