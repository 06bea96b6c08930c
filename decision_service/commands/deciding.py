"""`decide FILE…`: applications from files, decided and stored through the same path as those from the API."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from decision_service.api import bodies, strict_json
from decision_service.api.decisions import digest_of
from decision_service.api.platform import PlatformService
from decision_service.api.problems import HttpProblem
from decision_service.api.render import decision_bytes
from decision_service.commands import moments
from decision_service.commands.console import (
    FOUND,
    InputFile,
    as_json_option,
    ensure_rules,
    finish,
    now,
    platform,
    print_table,
    progress,
    save_rules,
    settings,
)
from decision_service.decide import Decided, Platform
from decision_service.errors import DecisionServiceError, IdempotencyConflict, InputError, NotFound
from decision_service.policy import Policies, Policy
from decision_service.store import Store
from decision_service.vocabulary import Client, CreditApplication

LOCAL_KIND = "bank"


@dataclass(frozen=True, slots=True)
class Case:
    """One application of a file, and where it stands."""

    place: str
    document: Any


class OneRuleset(Policies):
    """Policies of which one is current, whichever is active."""

    def __init__(self, store: Store, digest: str) -> None:
        super().__init__(store)
        self._digest = digest

    def current(self) -> Policy:
        """Always the same."""
        return self.by_digest(self._digest)


@dataclass(frozen=True, slots=True)
class Desk:
    """Who decides here, by what, and when."""

    platform: Platform
    client: Client
    alias: str
    moment: datetime | None
    again: bool

    def decide(self, case: Case) -> Decided:
        """Decide one application. Raises whatever makes that impossible."""
        application = bodies.application(case.document)
        return PlatformService(self.platform).decide(
            application,
            client=self.client,
            idempotency_key=self._key(application),
            body_digest=digest_of(application),
            render=decision_bytes,
            now=self.moment or now(),
        )

    def _key(self, application: CreditApplication) -> str:
        """The same application under the same rules and models is the same request, unless asked for again."""
        digest = self.platform.policies.current().ruleset.digest
        parts = [digest_of(application), digest, self.alias, str(self.moment), str(now()) if self.again else ""]
        return "local-" + sha256("\n".join(parts).encode()).hexdigest()


@click.command()
@click.argument("files", nargs=-1, required=True, type=InputFile())
@click.option("--rules", "folder", type=click.Path(path_type=Path), help="Decide by this folder instead of the active.")
@click.option("--model-alias", help="Score with the models under this alias.")
@click.option("--now", "moment", metavar="TIME", help="Decide as of a moment, such as 2020-03-01T09:00:00+08:00.")
@click.option("--again", is_flag=True, help="Decide anew what was decided before.")
@as_json_option
def decide(
    files: tuple[Path, ...],
    folder: Path | None,
    model_alias: str | None,
    moment: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Decide applications from JSON or JSON Lines files; exit 1 if one of them cannot be decided.

    These are real decisions, stored and logged, and what is approved is reserved. You apply as a client of your own,
    "local:" and your user name, of the kind bank: for MULTI_LENDER that is one lender more that the enterprise applied
    to within 30 days, however often you decide; two users are two lenders. To try something out, simulate
    (POST /v1/simulations).

    Example: decision-service decide applications.jsonl --json > decisions.jsonl
    """
    when = None if moment is None else moments.moment(moment, "--now")
    cases = [case for file in files for case in read_cases(file)]
    found = settings(DECISION_MODEL_ALIAS=model_alias)
    with platform(found) as built:
        if folder is None:
            ensure_rules(built, found)
        else:
            chosen = OneRuleset(built.store, save_rules(built, folder).ruleset.digest)
            built = replace(built, policies=chosen, scorer=built.scorer.serving(chosen.model_inputs))
        desk = Desk(built, local_client(built.store), found.model_alias, when, again)
        undecided = _decide_all(desk, cases, as_json)
    for place, problem in undecided:
        click.echo(f"{place}: {problem}", err=True)
    finish(FOUND if undecided else 0)


def _decide_all(desk: Desk, cases: Sequence[Case], as_json: bool) -> list[tuple[str, str]]:
    """Print each decision; give back what could not be decided. A store that fails ends the run."""
    undecided, rows = [], []
    for case in progress(cases, total=len(cases), what="deciding"):
        try:
            decided = desk.decide(case)
        except (HttpProblem, NotFound, InputError, IdempotencyConflict) as error:
            undecided.append((case.place, _told(error)))
            continue
        if as_json:
            click.echo(decided.body.decode())
        else:
            rows.append(_row(json.loads(decided.body), decided.replayed))
    if not as_json:
        print_table(("application", "outcome", "approved", "limit", "card", "pd_12m", "reasons", ""), rows)
    return undecided


def _told(error: DecisionServiceError) -> str:
    if isinstance(error, HttpProblem) and error.errors:
        return "; ".join(f"{field} {message}" for field, message in error.errors)
    return str(error)


def _row(decision: dict[str, Any], replayed: bool) -> tuple[Any, ...]:
    return (
        decision["application_id"],
        decision["outcome"],
        decision["approved_amount"],
        decision["limit"],
        decision["card"] or "unknown",
        decision["scores"]["pd_12m"],
        " ".join(dict.fromkeys(reason["code"] for reason in decision["reasons"])),
        "decided before" if replayed else "",
    )


def read_cases(file: Path) -> Iterator[Case]:
    """Applications of a JSON file (an object or a list of them) or of JSON Lines. Raises a problem for neither."""
    lines = [(number, line) for number, line in enumerate(file.read_bytes().split(b"\n"), 1) if line.strip()]
    if not lines:
        raise InputError("there is no application in it", where=str(file), remedy="write one JSON object a line")
    if len(lines) == 1 or _stands_alone(lines[0][1]):
        for number, line in lines:
            yield from _cases(f"{file}:{number}", line)
    else:
        yield from _cases(str(file), b"\n".join(line for _, line in lines))


def _stands_alone(line: bytes) -> bool:
    """Whether the first line is a document by itself, so that the file is JSON Lines."""
    try:
        return isinstance(strict_json.parse(line), dict)
    except HttpProblem:
        return False


def _cases(place: str, text: bytes) -> Iterator[Case]:
    try:
        document = strict_json.parse(text)
    except HttpProblem as error:
        raise InputError(_told(error), where=place, remedy="correct the file") from error
    if isinstance(document, list):
        yield from (Case(f"{place}[{number}]", one) for number, one in enumerate(document))
    else:
        yield Case(place, document)


def local_client(store: Store) -> Client:
    """The client that stands for the operating-system user at this terminal; its key is thrown away."""
    name = f"local:{getpass.getuser()}"
    for entry in store.list_clients():
        if entry.client.name == name and entry.revoked_at is None:
            return entry.client
    return store.add_client(name, LOCAL_KIND, now())[0]
