"""Batches over the real platform: decided as if alone, a line's mistake at its line, clients in turns, once."""

from __future__ import annotations

import itertools
import json
import math
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from decision_service.api import batch_work
from decision_service.api.batch_work import BatchFollower
from decision_service.api.batches import BatchListSchema, BatchResultSchema, BatchSchema
from decision_service.errors import RulebookError, StoreError
from tests.api.test_real_platform import City, _now

URL = "/v1/decision-batches"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    found = City(tmp_path_factory.mktemp("batches"))
    yield found
    found.platform.store.close()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice ends by its lines alone: by time it ends sooner on a busy machine."""
    monkeypatch.setattr(batch_work, "SLICE_SECONDS", math.inf)


@pytest.fixture
def work(city: City) -> Callable[..., BatchFollower]:
    """Work off what there is."""

    def until_idle(**options: Any) -> BatchFollower:
        follower = BatchFollower(city.platform, _now, **options)
        follower.advance(math.inf)
        return follower

    return until_idle


def application(city: City, show: str = "approve", **changes: Any) -> dict[str, Any]:
    return {**city.shows[show]["application"], "application_id": str(uuid.uuid4()), **changes}


def send(city: City, body: bytes | list[Any], *, kind: str = "bank", key: str | None = None, **headers: str) -> Any:
    data = json.dumps({"applications": body}).encode() if isinstance(body, list) else body
    kept = "application/json" if isinstance(body, list) else "application/x-ndjson"
    sent = {**city.bearer(kind), "Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": kept, **headers}
    return city.http().post(URL, data=data, headers=sent)


def results(city: City, batch: dict[str, Any], query: str = "", kind: str = "bank") -> list[dict[str, Any]]:
    answer = city.get(batch["results"] + query, kind)
    assert (answer.status_code, answer.content_type) == (200, "application/x-ndjson")
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert [BatchResultSchema().validate(one) for one in found] == [{}] * len(found)
    return found


def test_good_lines_are_decided_and_bad_ones_are_told_where_they_stand(city: City, work: Any) -> None:
    lines = [
        json.dumps(application(city, application_id="GOOD-1", amount="20000.00")).encode(),
        b"no JSON",
        json.dumps(application(city, application_id="BAD-3", amount="1e6", surprise=1)).encode(),
        b" \r",
        json.dumps(application(city, application_id="BAD-4", product="lottery")).encode(),
        json.dumps(application(city, application_id="BAD-5", enterprise={"uscc": "91350100M000100Y43"})).encode(),
        b'["a list"]',
        b'"' + b"x" * batch_work.LONGEST_LINE + b'"',
        json.dumps(application(city, "red-whitelist", application_id="GOOD-8")).encode(),
    ]
    answer = send(city, b"\n".join(lines) + b"\n")
    batch = answer.get_json()
    assert answer.status_code == 202 and answer.headers["Location"] == f"{URL}/{batch['batch_id']}"
    assert (batch["state"], batch["lines"], results(city, batch)) == ("queued", 8, [])
    counted: list[str] = []
    work(counted=counted.append)
    found = results(city, batch)
    assert [(one["line"], one["application_id"], one["status"]) for one in found] == [
        (1, "GOOD-1", 201), (2, None, 400), (3, "BAD-3", 422), (4, "BAD-4", 422), (5, "BAD-5", 404),
        (6, None, 400), (7, None, 400), (8, "GOOD-8", 201),
    ]  # fmt: skip
    assert [error["field"] for error in found[2]["problem"]["errors"]] == ["amount", "surprise"]
    assert [error["field"] for error in found[3]["problem"]["errors"]] == ["product"]
    assert found[4]["problem"]["type"] == "/problems/enterprise-unknown"
    assert {one["problem"]["request_id"] for one in found if "problem" in one} == {answer.headers["X-Request-Id"]}
    state = city.get(f"{URL}/{batch['batch_id']}").get_json()
    assert BatchSchema().validate(state) == {}
    assert (state["state"], state["done"], state["refused"]) == ("finished", 8, 6)
    assert state["outcomes"] == {"APPROVE": 1, "REFER": 0, "DECLINE": 1} and state["finished_at"] is not None
    assert sorted(counted) == ["APPROVE", "DECLINE", *["refused"] * 6]


def test_problems_of_lines_are_in_the_language_of_who_reads_them(city: City, work: Any) -> None:
    lines = [b"no JSON", json.dumps(application(city, amount="1e6", surprise=1)).encode()]
    batch = send(city, b"\n".join(lines), **{"Accept-Language": "en"}).get_json()
    work()

    def read(lang: str) -> Any:
        headers = {**city.bearer("bank"), "Accept-Language": lang}
        answer = city.http().get(batch["results"], headers=headers)
        found = [json.loads(line) for line in answer.text.splitlines()]
        assert [BatchResultSchema().validate(one) for one in found] == [{}, {}]
        return answer.headers["Content-Language"], [one["problem"] for one in found]

    lang, english = read("fr")
    assert lang == "en" and english[0]["detail"] == "Expecting value at line 1, column 1; send one JSON document"
    lang, chinese = read("zh-CN,zh;q=0.9")
    assert lang == "zh" and chinese[0]["detail"] == "第1行第1列：缺少值；请发送一个JSON文档"
    assert [one["title"] for one in chinese] == ["请求体不是可接受的JSON", "部分字段不符合要求"]
    named = [[error["field"] for error in one[1]["errors"]] for one in (english, chinese)]
    assert named == [["amount", "surprise"]] * 2 and chinese[1]["errors"][0]["message"].startswith("须为文本金额")
    for name in ("type", "status", "request_id"):
        assert [one[name] for one in chinese] == [one[name] for one in english]


def test_a_batch_tells_when_its_work_began_and_when_it_ended(city: City, work: Any) -> None:
    moments = itertools.count()
    begin = _now()
    batch = send(city, [application(city, "yellow") for _ in range(3)]).get_json()
    BatchFollower(city.platform, lambda: begin + timedelta(milliseconds=next(moments))).advance(time.monotonic() + 60)
    state = city.get(f"{URL}/{batch['batch_id']}").get_json()
    times = [datetime.fromisoformat(state[name]) for name in ("started_at", "finished_at")]
    assert times == [begin, begin + timedelta(milliseconds=4)], "three lines and the end each looked at the clock"


def test_a_line_s_decision_is_one_as_any_other(city: City, work: Any) -> None:
    asked = application(city, "yellow")
    batch = send(city, [asked]).get_json()
    work()
    (result,) = results(city, batch)
    decision = result["decision"]
    assert city.get(f"/v1/decisions/{decision['decision_id']}").get_json() == decision
    assert city.get(f"/v1/decisions/{decision['decision_id']}/proof").status_code == 200
    alone = city.post("yellow", application_id=str(uuid.uuid4())).get_json()
    assert (decision["outcome"], decision["limit"]) == (alone["outcome"], alone["limit"])


def test_a_retry_has_the_same_bytes_however_far_the_batch_has_come(city: City, work: Any) -> None:
    asked = [application(city)]
    first = send(city, asked, key="same-batch")
    work()
    again = send(city, asked, key="same-batch")
    assert (again.status_code, again.data, again.headers["Idempotent-Replayed"]) == (202, first.data, "true")
    as_lines = send(city, json.dumps(asked[0]).encode(), key="same-batch")
    assert (as_lines.status_code, as_lines.data) == (202, first.data)
    other = send(city, [application(city)], key="same-batch")
    assert (other.status_code, other.get_json()["type"]) == (422, "/problems/idempotency-conflict")


def test_the_answer_of_a_decision_is_not_that_of_a_batch(city: City) -> None:
    city.post("yellow", key="of-a-decision")
    assert send(city, [application(city)], key="of-a-decision").status_code == 422


def test_whoever_goes_on_after_a_death_doubles_nothing(
    city: City, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = send(city, [application(city, "yellow") for _ in range(30)]).get_json()
    before = len(list(city.platform.store.each_decision()))
    dying, known = BatchFollower(city.platform, _now), type(city.platform.store.batches())
    with monkeypatch.context() as patched:
        patched.setattr(known, "note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))  # decided, never noted
        with pytest.raises(KeyboardInterrupt):
            dying.advance(math.inf)
    assert len(list(city.platform.store.each_decision())) == before + batch_work.SLICE
    assert results(city, batch) == []
    work()
    found = results(city, batch)
    assert [one["line"] for one in found] == list(range(1, 31)) and {one["status"] for one in found} == {201}
    assert len(list(city.platform.store.each_decision())) == before + 30
    assert len({one["decision"]["decision_id"] for one in found}) == 30


def test_results_can_be_read_from_where_one_has_come_to(city: City, work: Any) -> None:
    batch = send(city, b"x\n" * 450).get_json()
    work()
    assert [one["line"] for one in results(city, batch, "?after=440")] == list(range(441, 451))
    assert [one["line"] for one in results(city, batch, "?after=199&limit=3")] == [200, 201, 202]
    assert len(results(city, batch)) == 450 and results(city, batch, "?after=450") == []
    for query in ("?after=-1", "?after=x", "?limit=0", "?limit=10001", "?page=1"):
        assert city.get(batch["results"] + query).status_code == 422


def test_a_cancelled_batch_decides_no_further_line(city: City, work: Any) -> None:
    batch = send(city, [application(city, "yellow") for _ in range(3)]).get_json()
    path = f"{URL}/{batch['batch_id']}"
    assert city.http().post(f"{path}/cancellation", headers=city.bearer("fintech")).status_code == 404
    answer = city.http().post(f"{path}/cancellation", headers=city.bearer("bank"))
    assert (answer.status_code, answer.get_json()["state"]) == (200, "cancelling")
    work()
    state = city.get(path).get_json()
    assert (state["state"], state["done"], results(city, batch)) == ("cancelled", 0, [])
    assert city.http().post(f"{path}/cancellation", headers=city.bearer("bank")).get_json() == state


def test_clients_and_batches_have_their_turns(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_work, "SLICE", 2)
    large = send(city, b"x\n" * 20).get_json()
    small = send(city, b"x\n" * 2).get_json()
    other = send(city, b"x\n" * 2, kind="fintech").get_json()
    follower = BatchFollower(city.platform, _now)
    for served in ({large["batch_id"]: 2, other["batch_id"]: 2}, {small["batch_id"]: 2, large["batch_id"]: 0}):
        before = {one: _done(city, one) for one in served}
        for batch in follower._next_of_each_client():
            follower._slice(batch)
        assert {one: _done(city, one) - before[one] for one in served} == served
    follower.advance(math.inf)


def test_a_slice_ends_by_time_but_never_before_its_first_line(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_work, "SLICE_SECONDS", -1.0)  # as where reading the batch took longer than a slice may
    batch = send(city, b"x\n" * 3).get_json()
    follower, store = BatchFollower(city.platform, _now), city.platform.store.batches()
    for done in (1, 2, 3):
        assert follower._slice(next(one for one in store.unfinished() if one.batch_id == batch["batch_id"]))
        assert _done(city, batch["batch_id"]) == done


def _done(city: City, batch_id: str) -> int:
    found = city.platform.store.batches().find(batch_id)
    assert found is not None
    return found.done


def test_nobody_sees_another_s_batches(city: City, work: Any) -> None:
    batch = send(city, [application(city)]).get_json()
    path = f"{URL}/{batch['batch_id']}"
    for reading in (path, f"{path}/results"):
        assert city.get(reading, "fintech").status_code == 404
        assert city.get(reading, "auditor").status_code == city.get(reading).status_code == 200
    assert batch["batch_id"] not in city.get(URL + "?limit=100", "fintech").text
    page = city.get(URL + "?limit=1").get_json()
    assert BatchListSchema().validate(page) == {} and page["batches"][0]["batch_id"] == batch["batch_id"]
    older = city.get(f"{URL}?limit=1&after={page['next']}").get_json()
    assert older["batches"][0]["batch_id"] != batch["batch_id"]
    assert send(city, [1], kind="auditor").status_code == 403
    work()


def test_a_platform_that_cannot_answer_is_asked_again_and_a_line_that_breaks_it_is_left(
    city: City, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = send(city, [application(city) for _ in range(3)]).get_json()
    real, asked = batch_work.decide, []

    def failing(given: Any, **options: Any) -> Any:
        asked.append(given.application_id)
        if len(asked) == 1:
            raise StoreError("the disk is full")
        if given.application_id == ids[1]:
            raise RulebookError(())
        if given.application_id == ids[2]:
            raise ZeroDivisionError
        return real(given, **options)

    ids = [json.loads(one)["application_id"] for one in city.platform.store.batches().content(_stored(city, batch))]
    monkeypatch.setattr(batch_work, "decide", failing)
    follower = BatchFollower(city.platform, _now)
    for _ in range(10):
        follower.advance(math.inf)
    assert [one["status"] for one in results(city, batch)] == [201, 503, 500]
    assert asked.count(ids[0]) == 2 and asked.count(ids[1]) == batch_work.ATTEMPTS


def _stored(city: City, batch: dict[str, Any]) -> Any:
    return city.platform.store.batches().find(batch["batch_id"])


def test_while_requests_come_batches_take_a_small_share_of_the_time(city: City, work: Any) -> None:
    follower, waited = BatchFollower(city.platform, _now, is_busy=lambda: True), []
    follower._end.wait = waited.append  # type: ignore[method-assign, assignment]
    send(city, [application(city, "yellow") for _ in range(5)])
    began = time.perf_counter()
    follower.advance(math.inf)
    worked = time.perf_counter() - began
    assert len(waited) == 5 and sum(waited) > 0.5 * worked * (1 / batch_work.SHARE - 1)


BAD = {
    "another media type": (b"{}", {"Content-Type": "text/plain"}, 415),
    "compressed": (b"{}", {"Content-Encoding": "gzip"}, 415),
    "no lines": (b"", {}, 422),
    "too many lines": (b"1\n" * 10_001, {}, 422),
    "beyond eight megabytes": (b" " * (8 * 1024 * 1024 + 1), {}, 413),
    "a bad key": (b"{}", {"Idempotency-Key": "a b"}, 400),
    "no object": (b"[]", {"Content-Type": "application/json"}, 400),
}


@pytest.mark.parametrize(("body", "headers", "status"), BAD.values(), ids=BAD.keys())
def test_what_is_no_batch_is_refused(city: City, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = send(city, body, **headers)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text


def test_eight_megabytes_of_lines_are_taken(city: City, work: Any, tmp_path: Path) -> None:
    answer = send(city, (b"x" * 800 + b"\n") * 10_000)
    assert answer.status_code == 202
    city.http().post(f"{answer.headers['Location']}/cancellation", headers=city.bearer("bank"))
    work()
