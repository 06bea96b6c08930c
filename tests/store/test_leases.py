"""Who works on a key: leases by the kernel and by table mean the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from store_samples import NOW, application, commit, decision, draft

from decision_service.errors import IdempotencyConflict, StillRunning, StoreError
from decision_service.store import Store
from decision_service.store.leases import LEASE, KernelLeases, TableLeases, leases_of

FORK = multiprocessing.get_context("fork")
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(params=["kernel", "sqlite table", "postgresql table"])
def leases(request):
    """Each kind of leases."""
    if request.param == "kernel":
        store = request.getfixturevalue("sqlite_store")
        return KernelLeases(store._database, f"{store._database.url.database}.leases")
    kind = request.param.removesuffix(" table")
    store = Store.open(request.getfixturevalue(f"{kind}_url"))
    request.addfinalizer(store.close)
    return TableLeases(store._database)


def take(leases, *, client_id="bank-1", key="K", body="body-1", now=NOW):
    leases.take(client_id, key, body_digest=body, now=now)


def test_a_free_key_is_taken_and_then_held(leases):
    take(leases)
    with pytest.raises(StillRunning):
        take(leases)


def test_a_key_held_for_another_body_is_a_conflict(leases):
    take(leases)
    with pytest.raises(IdempotencyConflict):
        take(leases, body="body-2")


@pytest.mark.parametrize(("client_id", "key"), [("bank-2", "K"), ("bank-1", "L"), ("bank-1K", ""), ("", "bank-1K")])
def test_another_client_or_key_is_another_lease(leases, client_id, key):
    take(leases)
    take(leases, client_id=client_id, key=key)


def test_a_released_key_is_free(leases):
    take(leases)
    leases.release("bank-1", "K")
    take(leases, body="body-2")


def test_releasing_what_is_not_held_changes_nothing(leases):
    take(leases)
    leases.release("bank-2", "K")
    leases.release("bank-1", "L")
    with pytest.raises(StillRunning):
        take(leases)


@pytest.mark.parametrize(("age", "free"), [(LEASE - MICROSECOND, False), (LEASE, True)])
def test_a_lease_ends_by_time(leases, age, free):
    take(leases)
    if free:
        take(leases, body="body-2", now=NOW + age)
    else:
        with pytest.raises(StillRunning):
            take(leases, now=NOW + age)


def test_only_leases_whose_time_is_over_expire(leases):
    take(leases, key="old")
    take(leases, key="new", now=NOW + MICROSECOND)
    leases.expire(NOW + LEASE)
    take(leases, key="old")
    with pytest.raises(StillRunning):
        take(leases, key="new")


def test_sqlite_has_the_kernels_leases_and_postgresql_the_table(sqlite_store, postgresql_store):
    assert isinstance(leases_of(sqlite_store._database), KernelLeases)
    assert isinstance(leases_of(postgresql_store._database), TableLeases)


def holding(url: str, then: Callable[[int], None]) -> int:
    """A process that takes the key, says so to ``then``'s pipe, and waits to be killed; its id."""
    ready, tell = os.pipe()

    def hold() -> None:
        Store.open(url).begin("bank-1", "K", "body-1", NOW)
        os.write(tell, b"x")
        signal.pause()

    holder = FORK.Process(target=hold)
    holder.start()
    os.close(tell)
    assert os.read(ready, 1) == b"x", "the holder died"
    os.close(ready)
    try:
        then(holder.pid)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
    return int(holder.exitcode)


def test_another_processs_lease_holds_and_tells_its_body(sqlite_store, sqlite_url):
    def check(_: int) -> None:
        with pytest.raises(StillRunning):
            sqlite_store.begin("bank-1", "K", "body-1", NOW)
        with pytest.raises(IdempotencyConflict):
            sqlite_store.begin("bank-1", "K", "body-2", NOW)
        assert sqlite_store.begin("bank-1", "L", "body-1", NOW) is None

    assert holding(sqlite_url, check) == -signal.SIGKILL


def test_the_kernel_frees_the_lease_of_a_killed_process_at_once(sqlite_store, sqlite_url):
    holding(sqlite_url, lambda _: None)
    assert sqlite_store.begin("bank-1", "K", "body-2", NOW) is None


def test_two_stores_of_one_process_exclude_each_other(sqlite_store, sqlite_url):
    other = Store.open(sqlite_url)
    other.begin("bank-1", "K", "body-1", NOW)
    with pytest.raises(StillRunning):
        sqlite_store.begin("bank-1", "K", "body-1", NOW)
    other.close()
    assert sqlite_store.begin("bank-1", "K", "body-1", NOW) is None


def test_a_forked_child_neither_holds_nor_frees_its_parents_leases(sqlite_store):
    sqlite_store.begin("bank-1", "K", "body-1", NOW)
    refused, released, done = FORK.Event(), FORK.Event(), FORK.SimpleQueue()

    def child() -> None:
        try:
            sqlite_store.begin("bank-1", "K", "body-1", NOW)
        except StillRunning:
            refused.set()
        sqlite_store.release("bank-1", "K")
        released.wait(timeout=10)
        done.put(sqlite_store.begin("bank-1", "K", "body-1", NOW))

    forked = FORK.Process(target=child)
    forked.start()
    assert refused.wait(timeout=10)
    with pytest.raises(StillRunning):
        sqlite_store.begin("bank-1", "K", "body-1", NOW)
    sqlite_store.release("bank-1", "K")
    released.set()
    assert done.get() is None
    forked.join()
    assert forked.exitcode == 0


def test_a_retry_after_the_answer_and_before_the_release_gets_the_answer(store, signer, monkeypatch):
    asked = draft(decision(application(1)), key="K")
    store.begin("bank-1", "K", "body-1", NOW)
    monkeypatch.setattr(store._leases, "release", lambda client_id, key: None)
    committed = commit(store, signer, asked)
    assert store.begin("bank-1", "K", "body-1", NOW).body == committed.body
    with pytest.raises(IdempotencyConflict):
        store.begin("bank-1", "K", "body-2", NOW)
    monkeypatch.undo()
    store.release("bank-1", "K")


def test_a_durable_decision_is_answered_even_if_its_lease_cannot_be_given_back(store, signer, monkeypatch):
    def release(client_id: str, key: str) -> None:
        raise StoreError("planted failure")

    store.begin("bank-1", "K", "body-1", NOW)
    monkeypatch.setattr(store._leases, "release", release)
    committed = commit(store, signer, draft(decision(application(1)), key="K"))
    monkeypatch.undo()
    assert store.begin("bank-1", "K", "body-1", NOW).body == committed.body
    store.release("bank-1", "K")


def test_a_lease_file_that_cannot_be_opened_is_a_store_error(sqlite_store, sqlite_url):
    Path(sqlite_url.removeprefix("sqlite:///") + ".leases").mkdir()
    with pytest.raises(StoreError, match="store failed"):
        sqlite_store.begin("bank-1", "K", "body-1", NOW)


def test_the_lease_file_is_empty_and_for_the_owner_only(sqlite_store, sqlite_url):
    sqlite_store.begin("bank-1", "K", "body-1", NOW)
    state = os.stat(sqlite_url.removeprefix("sqlite:///") + ".leases")
    assert (state.st_size, state.st_mode & 0o777) == (0, 0o600)
