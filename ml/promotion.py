"""Moves aliases: promotions of one model or several together, rollbacks, and the history of both."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient

from decision_service.errors import InputError, ModelError, Refused
from decision_service.scoring.promotions import PROMOTED, ROLLED_BACK, Promotion, State
from decision_service.scoring.registry import SQLITE, ModelRegistry, model_errors
from decision_service.vocabulary import Person
from ml.blend import built

CHAMPION, CHALLENGER = "champion", "challenger"
REGISTERED_BY = "registered_by"
Gates = Sequence[tuple[str, bool, str]]


def move(
    members: Mapping[str, str],
    *,
    uri: str,
    alias: str = CHAMPION,
    how: str = PROMOTED,
    person: Person | None = None,
    note: str = "",
    gates: Gates = (),
) -> Promotion:
    """Let ``alias`` mean these versions, of all names together; running services follow within seconds.

    The promotion is written to every model before any alias moves: a service that looks in between keeps all versions
    before it. Raises ``Refused`` when somebody else promotes one of them at the same moment, ``ModelError``.
    """
    registry, client = ModelRegistry(uri), MlflowClient(tracking_uri=uri, registry_uri=uri)
    with one_at_a_time(uri), model_errors(f"@{alias}"):
        _take_back_halves(registry, client, members, alias)
        promotion = _next(registry, members, alias=alias, how=how, person=person, note=note, gates=gates)
        for name in members:
            client.set_registered_model_tag(name, promotion.tag, promotion.written())
        _alone(registry, client, promotion)
        for name, version in members.items():
            client.set_registered_model_alias(name, alias, version)
    return promotion


def _take_back_halves(registry: ModelRegistry, client: MlflowClient, names: Iterable[str], alias: str) -> None:
    """Aliases of a promotion that did not end mean again what is served: the versions before it."""
    for group in registry.in_force(registry.states(names, alias), alias):
        for name, version in group.wanted.items() if group.unfinished else ():
            if version is None:
                client.delete_registered_model_alias(name, alias)
            else:
                client.set_registered_model_alias(name, alias, version)


def _next(
    registry: ModelRegistry,
    members: Mapping[str, str],
    *,
    alias: str,
    how: str,
    person: Person | None,
    note: str,
    gates: Gates,
) -> Promotion:
    states = registry.states(members, alias)
    in_force = {name: version for group in registry.in_force(members, alias) for name, version in group.wanted.items()}
    number = 1 + max((last.number for state in states.values() if (last := state.last) is not None), default=0)
    return Promotion(
        id=uuid.uuid4().hex[:8],
        number=number,
        alias=alias,
        how=how,
        members=dict(members),
        before={name: in_force[name] for name in members},
        person="" if person is None else str(person),
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        note=note,
        gates=tuple(gates),
    )


def _alone(registry: ModelRegistry, client: MlflowClient, promotion: Promotion) -> None:
    """Of several who promote at once over the network the first id goes on, the others take back what they wrote."""
    for name in promotion.members:
        state = registry.state(name, promotion.alias)
        if any(one.number >= promotion.number and one.id < promotion.id for one in state.promotions):
            for mine in promotion.members:
                client.delete_registered_model_tag(mine, promotion.tag)
            raise Refused(f"somebody else promotes {name} at this moment", remedy="look at the history and try again")


@contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """On a registry in a file, one promotion after the other."""
    if not uri.startswith(SQLITE):
        yield
        return
    path = Path(uri.removeprefix(SQLITE) + ".promotions")
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def rollback(
    names: Sequence[str], *, uri: str, alias: str = CHAMPION, person: Person | None = None, note: str = ""
) -> Promotion:
    """Back to the versions before the last promotion, of all models that it put in force together.

    Every version is read back and proven before an alias moves. Raises ``Refused`` when there is none before,
    ``ModelError`` for one that cannot be used any more.
    """
    registry = ModelRegistry(uri)
    states = registry.states(names, alias)
    wanted = {name: previous(name, states[name]) for name in _together(names, states)}
    for name, version in wanted.items():
        with model_errors(f"{name} version {version}"):
            built(registry.files(name, version)[0])
    return move(wanted, uri=uri, alias=alias, how=ROLLED_BACK, person=person, note=note)


def _together(names: Sequence[str], states: Mapping[str, State]) -> list[str]:
    """These models and those whose last promotion is the same."""
    found = dict.fromkeys(names)
    for name in names:
        last = states[name].last
        found |= dict.fromkeys(other for other in (last.members if last else ()) if states[other].last == last)
    return list(found)


def previous(name: str, state: State) -> str:
    """The version to roll back to; raises ``Refused`` when there is none.

    After a rollback that is the one still further back, not the one that was rolled back.
    """
    line = lineage(name, state.promotions)
    if line and line[-1] == state.version:
        line.pop()
    if not line:
        raise Refused(f"{name} has no version before this one", remedy="promote another: python -m ml promote")
    return line[-1]


def lineage(name: str, promotions: Sequence[Promotion]) -> list[str]:
    """The versions that led to the one in force, which is the last; what was rolled back is not among them."""
    line: list[str] = []
    for one in promotions:
        version, before = one.members[name], one.before[name]
        if not line and before is not None:
            line.append(before)
        if one.how == ROLLED_BACK and version in line:
            del line[len(line) - line[::-1].index(version) :]
        elif not line or line[-1] != version:
            line.append(version)
    return line


def written_person(person: Person) -> str:
    """A person as a tag."""
    return json.dumps(_plain(person), ensure_ascii=False, sort_keys=True)


def _plain(person: Person) -> dict[str, object]:
    content: dict[str, object] = {"kind": person.kind, "id": person.id, "name": person.name}
    return {**content, "also": [_plain(one) for one in person.also]}


def read_person(text: str | None) -> Person | None:
    """A person out of a tag; ``None`` when nobody was noted. Raises ``ModelError`` for what is no person."""
    if not text:
        return None
    try:
        return _person(json.loads(text))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the tag {REGISTERED_BY} cannot be read ({error!r})", remedy="register it again") from error


def _person(content: Mapping[str, object]) -> Person:
    also = content["also"]
    if not isinstance(also, list):
        raise TypeError("also is no list")
    return Person(str(content["kind"]), str(content["id"]), str(content["name"]), tuple(map(_person, also)))


def parsed(reference: str, *, alias: str | None, uri: str) -> tuple[str, str]:
    """Name and version behind ``NAME/VERSION`` or ``NAME@alias``; a bare name means ``alias``.

    Raises ``InputError``, ``ModelError``.
    """
    name, _, number = reference.partition("/")
    if number:
        if not number.isdigit() or "@" in name:
            raise InputError(f"{reference!r} names no version", remedy="give NAME@alias or NAME/VERSION")
        return name, number
    name, _, called = reference.partition("@")
    called = called or alias or ""
    if not name or not called:
        raise InputError(f"{reference!r} names no version", remedy="give NAME@alias or NAME/VERSION")
    version = ModelRegistry(uri).state(name, called).version
    if version is None:
        remedy = f"name a version, NAME/VERSION; see: python -m ml list {name}"
        raise ModelError(f"no version stands behind the alias {called}", where=name, remedy=remedy)
    return name, version
