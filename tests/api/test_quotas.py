"""Quotas: counted exactly over threads and processes, told by the IETF's fields, each client its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from decision_service.api import limits
from decision_service.api.application import http_application
from decision_service.api.limits import Limiter, Meter, RemoteMeter, SharedMeter, kind_of
from decision_service.api.problems import HttpProblem
from decision_service.api.service import Runtime
from decision_service.errors import InputError, StoreError
from decision_service.quotas import DEFAULTS, Quota, parsed
from tests.api.fakes import NOW, FakeService, application

FORK = multiprocessing.get_context("fork")
TEN = Quota("decide", 10, 5)


class Clock:
    """A moment that moves when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def admitted(meter: Meter, times: int, name: str = "bank:decide", quota: Quota = TEN) -> int:
    return sum(meter.take(name, quota).admitted for _ in range(times))


def test_as_many_as_the_quota_pass_at_once_and_then_one_after_another() -> None:
    clock = Clock()
    meter = SharedMeter(clock=clock)
    assert [meter.take("a", TEN).remaining for _ in range(10)] == list(range(9, -1, -1))
    refused = meter.take("a", TEN)
    assert not refused.admitted and refused.seconds == pytest.approx(0.5)
    clock.now += 0.49
    assert admitted(meter, 5, "a") == 0
    clock.now += 0.02
    assert admitted(meter, 5, "a") == 1
    clock.now += 5
    assert admitted(meter, 50, "a") == 10
    assert admitted(meter, 50, "b") == 10


def test_more_names_than_cells_cost_nobody_a_request() -> None:
    meter = SharedMeter(clock=Clock())
    assert admitted(meter, 1, "first") == 1
    assert all(meter.take(f"client-{number}", TEN).admitted for number in range(2 * SharedMeter.CELLS))


def test_processes_and_threads_count_together(tmp_path: Path) -> None:
    quota, queue = Quota("decide", 500, 100_000), FORK.Queue()

    def work() -> None:
        meter = SharedMeter(tmp_path / "meter")
        with ThreadPoolExecutor(4) as pool:
            queue.put(sum(pool.map(lambda _: admitted(meter, 100, quota=quota), range(4))))

    workers = [FORK.Process(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert sum(queue.get(timeout=60) for _ in workers) == 500
    for worker in workers:
        worker.join()


def test_a_counter_elsewhere_counts_and_while_it_is_down_this_machine_does(caplog: pytest.LogCaptureFixture) -> None:
    here = SharedMeter()
    assert admitted(RemoteMeter("memory://", here), 30) == 10 == admitted(here, 30, "untouched")
    unreachable = RemoteMeter("redis://:secret@127.0.0.1:1/0", SharedMeter())
    assert admitted(unreachable, 30) == 10
    assert len(caplog.records) == 1 and "secret" not in caplog.text


@pytest.mark.parametrize("url", ["nowhere://:secret@host", "redis://:secret@host:port/0"])
def test_a_url_at_which_no_counter_can_be_is_told_without_its_password(url: str) -> None:
    with pytest.raises(InputError, match="DECISION_LIMITS_URL") as caught:
        RemoteMeter(url, SharedMeter())
    assert "secret" not in str(caught.value)


KINDS = {
    ("POST", "/v1/decisions"): "decide",
    ("GET", "/v1/decisions"): "read",
    ("POST", "/v1/decision-batches"): "batch",
    ("GET", "/v1/decision-batches/1/results"): "read",
    ("DELETE", "/v1/decision-batches/1"): "write",
    ("POST", "/v1/simulations"): "compute",
    ("GET", "/v1/decisions/1/explanation"): "compute",
    ("GET", "/v1/decisions/1/proof"): "compute",
}


@pytest.mark.parametrize(("method", "path"), KINDS)
def test_each_request_counts_against_one_quota(method: str, path: str) -> None:
    assert kind_of(method, path) == KINDS[method, path]


def test_a_client_s_own_quota_counts_within_a_second_and_an_unreadable_store_changes_nothing() -> None:
    clock, own = Clock(), {"bank": {"decide": Quota("decide", 2, 10)}}
    answers: list[Any] = [{}, own]

    def read() -> Any:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    limiter = Limiter({"decide": TEN}, own=read, clock=clock)
    assert limiter.admit("bank", "decide")["RateLimit-Policy"] == '"decide";q=10;w=5'
    clock.now += limits.OWN_SECONDS
    assert limiter.admit("bank", "decide")["RateLimit-Policy"] == '"decide";q=2;w=10'
    answers[:] = [StoreError("down")]
    clock.now += limits.OWN_SECONDS
    assert limiter.admit("other", "decide")["RateLimit"] == '"decide";r=9;t=1'
    assert limiter.admit("bank", "decide")["RateLimit-Policy"] == '"decide";q=2;w=10'


def test_a_client_that_was_refused_is_known_to_be_until_its_next_request_would_pass() -> None:
    clock = Clock()
    limiter = Limiter({"decide": Quota("decide", 1, 10)}, clock=clock)
    limiter.admit("bank", "decide")
    assert limiter.blocked("bank", "decide") == 0
    clock.now += 4
    with pytest.raises(HttpProblem) as caught:
        limiter.admit("bank", "decide")
    assert (caught.value.headers["Retry-After"], caught.value.headers["RateLimit"]) == ("6", '"decide";r=0;t=6')
    assert limiter.blocked("bank", "decide") == pytest.approx(6)
    assert limiter.blocked("other", "decide") == 0
    clock.now += 6
    assert limiter.blocked("bank", "decide") == 0
    limiter.admit("bank", "decide")


@pytest.fixture
def limited() -> FlaskClient:
    quotas = {**DEFAULTS, "decide": Quota("decide", 2, 60)}
    return http_application(Runtime(FakeService(), lambda: NOW), version="1", limiter=Limiter(quotas)).test_client()


@pytest.fixture
def decide(limited: FlaskClient) -> Callable[..., Any]:
    def send(key: str = "bank-key", **headers: str) -> Any:
        given = {"Authorization": f"Bearer {key}", "Idempotency-Key": "k", **headers}
        return limited.post("/v1/decisions", json=application(), headers=given)

    return send


def test_answers_tell_the_quota_and_what_is_left_of_it(decide: Any) -> None:
    assert [decide().headers["RateLimit"] for _ in range(2)] == ['"decide";r=1;t=30', '"decide";r=0;t=60']
    answer = decide()
    assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
    assert answer.get_json()["type"] == "/problems/too-many-requests"
    assert 29 <= int(answer.headers["Retry-After"]) <= 30
    assert answer.headers["RateLimit-Policy"] == '"decide";q=2;w=60' and "X-RateLimit-Limit" not in answer.headers


def test_one_client_s_quota_is_none_of_another_s_and_of_no_other_kind(limited: FlaskClient, decide: Any) -> None:
    assert [decide().status_code for _ in range(3)] == [201, 201, 429]
    assert decide("other-key").status_code == 201
    assert limited.get("/v1/decisions", headers={"Authorization": "Bearer bank-key"}).status_code == 200


def test_strangers_and_operations_have_no_quota(limited: FlaskClient, decide: Any) -> None:
    answers = [decide("no-such-key") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {401} and "RateLimit" not in answers[0].headers
    assert "RateLimit" not in limited.get("/livez").headers


def test_quotas_are_read_from_text() -> None:
    assert parsed(["decide=5/1", "read=1/60"], "x") == {"decide": Quota("decide", 5, 1), "read": Quota("read", 1, 60)}


@pytest.mark.parametrize("text", ["decide", "decide=0/1", "decide=1/0", "decide=-1/5", "all=1/1", "decide=1/1s"])
def test_what_is_no_quota_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no quota"):
        parsed([text], "DECISION_LIMITS")
