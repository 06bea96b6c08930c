"""`sandbox list`: the fixed enterprises to test against, and what comes of each."""

from __future__ import annotations

import click

from decision_service.commands.console import FOUND, as_json_option, finish, platform, print_json, print_table
from decision_service.sandbox import NOT_ON_RECORD, SandboxCase, sandbox_cases


@click.group()
def sandbox() -> None:
    """Fixed enterprises to test against.

    Example: decision-service sandbox list
    """


@sandbox.command("list")
@click.option("--check-loaded", is_flag=True, help="Only tell whether they are on record: exit 0 if so, else 1.")
@as_json_option
def list_cases(check_loaded: bool, as_json: bool) -> None:
    """Print each enterprise's code, what to apply for, and the outcome with reasons that are among those given.

    Example: decision-service sandbox list --json
    """
    if check_loaded:
        with platform() as built:
            loaded = built.store.records(sandbox_cases()[0].uscc) is not None
        click.echo("the sandbox's enterprises are on record" if loaded else "no enterprise of the sandbox is on record")
        finish(0 if loaded else FOUND)
    if as_json:
        print_json({"cases": [_document(case) for case in sandbox_cases()], "not_on_record": NOT_ON_RECORD})
        return
    head = ("uscc", "product", "purpose", "amount", "outcome", "reasons", "企业", "enterprise")
    print_table(head, [_row(case) for case in sandbox_cases()])
    click.echo(f"{NOT_ON_RECORD} is never on record: 404")


def _row(case: SandboxCase) -> tuple[str, ...]:
    what = (case.product, case.purpose, case.amount)
    return (case.uscc, *what, case.outcome, " ".join(case.reasons), case.zh, case.en)


def _document(case: SandboxCase) -> dict[str, object]:
    return {
        "key": case.key,
        "story": {"zh": case.zh, "en": case.en},
        "application": case.application(f"SANDBOX-{case.key}"),
        "outcome": case.outcome,
        "reasons": case.reasons,
    }
