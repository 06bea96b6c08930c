"""The bridge from granian's interface to the application: bodies that are late, short, large or split."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, Response, request
from granian.rsgi import ProtocolClosed

from decision_service.api.documents import MAX_BODY_BYTES
from decision_service.api.metrics import Metrics
from decision_service.api.rsgi import rsgi
from decision_service.api.turns import Turnstile, refused


class Headers:
    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = list(pairs)

    def get(self, wanted: str, default: str) -> str:
        return dict(self._pairs).get(wanted, default)

    def items(self) -> list[tuple[str, str]]:
        return self._pairs


@dataclass
class Scope:
    method: str = "POST"
    path: str = "/echo"
    query_string: str = "a=%201"
    server: str = "[::1]:8080"
    client: str = "127.0.0.1:50000"
    scheme: str = "http"
    http_version: str = "1.1"
    headers: Headers = field(default_factory=Headers)


class Protocol:
    """Hands out the parts of a body, then ends or never comes to an end; keeps what is answered."""

    def __init__(self, *parts: bytes, ends: bool = True) -> None:
        self.parts, self.ends, self.taken = parts, ends, 0

    async def __call__(self) -> bytes:
        return b"".join([part async for part in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            self.taken += len(part)
            yield part
        if not self.ends:
            await asyncio.sleep(3600)

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, dict(headers), body


@pytest.fixture
def app() -> Flask:
    app = Flask("echo", static_folder=None)

    @app.route("/<path:path>", methods=["GET", "POST"])
    def echo(path: str) -> Response:
        found = request.get_data() if "X-Unread" not in request.headers else b""
        key = request.headers.get("Idempotency-Key")
        seen = {"path": path, "query": request.args, "key": key, "from": request.remote_addr}
        return Response(json.dumps({**seen, "length": len(found)}), status=201)

    return app


def answer(app: Flask, scope: Scope, protocol: Protocol) -> Any:
    asyncio.run(rsgi(app, Turnstile(None, Metrics()), body_seconds=0.05)(scope, protocol))
    return protocol.status, json.loads(protocol.body) if protocol.status == 201 else protocol.body.decode()


def test_a_request_arrives_whole_however_its_body_is_cut(app: Flask) -> None:
    scope = Scope(path="/企业", headers=Headers(("content-length", "5"), ("idempotency-key", "k")))
    seen = {"path": "企业", "query": {"a": " 1"}, "key": "k", "from": "127.0.0.1", "length": 5}
    assert answer(app, scope, Protocol(b"ab", b"c", b"de")) == (201, seen)


def test_a_body_without_an_announced_length_is_read_to_its_end(app: Flask) -> None:
    status, seen = answer(app, Scope(headers=Headers(("transfer-encoding", "chunked"))), Protocol(b"ab", b"c"))
    assert (status, seen["length"]) == (201, 3)


def test_a_header_that_is_repeated_is_joined_so_that_neither_value_passes_for_the_only_one(app: Flask) -> None:
    _, seen = answer(app, Scope(headers=Headers(("idempotency-key", "a"), ("idempotency-key", "b"))), Protocol())
    assert seen["key"] == "a, b"


def test_a_header_with_an_underscore_never_passes_for_the_one_with_a_hyphen(app: Flask) -> None:
    headers = Headers(("content_length", "abc"), ("idempotency_key", "k"), ("transfer_encoding", "chunked"))
    status, seen = answer(app, Scope(headers=headers), Protocol(ends=False))
    assert (status, seen["key"], seen["length"]) == (201, None, 0)


MISSING = {
    "late": (Protocol(b"ab", ends=False), 408, "0.05 seconds"),
    "short": (Protocol(b"ab"), 400, "announced length"),
}


@pytest.mark.parametrize(("protocol", "status", "says"), MISSING.values(), ids=MISSING.keys())
def test_a_body_that_is_not_whole_is_told_to_who_reads_it(
    app: Flask, protocol: Protocol, status: int, says: str
) -> None:
    code, text = answer(app, Scope(headers=Headers(("content-length", "5"))), protocol)
    assert code == status and says in text


class HungUp(Protocol):
    """A client that is gone: neither its body nor an answer gets through."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise ProtocolClosed
        yield b""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        super().response_bytes(status, headers, body)
        raise ProtocolClosed


def test_a_client_that_hangs_up_is_no_failure_of_the_service(app: Flask) -> None:
    code, text = answer(app, Scope(headers=Headers(("content-length", "5"))), HungUp())
    assert code == 400 and "hung up" in text


class Full(Turnstile):
    def refusal(self, *_: Any) -> Any:
        return refused(1.0, "the quota (decide) is used up", "r-1", "en")


def test_who_is_over_a_quota_is_told_so_after_the_body_was_taken(app: Flask) -> None:
    """Answered while it is still sent, the connection would break, and with it the answer."""
    scope, protocol = Scope(headers=Headers(("content-length", "5"))), Protocol(b"ab", b"cde")
    asyncio.run(rsgi(app, Full(None, Metrics()), body_seconds=0.05)(scope, protocol))
    assert (protocol.status, protocol.taken, protocol.headers["Retry-After"]) == (429, 5, "1")


@pytest.mark.parametrize("length", [5, 10 * MAX_BODY_BYTES])
def test_who_is_over_a_quota_keeps_nobody_waiting_with_a_body_that_does_not_come(app: Flask, length: int) -> None:
    protocol = Protocol(b"ab", ends=False)
    scope = Scope(headers=Headers(("content-length", str(length))))
    asyncio.run(rsgi(app, Full(None, Metrics()), body_seconds=0.05)(scope, protocol))
    assert protocol.status == 429 and protocol.taken <= 2


def test_who_may_not_read_a_body_is_answered_without_it(app: Flask) -> None:
    unread = Scope(headers=Headers(("content-length", "5"), ("x-unread", "1")))
    assert answer(app, unread, Protocol(ends=False))[0] == 201


LARGE = {"announced": (("content-length", str(10**9)), 0), "in chunks": (("transfer-encoding", "chunked"), 131_072)}


@pytest.mark.parametrize(("header", "most"), LARGE.values(), ids=LARGE.keys())
def test_no_more_of_a_body_is_taken_than_proves_it_too_large(app: Flask, header: tuple[str, str], most: int) -> None:
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    protocol = Protocol(*[b"a" * 65_536] * 100)
    answer(app, Scope(headers=Headers(header)), protocol)
    assert protocol.taken <= most
