"""Versions of the rules by what people call them: a version's name, its digest or the beginning of it, a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from decision_service.audit.release import ACTIVATION, PUBLICATION, Named, attached
from decision_service.decide import Platform
from decision_service.errors import EngineError, InputError, NotFound, Problem, Refused, RulebookError, StoreError
from decision_service.policy import Policy, stored_texts
from decision_service.rule_folder import Candidate, candidate
from decision_service.rulebook.cases import cases_of
from decision_service.rulebook.files import load_sources, read_sources
from decision_service.rulebook.ruleset import digest_of
from decision_service.store import ReleaseEvent, RulesetEntry, Store

SHORTEST_PREFIX = 4
PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class Texts:
    """Every file of a version by path: what is under the digest, and the cases, if it was published with any."""

    sources: Mapping[str, str]
    cases: Mapping[str, str]


def find(store: Store, called: str) -> RulesetEntry:
    """The stored version that is called so. Raises ``NotFound``, or ``InputError`` when it may be several."""
    entries = store.list_rulesets()
    found = [entry for entry in entries if called in (entry.version, entry.digest)]
    if not found and Path(called).is_dir():
        return _of_folder(entries, Path(called))
    if not found and len(called.removeprefix(PREFIX)) >= SHORTEST_PREFIX:
        found = [entry for entry in entries if _begins(entry, called)]
    if len(found) > 1:
        digests = ", ".join(entry.digest for entry in found)
        raise InputError(f"{len(found)} versions are called so: {digests}", where=called, remedy="give the digest")
    if not found:
        remedy = "give a version, a digest, the beginning of one, or a folder; see: decision-service rules list"
        raise NotFound("no version in the store is called so", where=called, remedy=remedy)
    return found[0]


def texts(store: Store, digest: str) -> Texts:
    """Every file of a stored version. Raises ``NotFound``, ``StoreError``, ``AuditError``."""
    sources = stored_texts(store, digest)
    cases = next((found for event in store.releases() if (found := _cases(event, digest))), None)
    return Texts(sources, {} if cases is None else _read_cases(store, cases))


def ensure_whole(platform: Platform, named: Named, *, on: date) -> None:
    """See that a stored version could decide on a date, and that all that its publication names is kept unchanged.

    Raises ``NotFound``, ``StoreError`` or ``AuditError`` for what is damaged, ``Refused`` when this program cannot
    decide by it.
    """
    texts(platform.store, named.digest)
    for event in platform.store.releases():
        if event.subject == named.digest and event.kind in (PUBLICATION, ACTIVATION):
            _ensure_kept(platform.store, event)
    try:
        policy = platform.policies.by_digest(named.digest)
        policy.prepare(on)
    except (RulebookError, EngineError) as error:
        what = f"this program cannot decide by version {named.version}: {error}"
        raise Refused(what, remedy="correct the folder and publish it again") from error
    if policy.ruleset.version != named.version:
        what = f"the stored ruleset {named.digest} is version {policy.ruleset.version}, and is called {named.version}"
        raise StoreError(what, remedy="restore it from a backup")


def _ensure_kept(store: Store, event: ReleaseEvent) -> None:
    for digest in attached(event.content):
        if store.attachment(digest) is None:
            what = f"the attachment {digest}, which leaf {event.leaf_index} names, is not in the store"
            raise StoreError(what, remedy="restore it from a backup")


def version(store: Store, called: str, *, on: date) -> Candidate:
    """A version to look at: a folder as it is now, or a stored version with the cases it was published with.

    Raises ``NotFound``, ``InputError``, ``RulebookError`` for a folder that is none.
    """
    if Path(called).is_dir() and not any(called in (one.version, one.digest) for one in store.list_rulesets()):
        return candidate(called, on=on)
    entry = find(store, called)
    found = texts(store, entry.digest)
    policy = Policy(load_sources(found.sources))
    return Candidate(policy, cases_of(found.cases, policy.ruleset), found.cases, on)


def export(found: Texts, folder: Path) -> int:
    """Write every file of a version into a folder that is empty or not there; how many. Raises ``InputError``."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("this is not an empty folder", where=str(folder), remedy="name one that is, or a new one")
    files = {**found.sources, **found.cases}
    for path, text in files.items():
        place = folder / path
        if not place.resolve().is_relative_to(folder.resolve()):
            raise StoreError(f"the stored ruleset has a file outside its folder: {path}", remedy="run: audit verify")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode())
    return len(files)


def packed(case_texts: Mapping[str, str]) -> bytes:
    """Cases as they are kept beside a publication."""
    return json.dumps(dict(case_texts), sort_keys=True, ensure_ascii=False).encode()


def _begins(entry: RulesetEntry, called: str) -> bool:
    return entry.version.startswith(called) or entry.digest.removeprefix(PREFIX).startswith(called.removeprefix(PREFIX))


def _of_folder(entries: tuple[RulesetEntry, ...], folder: Path) -> RulesetEntry:
    problems: list[Problem] = []
    digest = digest_of(read_sources(folder, problems))
    if problems:
        raise RulebookError(tuple(problems))
    for entry in entries:
        if entry.digest == digest:
            return entry
    what = f"the rules in this folder ({digest}) are not in the store"
    raise NotFound(what, where=str(folder), remedy=f"run: decision-service rules publish {folder}")


def _cases(event: ReleaseEvent, digest: str) -> str | None:
    """The digest of the cases that a publication or installation of the version kept."""
    found = event.content.get("cases") if event.subject == digest else None
    return None if found is None else str(found)


def _read_cases(store: Store, digest: str) -> Mapping[str, str]:
    kept = store.attachment(digest)
    if kept is None:
        raise StoreError(f"the cases {digest} are not in the store", remedy="run: decision-service audit verify")
    try:
        return {str(path): str(text) for path, text in json.loads(kept).items()}
    except (ValueError, AttributeError) as error:
        raise StoreError(f"the cases {digest} are damaged", remedy="restore them from a backup") from error
