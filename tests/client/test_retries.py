"""Whatever the wire does, a call acts at most once and is sent in the same bytes each time."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision_service_client import ClientError, Forbidden, Retry, Unanswered, Unavailable, calls
from decision_service_client.errors import StillRunning, TooManyRequests
from decision_service_client.exchange import Answer, Pause, Send, steps
from tests.client.served import Fault, Served

Passed = Callable[[], httpx.Response]


def unreachable(request: httpx.Request, passed: Passed) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def unheard(request: httpx.Request, passed: Passed) -> httpx.Response:
    raise httpx.WriteTimeout("nothing was taken", request=request)


def answer_lost(request: httpx.Request, passed: Passed) -> httpx.Response:
    passed()
    raise httpx.ReadTimeout("the answer was lost", request=request)


def torn(request: httpx.Request, passed: Passed) -> httpx.Response:
    passed()
    raise httpx.RemoteProtocolError("peer closed connection without sending complete message body", request=request)


def cut(request: httpx.Request, passed: Passed) -> httpx.Response:
    found = passed()
    return httpx.Response(found.status_code, content=found.content[: len(found.content) // 2])


def gateway(request: httpx.Request, passed: Passed) -> httpx.Response:
    passed()
    return httpx.Response(504, text="<html>too late</html>")


def refused(name: str, status: int) -> Fault:
    body = {"type": f"/problems/{name}", "title": name, "status": status, "detail": "later", "request_id": "r"}
    return lambda request, passed: httpx.Response(status, json=body, headers={"Retry-After": "0"})


FAULTS: dict[str, Fault] = {
    "nobody listens": unreachable,
    "the request is not taken": unheard,
    "the answer is lost after the decision": answer_lost,
    "the connection is torn while the answer comes": torn,
    "the answer is cut": cut,
    "a gateway gives up after the decision": gateway,
    "the platform cannot answer": refused("unavailable", 503),
    "the quota is used up": refused("too-many-requests", 429),
    "the same request still runs": refused("still-running", 409),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_after_two_faults_there_is_one_decision(served: Served, fault: Fault) -> None:
    client, wire = served.client(fault, fault)
    before = served.decided()
    found = client.decide(served.application(application_id=str(uuid.uuid4()), amount=Decimal("100.00")))
    assert served.decided() == before + 1
    assert len(wire.sent) == 3 and len(wire.bodies()) == 1
    assert client.decision(found.decision_id).answer == found.answer


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(st.sampled_from(list(FAULTS.values())), max_size=8), tries=st.integers(1, 4))
def test_whatever_happens_there_is_at_most_one_decision_to_a_key(
    served: Served, faults: list[Fault], tries: int
) -> None:
    key, before = str(uuid.uuid4()), served.decided()
    client, wire = served.client(*faults, retry=Retry(deadline=0.02, first_pause=0.0, longest_pause=0.0))
    application, found = served.application(application_id=key, amount=Decimal("100.00")), []
    for _ in range(tries):
        try:
            found.append(client.decide(application, key=key))
        except ClientError as error:
            assert error.key == key  # type: ignore[attr-defined]
    assert served.decided() <= before + 1
    assert len(wire.bodies()) == 1
    assert len({one.answer for one in found}) <= 1
    sound, _ = served.client()
    assert {sound.decide(application, key=key).answer} >= {one.answer for one in found}
    assert served.decided() == before + 1


def test_a_caller_goes_on_with_the_key_of_the_exception(served: Served) -> None:
    client, _ = served.client(*[answer_lost] * 50, retry=Retry(deadline=0.05, first_pause=0.02))
    application = served.application(application_id=str(uuid.uuid4()), amount=Decimal("100.00"))
    before = served.decided()
    with pytest.raises(Unanswered) as lost:
        client.decide(application)
    after_a_crash, _ = served.client()
    assert after_a_crash.decide(application, key=lost.value.key).replayed
    assert served.decided() == before + 1


def test_a_batch_read_through_a_broken_wire_misses_no_line(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def a_line_less(request: httpx.Request, passed: Passed) -> httpx.Response:
        return httpx.Response(200, content=b"".join(passed().content.splitlines(keepends=True)[1:]))

    client, wire = served.client()
    batch = client.submit([served.small(f"R-{number}") for number in range(3)])
    served.work_off(batch.batch_id)
    wire.faults = iter([cut, a_line_less, torn])
    assert [one.line for one in client.results(batch.batch_id)] == [1, 2, 3]


NOT_REPEATED = {
    "400": (400, "invalid-json"),
    "401": (401, "unauthorized"),
    "403": (403, "forbidden"),
    "404": (404, "not-found"),
    "409 of the state": (409, "not-now"),
    "412": (412, "precondition-failed"),
    "413": (413, "body-too-large"),
    "422": (422, "invalid-fields"),
    "500": (500, "internal-error"),
    "a redirection": (307, "moved"),
}


@pytest.mark.parametrize(("status", "name"), NOT_REPEATED.values(), ids=NOT_REPEATED.keys())
def test_what_a_repetition_does_not_mend_is_told_at_once(served: Served, status: int, name: str) -> None:
    client, wire = served.client(refused(name, status))
    with pytest.raises(ClientError) as told:
        client.decide(served.application(), key="once")
    assert len(wire.sent) == 1 and told.value.key == "once"  # type: ignore[attr-defined]


def test_a_change_is_not_repeated_once_it_may_have_been_done(served: Served) -> None:
    client, wire = served.client()
    webhook = client.add_webhook("https://1.1.1.1/events", ["decision.made"])
    wire.faults, before = iter([unreachable, answer_lost]), len(wire.sent)
    with pytest.raises(Unanswered):
        client.change_webhook(webhook, description="new")
    assert len(wire.sent) == before + 2 and client.webhook(webhook.webhook_id).description == "new"


@dataclass
class Course:
    """Runs the steps of a call against a list of answers, on a clock of its own."""

    answers: list[Any]
    retry: Retry = Retry(deadline=30, attempt=10, first_pause=1, longest_pause=4)
    seconds: float = 0.0
    done: list[Send | Pause] = field(default_factory=list)

    def run(self) -> Any:
        course = steps(calls.decision("d"), self.retry, clock=lambda: self.seconds, chance=lambda: 1.0)
        given = None
        while True:
            step = course.send(given)
            self.done.append(step)
            if isinstance(step, Pause):
                self.seconds += step.seconds
                given = None
            else:
                given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def pauses(self) -> list[float]:
        return [step.seconds for step in self.done if isinstance(step, Pause)]


def answered(status: int, name: str = "", **headers: str) -> Answer:
    return Answer(status, headers, b'{"type":"/problems/%b","title":"t","status":1}' % name.encode())


def test_pauses_double_up_to_the_longest_and_end_before_the_deadline() -> None:
    course = Course([answered(503, "unavailable")])
    with pytest.raises(Unavailable):
        course.run()
    assert course.pauses == [1, 2, 4, 4, 4, 4, 4, 4] and course.seconds <= 30


def test_a_pause_is_never_shorter_than_asked_for() -> None:
    course = Course([answered(429, "too-many-requests", **{"retry-after": "7"})])
    with pytest.raises(TooManyRequests):
        course.run()
    assert course.pauses == [8, 9, 11]


def test_what_is_asked_to_wait_beyond_the_deadline_is_told_at_once() -> None:
    course = Course([answered(409, "still-running", **{"retry-after": "31"})])
    with pytest.raises(StillRunning):
        course.run()
    assert course.pauses == []


def test_the_last_try_has_only_what_is_left_of_the_deadline() -> None:
    course = Course([httpx.ReadTimeout("slow")], Retry(deadline=12, attempt=10, first_pause=8, longest_pause=8))
    with pytest.raises(Unanswered):
        course.run()
    assert [step.timeout for step in course.done if isinstance(step, Send)] == [10, 4]


def test_a_faulty_request_is_no_fault_of_the_wire() -> None:
    course = Course([httpx.LocalProtocolError("illegal header")])
    with pytest.raises(Unanswered):
        course.run()
    assert course.pauses == []


def test_an_answer_that_is_no_problem_document_keeps_its_status() -> None:
    course = Course([Answer(403, {}, b"<html>")])
    with pytest.raises(Forbidden) as told:
        course.run()
    assert told.value.problem.detail == "<html>"
