"""Logs: JSON lines of what happened, and nothing of anybody's: no keys, bodies, codes or names."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from decision_service import logs
from tests.test_serving import Server, serving

SECRET = "Zhang-San-13800138000"


@pytest.fixture
def out() -> Iterator[io.TextIOWrapper]:
    """Where it is logged to, while nobody else's logging changes for good."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(out: io.TextIOWrapper) -> str:
    out.flush()
    return out.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]


def lines(out: io.TextIOWrapper) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(out).splitlines()]


def break_with(text: str) -> None:
    name = text
    try:
        raise ValueError(f"cannot read {name}")
    except ValueError as error:
        raise KeyError(name) from error


def test_an_exception_is_told_by_its_kinds_and_places_alone(out: io.TextIOWrapper) -> None:
    logs.configure("json", out)
    try:
        break_with(SECRET)
    except KeyError as error:
        logging.getLogger("x").error("a request failed", exc_info=error, extra={"request_id": "r-12345678"})
    (told,) = lines(out)
    assert (told["event"], told["level"], told["logger"]) == ("a request failed", "error", "x")
    assert (told["exception"]["type"], told["exception"]["cause"]) == ("KeyError", "ValueError")
    assert any("test_logs.py" in place and "break_with" in place for place in told["exception"]["where"])
    assert told["request_id"] == "r-12345678" and SECRET not in written(out)


SENTENCES = {
    "a value of a constraint": 'duplicate key: Key (name)=(Zhang) "Zhang San" exists',
    "a code": "enterprise 91350100M000100Y43 is not on record",
    "a number": "no row 13800138000",
    "a quoted text": "invalid input 'Zhang San'",
}


@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES.keys())
@pytest.mark.parametrize("form", logs.FORMATS)
def test_sentences_of_libraries_are_told_without_values(out: io.TextIOWrapper, sentence: str, form: str) -> None:
    logs.configure(form, out)
    logging.getLogger("driver").error("the store failed: %s", sentence)
    found = written(out)
    assert "the store failed" in found and logs.HIDDEN in found
    assert not any(value in found for value in ("Zhang San", "91350100M000100Y43", "13800138000"))


def test_lines_for_people_are_no_json(out: io.TextIOWrapper) -> None:
    logs.configure("text", out)
    logs.request_line(method="GET", route="/livez", status=200)
    assert "request" in written(out) and "route=/livez" in written(out)
    with pytest.raises(json.JSONDecodeError):
        lines(out)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = serving(tmp_path_factory.mktemp("logs"))
    yield found
    found.stop()


def test_a_run_leaves_one_line_a_request_and_nothing_of_anybody(server: Server) -> None:
    asked = {**server.application, "application_id": f"APP-{SECRET}", "authorization_id": f"AUTH-{SECRET}"}
    sent = {"Idempotency-Key": f"key-{SECRET}"}
    kept = {"X-Request-Id": "mine-1"}
    status, body, _ = server.request("POST", "/v1/decisions", json.dumps(asked), **sent, **kept)
    assert status == 201
    decision_id = json.loads(body)["decision_id"]
    server.get(f"/v1/decisions/{decision_id}/explanation")
    server.get(f"/v1/decisions/{SECRET}?lang={SECRET}")
    server.get(f"/{SECRET}")
    server.request(SECRET.upper(), "/livez", None)
    server.request("POST", "/v1/decisions", json.dumps({**asked, "amount": SECRET, SECRET: 1}), **sent)
    server.request("POST", "/v1/decisions", f"no JSON {SECRET}", **sent)
    server.request("GET", "/v1/models", None, Authorization=f"Bearer {SECRET}")
    batch = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/x-ndjson"}
    server.request("POST", "/v1/decision-batches", f"{json.dumps(asked)}\n{SECRET}\n", **batch)
    found = server.log.read_text(encoding="utf-8")
    told = [json.loads(line) for line in found.splitlines() if line.startswith("{")]
    requests = [one for one in told if one["event"] == "request" and one["route"] not in ("/readyz", "/livez")]
    assert [one["status"] for one in requests] == [201, 200, 404, 404, 405, 422, 400, 401, 202]
    assert requests[0]["decision_id"] == decision_id == requests[1]["decision_id"]
    assert requests[0]["request_id"] == "mine-1" and requests[0]["ms"] > 0 and requests[0]["client_id"]
    assert requests[-1]["batch_id"] and "decision_id" not in requests[2]
    for value in (SECRET, SECRET.upper(), "13800138000", server.key, asked["enterprise"]["uscc"], "working_capital"):
        assert value not in found
