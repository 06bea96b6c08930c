"""The command `decision-service`: serve, decide, replay, and what keeps the service honest."""

from __future__ import annotations

from decision_service.interrupts import leave_quietly

if __name__ == "__main__":  # before the imports below
    leave_quietly()

import click

from decision_service import __version__
from decision_service.commands.audit import audit
from decision_service.commands.clients import clients
from decision_service.commands.console import Commands
from decision_service.commands.deciding import decide
from decision_service.commands.demo import demo
from decision_service.commands.feeds import feeds
from decision_service.commands.models import models
from decision_service.commands.objections import objections
from decision_service.commands.outcomes import outcomes_
from decision_service.commands.portraits import portrait
from decision_service.commands.replay import replay
from decision_service.commands.reviews import reviews
from decision_service.commands.rules import rules
from decision_service.commands.sandbox import sandbox
from decision_service.commands.serving import serve


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
def main() -> None:
    """Auditable decisions on loan applications. 统筹融资信用服务平台：可审计的贷款决策。

    State lives under $DECISION_HOME (var), the database at $DECISION_DATABASE_URL, models at $MLFLOW_TRACKING_URI.
    Exit codes: 0 fine, 1 something was found, 2 could not run, 130 stopped by Ctrl-C.

    Example: decision-service decide applications.jsonl
    """


COMMANDS = (
    *(serve, decide, replay, demo, sandbox, clients, rules, models, audit, feeds, portrait),
    *(reviews, objections, outcomes_),
)
for command in COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main()
