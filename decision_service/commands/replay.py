"""`replay`: recorded facts under the recorded ruleset must give the recorded decision again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import click

from decision_service.commands.console import FOUND, as_json_option, existing_platform, finish, print_json, progress
from decision_service.decide import Platform
from decision_service.errors import AuditError, InputError, NotFound
from decision_service.recorded import differences
from decision_service.store import StoredDecision


@dataclass
class Replayed:
    """What a replay came to. ``erased`` decisions can be proven, not replayed."""

    identical: int = 0
    erased: int = 0
    different: dict[str, list[str]] = field(default_factory=dict)

    def take(self, platform: Platform, stored: StoredDecision) -> None:
        """Replay one decision and count it."""
        if stored.private is None:
            self.erased += 1
            return
        try:
            found = differences(platform, stored)
        except (AuditError, NotFound) as error:
            found = [str(error)]
        if found:
            self.different[stored.decision_id] = found
        else:
            self.identical += 1


@click.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Replay every decision in the store.")
@as_json_option
def replay(ids: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Take decisions again from their records and score them again; exit 1 if one comes out otherwise.

    Where no store is, nothing is replayed: exit 2.

    Example: decision-service replay --all
    """
    if bool(ids) == every:
        raise click.UsageError("name decisions, or give --all")
    result = Replayed()
    with existing_platform() as built:
        total = built.store.log_head()[0] if every else len(ids)
        chosen = built.store.each_decision() if every else _chosen(built, ids)
        for stored in progress(chosen, total=total, what="replaying"):
            result.take(built, stored)
    _print(result, as_json)
    finish(FOUND if result.different else 0)


def _chosen(built: Platform, ids: Iterable[str]) -> list[StoredDecision]:
    found = {one: built.store.decision(one) for one in ids}
    missing = [one for one, stored in found.items() if stored is None]
    if missing:
        raise InputError(f"there is no decision {', '.join(missing)}", remedy="see the decision_id in the answer")
    return [stored for stored in found.values() if stored is not None]


def _print(result: Replayed, as_json: bool) -> None:
    if as_json:
        print_json({"identical": result.identical, "erased": result.erased, "different": result.different})
        return
    for decision_id, found in result.different.items():
        click.echo(f"decision {decision_id}: {'; '.join(found)}")
    erased = f", {result.erased} erased" if result.erased else ""
    click.echo(f"{result.identical} identical, {len(result.different)} different{erased}")
    if not (result.identical or result.different or result.erased):
        click.echo("the store is empty: no decision was replayed", err=True)
