"""Whole audited decisions over HTTP beside `mlflow models serve` scoring the XGBoost model alone, in one run."""

from __future__ import annotations

import http.client
import itertools
import json
import math
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WORKERS = 2
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Load:
    """What one closed-loop run of ``CLIENTS`` clients saw; times in milliseconds."""

    requests: int
    errors: int
    seconds: float
    latencies_ms: tuple[float, ...]

    @property
    def per_second(self) -> float:
        """Answered requests per second."""
        return self.requests / self.seconds

    def percentile(self, percent: int) -> float:
        """Latency percentile by the inclusive method, milliseconds."""
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load: where it listens, what is sent, which status is right."""

    name: str
    port: int
    path: str
    request: Callable[[int], tuple[bytes, dict[str, str]]]
    expected: int


def run(target: Target, *, seconds: float, start: int) -> Load:
    """Drive a target with ``CLIENTS`` closed-loop clients; each request is numbered from ``start`` upwards."""
    latencies: list[list[float]] = [[] for _ in range(CLIENTS)]
    errors = [0] * CLIENTS
    deadline = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = Line(target)
        count = start + number
        while time.perf_counter() < deadline:
            request = connection.request(count)
            count += CLIENTS
            began = time.perf_counter()
            status = connection.post(request)
            latencies[number].append((time.perf_counter() - began) * 1000)
            errors[number] += status != target.expected
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flat = tuple(latency for one in latencies for latency in one)
    return Load(len(flat), sum(errors), time.perf_counter() - began, flat)


def run_open(
    target: Target, *, rate: float, seconds: float, start: int, seed: int = 0, most: int = 64, ends: bool = False
) -> Load:
    """Drive a target at a rate, whatever it answers: times count from the moment at which a request was due.

    Requests come at random, independently of each other (a Poisson process), over at most ``most`` connections. What
    these could not send in time is sent afterwards, or with ``ends`` not at all.
    """
    due = _arrivals(rate, seconds, seed)
    numbers, latencies, errors = itertools.count(), [math.nan] * len(due), [0] * len(due)
    began = time.perf_counter()

    def client() -> None:
        connection = Line(target)
        while (number := next(numbers)) < len(due):
            if ends and time.perf_counter() - began > seconds:
                break
            request = connection.request(start + number)
            time.sleep(max(0.0, began + due[number] - time.perf_counter()))
            status = connection.post(request)
            latencies[number] = (time.perf_counter() - began - due[number]) * 1000
            errors[number] = status != target.expected
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(most)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = tuple(latency for latency in latencies if not math.isnan(latency))
    return Load(len(sent), sum(errors), time.perf_counter() - began, sent)


def _arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    chance, moment, found = random.Random(seed), 0.0, []
    while (moment := moment + chance.expovariate(rate)) < seconds:
        found.append(moment)
    return found


class Line:
    """A connection that is kept. As little as can be is done for a request: its sender shares cores with the server."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket: socket.socket | None = None

    def request(self, number: int) -> bytes:
        """The bytes of the target's request of a number."""
        body, headers = self._target.request(number)
        lines = [f"POST {self._target.path} HTTP/1.1", f"Host: 127.0.0.1:{self._target.port}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def post(self, request: bytes) -> int:
        """The status; a connection that breaks is no answer, counts as 0 and is opened again."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._target.port), timeout=60)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(request)
            return _status(self._socket)
        except (OSError, ValueError):
            self.close()
            return 0

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def _status(connection: socket.socket) -> int:
    """The status of an answer, which is read to its end. Raises ``ValueError`` for one of unknown length."""
    taken = b""
    while (end := taken.find(b"\r\n\r\n")) < 0:
        taken += _part(connection)
    head = taken[:end].lower()
    length = re.search(rb"content-length: *([0-9]+)", head)
    if length is None:
        raise ValueError("an answer without Content-Length")
    left = int(length[1]) - (len(taken) - end - 4)
    while left > 0:
        left -= len(_part(connection))
    return int(head.split(None, 2)[1])


def _part(connection: socket.socket) -> bytes:
    part = connection.recv(65_536)
    if not part:
        raise ConnectionResetError("the server closed the connection")
    return part


def merged(loads: list[Load]) -> Load:
    """Several rounds as one."""
    return Load(
        sum(load.requests for load in loads),
        sum(load.errors for load in loads),
        sum(load.seconds for load in loads),
        tuple(latency for load in loads for latency in load.latencies_ms),
    )


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(command: list[str], *, port: int, ready: str, environ: dict[str, str], log: Path) -> Iterator[None]:
    """Run a server until the block ends; its whole process group is stopped by its own id."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_until_ready(process, port, ready, log)
            yield
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=30)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}; see {log}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"the server was not ready within two minutes; see {log}")


def decision_requests(uscc: list[str], key: str, tag: str) -> Callable[[int], tuple[bytes, dict[str, str]]]:
    """Distinct applications, one enterprise after another."""

    def build(number: int) -> tuple[bytes, dict[str, str]]:
        body = {
            "application_id": f"{tag}-{number}",
            "product": "working_capital",
            "amount": "50000.00",
            "term_months": 12,
            "purpose": "working_capital",
            "authorization_id": f"AUTH-{number}",
            "enterprise": {"uscc": uscc[number % len(uscc)]},
        }
        return json.dumps(body).encode(), {"Authorization": f"Bearer {key}", "Idempotency-Key": f"{tag}-{number}"}

    return build


def scoring_requests(rows: list[dict[str, float | None]]) -> Callable[[int], tuple[bytes, dict[str, str]]]:
    """The same enterprises' features for the model server, in its own JSON form."""
    bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in rows]
    return lambda number: (bodies[number % len(bodies)], {})


def decision_server(port: int, environ: dict[str, str], log: Path):  # type: ignore[no-untyped-def]
    """The decision service with ``WORKERS`` workers."""
    command = [
        sys.executable, "-m", "decision_service.cli", "serve", "--port", str(port), "--workers", str(WORKERS),
    ]  # fmt: skip
    return server(command, port=port, ready="/readyz", environ=environ, log=log)


def model_server(model_uri: str, port: int, environ: dict[str, str], log: Path):  # type: ignore[no-untyped-def]
    """`mlflow models serve` with ``WORKERS`` workers."""
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", model_uri, "--env-manager", "local",
        "-p", str(port), "-h", "127.0.0.1", "-w", str(WORKERS),
    ]  # fmt: skip
    return server(command, port=port, ready="/ping", environ=environ, log=log)
