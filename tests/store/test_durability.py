"""No acknowledged decision is lost or doubled: writers are killed, disks fill up."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from store_samples import NOW, application, commit, decision, draft, verified

from decision_service.audit.signing import Signer
from decision_service.errors import StoreError
from decision_service.store import Store

FORK = multiprocessing.get_context("fork")
ROOM = 300_000  # bytes that may still be written: enough for some decisions, then the disk is full


def write_from(url: str, signer: Signer, first: int, generation: int, pipe: int) -> None:
    """Decide applications from ``first`` on, for ever; tell the pipe of each only when it is durable."""
    store = Store.open(url)
    number = first
    # Each generation starts when the leases of the killed one have expired.
    now = NOW + timedelta(minutes=2 * generation)
    while True:
        key = f"key-{number}"
        if store.begin("bank-1", key, "body-1", now) is None:
            made = decision(application(number), decision_id=f"D-{generation}-{number}", now=now)
            commit(store, signer, draft(made, key=key))
        os.write(pipe, f"{number}\n".encode())
        number += 1


def run_and_kill(write: Callable[[int], None], seconds: float) -> list[int]:
    """Let a process write for a while after its first decision, kill it; the numbers that it acknowledged."""
    reading, writing = os.pipe()
    worker = FORK.Process(target=write, args=(writing,))
    worker.start()
    os.close(writing)
    begun = os.read(reading, 1)
    time.sleep(seconds)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    with os.fdopen(reading, "rb") as lines:
        return [int(line) for line in (begun + lines.read()).split()]


def check_all_kept(url: str, signer: Signer, acknowledged: list[int]) -> None:
    """Every acknowledged application has one decision with its key and one reservation, and the log verifies."""
    store = Store.open(url)
    stored = Counter(one.application_id for one in store.each_decision())
    assert set(stored.values()) <= {1}, "a decision was doubled"
    assert {f"APP-{number}" for number in acknowledged} <= stored.keys(), "a decision was lost"
    report = verified(store, signer)
    assert report.ok, report.findings
    assert report.leaves == len(stored) == store.log_head()[0]
    with store._database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM reservations")).scalar_one() == len(stored)
    store.close()


@pytest.mark.parametrize("kills", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_kill_9_at_any_moment_loses_and_doubles_nothing(url, signer, kills):
    Store.open(url).close()
    moments = random.Random(kills)
    acknowledged: list[int] = []
    for generation in range(kills):
        first = len(acknowledged)

        def write(pipe: int, first: int = first, generation: int = generation) -> None:
            write_from(url, signer, first, generation, pipe)

        told = run_and_kill(write, moments.uniform(0.0, 0.2))
        assert told == list(range(first, first + len(told)))
        acknowledged += told
    assert len(acknowledged) > kills, "the writers hardly wrote: nothing was tested"
    check_all_kept(url, signer, acknowledged)


@pytest.mark.parametrize("writers", [3])
def test_a_killed_writer_does_not_hold_up_the_others(sqlite_url, signer, writers):
    """The kernel frees the queue's lock of a process that dies while it holds it."""
    store = Store.open(sqlite_url)
    for generation in range(3):
        pipes = [os.pipe() for _ in range(writers)]
        firsts = [1000 * (writers * generation + one) for one in range(writers)]
        workers = [
            FORK.Process(target=write_from, args=(sqlite_url, signer, first, one, pipe[1]))
            for one, (first, pipe) in enumerate(zip(firsts, pipes, strict=True))
        ]
        for worker in workers:
            worker.start()
        time.sleep(0.1)
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
        for pipe in pipes:
            os.close(pipe[0])
            os.close(pipe[1])
        began = time.monotonic()
        commit(store, signer, draft(decision(application(10**6 + generation))))
        assert time.monotonic() - began < 5
    assert verified(store, signer).ok
    store.close()


def write_until_full(url: str, signer: Signer, pipe: int) -> None:
    """Write with little room left, as on a full disk; the kernel refuses what goes beyond it."""
    store = Store.open(url)
    path = Path(url.removeprefix("sqlite:///"))
    largest = max(file.stat().st_size for file in path.parent.iterdir())
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + ROOM, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    told: dict[str, Any] = {"acknowledged": [], "refused": 0}
    for number in range(1, 400):
        try:
            commit(store, signer, draft(decision(application(number))))
            told["acknowledged"].append(number)
        except StoreError as error:
            told["refused"] += 1
            told["error"] = str(error)
    os.write(pipe, json.dumps(told).encode())


def test_a_full_disk_is_a_store_error_and_what_was_acknowledged_is_kept(sqlite_url, signer):
    store = Store.open(sqlite_url)
    commit(store, signer, draft(decision(application(0))))
    store.close()
    reading, writing = os.pipe()
    worker = FORK.Process(target=write_until_full, args=(sqlite_url, signer, writing))
    worker.start()
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = json.loads(pipe.read())
    worker.join()
    assert worker.exitcode == 0
    assert told["acknowledged"] and told["refused"], "the disk was never full or always"
    assert "the store failed" in told["error"] and "has space" in told["error"]
    check_all_kept(sqlite_url, signer, [0, *told["acknowledged"]])
    reopened = Store.open(sqlite_url)
    commit(reopened, signer, draft(decision(application(1000))))
    reopened.close()


def test_a_file_that_may_only_be_read_is_a_store_error(sqlite_store, sqlite_url, signer):
    commit(sqlite_store, signer, draft(decision(application(0))))
    with sqlite_store._database.read_session() as session:
        session._ask([("PRAGMA query_only=ON", ())])  # stays with the connection, which the next one takes
    with pytest.raises(StoreError, match="readonly"):
        commit(sqlite_store, signer, draft(decision(application(1))))


def test_a_lock_file_that_cannot_be_opened_is_a_store_error(sqlite_store, sqlite_url, signer):
    lock = Path(sqlite_url.removeprefix("sqlite:///") + ".lock")
    lock.unlink()
    lock.mkdir()
    another = Store.open(sqlite_url)  # the first has its lock file open
    with pytest.raises(StoreError, match="store failed"):
        commit(another, signer, draft(decision(application(1))))
    another.close()


def test_after_the_server_dropped_all_connections_the_next_request_but_one_works(postgresql_url, signer):
    store = Store.open(postgresql_url)
    commit(store, signer, draft(decision(application(1))))
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreError):
        commit(store, signer, draft(decision(application(2))))
    commit(store, signer, draft(decision(application(2))))
    assert store.log_head()[0] == 2
    store.close()
