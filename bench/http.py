"""Whole audited decisions over HTTP beside `mlflow models serve` scoring the XGBoost model alone, in one run."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
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
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        count = start + number
        while time.perf_counter() < deadline:
            body, headers = target.request(count)
            count += CLIENTS
            began = time.perf_counter()
            status = _post(connection, target.path, body, headers)
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


def run_open(target: Target, *, rate: float, seconds: float, start: int, seed: int = 0, most: int = 64) -> Load:
    """Drive a target at a rate, whatever it answers: times count from the moment at which a request was due.

    Requests come at random, independently of each other (a Poisson process), over at most ``most`` connections.
    """
    due = _arrivals(rate, seconds, seed)
    numbers, latencies, errors = itertools.count(), [0.0] * len(due), [0] * len(due)
    began = time.perf_counter()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        while (number := next(numbers)) < len(due):
            body, headers = target.request(start + number)
            time.sleep(max(0.0, began + due[number] - time.perf_counter()))
            status = _reached(connection, target.path, body, headers)
            latencies[number] = (time.perf_counter() - began - due[number]) * 1000
            errors[number] = status != target.expected
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(most)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(len(due), sum(errors), time.perf_counter() - began, tuple(latencies))


def _arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    chance, moment, found = random.Random(seed), 0.0, []
    while (moment := moment + chance.expovariate(rate)) < seconds:
        found.append(moment)
    return found


def _post(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    response.read()
    return response.status


def _reached(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> int:
    """As ``_post``; a connection that breaks is no answer, counts as one and is opened again."""
    try:
        return _post(connection, path, body, headers)
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0


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
