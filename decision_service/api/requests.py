"""Around each request: its id, the headers, the time it took."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, Response, current_app, g, request

from decision_service.api.metrics import METHODS, Metrics
from decision_service.api.problems import bad_header
from decision_service.api.service import Runtime

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")
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


def idempotency_key() -> str:
    """The header, which is required; raises a 400 problem."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        raise bad_header("Idempotency-Key is missing", "send a key of your own, unique per application")
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise bad_header("Idempotency-Key must be 1 to 128 printable ASCII characters without blanks", "send a UUID")
    return key
