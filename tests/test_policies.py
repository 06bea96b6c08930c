"""Which ruleset a worker decides by while another one becomes active: the old for a moment, then only the new."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from decision_service.errors import AuditError, NotFound
from decision_service.policy import Policies, Policy
from decision_service.rulebook import durable_engine
from decision_service.rulebook.files import load, load_sources
from decision_service.store import InForce, Store
from tests.api.real import RULES

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
TEXTS = load(RULES).sources
SOURCES = {name: {**TEXTS, "VERSION": f"{name}\n"} for name in ("old", "new", "other")}
DIGESTS = {name: load_sources(sources).digest for name, sources in SOURCES.items()}
OLD, NEW, OTHER = DIGESTS.values()
MICROSECOND = timedelta(microseconds=1)


@dataclass
class FakeStore:
    """Says what is in force; gives texts only once ``open`` is set, as a slow database would."""

    said: InForce = InForce()
    sources: dict[str, dict[str, str]] = field(
        default_factory=lambda: {DIGESTS[name]: dict(texts) for name, texts in SOURCES.items()}
    )
    open: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def in_force(self, now: datetime) -> InForce:
        return self.said

    def ruleset_sources(self, digest: str) -> dict[str, str] | None:
        self.asked.append(digest)
        assert self.open.wait(20)
        return self.sources.get(digest)


class Impatient(Policies):
    """Asks the store at every call."""

    POLL_SECONDS = 0.0


class Worker:
    """A worker that has decided by the old rules; its store is slow from then on."""

    def __init__(self) -> None:
        self.store = FakeStore(InForce(OLD, NOW))
        self.now = NOW
        self.policies = Impatient(cast(Store, self.store), lambda: self.now)
        self.store.open.set()
        assert self.policies.current().ruleset.digest == OLD
        self.store.open.clear()
        self.store.asked.clear()

    def waits(self) -> "threading.Thread":
        """A request that waits for the store; it is let through before the test ends."""
        thread = threading.Thread(target=self._ask)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive(), "it should wait"
        return thread

    def _ask(self) -> None:
        self.found = self.policies.current()


@pytest.fixture
def worker() -> Worker:
    return Worker()


def until_prepared(policies: Policies, digest: str) -> None:
    deadline = time.monotonic() + 20
    while digest not in policies._loaded:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_an_active_ruleset_there_is_none() -> None:
    with pytest.raises(NotFound, match="no ruleset is active"):
        Policies(cast(Store, FakeStore())).current()


def test_while_the_new_one_is_prepared_the_old_one_decides_up_to_the_end_of_the_grace(worker: Worker) -> None:
    worker.store.said = InForce(NEW, NOW, before=OLD)
    for after in (timedelta(0), Policies.GRACE - MICROSECOND):
        worker.now = NOW + after
        assert worker.policies.current().ruleset.digest == OLD
    worker.now = NOW + Policies.GRACE
    request = worker.waits()
    worker.store.open.set()
    request.join()
    assert worker.found.ruleset.digest == NEW


def test_once_it_is_prepared_the_new_one_decides_though_the_grace_lasts(worker: Worker) -> None:
    worker.store.said = InForce(NEW, NOW, before=OLD)
    assert worker.policies.current().ruleset.digest == OLD
    worker.store.open.set()
    until_prepared(worker.policies, NEW)
    assert worker.policies.current().ruleset.digest == NEW
    assert worker.store.asked == [NEW], "it is read once"


def test_a_version_that_had_been_superseded_before_is_not_served_any_more(worker: Worker) -> None:
    """A worker without requests slept through a whole version."""
    worker.store.said = InForce(NEW, NOW, before=OTHER)
    request = worker.waits()
    worker.store.open.set()
    request.join()
    assert worker.found.ruleset.digest == NEW


def test_a_scheduled_version_is_prepared_before_its_moment(worker: Worker) -> None:
    at = NOW + timedelta(days=1)
    worker.store.said = InForce(OLD, NOW, coming=((NEW, at), (OTHER, at + timedelta(days=1))))
    worker.store.open.set()
    assert worker.policies.current().ruleset.digest == OLD
    until_prepared(worker.policies, NEW)
    worker.store.said = replace(worker.store.said, digest=NEW, since=at, before=OLD, coming=())
    worker.store.open.clear()
    worker.now = at
    assert worker.policies.current().ruleset.digest == NEW
    assert worker.store.asked == [NEW]


def test_a_new_version_whose_texts_were_changed_decides_nothing_and_the_old_one_neither(worker: Worker) -> None:
    worker.store.sources[NEW]["VERSION"] = "forged\n"
    worker.store.said = InForce(NEW, NOW, before=OLD)
    worker.store.open.set()
    worker.now = NOW + Policies.GRACE
    for _ in range(2):
        with pytest.raises(AuditError, match="has been changed"):
            worker.policies.current()


def test_a_decision_in_flight_keeps_the_policy_it_began_with(worker: Worker) -> None:
    worker.store.open.set()
    begun: Policy = worker.policies.current()
    worker.store.said, worker.now = InForce(NEW, NOW, before=OLD), NOW + Policies.GRACE
    assert worker.policies.current().ruleset.digest == NEW
    assert begun.ruleset.digest == OLD and begun.on(NOW.date()).rules.on == NOW.date()


def test_a_scheduled_version_that_turns_out_damaged_decides_nothing_from_its_moment_on_and_is_told(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    at = NOW + timedelta(days=1)
    worker.store.sources[NEW]["VERSION"] = "forged\n"
    worker.store.said = InForce(OLD, NOW, coming=((NEW, at),))
    worker.store.open.set()
    assert worker.policies.current().ruleset.digest == OLD
    deadline = time.monotonic() + 20
    while f"ruleset {NEW} is or becomes active and cannot be used" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    worker.store.said = InForce(NEW, at, before=OLD)
    worker.now = at + Policies.GRACE
    with pytest.raises(AuditError, match="has been changed.*restore it from a backup"):
        worker.policies.current()
    worker.store.sources[NEW]["VERSION"] = "new\n"
    assert worker.policies.current().ruleset.digest == NEW, "it is restored"


class Counted:
    """The library of durable-rules, which counts the rulesets that it was given here and still holds."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handles: set[int] = set()

    @property
    def held(self) -> int:
        return len(self._handles)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def create_ruleset(self, *arguments: Any) -> int:
        handle = int(self._library.create_ruleset(*arguments))
        self._handles.add(handle)
        return handle

    def delete_ruleset(self, handle: int) -> None:
        self._handles.discard(handle)
        self._library.delete_ruleset(handle)


def test_versions_that_neither_decide_nor_will_are_let_go_and_one_in_flight_is_kept(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(durable_engine.library)
    monkeypatch.setattr(durable_engine, "library", counted)
    monkeypatch.setattr(Policies, "OTHERS_KEPT", 1)
    worker.store.open.set()
    names = [f"v{number}" for number in range(5)]
    texts = {load_sources(one).digest: one for one in ({**TEXTS, "VERSION": f"{name}\n"} for name in names)}
    worker.store.sources.update(texts)
    held = []
    in_flight = None
    for digest in texts:
        worker.policies.forget()
        worker.store.said = InForce(digest, NOW)
        in_flight = worker.policies.current().on(NOW.date()) if in_flight is None else in_flight
        worker.policies.current().on(NOW.date())
        held.append(counted.held)
    each = held[0]
    assert each > 0 and held == [each, 2 * each, 3 * each, 3 * each, 3 * each], "active, one other, one in flight"
    assert set(worker.policies._loaded) == set(list(texts)[-2:])
    assert in_flight is not None and in_flight.engines.durable._stages, "it decides to its end"
    in_flight = None
    assert counted.held == 2 * each
    assert worker.policies.by_digest(next(iter(texts))).ruleset.version == "v0", "loaded again for replay"


def test_the_one_to_come_stays_whatever_is_replayed_meanwhile(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Policies, "OTHERS_KEPT", 0)
    worker.store.open.set()
    worker.store.said = InForce(OLD, NOW, coming=((NEW, NOW + timedelta(days=1)),))
    worker.policies.current()
    until_prepared(worker.policies, NEW)
    worker.policies.by_digest(OTHER)
    assert set(worker.policies._loaded) == {OLD, NEW, OTHER}
    worker.store.said = InForce(OLD, NOW)
    worker.policies.current()
    worker.policies.by_digest(OTHER)
    assert OLD in worker.policies._loaded
