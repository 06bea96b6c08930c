"""Around each request: its id, who calls, what it may do, the headers, the time it took."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Flask, Response, current_app, g, request

from decision_service.api.limits import Limiter, kind_of
from decision_service.api.metrics import METHODS, Metrics
from decision_service.api.problems import HttpProblem, bad_header
from decision_service.api.service import Runtime
from decision_service.api.turns import Turnstile
from decision_service.errors import DecisionServiceError
from decision_service.vocabulary import Client

ALL_KINDS = ("bank", "fintech", "risk", "auditor", "steward", "admin")
DECIDING_KINDS = ("bank", "fintech")
READING_ALL = frozenset({"risk", "auditor"})
KEY_SECONDS = 1.0
MAX_KEYS = 1_024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]{1,200})", re.IGNORECASE)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")
View = TypeVar("View", bound=Callable[..., Any])
Found = TypeVar("Found")
Told = Callable[..., None]


def install(app: Flask, metrics: Metrics, told: Told | None = None) -> None:
    """Hook request ids, headers and measurements into an application; ``told`` logs each answer."""

    @app.before_request
    def begin() -> None:
        given, state = request.headers.get("X-Request-Id", ""), real(g)
        state.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state.began = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        headers, asked, now = response.headers, real(request), time.perf_counter()
        headers["X-Request-Id"] = request_id()
        headers["X-Content-Type-Options"] = "nosniff"
        if "Cache-Control" not in headers:
            headers["Cache-Control"] = "no-store"
        for name, value in g.get("limits", {}).items():
            headers[name] = value
        route = asked.url_rule.rule if asked.url_rule else "none"
        metrics.answered(
            method=asked.method, route=route, status=response.status_code, seconds=now - g.get("began", now)
        )
        if told is not None:
            told(
                request_id=headers["X-Request-Id"],
                client_id=client.client_id if (client := g.get("client")) else None,
                method=asked.method if asked.method in METHODS else "other",
                route=route,
                status=response.status_code,
                ms=round((now - g.get("began", now)) * 1000, 2),
                **_concerned(response),
            )
        return response


def _concerned(response: Response) -> dict[str, str]:
    """The ids of what was answered about: only those that were found, because an address may hold anything."""
    if response.status_code >= 400:
        return {}
    found = {**(request.view_args or {}), **g.get("concerned", {})}
    return {name: str(value) for name, value in found.items() if name.endswith("_id")}


def real(proxy: Found) -> Found:
    """What stands behind one of Flask's proxies, which look it up again at each attribute."""
    return cast(Found, cast(Any, proxy)._get_current_object())


def request_id() -> str:
    """The id of the request that is being answered."""
    return str(g.get("request_id") or uuid.uuid4().hex)


def runtime() -> Runtime:
    """The application's platform and clock."""
    return cast(Runtime, current_app.extensions["decision_service"])


def allow(*kinds: str) -> Callable[[View], View]:
    """Only authenticated clients of these kinds may call a view; 401 or 403 before anything else is read."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            client = authenticate()
            limited(client)
            if client.kind not in kinds:
                raise HttpProblem("forbidden", f"a {client.kind} client may not do that", remedy=f"needs {_or(kinds)}")
            g.client = client
            return view(*args, **kwargs)

        return cast(View, guarded)

    return decorate


def _or(kinds: tuple[str, ...]) -> str:
    return " or ".join(kinds)


def caller() -> Client:
    """The authenticated client."""
    return cast(Client, g.client)


def owner() -> str | None:
    """Whose decisions the caller may see; ``None`` for all."""
    client = caller()
    return None if client.kind in READING_ALL else client.client_id


def openness() -> int:
    """The highest openness level whose facts the caller may see."""
    return 2 if caller().kind == "fintech" else 3


def authenticate() -> Client:
    """The client behind the bearer key; raises a 401 problem."""
    header = request.headers.get("Authorization", "")
    match = _BEARER.fullmatch(header)
    if match is None:
        raise _unauthorized("send the header Authorization: Bearer <key>", "")
    client = cast(KeyCache, current_app.extensions["decision_service_keys"]).client(match.group(1))
    if client is None:
        raise _unauthorized("the key is not known or was revoked", ', error="invalid_token"')
    cast(Turnstile, current_app.extensions["decision_service_turnstile"]).learn(header, client.client_id)
    return client


def limited(client: Client) -> None:
    """Count the request against its client's quota; raises a 429 problem."""
    limiter = cast(Limiter | None, current_app.extensions["decision_service_limiter"])
    if limiter is not None:
        real(g).limits = limiter.admit(client.client_id, kind_of(request.method, request.path))


def is_known(app: Flask, environ: dict[str, Any]) -> bool:
    """Whether a request comes from a client, which is asked before a large body is read."""
    with app.request_context({**environ, "wsgi.input": io.BytesIO()}):
        try:
            authenticate()
        except DecisionServiceError:
            return False  # the view tells why
    return True


def _unauthorized(what: str, error: str) -> HttpProblem:
    headers = {"WWW-Authenticate": f'Bearer realm="decision-service"{error}'}
    return HttpProblem("unauthorized", what, remedy="ask the platform for a key", headers=headers)


class KeyCache:
    """Remembers clients of good keys for ``KEY_SECONDS``, so that a revoked key dies within that time."""

    def __init__(self, look_up: Callable[[str], Client | None]) -> None:
        self._look_up = look_up
        self._known: dict[bytes, tuple[float, Client]] = {}
        self._lock = threading.Lock()

    def client(self, key: str) -> Client | None:
        """The client of a key, or ``None``."""
        digest = hashlib.sha256(key.encode()).digest()
        found = self._known.get(digest)
        now = time.monotonic()
        if found is not None and now - found[0] < KEY_SECONDS:
            return found[1]
        client = self._look_up(key)
        with self._lock:
            self._known.pop(digest, None)
            if client is not None:
                if len(self._known) >= MAX_KEYS:
                    self._known.clear()
                self._known[digest] = (now, client)
        return client


def idempotency_key() -> str:
    """The header, which is required; raises a 400 problem."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        raise bad_header("Idempotency-Key is missing", "send a key of your own, unique per application")
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise bad_header("Idempotency-Key must be 1 to 128 printable ASCII characters without blanks", "send a UUID")
    return key
