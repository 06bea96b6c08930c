"""Whose request is next: one of each client's after another, and who is over its quota or crowds is turned away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from prometheus_client import generate_latest

from decision_service.api.limits import Limiter
from decision_service.api.metrics import Metrics
from decision_service.api.problems import HttpProblem
from decision_service.api.rsgi import rsgi
from decision_service.api.turns import MOST_TOGETHER, STRANGER, Turnstile
from decision_service.quotas import Quota
from decision_service.store.together import errand
from tests.api.test_rsgi import Headers, Protocol, Scope


def passed(turnstile: Turnstile, arrivals: Iterable[str]) -> list[str]:
    """The order in which requests pass that have all arrived."""
    order: list[str] = []

    async def one(number: int, client_id: str) -> None:
        await turnstile.turn(client_id, lambda: order.append(f"{client_id}{number}"))

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for number, client_id in enumerate(arrivals):
                group.create_task(one(number, client_id))

    asyncio.run(asyncio.wait_for(all_of_them(), 10))
    return order


def test_a_client_with_one_request_waits_for_one_of_each_other_client() -> None:
    order = passed(Turnstile(None, Metrics()), "aaaaaaaabcb")
    assert order == ["a0", "b8", "c9", "a1", "b10", "a2", "a3", "a4", "a5", "a6", "a7"]


def test_requests_pass_one_at_a_time_and_again_after_a_pause() -> None:
    turnstile = Turnstile(None, Metrics())
    assert passed(turnstile, "ab") == ["a0", "b1"]
    assert passed(turnstile, "ba") == ["b0", "a1"]


def test_who_hangs_up_leaves_its_place_to_the_next() -> None:
    turnstile, order = Turnstile(None, Metrics()), list[str]()

    async def run() -> None:
        tasks = [asyncio.create_task(turnstile.turn(name, partial(order.append, name))) for name in "abc"]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks, timeout=5)

    asyncio.run(run())
    assert order == ["b", "c"]


def test_what_a_work_raises_is_raised_to_its_request_and_the_next_passes() -> None:
    turnstile = Turnstile(None, Metrics())

    async def run() -> list[Any]:
        works = (partial(int, "no number"), partial(int, "1"))
        turns = [turnstile.turn("a", work, sociable=sociable) for sociable in (True, False) for work in works]
        return await asyncio.gather(*turns, return_exceptions=True)

    found = asyncio.run(run())
    assert [type(one) for one in found] == [ValueError, int] * 2


@pytest.mark.parametrize("error", [GeneratorExit(), StopIteration(), asyncio.CancelledError(), MemoryError()])
@pytest.mark.parametrize("sociable", [True, False])
def test_whatever_a_work_ends_with_the_next_passes(error: BaseException, sociable: bool) -> None:
    turnstile = Turnstile(None, Metrics())

    def broken() -> None:
        raise error

    async def run() -> list[Any]:
        turns = [turnstile.turn("a", work, sociable=sociable) for work in (broken, lambda: 2)]
        return await asyncio.gather(*map(asyncio.ensure_future, turns), return_exceptions=True)

    found = asyncio.run(run())
    assert isinstance(found[0], BaseException) and found[1] == 2 and not turnstile._passing


def companies(arrivals: str) -> list[str]:
    """Who was answered together: capitals are not sociable."""
    turnstile, found = Turnstile(None, Metrics()), list[str]()

    def work(name: str) -> None:
        company = len(found) - 1
        errand(list, name)  # all have begun before any goes on
        found[company] += name

    async def run() -> None:
        company = turnstile._company
        turnstile._company = lambda: (found.append(""), company())[1]  # type: ignore[method-assign]
        turns = [turnstile.turn(name.lower(), partial(work, name), sociable=name.islower()) for name in arrivals]
        await asyncio.gather(*turns)

    asyncio.run(run())
    return found


def test_sociable_requests_whose_turns_follow_each_other_are_answered_together() -> None:
    assert companies("abCde") == ["ab", "C", "de"]
    assert companies("aaab") == ["ab", "a", "a"], "one of each client, when there is another"
    assert companies("ABa") == ["A", "B", "a"]
    assert companies("a" * (MOST_TOGETHER + 1)) == ["a" * MOST_TOGETHER, "a"]


def test_a_client_is_by_itself_once_no_other_has_asked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile, sizes = Turnstile(None, Metrics()), list[int]()
    monkeypatch.setattr("decision_service.api.turns.ALONE_SECONDS", 0.02)
    company = turnstile._company
    turnstile._company = lambda: (found := company(), sizes.append(len(found)))[0]  # type: ignore[method-assign]

    async def run() -> None:
        await turnstile.turn("b", bool, sociable=True)
        for wait in (0.0, 0.05):
            await asyncio.sleep(wait)
            await asyncio.gather(*(turnstile.turn("a", bool, sociable=True) for _ in range(3)))

    asyncio.run(run())
    assert sizes == [1, 1, 1, 1, 3]


def crowded(most: int, waiting: str) -> tuple[Turnstile, Metrics]:
    metrics = Metrics()
    turnstile = Turnstile(None, metrics, most=most)

    async def arrive() -> None:
        for client_id in waiting:
            asyncio.ensure_future(turnstile.turn(client_id, bool))
        await asyncio.sleep(0)

    async def held() -> None:
        turnstile._passing = True
        await arrive()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(held())
    return turnstile, metrics


def test_a_client_with_too_many_waiting_is_turned_away_and_no_other() -> None:
    turnstile, metrics = crowded(3, "aaab")
    refusal = turnstile.refusal("a", "POST", "/v1/decisions", {})
    assert refusal is not None and dict(refusal[0])["Retry-After"] == "1"
    assert turnstile.refusal("b", "POST", "/v1/decisions", {}) is None
    refusal = turnstile.refusal("a", "POST", "/v1/decisions", {"accept-language": "zh-CN"})
    assert refusal is not None and dict(refusal[0])["Content-Language"] == "zh"
    assert json.loads(refusal[1])["detail"] == "同时等待的请求超过3个；请按Retry-After等待"
    assert b'decision_turned_away_total{kind="decide",why="crowd"} 2.0' in generate_latest(metrics.registry)


def test_who_is_over_its_quota_is_refused_before_the_application_sees_it() -> None:
    limiter = Limiter({"decide": Quota("decide", 1, 3600)})
    metrics, seen = Metrics(), []
    turnstile = Turnstile(limiter, metrics)

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start("200 OK", [("Content-Length", "0")])
        return []

    turnstile.learn("Bearer k", "bank")
    limiter.admit("bank", "decide")
    with pytest.raises(HttpProblem):
        limiter.admit("bank", "decide")

    def status(path: str, key: str) -> int:
        protocol = Protocol()
        asyncio.run(rsgi(app, turnstile)(Scope(path=path, headers=Headers(("authorization", key))), protocol))
        return int(protocol.status)

    assert [status("/v1/decisions", "Bearer k"), status("/v1/simulations", "Bearer k")] == [429, 200]
    assert status("/v1/decisions", "Bearer other") == 200
    assert seen == ["/v1/simulations", "/v1/decisions"]
    assert b'decision_turned_away_total{kind="decide",why="quota"} 1.0' in generate_latest(metrics.registry)


def test_those_whose_bodies_came_late_are_turned_away_when_too_many_wait() -> None:
    turnstile = Turnstile(None, Metrics(), most=1, held_seconds=0)
    turnstile.learn("Bearer k", "bank")
    protocols = [Protocol(b"ab") for _ in range(3)]

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Length", "0")])
        return []

    async def run() -> None:
        handle = rsgi(app, turnstile)
        headers = Headers(("authorization", "Bearer k"), ("content-length", "2"))
        await asyncio.gather(*(handle(Scope(headers=headers), protocol) for protocol in protocols))

    asyncio.run(run())
    assert sorted(int(protocol.status) for protocol in protocols) == [200, 429, 429]


def test_strangers_share_one_place() -> None:
    turnstile = Turnstile(None, Metrics())
    assert turnstile.whose("") == turnstile.whose("Bearer unknown") == STRANGER
    turnstile.learn("Bearer k", "bank")
    assert turnstile.whose("Bearer k") == "bank"


def test_who_is_refused_waits_for_it_unless_too_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile, ended = Turnstile(None, Metrics(), held_seconds=3600), list[int]()
    monkeypatch.setattr("decision_service.api.turns.MOST_HELD", 2)

    async def one(number: int) -> None:
        await turnstile.hold()
        ended.append(number)

    async def run() -> None:
        tasks = [asyncio.create_task(one(number)) for number in range(3)]
        await asyncio.sleep(0.01)
        assert ended == [2]
        tasks[0].cancel()
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(one(3)))
        await asyncio.sleep(0.01)
        assert ended == [2], "whose place has become free waits in it"
        for task in tasks:
            task.cancel()

    asyncio.run(run())
