"""The commands ``python -m ml register``, ``challenge``, ``promote``, ``rollback``, ``list`` and ``card``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from decision_service.errors import InputError, Refused
from decision_service.login import os_user
from decision_service.scoring.promotions import Promotion, State
from decision_service.scoring.registry import ModelRegistry
from ml import gates
from ml.console import AS_JSON, FOUND_SOMETHING, Steps, prepare_mlflow, reported
from ml.listing import Listed, listed
from ml.model_card import card_of, html, markdown
from ml.promotion import CHALLENGER, CHAMPION, parsed, rollback
from ml.registration import tracking_uri
from ml.release import Judged, Request, Table, challenge, judge, promote, register_run, shadow_words

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LONGEST_NOTE = 1_000


def _note(context: click.Context, parameter: click.Parameter, note: str) -> str:
    if not note.isprintable() or len(note) > LONGEST_NOTE:
        raise click.BadParameter(f"it holds control characters or is longer than {LONGEST_NOTE} characters")
    return note.strip()


NOTE = click.option("--note", default="", callback=_note, help="Why; kept with the promotion.")
ALIAS = click.option("--alias", default=CHAMPION, show_default=True, help="The alias that is meant.")


@click.command("register")
@click.argument("run")
@click.option("--name", required=True, help="Name to register under.")
@click.option("--alias", help="An alias for the new version, such as challenger; champion takes a promotion.")
@AS_JSON
@reported
def register_command(run: str, name: str, alias: str | None, as_json: bool) -> None:
    """Make a version under NAME of a finished training RUN, if its files are still the run's own.

    RUN is the id that train prints, or its first digits. A version that is registered already takes: challenge.

    \b
    Example:
      python -m ml register 4f1c0d… --name pd-xgboost --alias challenger
    """
    if alias == CHAMPION:
        raise InputError("a champion is promoted", where="--alias", remedy="register it as challenger, then: promote")
    uri = _registry()
    version = register_run(run, name=name, alias=alias, uri=uri)
    if as_json:
        click.echo(json.dumps({"name": name, "version": version, "alias": alias}))
    else:
        click.echo(f"{name} version {version}" + (f" is {alias}" if alias else ""))


@click.command("challenge")
@click.argument("reference", metavar="NAME/VERSION")
@NOTE
@AS_JSON
@reported
def challenge_command(reference: str, note: str, as_json: bool) -> None:
    """Give a registered version the alias challenger: it scores live decisions beside the champion.

    \b
    Example:
      python -m ml challenge pd-xgboost/7 --note "trained on 2026 Q3"
    """
    uri = _registry()
    name, version = parsed(reference, alias=None, uri=uri)
    done = challenge(name, version, person=os_user(), note=note, uri=uri)
    told = f"{name} version {version} is challenger; to judge it: python -m ml promote {name}"
    click.echo(json.dumps(_as_data(done)) if as_json else told)


@click.command("promote")
@click.argument("references", nargs=-1, required=True, metavar="NAME[@ALIAS|/VERSION]...")
@click.option("--data", multiple=True, type=FILE, help="Labelled rows to judge on; by default those of the run.")
@click.option("--target", help="With --data: the column of labels.")
@click.option("--by", multiple=True, help="With --data: a column to tell segments by; repeatable.")
@click.option("--bad", multiple=True, help="With --data: label of the bad ones.")
@click.option("--baseline", help="With --data: a model that the new one must beat, such as a scorecard.")
@click.option("--max-ece", default=gates.MOST_ECE, show_default=True, type=click.FloatRange(0, 1), help="ECE's limit.")
@click.option("--shadow-min", type=click.IntRange(1), help="Least live decisions it was held against as challenger.")
@click.option(
    "--rules", default=Path("rules"), show_default=True, type=click.Path(path_type=Path), help="Rules that use it."
)
@click.option("--dry-run", is_flag=True, help="Only judge.")
@click.option("--history", is_flag=True, help="Only tell what was promoted so far.")
@NOTE
@AS_JSON
@reported
def promote_command(references: Sequence[str], **given: Any) -> None:
    """Put versions in force as champions, several names together, if every gate says so; exit 1 if one refuses.

    A bare NAME means its challenger. Running services follow within five seconds; versions promoted together are
    never seen apart.

    \b
    Example:
      python -m ml promote pd-xgboost pd-lstm --shadow-min 1000 --note "trained on 2026 Q3"
    """
    uri = _registry()
    if given["history"]:
        _tell_history([reference.partition("@")[0] for reference in references], uri, given["as_json"])
        return
    request = _request(references, given, uri)
    with Steps(quiet=given["as_json"]) as told:
        judged = []
        for name, version in request.members.items():
            told(name)
            judged.append(judge(name, version, request, uri=uri))
    passed = all(one.passed for one in judged)
    done = promote(judged, request, uri=uri) if passed and not given["dry_run"] else None
    if given["as_json"]:
        told_of = [_plain(one) for one in judged]
        click.echo(json.dumps({"passed": passed, "promoted": done is not None, "models": told_of}, ensure_ascii=False))
    else:
        _tell_gates(judged, request)
        click.echo(_said(done) if done else "every gate is open; nothing was promoted" if passed else "refused")
    if not passed:
        sys.exit(FOUND_SOMETHING)


def _request(references: Iterable[str], given: dict[str, Any], uri: str) -> Request:
    members: dict[str, str] = {}
    for reference in references:
        name, version = parsed(reference, alias=CHALLENGER, uri=uri)
        if name in members:
            raise InputError(f"{name} is named twice", remedy="name each model once")
        members[name] = version
    if bool(given["data"]) != bool(given["target"]):
        raise InputError("--data and --target belong together", remedy="give both, or none to judge on the run's rows")
    rules = given["rules"] if given["rules"].is_dir() else None
    if rules is None and given["rules"] != Path("rules"):
        raise InputError("there is no such folder", where=f"--rules {given['rules']}", remedy="name the rules folder")
    table = Table(given["data"], given["target"], given["by"], given["bad"]) if given["data"] else None
    return Request(
        members=members,
        person=os_user(),
        note=given["note"],
        table=table,
        baseline=given["baseline"],
        rules=rules,
        shadow_min=given["shadow_min"],
        most_ece=given["max_ece"],
    )


def _tell_gates(judged: Sequence[Judged], request: Request) -> None:
    for one in judged:
        click.echo(f"{one.name} version {one.version}")
        for gate in one.gates:
            click.echo(f"  {'✓' if gate.passed else '✗'} {gate.name:12} {gate.figures}")
            if gate.todo and not gate.passed:
                click.echo(f"    {'':12} → {gate.todo}")
        if request.shadow_min is None:
            click.echo(f"    {'shadow':12} {shadow_words(one.name, one.version, request.rules)}")


def _plain(one: Judged) -> dict[str, Any]:
    told = [
        {"gate": gate.name, "passed": gate.passed, "figures": gate.figures, "todo": "" if gate.passed else gate.todo}
        for gate in one.gates
    ]
    return {"name": one.name, "version": one.version, "passed": one.passed, "gates": told}


@click.command("rollback")
@click.argument("names", nargs=-1, required=True)
@ALIAS
@NOTE
@AS_JSON
@reported
def rollback_command(names: Sequence[str], alias: str, note: str, as_json: bool) -> None:
    """Put the champion before in force again, of all models that were promoted together; it is proven first.

    \b
    Example:
      python -m ml rollback pd-xgboost --note "drift in the north"
    """
    uri = _registry()
    try:
        done = rollback(names, uri=uri, alias=alias, person=os_user(), note=note)
    except Refused as error:
        click.echo(f"refused: {error}", err=True)
        sys.exit(FOUND_SOMETHING)
    click.echo(json.dumps(_as_data(done)) if as_json else _said(done))


@click.command("list")
@click.argument("names", nargs=-1)
@ALIAS
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="Newest versions shown.")
@AS_JSON
@reported
def list_command(names: Sequence[str], alias: str, limit: int, as_json: bool) -> None:
    """Every version with its aliases, and what was promoted and rolled back: when, by whom, with the gates' figures.

    \b
    Example:
      python -m ml list pd-xgboost
    """
    uri = _registry()
    known = listed(names, alias=alias, limit=limit, uri=uri)
    if as_json:
        click.echo(json.dumps([_listing(one, alias) for one in known], ensure_ascii=False))
        return
    if not known:
        click.echo("no model is registered; train one: python -m ml train")
    for one in known:
        _tell_versions(one, alias)
        _tell_moves(one.name, one.state)


def _listing(one: Listed, alias: str) -> dict[str, Any]:
    moves = [_as_data(each) for each in one.state.promotions]
    versions = [asdict(each) for each in one.versions]
    return {"name": one.name, alias: one.state.version, "count": one.count, "versions": versions, "history": moves}


def _tell_versions(one: Listed, alias: str) -> None:
    click.echo(f"{one.name}: " + (f"version {one.state.version} is {alias}" if one.state.version else f"no {alias}"))
    for each in one.versions:
        called = ", ".join(each.aliases) or "-"
        told = f"{each.kind or '?'}  {each.registered_at}  {each.registered_by or 'unknown'}  run {each.run_id[:8]}"
        click.echo(f"  version {each.version:>3}  {called:10}  {told}")
    if one.count > len(one.versions):
        click.echo(f"  {one.count - len(one.versions)} older or other versions; give --limit")


def _tell_history(names: Iterable[str], uri: str, as_json: bool, *, alias: str = CHAMPION) -> None:
    registry = ModelRegistry(uri)
    states = {name: registry.state(name, alias) for name in names}
    if as_json:
        told = [
            {"name": name, alias: state.version, "history": [_as_data(one) for one in state.promotions]}
            for name, state in states.items()
        ]
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for name, state in states.items():
        click.echo(f"{name}: " + (f"version {state.version} is {alias}" if state.version else f"no {alias}"))
        _tell_moves(name, state)


def _tell_moves(name: str, state: State) -> None:
    for one in state.promotions:
        others = [f"{other} {version}" for other, version in one.members.items() if other != name]
        beside = f", together with {', '.join(others)}" if others else ""
        note = f"  {one.note}" if one.note else ""
        was = one.before[name] or "none"
        click.echo(f"  {one.at}  {one.how} {was} → {one.members[name]}{beside}  {one.person or 'unknown'}{note}")


@click.command("card")
@click.argument("reference", metavar="NAME[@ALIAS|/VERSION]")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page instead.")
@AS_JSON
@reported
def card_command(reference: str, page: Path | None, as_json: bool) -> None:
    """The model card of a version, as Markdown: what it was trained on, how good it is and for whom, who released it.

    \b
    Example:
      python -m ml card pd-xgboost@champion
    """
    uri = _registry()
    name, version = parsed(reference, alias=CHAMPION, uri=uri)
    card = card_of(name, version, uri=uri)
    if page is not None:
        page.write_text(html(card), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(card.document(), ensure_ascii=False))
    elif page is None:
        click.echo(markdown(card))


def _as_data(one: Promotion) -> dict[str, Any]:
    keys = ("number", "how", "members", "before", "person", "at", "note")
    told = [{"gate": name, "passed": passed, "figures": text} for name, passed, text in one.gates]
    return {**{key: getattr(one, key) for key in keys}, "gates": told}


def _said(one: Promotion) -> str:
    moves = [f"{name} {one.before[name] or 'none'} → {version}" for name, version in one.members.items()]
    return f"{one.how}: {', '.join(moves)} by {one.person}"


def _registry() -> str:
    """The address of the registry, made ready."""
    uri = tracking_uri(os.environ)
    prepare_mlflow(uri)
    return uri
