"""`rules prove`: every claim about all applications proven, or broken by one that is shown in people's words."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import click

from decision_service.commands.console import FOUND, as_json_option, finish, print_json, progress
from decision_service.commands.rules_shared import folder_argument, on_option, report_problems, rule_folder
from decision_service.errors import InputError, RulebookError
from decision_service.rule_folder import Candidate, candidate
from decision_service.rulebook.proof.prover import SECONDS
from decision_service.workbench import counterexamples
from decision_service.workbench.case_append import append
from decision_service.workbench.prove import ClaimReport, Proof, Result, familiar, prove, reports, tasks_of

CODES = {Result.PROVEN: "proven", Result.REFUTED: "REFUTED", Result.UNDECIDED: "UNDECIDED"}


@click.command("prove")
@folder_argument
@on_option
@click.option("--only", multiple=True, metavar="ID", help="Prove this claim only; may be given several times.")
@click.option(
    "--as-case",
    "case_to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append each counterexample to FILE as a case that fails until the rules are mended.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=SECONDS,
    show_default=True,
    help="Seconds after which a claim is undecided, which is no proof.",
)
@as_json_option
def prove_(
    folder: Path | None, on: date, only: tuple[str, ...], case_to: Path | None, timeout: float, as_json: bool
) -> None:
    """Prove every claim of invariants.yaml for all applications; exit 1 if one is refuted or undecided.

    Each claim is proven for the rules and parameters in force on --on and after every later change, for everybody and
    with each client's overlay; that an overlay only tightens is proven always. A claim that does not hold is shown by
    an application that really breaks it.

    Example: decision-service rules prove rules --as-case rules/cases/counterexamples.yaml
    """
    folder = rule_folder(folder)
    try:
        found = candidate(folder, on=on)
    except RulebookError as error:
        report_problems(error.problems, as_json)
    tasks = tasks_of(found.policy.ruleset, on=on, only=only)
    proofs = list(progress(prove(found, tasks, seconds=timeout), total=len(tasks), what="claims"))
    claims = reports(found, proofs, only)
    written = None if case_to is None else _write(found, proofs, case_to)
    if as_json:
        print_json(_document(found, claims, written))
    else:
        _print(found, claims, folder)
        if written is not None:
            _print_written(written, case_to)
    finish(0 if all(one.result is Result.PROVEN for one in claims) else FOUND)


def _write(found: Candidate, proofs: list[Proof], target: Path) -> dict[str, list[str]]:
    """Append counterexamples as cases; the names of those written, and the claims whose example no case can say."""
    if target.suffix != ".yaml":
        raise InputError("cases stand in a file whose name ends in .yaml", where=str(target), remedy="rename it")
    refuted = [proof for proof in proofs if proof.result is Result.REFUTED]
    bases, ruleset = familiar(found), found.policy.ruleset
    cases = [(proof, counterexamples.case(proof, bases, as_of=found.on)) for proof in refuted]
    said = [case for _, case in cases if case is not None]
    left_out = [proof.task.invariant.id for proof, case in cases if case is None]
    if not said:
        return {"cases": [], "left_out": left_out}
    head, comment = counterexamples.HEAD, counterexamples.COMMENT
    named = append(target, said, ruleset.catalogue, version=ruleset.version, head=head, comment=comment)
    return {"cases": [case.name for case in named], "left_out": left_out}


def _print(found: Candidate, claims: tuple[ClaimReport, ...], folder: Path) -> None:
    bases, width = familiar(found), max(len(one.invariant.id) for one in claims)
    for one in claims:
        name = one.invariant.id.ljust(width)
        title = " · ".join(one.invariant.title.values())
        click.echo(f"{name}  {CODES[one.result]:9}  {one.seconds:6.2f} s  {title}".rstrip())
        for proof in one.proofs:
            if proof.result is not Result.PROVEN:
                click.echo(f"  {folder}/{counterexamples.account(proof)}")
                for line in counterexamples.told(proof, bases):
                    click.echo(f"    {line}")
    days = {proof.task.on for one in claims for proof in one.proofs}
    clients = {proof.task.client for one in claims for proof in one.proofs} - {""}
    failed = [one for one in claims if one.result is not Result.PROVEN]
    state = "all proven" if not failed else f"{len(failed)} not proven"
    seconds = sum(one.seconds for one in claims)
    click.echo(f"{len(claims)} claims, {_count(len(days), 'stretch', 'stretches')} of time, ", nl=False)
    click.echo(f"{_count(len(clients), 'overlay', 'overlays')}: {state} in {seconds:.1f} s")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _print_written(written: dict[str, list[str]], target: Path | None) -> None:
    for name in written["left_out"]:
        click.echo(f"{name}: a case cannot say this counterexample")
    names = written["cases"]
    click.echo(f"{_count(len(names), 'case', 'cases')} written to {target}" if names else "no case to write")


def _document(
    found: Candidate, claims: tuple[ClaimReport, ...], written: dict[str, list[str]] | None
) -> dict[str, Any]:
    bases, ruleset = familiar(found), found.policy.ruleset
    document: dict[str, Any] = {
        "version": ruleset.version,
        "digest": ruleset.digest,
        "on": str(found.on),
        "proven": all(one.result is Result.PROVEN for one in claims),
        "claims": [
            {
                "id": one.invariant.id,
                "claim": one.invariant.claim.value,
                "title": dict(one.invariant.title),
                "reference": one.invariant.reference,
                "file": one.invariant.file or None,
                "line": one.invariant.line or None,
                "result": one.result.value,
                "seconds": round(one.seconds, 3),
                "proofs": [_proof(proof, bases) for proof in one.proofs],
            }
            for one in claims
        ],
    }
    return document if written is None else {**document, "written": written}


def _proof(proof: Proof, bases: counterexamples.Bases) -> dict[str, Any]:
    return {
        "from": str(proof.task.on),
        "client": proof.task.client or None,
        "result": proof.result.value,
        "seconds": round(proof.verdict.seconds, 3),
        "doubt": proof.verdict.doubt or None,
        "counterexample": counterexamples.document(proof, bases),
    }
