"""Shadows: versions that are judged beside the active one on its decisions and never answer; start and stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decision_service.audit import release as records
from decision_service.audit.release import SHADOW, STARTED, STOPPED, Act, Named
from decision_service.decide import Platform
from decision_service.errors import InputError, NotFound, Refused, StoreError
from decision_service.rulebook.files import load_sources
from decision_service.rulebook.ruleset import Ruleset
from decision_service.store import ReleaseEvent, RulesetEntry, ShadowRun, Store
from decision_service.workbench.release import Done, History
from decision_service.workbench.versions import find, texts


def start(platform: Platform, entry: RulesetEntry, act: Act) -> Done:
    """Judge every decision from now on by a stored version, too; one that does so already goes on.

    Raises ``RulebookError`` for texts that this program cannot load.
    """
    ruleset_of(platform.store, entry.digest)

    def decide(history: History) -> Mapping[str, Any] | None:
        if last_started(history, entry.digest) is not None:
            return None
        return records.shadow(Named(entry.digest, entry.version), act, state=STARTED)

    written = platform.store.append_release(decide, platform.signer.receipt)
    event = written or last_started(platform.store.releases(), entry.digest)
    if event is None:
        raise StoreError("somebody stopped it at the same moment", remedy="see: rules shadow list")
    return Done(event, new=written is not None)


def stop(platform: Platform, entry: RulesetEntry, act: Act) -> Done:
    """Judge no further decision by a version. Raises ``Refused`` when it is no shadow."""

    def decide(history: History) -> Mapping[str, Any]:
        if last_started(history, entry.digest) is None:
            raise Refused(f"version {entry.version} is no shadow", remedy="see: rules shadow list")
        return records.shadow(Named(entry.digest, entry.version), act, state=STOPPED)

    written = platform.store.append_release(decide, platform.signer.receipt)
    if written is None:
        raise StoreError("the act is not in the store", remedy="run: decision-service audit verify")
    return Done(written, new=True)


def last_started(history: History, digest: str) -> ReleaseEvent | None:
    """The act by which a version runs as a shadow now, if it does."""
    acts = [event for event in history if event.kind == SHADOW and event.subject == digest]
    return acts[-1] if acts and acts[-1].how == STARTED else None


def chosen(store: Store, called: str | None) -> RulesetEntry:
    """The version that is called so; without a name the only one that runs. Raises ``NotFound``, ``InputError``."""
    if called is not None:
        return find(store, called)
    running = store.shadows().running()
    if not running:
        raise NotFound("no shadow runs", remedy="run: decision-service rules shadow start VERSION")
    if len(running) > 1:
        raise InputError(f"{len(running)} shadows run", where="VERSION", remedy="name one; see: rules shadow list")
    return entry_of(store, running[0].digest)


def to_report(store: Store, called: str | None) -> dict[str, tuple[ShadowRun, ...]]:
    """The stretches to report on, by digest: of the version called so, else of all that run, else of the last one.

    Raises ``NotFound`` when there never was one.
    """
    runs = store.shadows().runs()
    digests = {run.digest for run in runs if run.end is None} or {run.digest for run in runs[-1:]}
    if called is not None:
        digests = {find(store, called).digest}
    found = {digest: tuple(run for run in runs if run.digest == digest) for digest in sorted(digests)}
    if not any(found.values()):
        what = "no version ever ran as a shadow" if called is None else "this version never ran as a shadow"
        raise NotFound(what, where=called or "", remedy="run: decision-service rules shadow start VERSION")
    return found


def entry_of(store: Store, digest: str) -> RulesetEntry:
    """A stored version by its digest. Raises ``NotFound``."""
    return find(store, digest)


def ruleset_of(store: Store, digest: str) -> Ruleset:
    """The rules of a stored version. Raises ``NotFound``, ``StoreError``, ``RulebookError``."""
    return load_sources(texts(store, digest).sources)
