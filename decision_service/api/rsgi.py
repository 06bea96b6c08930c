"""What granian calls: bodies are awaited beside each other, whole requests are then answered in turn."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from granian.rsgi import ProtocolClosed
from werkzeug.exceptions import BadRequest, HTTPException, RequestTimeout

from decision_service.api.documents import LARGE_BODIES, MAX_BODY_BYTES
from decision_service.api.turns import Refusal, Turnstile

TOGETHER = frozenset({("POST", "/v1/decisions")})
"""Calls of which those that wait are answered together."""
BODY_SECONDS = 10.0
"""What a client has for sending its body; waiting for it holds up nobody else."""

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Handle = Callable[[Any, Any], Awaitable[None]]


def rsgi(
    app: Wsgi, turnstile: Turnstile, *, is_known: Callable[[Environ], bool] = bool, body_seconds: float = BODY_SECONDS
) -> Handle:
    """A WSGI application as granian's own interface. ``is_known`` tells whose large body is read at all.

    Threads that each answer a request wake each other up at every wait for disk and models; one that answers them in
    turn is a fifth faster, and the event loop takes bodies meanwhile.
    """

    async def handle(scope: Any, protocol: Any) -> None:
        whose = turnstile.whose(scope.headers.get("authorization", ""))
        environ = environ_of(scope)

        async def refused(refusal: Refusal) -> None:
            await turnstile.hold()
            with suppress(ProtocolClosed):
                protocol.response_bytes(429, *refusal)

        if refusal := turnstile.refusal(whose, scope.method, scope.path, scope.headers):
            await _body(environ, protocol, body_seconds, MAX_BODY_BYTES)  # left unread, it would break the connection
            return await refused(refusal)
        most = LARGE_BODIES.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if most is not None and not is_known(environ):
            most = 0  # a stranger's is not read
        environ["wsgi.input"] = await _body(environ, protocol, body_seconds, MAX_BODY_BYTES if most is None else most)
        if refusal := turnstile.refusal(whose, scope.method, scope.path, scope.headers):
            return await refused(refusal)  # meanwhile too many others arrived
        answered: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
            answered[:] = [int(status[:3]), headers]

        if most is None:
            together = (environ["REQUEST_METHOD"], environ["PATH_INFO"]) in TOGETHER
            content = await turnstile.turn(whose, partial(app, environ, start), sociable=together)
        else:
            content = await asyncio.to_thread(app, environ, start)
        try:
            if answered[0] == 200 and not any(name == "Content-Length" for name, _ in answered[1]):
                await _stream(protocol, answered, iter(content))
                return
            whole = b"".join(content)
        finally:
            getattr(content, "close", bool)()
        with suppress(ProtocolClosed):  # who hung up gets the answer by its key
            protocol.response_bytes(*answered, whole)

    return handle


async def _stream(protocol: Any, answered: list[Any], parts: Iterator[bytes]) -> None:
    """An answer of unknown length, part by part; each is made beside the requests and sent as fast as it is read."""
    with suppress(ProtocolClosed):
        transport = protocol.response_stream(*answered)
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            await transport.send_bytes(part)


def environ_of(scope: Any) -> Environ:
    """The WSGI environment of a request (PEP 3333), without its body; repeated headers are joined by commas."""
    host, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue  # here it would pass for the header with a hyphen
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]}, {value}" if key in environ else value
    if "HTTP_TRANSFER_ENCODING" in environ:
        environ["wsgi.input_terminated"] = True
    return environ


async def _body(environ: Environ, protocol: Any, seconds: float, most: int) -> io.IOBase:
    """The body, up to the byte that proves it too large; one that is announced as too large is not waited for."""
    announced = environ.get("CONTENT_LENGTH", "")
    if not announced and "HTTP_TRANSFER_ENCODING" not in environ:
        return io.BytesIO()
    if announced.isdecimal() and int(announced) > most:
        return io.BytesIO()
    try:
        async with asyncio.timeout(seconds):
            taken = await protocol() if announced else await _unannounced(protocol, most)
    except TimeoutError:
        return _Missing(RequestTimeout(f"the body did not arrive within {seconds:g} seconds"))
    except ProtocolClosed:
        return _Missing(BadRequest("the client hung up before the body's end"))
    if announced and int(announced) != len(taken):
        return _Missing(BadRequest("the body ended before its announced length"))
    return io.BytesIO(taken)


async def _unannounced(protocol: Any, most: int) -> bytes:
    taken = b""
    async for part in protocol:
        taken += part
        if len(taken) > most:
            break
    return taken


class _Missing(io.RawIOBase):
    """A body that did not arrive: only who is allowed to read it is told so."""

    def __init__(self, reason: HTTPException) -> None:
        super().__init__()
        self._reason = reason

    def readable(self) -> bool:
        """It is, to say what happened."""
        return True

    def readinto(self, _: Any) -> int:
        """Raises the reason."""
        raise self._reason
