"""Both clients over a real socket, and a connection that is cut in the middle of an answer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from werkzeug.serving import make_server

from decision_service_client import AsyncClient, BearerKey, Client, NotFound, Retry, Unanswered, calls, verify
from tests.client.served import QUICK, Served


@pytest.fixture(scope="module")
def url(served: Served) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, served.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_a_decision_over_a_socket_verifies(served: Served, url: str) -> None:
    with Client(url, BearerKey(served.key), retry=QUICK) as client:
        application = served.application(application_id="over-a-socket", amount=Decimal("100.00"))
        decision = client.decide(application, key="over-a-socket")
        verify(decision, client.proof(decision.decision_id), served.public_key, application=application)


def test_the_asynchronous_client_sends_the_same_calls(served: Served, url: str) -> None:
    async def run() -> tuple[Any, ...]:
        async with AsyncClient(url, BearerKey(served.key), retry=QUICK) as client:
            applications = [served.application(application_id=f"async-{n}", amount=100) for n in range(3)]
            made = await asyncio.gather(*[client.send(calls.decide(one)) for one in applications])
            listed = [one async for one in client.each(calls.decisions())]
            with pytest.raises(NotFound):
                await client.send(calls.decision("nobody-s"))
            return made, listed

    made, listed = asyncio.run(run())
    assert {one.decision_id for one in made} <= {one.decision_id for one in listed}


@contextmanager
def cutting_server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers some bytes and closes the connection."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(65_536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


CUT = {
    "in the body": b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"decision_id":"d',
    "in a chunk": b'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"decision_id"',
    "in the headers": b"HTTP/1.1 201 Cre",
    "before anything": b"",
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT.keys())
def test_an_answer_cut_on_the_wire_is_asked_for_again_and_never_believed(served: Served, answer: bytes) -> None:
    with cutting_server(answer) as (url, heard):
        with Client(url, BearerKey("key"), retry=Retry(deadline=0.3, first_pause=0.02, longest_pause=0.05)) as client:
            with pytest.raises(Unanswered) as lost:
                client.decide(served.application(), key="cut")
    assert lost.value.key == "cut" and len(heard) > 1
