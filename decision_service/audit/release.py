"""Records of what people do to the rules: publication, approval, activation, shadows, the switch of auto approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from decision_service.audit.canonical import moment
from decision_service.vocabulary import Person

PUBLICATION, APPROVAL, ACTIVATION, SWITCH, SHADOW = KINDS = (
    "publication",
    "approval",
    "activation",
    "switch",
    "shadow",
)
"""Kinds of release leaves, as the ``type`` of their records."""
INSTALLED, ACTIVATED, ROLLED_BACK = "installed", "activated", "rolled back"
"""How a ruleset became active. Only the first one of a store is installed: there was nobody to publish it to."""
OFF, ON = "off", "on"
STARTED, STOPPED = "shadow started", "shadow stopped"
EVERYTHING = "all"
"""The scope of a switch that concerns every application; others are ``product:…``, ``industry:…``, ``client:…``."""
FORMAT = 1
ACTIVATION_FORMAT = 2
"""Records of format 1 hold ``ruleset`` and ``activated_at`` alone: they came before persons were asked for."""

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something to the rules, when (aware), and why."""

    person: Person
    at: datetime
    note: str = ""

    def written(self) -> Content:
        """As it stands in a record."""
        return {"person": written_person(self.person), "at": moment(self.at), "note": self.note}


@dataclass(frozen=True, slots=True)
class Named:
    """A version of the rules."""

    digest: str
    version: str

    def written(self) -> Content:
        """As it stands in a record."""
        return {"digest": self.digest, "version": self.version}


@dataclass(frozen=True, slots=True)
class Judged:
    """What a version had to pass, and what is kept beside it: ``gates`` are (name, summary), the others digests."""

    gates: tuple[tuple[str, str], ...] = ()
    cases: str | None = None
    report: str | None = None

    def written(self) -> Content:
        """As it stands in a record."""
        gates = [{"gate": name, "summary": summary} for name, summary in self.gates]
        return {"gates": gates, "cases": self.cases, "report": self.report}


def publication(named: Named, act: Act, judged: Judged) -> Content:
    """A version is frozen under its digest, having passed every gate."""
    return {**_head(PUBLICATION), "ruleset": named.written(), **act.written(), **judged.written()}


def approval(named: Named, act: Act) -> Content:
    """Another person than the publisher lets a version become active."""
    return {**_head(APPROVAL), "ruleset": named.written(), **act.written()}


def activation(
    named: Named,
    act: Act,
    *,
    how: str,
    effective_at: datetime | None = None,
    instead_of: str | None = None,
    judged: Judged | None = None,
) -> Content:
    """A version decides from ``effective_at`` on (at once if not given), instead of the one active when it was said.

    ``judged`` is told of an installed version only; of all others the publication tells.
    """
    content = {**_head(ACTIVATION), "format": ACTIVATION_FORMAT, "ruleset": named.written(), **act.written()}
    content |= {"how": how, "effective_at": moment(effective_at or act.at), "instead_of": instead_of}
    return content if judged is None else {**content, **judged.written()}


def switch(scope: str, act: Act, *, state: str) -> Content:
    """Automatic approval is switched ``off`` or ``on`` for a scope."""
    return {**_head(SWITCH), "scope": scope, "state": state, **act.written()}


def shadow(named: Named, act: Act, *, state: str) -> Content:
    """A version begins (``STARTED``) or ceases (``STOPPED``) to be judged beside the active one, never answering."""
    return {**_head(SHADOW), "ruleset": named.written(), "state": state, **act.written()}


def _head(kind: str) -> Content:
    return {"type": kind, "format": FORMAT}


def person_of(content: Mapping[str, Any]) -> Person | None:
    """Who did it; of the oldest activations nobody knows."""
    found = content.get("person")
    return None if found is None else read_person(found)


def written_person(person: Person) -> Content:
    """A person as it stands in a record: who else it may be is told if there is anybody."""
    content: Content = {"kind": person.kind, "id": person.id, "name": person.name}
    return {**content, "also": [written_person(one) for one in person.also]} if person.also else content


def read_person(content: Mapping[str, Any]) -> Person:
    """A person out of a record. Raises ``KeyError``, ``TypeError`` or ``AttributeError`` for what is none."""
    also = tuple(read_person(one) for one in content.get("also", ()))
    return Person(content["kind"], content["id"], content["name"], also)


def row_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """What the leaf's row must hold beside its place and signature: all of it follows from the record.

    Raises ``KeyError`` or ``TypeError`` for a record that is none of these.
    """
    kind = content["type"]
    at = content["activated_at"] if is_of_before(content) else content["at"]
    how, effective_at = "", at
    if kind == SWITCH:
        return {"kind": kind, "how": content["state"], "subject": content["scope"], "at": at, "effective_at": at}
    if kind == ACTIVATION:
        how = ACTIVATED if is_of_before(content) else content["how"]
        effective_at = at if is_of_before(content) else content["effective_at"]
    if kind == SHADOW:
        how = content["state"]
    subject = content["ruleset"]["digest"]
    return {"kind": kind, "how": how, "subject": subject, "at": at, "effective_at": effective_at}


def is_whole(content: Mapping[str, Any]) -> bool:
    """Whether a record holds what it must, so that it can be judged."""
    try:
        person = person_of(content)
        texts = [*row_of(content).values(), *attached(content)]
    except (KeyError, TypeError, AttributeError):
        return False
    for one in () if person is None else (person, *person.also):
        texts += [one.kind, one.id, one.name]
    return all(isinstance(text, str) for text in texts)


def attached(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Digests of the bytes that must be kept beside a record."""
    return tuple(content[name] for name in ("cases", "report") if content.get(name) is not None)


def digest_of_bytes(content: bytes) -> str:
    """``sha256:`` of bytes that are kept beside a record."""
    return "sha256:" + sha256(content).hexdigest()


def is_of_before(content: Mapping[str, Any]) -> bool:
    """Whether it is an activation of format 1."""
    return bool(content["type"] == ACTIVATION and content["format"] == 1)
