"""Whether what the log tells of the rules was done by the persons and in the order that release asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from decision_service.audit.release import (
    ACTIVATED,
    ACTIVATION,
    APPROVAL,
    INSTALLED,
    OFF,
    PUBLICATION,
    ROLLED_BACK,
    SHADOW,
    STARTED,
    SWITCH,
    is_of_before,
    person_of,
)
from decision_service.vocabulary import Person


class FourEyes:
    """Sees one record after the other, in the order of the log; what a signature covers may still break the rules."""

    def __init__(self) -> None:
        self._publishers: dict[str, Person] = {}
        self._approved: set[str] = set()
        self._active: set[str] = set()
        self._off: dict[str, Person] = {}
        self._shadows: set[str] = set()

    def problems(self, content: Mapping[str, Any]) -> Iterable[str]:
        """What is wrong with the next release record, in the order of the log."""
        check = {
            PUBLICATION: self._publish,
            APPROVAL: self._approve,
            ACTIVATION: self._activate,
            SWITCH: self._switch,
            SHADOW: self._shadow,
        }
        return tuple(check[content["type"]](content, person_of(content)))

    def _publish(self, content: Mapping[str, Any], person: Person | None) -> Iterator[str]:
        digest = content["ruleset"]["digest"]
        if person is None or digest in self._publishers:
            yield "a version was published twice, or by nobody"
        else:
            self._publishers[digest] = person

    def _approve(self, content: Mapping[str, Any], person: Person | None) -> Iterator[str]:
        digest = content["ruleset"]["digest"]
        publisher = self._publishers.get(digest)
        if person is None or publisher is None or person.is_same_as(publisher):
            yield "a version was approved by nobody but its publisher, or before it was published"
        else:
            self._approved.add(digest)

    def _activate(self, content: Mapping[str, Any], person: Person | None) -> Iterator[str]:
        digest = content["ruleset"]["digest"]
        how = None if is_of_before(content) else content["how"]
        if how == INSTALLED and self._active:
            yield "a version was installed although another one had been active"
        if how == ACTIVATED and digest not in self._approved:
            yield "a version was activated that nobody but its publisher had approved"
        if how == ROLLED_BACK and digest not in self._active:
            yield "a version was rolled back to that had never been active"
        self._active.add(digest)

    def _switch(self, content: Mapping[str, Any], person: Person | None) -> Iterator[str]:
        scope = content["scope"]
        if content["state"] == OFF:
            if person is not None:
                self._off[scope] = person
            return
        off_by = self._off.pop(scope, None)
        if person is None or off_by is None or person.is_same_as(off_by):
            yield "automatic approval was switched on by whoever switched it off, or while it was on"

    def _shadow(self, content: Mapping[str, Any], person: Person | None) -> Iterator[str]:
        """A shadow decides nothing, so one person may start and stop it; when it ran must be without doubt."""
        digest, started = content["ruleset"]["digest"], content["state"] == STARTED
        if person is None or started == (digest in self._shadows):
            yield "a shadow was started while it ran, stopped while it did not, or by nobody"
        (self._shadows.add if started else self._shadows.discard)(digest)
