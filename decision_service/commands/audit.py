"""`audit verify`: the whole log against itself, and against checkpoints that somebody kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

import click

from decision_service import lives, objections
from decision_service.api.render import decision_bytes
from decision_service.audit.act import LIFE, NOTICE, OBJECTION
from decision_service.audit.entries import ActOrder, Outside
from decision_service.audit.release import ACTIVATION, APPROVAL, PUBLICATION, SHADOW, SWITCH
from decision_service.audit.signing import Checkpoint, LogKey
from decision_service.audit.verify import LogStore, VerifyReport, verify_log
from decision_service.commands.console import (
    FOUND,
    InputFile,
    as_json_option,
    bar,
    existing_platform,
    finish,
    now,
    print_json,
)
from decision_service.decide import Platform
from decision_service.errors import AuditError
from decision_service.rulebook.ruleset import digest_of

ORDERS: Mapping[str, Callable[[], ActOrder]] = {**lives.ORDERS, **objections.ORDERS}
"""By kind of act, what sees whether acts were allowed in their order."""


@click.group()
def audit() -> None:
    """Evidence: verify it.

    Example: decision-service audit verify
    """


@audit.command()
@click.option(
    "--checkpoint",
    "notes",
    multiple=True,
    type=InputFile(),
    help="A checkpoint kept from earlier; may be given several times.",
)
@as_json_option
def verify(notes: tuple[Path, ...], as_json: bool) -> None:
    """Recompute every leaf, commitment, receipt and the tree; exit 1 if anything does not verify.

    Where no store is, nothing is verified: exit 2.

    Example: decision-service audit verify --checkpoint march.note
    """
    with existing_platform() as built, bar("verifying") as moved:
        kept = {note: _checkpoint(built.signer.public, note) for note in notes}
        report = verified(built, checkpoints=kept.values(), progress=moved.update)
    met = {note: checkpoint in report.met for note, checkpoint in kept.items()}
    if as_json:
        print_json(
            {
                "ok": report.ok,
                "leaves": report.leaves,
                "decisions": report.decisions,
                "publications": report.acts[PUBLICATION],
                "approvals": report.acts[APPROVAL],
                "activations": report.acts[ACTIVATION],
                "switches": report.acts[SWITCH],
                "shadows": report.acts[SHADOW],
                "acts": report.acts[LIFE],
                "objections": report.acts[OBJECTION],
                "notices": report.acts[NOTICE],
                "erased": report.erased,
                "root": report.root.hex(),
                "erasures": [asdict(erasure) for erasure in report.erasures],
                "findings": [str(finding) for finding in report.findings],
                "checkpoints": [
                    {"file": str(note), "size": kept[note].size, "met": is_met} for note, is_met in met.items()
                ],
            }
        )
    else:
        for line in (*report.erasures, *report.findings):
            click.echo(str(line))
        fine = "verified" if report.leaves else "the log is empty, nothing was decided or activated here"
        state = fine if report.ok else f"{len(report.findings)} findings"
        kinds = f"{report.decisions} decisions, {len(report.erasures)} erasures, " + _acts(report)
        click.echo(f"{report.leaves} leaves, {kinds}: {state}")
        click.echo(f"root {report.root.hex()}")
        for note, is_met in met.items():
            told = "met: its leaves are the first of this log" if is_met else "NOT met"
            click.echo(f"checkpoint {note} of {kept[note].size} leaves: {told}")
    finish(0 if report.ok else FOUND)


def _acts(report: VerifyReport) -> str:
    plural = {SWITCH: "switches", SHADOW: "starts and stops of shadows", LIFE: "acts on applications"}
    return ", ".join(f"{count} {plural.get(kind, kind + 's')}" for kind, count in report.acts.items())


def _checkpoint(key: LogKey, note: Path) -> Checkpoint:
    """A kept checkpoint. Raises ``AuditError``, which names the file."""
    try:
        return key.checkpoint(note.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise AuditError(
            "this is not a checkpoint but binary", where=str(note), remedy="save /v1/log/checkpoint as it comes"
        ) from error
    except AuditError as error:
        raise AuditError(error.what, where=str(note), remedy=error.remedy) from error


def verified(
    built: Platform,
    *,
    checkpoints: Iterable[Checkpoint] = (),
    progress: Callable[[int], None] = lambda leaves: None,
) -> VerifyReport:
    """What ``verify_log`` finds in the store of a platform."""
    return verify_log(
        cast(LogStore, built.store),
        built.signer.public,
        Outside(render=decision_bytes, clock=now, ruleset_digest=digest_of, orders=ORDERS),
        checkpoints=checkpoints,
        progress=progress,
    )
