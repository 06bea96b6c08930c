"""The served process: bytes on a socket, a port that is taken, workers that die, an end by signal."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.api.real import RULES, FixedScorer, open_platform, write_feeds

PATIENCE = 60.0


class Server:
    """`decision-service serve` in processes of its own, on a store with the showcase firms and without models."""

    environ: ClassVar[dict[str, str]] = {}

    def __init__(self, home: Path, key: str, application: dict[str, Any], url: str | None = None) -> None:
        self.home, self.key, self.application = home, key, application
        self.url = url or f"sqlite:///{home}/decisions.db"
        self.log = home / "server.log"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.process = self.start()
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Until both workers are there and ready, on a machine that has much else to do as well."""
        until(lambda: self.get("/readyz")[0] == 200, 4 * PATIENCE)
        until(lambda: len(self.workers()) == 2)

    def start(self, *options: str) -> subprocess.Popen[str]:
        environ = {
            **os.environ,
            "DECISION_HOME": str(self.home),
            "DECISION_DATABASE_URL": self.url,
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.home}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DECISION_RULES": str(RULES),
            **self.environ,
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.command(), *options],
                env=environ,
                stdout=log,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def command(self) -> list[str]:
        return [sys.executable, "-m", "decision_service.cli", "serve", "--port", str(self.port), "--workers", "2"]

    def end(self, number: signal.Signals) -> None:
        """End the whole service, and be sure that it has."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        self.process.wait(PATIENCE)
        if self.process.stderr is not None:
            self.process.stderr.close()

    def stop(self) -> None:
        self.end(signal.SIGKILL)

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def get(self, path: str) -> tuple[int, bytes]:
        return self.request("GET", path, None)[:2]

    def request(self, method: str, path: str, body: Any, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
            connection.request(method, path, body, sent, encode_chunked="Transfer-Encoding" in headers)
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())
        finally:
            connection.close()

    def decide(self, key: str, **changes: Any) -> tuple[int, bytes, dict[str, str]]:
        body = json.dumps({**self.application, **changes})
        return self.request("POST", "/v1/decisions", body, **{"Idempotency-Key": key})

    def says(self, raw: bytes) -> bytes:
        """The first bytes that the server sends back to these, or nothing if it just hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            try:
                connection.sendall(raw)
                return connection.recv(4096)
            except (BrokenPipeError, ConnectionResetError):
                return b""


def until(holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("it never came to be")


def serving(home: Path, url: str | None = None) -> Server:
    shows = write_feeds(home / "feeds")
    platform = open_platform(home, FixedScorer(), home / "feeds", url)
    _, key = platform.store.add_client("bank", "bank", datetime.now(UTC))
    platform.store.close()
    return Server(home, key, shows["approve"]["application"], url)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = serving(tmp_path_factory.mktemp("served"))
    yield found
    found.stop()


def test_a_decision_and_its_retry_over_one_connection_have_the_same_bytes(server: Server) -> None:
    status, first, _ = server.decide("once")
    assert status == 201
    status, again, headers = server.decide("once")
    assert (status, again) == (201, first)
    assert headers["idempotent-replayed"] == "true"


LARGE = {
    "announced": ({}, b"[" * 10_000_000),
    "in chunks": ({"Transfer-Encoding": "chunked"}, [b"[" * 100_000] * 100),
}


@pytest.mark.parametrize(("headers", "body"), LARGE.values(), ids=LARGE.keys())
def test_ten_megabytes_are_refused_and_the_service_goes_on(server: Server, headers: dict, body: Any) -> None:
    try:
        status, answer, _ = server.request("POST", "/v1/decisions", body, **{"Idempotency-Key": "large"}, **headers)
        assert (status, json.loads(answer)["type"]) == (413, "/problems/body-too-large")
    except (BrokenPipeError, ConnectionResetError):
        pass  # hung up while we were still sending
    assert server.get("/readyz")[0] == 200


NO_HTTP = {
    "no request line": b"GARBAGE\r\n\r\n",
    "a length that is no number": b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    "a control character in a header": b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\x01b\r\n\r\n",
    "a path that is not ASCII": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "half a megabyte of headers": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 500_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_bytes_that_are_no_http_are_a_4xx_or_a_closed_connection(server: Server, raw: bytes) -> None:
    answer = server.says(raw)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert server.get("/livez")[0] == 200


def test_bodies_that_never_end_hold_up_nobody_else(server: Server) -> None:
    head = f"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Length: 90\r\n"
    started = head + "Content-Type: application/json\r\nIdempotency-Key: slow\r\n\r\n{"
    with ExitStack() as held:
        for _ in range(40):
            held.enter_context(socket.create_connection(("127.0.0.1", server.port))).sendall(started.encode())
        assert [server.decide(str(uuid.uuid4()))[0] for _ in range(8)] == [201] * 8


def test_strangers_bodies_that_never_end_hold_up_nobody(server: Server) -> None:
    started = b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\nContent-Type: application/json\r\n\r\n{"
    with ExitStack() as held:
        for _ in range(40):
            held.enter_context(socket.create_connection(("127.0.0.1", server.port))).sendall(started)
        assert server.decide(str(uuid.uuid4()))[0] == 201


def test_metrics_add_up_over_the_workers(server: Server) -> None:
    for _ in range(8):
        server.get("/livez")
    line = 'decision_http_requests_total{method="GET",route="/livez",status="200"} '
    first = [float(text.removeprefix(line)) for text in server.get("/metrics")[1].decode().splitlines() if line in text]
    assert first and first[0] >= 8


def test_a_port_that_is_taken_is_told_and_exits_2(server: Server) -> None:
    second = server.start()
    said = second.communicate(timeout=PATIENCE)[1]
    assert second.returncode == 2
    assert str(server.port) in said and "--port" in said and "Traceback" not in said


def test_a_worker_that_is_killed_is_replaced_and_the_rest_answer(server: Server) -> None:
    before = server.workers()
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(server.workers()) == 2 and before[0] not in server.workers())
    until(lambda: server.get("/readyz")[0] == 200)
    assert server.decide(str(uuid.uuid4()))[0] == 201


ENDS = {
    "Ctrl-C, which reaches the whole group": (signal.SIGINT, True),
    "a polite end of the group": (signal.SIGTERM, True),
    "a polite end of the first process": (signal.SIGTERM, False),
    "a sudden death of the first process": (signal.SIGKILL, False),
}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "group"), ENDS.values(), ids=ENDS.keys())
def test_the_service_ends_with_all_its_workers(tmp_path: Path, number: signal.Signals, group: bool) -> None:
    server = serving(tmp_path)
    try:
        workers = server.workers()
        (os.killpg if group else os.kill)(server.process.pid, number)
        assert server.process.wait(PATIENCE) == (-9 if number is signal.SIGKILL else 0)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    finally:
        server.stop()
