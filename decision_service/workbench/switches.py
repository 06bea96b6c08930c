"""The kill switch: automatic approval off for a product, an industry, a client or all, by one; on again by another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decision_service.audit import release as records
from decision_service.audit.release import OFF, ON, Act
from decision_service.decide import Platform
from decision_service.errors import InputError, Refused, StoreError
from decision_service.store import ReleaseEvent
from decision_service.workbench import history as past
from decision_service.workbench.release import Done, History, two_persons

KINDS = ("product", "industry", "client")


def scope(platform: Platform, *, product: str | None, industry: str | None, client: str | None) -> str:
    """The scope of the one that is given. Raises ``InputError`` for what does not exist.

    A scope that no application falls under would be a switch that does nothing.
    """
    given = zip(KINDS, (product, industry, client), strict=True)
    ((kind, value),) = [(kind, value) for kind, value in given if value is not None]
    known = _known(platform, kind)
    if value not in known:
        remedy = "run: decision-service clients list" if kind == "client" else f"use one of {', '.join(sorted(known))}"
        raise InputError(f"there is no {kind} '{value}'", where=f"--{kind}", remedy=remedy)
    return f"{kind}:{value}"


def switch_off(platform: Platform, scope: str, act: Act) -> Done:
    """Refer every application of a scope from the next one on; what is off already stays so."""

    def decide(history: History) -> Mapping[str, Any] | None:
        return None if _off(history, scope) else records.switch(scope, act, state=OFF)

    written = platform.store.append_release(decide, platform.signer.receipt)
    event = written or _off(platform.store.releases(), scope)
    if event is None:
        raise StoreError("somebody switched it on again at the same moment", remedy="see: rules switch list")
    return Done(event, new=written is not None)


def switch_on(platform: Platform, scope: str, act: Act) -> Done:
    """Approve automatically again. Raises ``Refused`` by whoever switched it off, or when it is not off."""

    def decide(history: History) -> Mapping[str, Any]:
        off = _off(history, scope)
        if off is None or off.person is None:
            raise Refused(f"automatic approval is not switched off for {scope}", remedy="see: rules switch list")
        if act.person.is_same_as(off.person):
            what = f"{off.person} switched automatic approval off for {scope}, and {act.person} would switch it on"
            raise two_persons(what, "that takes two persons", act.person, off.person)
        return records.switch(scope, act, state=ON)

    written = platform.store.append_release(decide, platform.signer.receipt)
    if written is None:
        raise StoreError("the act is not in the store", remedy="run: decision-service audit verify")
    return Done(written, new=True)


def switched_off(platform: Platform) -> tuple[ReleaseEvent, ...]:
    """The acts by which automatic approval is off now, by scope."""
    return tuple(past.switches(platform.store.releases()))


def _off(history: History, scope: str) -> ReleaseEvent | None:
    return next((event for event in past.switches(history) if event.subject == scope), None)


def _known(platform: Platform, kind: str) -> set[str]:
    if kind == "client":
        return {entry.client.client_id for entry in platform.store.list_clients()}
    ruleset = platform.policies.current().ruleset
    return set(ruleset.products) if kind == "product" else {*ruleset.industries.keys(), *ruleset.excluded_industries}
