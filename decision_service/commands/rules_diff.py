"""`rules diff`: what two versions say differently, and for whom decisions change, or the proof that none does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import click

from decision_service.commands.console import (
    FOUND,
    as_json_option,
    bar,
    existing_platform,
    finish,
    print_json,
)
from decision_service.commands.rules_shared import on_option
from decision_service.errors import InputError
from decision_service.rule_folder import Candidate, candidate
from decision_service.rulebook.proof.applications import Application
from decision_service.workbench.case_text import write_new
from decision_service.workbench.difference import Compared, bases_of, compare
from decision_service.workbench.difference_words import Telling, document
from decision_service.workbench.flip_cases import COMMENT, HEAD, flip_cases
from decision_service.workbench.versions import version


@click.command()
@click.argument("old")
@click.argument("new")
@on_option
@click.option("--client", help="Compare for one client with an overlay only; default: for everybody.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", help="Language of the report; default: en.")
@click.option(
    "--as-cases",
    "cases_to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the applications that flip as cases to a new FILE; they expect what NEW gives.",
)
@as_json_option
def diff(
    old: str, new: str, on: date, client: str | None, lang: str, cases_to: Path | None, as_json: bool
) -> None:
    """Compare two versions, each a folder or one in the store; exit 1 if a decision changes or may change.

    What the files say differently is listed part by part. Then, for every stretch of time from --on on and for each
    change, one application is shown for each way in which its decision changes because of it. Where none is, that is
    proven for all applications, not tried on some.

    Example: decision-service rules diff 3f9c21 rules
    """
    if cases_to is not None and cases_to.exists():
        raise InputError("this file exists, and nothing is overwritten", where=str(cases_to), remedy="name a new file")
    before, after = _versions(old, new, on=on)
    _check_client(client, before, after)
    bases = bases_of(after.cases, on) or bases_of(before.cases, on)
    with bar("questions") as moved:
        compared = compare(
            before.policy.ruleset, after.policy.ruleset, on=on, client=client, bases=bases, tick=moved.update
        )
    written = None if cases_to is None else _write(compared, cases_to, on, bases)
    if as_json:
        cases = {} if written is None else {"cases": written}
        print_json({**document(compared, bases), **cases})
    else:
        _print(compared, bases, lang, written, cases_to)
    finish(0 if compared.proven else FOUND)


def _versions(*called: str, on: date) -> Iterator[Candidate]:
    """The versions; the store is opened only if one is no folder."""
    with ExitStack() as stack:
        store = None
        for name in called:
            if Path(name).is_dir():
                yield candidate(name, on=on)
                continue
            store = store or stack.enter_context(existing_platform()).store
            yield version(store, name, on=on)


def _check_client(client: str | None, *versions: Candidate) -> None:
    known = sorted({one for found in versions for one in found.policy.ruleset.overlays})
    if client is not None and client not in known:
        remedy = f"name one of {', '.join(known)}" if known else "leave --client out"
        raise InputError("neither version has an overlay for this client", where=client, remedy=remedy)


def _write(compared: Compared, target: Path, on: date, bases: dict[str, Application]) -> int:
    """Write the flips as cases, if there are any; how many."""
    cases = flip_cases(compared, on=on, bases=bases)
    if cases:
        ruleset = compared.new
        write_new(target, cases, ruleset.catalogue, version=ruleset.version, head=HEAD, comment=COMMENT)
    return len(cases)


def _print(
    compared: Compared, bases: dict[str, Application], lang: str, written: int | None, target: Path | None
) -> None:
    for name, ruleset in (("old", compared.old), ("new", compared.new)):
        click.echo(f"{name}  {ruleset.version}  {ruleset.digest}")
    for line in Telling(compared, bases, lang).lines():
        click.echo(line)
    if written is not None:
        click.echo(f"{written} cases written to {target}" if written else "no case to write")
