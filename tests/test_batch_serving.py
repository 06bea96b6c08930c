"""Batches beside a server with two workers: worked off while it answers, whoever of the workers dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from decision_service.quotas import Quota
from decision_service.store import Store
from tests.test_serving import Server, serving, until

URL = "/v1/decision-batches"
RESPAWN_SECONDS = 6
"""granian gives a worker up that dies sooner than this after it was replaced."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = serving(tmp_path_factory.mktemp("batches"))
    yield found
    found.stop()


def send(server: Server, count: int, key: str | None = None) -> dict[str, Any]:
    key = key or str(uuid.uuid4())
    lines = [json.dumps({**server.application, "application_id": f"{key}:{number}"}) for number in range(count)]
    headers = {"Idempotency-Key": key, "Content-Type": "application/x-ndjson"}
    status, body, _ = server.request("POST", URL, "\n".join(lines), **headers)
    assert status == 202, body
    return dict(json.loads(body))


def patiently(server: Server, path: str) -> tuple[int, bytes]:
    """What is answered as soon as a worker listens again."""
    answers: list[tuple[int, bytes]] = []
    until(lambda: answers.append(server.get(path)) is None)
    return answers[0]


def state(server: Server, batch: dict[str, Any]) -> dict[str, Any]:
    status, body = patiently(server, f"{URL}/{batch['batch_id']}")
    return dict(json.loads(body)) if status == 200 else {"done": -1, "state": status}


def results(server: Server, batch: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
    status, body = patiently(server, f"{batch['results']}?after={after}")
    assert status == 200, body
    return [json.loads(line) for line in body.splitlines()]


def finished(server: Server, batch: dict[str, Any]) -> bool:
    return bool(state(server, batch)["state"] == "finished")


def survives(server: Server, *, lines: int, kills: int) -> None:
    """A large batch with a small one behind it, workers killed on the way: each line one decision, in order."""
    large, small = send(server, lines), send(server, 25)
    until(lambda: finished(server, small), 60 + lines / 10)
    assert state(server, large)["done"] < lines
    for _ in range(kills):  # the oldest each time, so that whichever of them works the batch off is hit
        reached, before = state(server, large)["done"], server.workers()
        until(lambda: state(server, large)["done"] > max(reached, 0), 60 + lines / 10)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(server.workers()) == 2 and before[0] not in server.workers())
        if kills > 2:
            time.sleep(RESPAWN_SECONDS)
    until(lambda: finished(server, large), 120 + lines / 10)
    found = results(server, large)
    assert [one["line"] for one in found] == list(range(1, lines + 1))
    assert [one["application_id"].rpartition(":")[2] for one in found] == [str(number) for number in range(lines)]
    assert {one["status"] for one in found} == {201}
    ids = {one["decision"]["decision_id"] for one in found}
    with closing(Store.open(f"sqlite:///{server.home}/decisions.db")) as store:
        name = found[0]["application_id"].rpartition(":")[0]
        stored = [one.decision_id for one in store.each_decision() if one.application_id.startswith(name)]
    assert len(ids) == lines and sorted(stored) == sorted(ids)


def test_a_batch_survives_the_death_of_its_workers_and_lets_a_small_one_pass(server: Server) -> None:
    survives(server, lines=400, kills=2)


@pytest.mark.slow
def test_ten_thousand_lines_survive_the_deaths_of_workers(server: Server) -> None:
    survives(server, lines=10_000, kills=8)


def test_results_can_be_read_while_a_batch_runs_and_a_cancelled_one_stops(server: Server) -> None:
    batch = send(server, 5_000)
    until(lambda: len(results(server, batch)) > 0)
    found = results(server, batch)
    later = results(server, batch, after=len(found))
    assert [one["line"] for one in found] == list(range(1, len(found) + 1))
    assert not later or later[0]["line"] == len(found) + 1
    status, _, _ = server.request("POST", f"{URL}/{batch['batch_id']}/cancellation", None)
    assert status == 200
    until(lambda: state(server, batch)["state"] == "cancelled")
    assert state(server, batch)["done"] == len(results(server, batch)) < 5_000


def test_bodies_of_strangers_are_not_waited_for(server: Server) -> None:
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\nContent-Type: application/x-ndjson\r\n\r\n"
    with ExitStack() as held:
        for _ in range(20):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            began = time.monotonic()
            connection.sendall(head.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 401") and time.monotonic() - began < 5


def test_a_batch_that_is_too_large_is_refused(server: Server) -> None:
    headers = {"Idempotency-Key": "large", "Content-Type": "application/x-ndjson"}
    try:
        status, body, _ = server.request("POST", URL, b"x" * (9 << 20), **headers)
        assert (status, json.loads(body)["type"]) == (413, "/problems/body-too-large")
    except (BrokenPipeError, ConnectionResetError):
        pass  # hung up while we were still sending
    assert server.get("/readyz")[0] == 200


def test_workers_count_a_client_s_requests_together(server: Server) -> None:
    with closing(Store.open(f"sqlite:///{server.home}/decisions.db")) as store:
        client, key = store.add_client("limited", "bank", datetime.now(UTC))
        store.set_quotas(client.client_id, [Quota("read", 20, 3_600)])
    time.sleep(1.5)
    asked = {"Authorization": f"Bearer {key}"}
    answers = [server.request("GET", "/v1/models", None, **asked) for _ in range(30)]
    assert sorted(status for status, _, _ in answers) == [200] * 20 + [429] * 10
    waits = [int(headers["retry-after"]) for status, _, headers in answers if status == 429]
    assert 150 < min(waits) <= max(waits) <= 180, "one is free every three minutes; each refusal takes half a second"
    assert server.request("GET", "/v1/models", None)[0] == 200
    assert b'decision_turned_away_total{kind="read",why="quota"}' in server.get("/metrics")[1]


def test_batches_are_counted(server: Server) -> None:
    until(lambda: finished(server, send(server, 3, key="counted")))
    assert b'decision_batch_lines_total{outcome="REFER"}' in server.get("/metrics")[1]


@pytest.mark.slow
def test_a_server_that_is_ended_in_the_middle_goes_on_when_it_starts_again(tmp_path: Path) -> None:
    server = serving(tmp_path)
    try:
        batch = send(server, 1_000)
        until(lambda: state(server, batch)["done"] > 0)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        server.process.communicate()
        server.process = server.start()
        until(lambda: server.get("/readyz")[0] == 200)
        until(lambda: finished(server, batch), 300)
        assert [one["line"] for one in results(server, batch)] == list(range(1, 1_001))
    finally:
        server.stop()
