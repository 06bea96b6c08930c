"""One key is one decision: 32 requests at once, by one process or two workers, through deaths, restarts and backups."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from bench.postgres import execute, programs
from decision_service.api.application import http_application
from decision_service.api.platform import PlatformService
from decision_service.api.service import Runtime
from decision_service.audit.signing import Signer
from decision_service.commands.audit import verified
from decision_service.decide import Platform
from decision_service.policy import Policies
from decision_service.store import Store, StoredDecision
from tests.api.real import FixedScorer, open_platform, write_feeds
from tests.test_batch_serving import RESPAWN_SECONDS
from tests.test_serving import Server, serving, until

AT_ONCE = 32
LEASE_SECONDS = 90.0
"""On PostgreSQL the lease of who died lasts a minute."""
Answer = tuple[int, bytes, dict[str, str]]
PLACES = ["sqlite", "postgresql"]


@pytest.fixture(params=PLACES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/decisions.db"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def server(tmp_path: Path, url: str) -> Iterator[Server]:
    found = serving(tmp_path, url)
    yield found
    found.stop()


def together(send: Callable[[], Answer], meanwhile: Callable[[], object] | None = None) -> list[Answer]:
    """32 threads that begin at one moment; those whose connection broke have no answer."""
    start = threading.Barrier(AT_ONCE)

    def one(_: int) -> Answer | None:
        start.wait(timeout=60)
        try:
            return send()
        except OSError:
            return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sending = [pool.submit(one, number) for number in range(AT_ONCE)]
        if meanwhile is not None:
            meanwhile()
        return [answer for each in sending if (answer := each.result()) is not None]


def the_one(answers: list[Answer]) -> bytes | None:
    """The bytes of every 201, if there is any; all else are 409s that say when to come again."""
    assert {status for status, _, _ in answers} <= {201, 409}, answers
    for status, body, headers in answers:
        told = {name.lower(): value for name, value in headers.items()}
        if status == 409:
            assert int(told["retry-after"]) >= 1 and json.loads(body)["type"] == "/problems/still-running"
    first = [body for status, body, headers in answers if status == 201 and not replayed(headers)]
    bodies = {body for status, body, _ in answers if status == 201}
    assert len(first) <= 1 and len(bodies) <= 1, bodies
    return bodies.pop() if bodies else None


def replayed(headers: dict[str, str]) -> bool:
    return {name.lower(): value for name, value in headers.items()}.get("idempotent-replayed") == "true"


def stored(url: str, application_id: str) -> list[StoredDecision]:
    with closing(Store.open(url)) as store:
        return [one for one in store.each_decision() if one.application_id == application_id]


def patiently(server: Server, key: str, application_id: str) -> bytes:
    """What a client gets that asks again as long as it is told to wait, or nobody listens."""
    found: list[bytes] = []

    def asked() -> bool:
        status, body, _ = server.decide(key, application_id=application_id)
        assert status in (201, 409), body
        found.extend([body] * (status == 201))
        return bool(found)

    until(asked, LEASE_SECONDS)
    return found[0]


def of_32_one_decides(server: Server) -> tuple[str, bytes]:
    name = str(uuid.uuid4())
    answers = together(lambda: server.decide(name, application_id=name))
    body = the_one(answers)
    assert len(answers) == AT_ONCE and body is not None
    (one,) = stored(server.url, name)
    assert one.decision_id == json.loads(body)["decision_id"]
    assert [body] * AT_ONCE == [server.decide(name, application_id=name)[1] for _ in range(AT_ONCE)]
    return name, body


def sound(server: Server) -> None:
    """The log of a server's store verifies."""
    signer = Signer.open(server.home / "log-key.pem")
    with closing(Store.open(server.url, signer.public.receipt_is_valid)) as store:
        platform = Platform(store, Policies(store), FixedScorer(), signer, "test")
        assert [str(one) for one in verified(platform).findings] == []


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_of_32_at_once_in_one_process_one_decides(tmp_path: Path, url: str, rounds: int) -> None:
    shows = write_feeds(tmp_path / "feeds")
    platform = open_platform(tmp_path, FixedScorer(), tmp_path / "feeds", url)
    _, key = platform.store.add_client("bank", "bank", datetime.now(UTC))
    app = http_application(Runtime(PlatformService(platform), lambda: datetime.now(UTC)), version="1")
    for _ in range(rounds):
        name = str(uuid.uuid4())
        sent = {"Authorization": f"Bearer {key}", "Idempotency-Key": name}

        def send(name: str = name, sent: dict[str, str] = sent) -> Answer:
            asked = {**shows["approve"]["application"], "application_id": name, "amount": "10000.00"}
            answer = app.test_client().post("/v1/decisions", json=asked, headers=sent)
            return answer.status_code, answer.data, dict(answer.headers)

        answers = together(send)
        assert len(answers) == AT_ONCE and the_one(answers) is not None
        assert [one.application_id for one in platform.store.each_decision()].count(name) == 1
    assert verified(platform).ok
    platform.store.close()


@pytest.mark.parametrize(
    ("url", "rounds"),
    [("sqlite", 3), *(pytest.param(place, 100, marks=pytest.mark.slow) for place in PLACES)],
    indirect=["url"],
)
def test_of_32_at_once_over_two_workers_one_decides_and_a_restart_forgets_nothing(server: Server, rounds: int) -> None:
    answered = dict(of_32_one_decides(server) for _ in range(rounds))
    server.end(signal.SIGTERM)
    server.process = server.start()
    server.wait()
    for name, body in answered.items():
        answers = together(lambda name=name: server.decide(name, application_id=name))  # type: ignore[misc]
        assert [(status, body) for status, body, _ in answers] == [(201, body)] * AT_ONCE
        assert all(replayed(headers) for _, _, headers in answers)
    sound(server)


@pytest.mark.slow
def test_a_worker_that_dies_in_the_middle_leaves_one_decision_or_none(server: Server) -> None:
    for round_ in range(6):
        name, victim = str(uuid.uuid4()), server.workers()[0]

        def die(pause: float = 0.004 * round_, victim: int = victim) -> None:
            time.sleep(pause)
            os.kill(victim, signal.SIGKILL)

        found = the_one(together(lambda: server.decide(name, application_id=name), die))  # noqa: B023
        body = patiently(server, name, name)
        assert found in (None, body) and len(stored(server.url, name)) == 1
        until(lambda: len(server.workers()) == 2 and victim not in server.workers())  # noqa: B023
        time.sleep(RESPAWN_SECONDS)
    sound(server)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_in_the_middle_leaves_one_decision_or_none(server: Server, number: signal.Signals) -> None:
    for round_ in range(3):
        name = str(uuid.uuid4())

        def end(pause: float = 0.02 * round_) -> None:
            time.sleep(pause)
            server.end(number)

        found = the_one(together(lambda: server.decide(name, application_id=name), end))  # noqa: B023
        server.process = server.start()
        server.wait()
        body = patiently(server, name, name)
        assert found in (None, body) and len(stored(server.url, name)) == 1
    sound(server)


def copied(server: Server, home: Path) -> str:
    """A backup of a database that is being written to, put back elsewhere beside the log's key; its URL."""
    home.mkdir()
    shutil.copy(server.home / "log-key.pem", home)
    if server.url.startswith("sqlite"):
        with closing(sqlite3.connect(server.home / "decisions.db")) as source:
            with closing(sqlite3.connect(home / "decisions.db")) as target:
                source.backup(target)
        return f"sqlite:///{home}/decisions.db"
    place, known = programs(), make_url(server.url)
    assert place is not None
    base = server.url.removesuffix(str(known.database))
    subprocess.run([place / "pg_dump", "-Fc", "-f", home / "dump", server.url], check=True)
    execute(base, f"CREATE DATABASE {known.database}_again")
    subprocess.run([place / "pg_restore", "-d", f"{base}{known.database}_again", home / "dump"], check=True)
    return f"{base}{known.database}_again"


@dataclass(frozen=True)
class Kept:
    """A request and what it was answered."""

    path: str
    text: str
    key: str
    answer: bytes

    def again(self, server: Server) -> bytes:
        return server.request("POST", self.path, self.text, **{"Idempotency-Key": self.key})[1]


class Writer(threading.Thread):
    """A client that goes on writing in every way, and keeps what it was answered."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.kept: list[Kept] = []
        self.ends = threading.Event()

    def run(self) -> None:
        while not self.ends.is_set():
            name = str(uuid.uuid4())
            decided = self.send("/v1/decisions", {**self.server.application, "application_id": name})
            refusal = {"outcome": "DECLINE", "reason": "BANK_POLICY"}
            self.send(f"/v1/decisions/{json.loads(decided)['decision_id']}/final", refusal)

    def send(self, path: str, body: dict[str, Any]) -> bytes:
        one = Kept(path, json.dumps(body), str(uuid.uuid4()), b"")
        one = replace(one, answer=one.again(self.server))
        self.kept.append(one)
        return one.answer


@pytest.mark.slow
def test_a_backup_that_is_started_elsewhere_gives_the_same_bytes(
    server: Server, tmp_path: Path
) -> None:
    """Of all that was answered before the backup began, while others go on writing."""
    writing = [Writer(server) for _ in range(8)]
    for one in writing:
        one.start()
    until(lambda: all(len(one.kept) >= 100 for one in writing))
    before = [kept for one in writing for kept in tuple(one.kept)]
    url = copied(server, tmp_path / "elsewhere")
    for one in writing:
        one.ends.set()
        one.join()
    server.stop()
    again = Server(tmp_path / "elsewhere", server.key, server.application, url)
    try:
        assert [kept.again(again) for kept in before] == [kept.answer for kept in before]
        sound(again)
        of_32_one_decides(again)
    finally:
        again.stop()
