"""Who calls, and whether it may: keys and access tokens become callers, each call of the API asks for one scope."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request

from decision_service.api.limits import Limiter, kind_of
from decision_service.api.problems import HttpProblem
from decision_service.api.requests import real, runtime
from decision_service.api.service import Runtime
from decision_service.api.trust import Trust
from decision_service.api.turns import Turnstile
from decision_service.errors import DecisionServiceError
from decision_service.identity.jose import LONGEST
from decision_service.permissions import KINDS, SCOPES, Caller, kinds_with
from decision_service.vocabulary import Client

KEY_SECONDS = 1.0
MAX_KEYS = 1_024
TOKEN = "ask for a token at /v1/oauth/token"
CHALLENGE = 'Bearer realm="decision-service"'
INVALID = ', error="invalid_token"'
TOKEN_DOTS = 2
"""By which a token is told from a key, which has none."""
_BEARER = re.compile(rf"Bearer +([A-Za-z0-9._~+/=-]{{1,{LONGEST}}})", re.IGNORECASE)
View = TypeVar("View", bound=Callable[..., Any])


def allow(scope: str) -> Callable[[View], View]:
    """Only authenticated clients that may do this may call a view; 401 or 403 before anything else is read.

    The scope, a name in ``permissions.SCOPES``, is documented with the view.
    """
    if scope not in SCOPES:
        raise ValueError(f"{scope} is no scope; use one of permissions.SCOPES, or declare it there")

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            known = authenticate()
            limited(known.client)
            if scope not in known.scopes:
                raise _forbidden(scope, known)
            real(g).client = known.client
            return view(*args, **kwargs)

        guarded._apidoc = _documented(view, scope)  # type: ignore[attr-defined]
        return cast(View, guarded)

    return decorate


def _documented(view: Any, scope: str) -> dict[str, Any]:
    apidoc = getattr(view, "_apidoc", {})
    needs = [{"bearer": []}, {"oauth2": [scope]}]
    return {**apidoc, "manual_doc": {**apidoc.get("manual_doc", {}), "security": needs}}


def _forbidden(scope: str, known: Caller) -> HttpProblem:
    kind, kinds = known.client.kind, kinds_with(scope)
    if kind in kinds:
        what, remedy = f"the token lacks the scope {scope}", "ask for a token with that scope"
    else:
        what, remedy = f"a {kind} client may not do that", f"needs {' or '.join(kinds)}"
    headers = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'}
    return HttpProblem("forbidden", what, remedy=remedy, headers=headers)


def caller() -> Client:
    """The authenticated client."""
    return cast(Client, g.client)


def owner() -> str | None:
    """Whose decisions the caller may see; ``None`` for all."""
    client = caller()
    return None if KINDS[client.kind].sees_all else client.client_id


def openness() -> int:
    """The highest openness level whose facts the caller may see."""
    return KINDS[caller().kind].openness


def authenticate() -> Caller:
    """Who stands behind the bearer key or token; raises a 401 problem."""
    header = request.headers.get("Authorization", "")
    match = _BEARER.fullmatch(header)
    if match is None:
        raise unauthorized("send the header Authorization: Bearer <key>", "")
    known = cast(CallerCache, current_app.extensions["decision_service_callers"]).caller(match.group(1))
    if known is None:
        raise _not_known(match.group(1))
    if known.expires_at is not None:
        _check_token(known)
    cast(Turnstile, current_app.extensions["decision_service_turnstile"]).learn(header, known.client.client_id)
    return known


def _not_known(credential: str) -> HttpProblem:
    if credential.count(".") == TOKEN_DOTS:
        return unauthorized("the token is not valid here and now, or was revoked", INVALID, TOKEN)
    if not _trust().keys:
        return unauthorized("keys are not accepted here", INVALID, TOKEN)
    return unauthorized("the key is not known or was revoked", INVALID)


def _check_token(known: Caller) -> None:
    """What may have changed since the token was looked at: the time, and what it came with."""
    if known.expires_at is None or runtime().clock() >= known.expires_at:
        raise unauthorized("the token has expired", INVALID, TOKEN)
    if known.certificate not in (None, _trust().certificate(request.headers, request.remote_addr)):
        raise unauthorized("the token is bound to another certificate than this request came with", INVALID, TOKEN)


def _trust() -> Trust:
    return cast(Trust, current_app.extensions["decision_service_trust"])


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


def unauthorized(what: str, error: str, remedy: str = "ask the platform for a key") -> HttpProblem:
    """A 401 problem; ``error`` is what its challenge says more."""
    return HttpProblem("unauthorized", what, remedy=remedy, headers={"WWW-Authenticate": f"{CHALLENGE}{error}"})


class CallerCache:
    """Remembers good credentials for ``KEY_SECONDS``, so that what is revoked dies within that time."""

    def __init__(self, look_up: Callable[[str], Caller | None]) -> None:
        self._look_up = look_up
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._lock = threading.Lock()

    def caller(self, credential: str) -> Caller | None:
        """Who stands behind a key or token, or ``None``."""
        digest = hashlib.sha256(credential.encode()).digest()
        found = self._known.get(digest)
        now = time.monotonic()
        if found is not None and now - found[0] < KEY_SECONDS:
            return found[1]
        known = self._look_up(credential)
        with self._lock:
            self._known.pop(digest, None)
            if known is not None:
                if len(self._known) >= MAX_KEYS:
                    self._known.clear()
                self._known[digest] = (now, known)
        return known


def look_up(platform: Runtime, trust: Trust) -> Callable[[str], Caller | None]:
    """Finds who stands behind a key, which is good for all that its kind may do, or behind a token."""

    def find(credential: str) -> Caller | None:
        if credential.count(".") == TOKEN_DOTS:
            return platform.service.identity().caller(credential, platform.clock())
        client = platform.service.client(credential) if trust.keys else None
        return None if client is None else Caller(client, KINDS[client.kind].scopes)

    return find
