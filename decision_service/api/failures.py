"""The one place that maps errors to HTTP: the error tree, Flask's own errors, and what nobody foresaw."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from decision_service.api import life_schemas, objection_schemas, problems
from decision_service.api.problems import TYPES, HttpProblem, ProblemType
from decision_service.api.requests import request_id
from decision_service.errors import (
    DecisionServiceError,
    FactError,
    IdempotencyConflict,
    Inadmissible,
    InputError,
    NotFound,
    NotNow,
    StillRunning,
)

log = logging.getLogger(__name__)
PLACES = {**life_schemas.PLACES, **objection_schemas.PLACES}
RETRY: Mapping[str, str] = {"Retry-After": problems.RETRY_AFTER_SECONDS}


def install(app: Flask) -> None:
    """Register the handlers; they answer problem details whatever happens."""
    app.register_error_handler(DecisionServiceError, _platform_error)
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(Exception, _unforeseen)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a caller is told of an error: the kind of problem, a sentence, fields to blame, headers, acts admitted."""

    type: ProblemType
    detail: str
    errors: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    admits: Sequence[str] = ()


def failure(error: DecisionServiceError) -> Failure:
    """The problem that an error of this project is to a caller."""
    if isinstance(error, HttpProblem):
        return Failure(error.type, error.text(), error.errors, error.headers)
    if isinstance(error, NotFound):
        name = "enterprise-unknown" if error.where == "enterprise.uscc" else "not-found"
        return Failure(TYPES[name], error.text())
    if isinstance(error, IdempotencyConflict):
        return Failure(TYPES["idempotency-conflict"], error.text(), [("Idempotency-Key", error.what)])
    if isinstance(error, StillRunning):
        return Failure(TYPES["still-running"], error.text(), headers=RETRY)
    if isinstance(error, NotNow):
        return Failure(TYPES["not-now"], error.text(), admits=error.admits)
    if isinstance(error, Inadmissible):
        return Failure(TYPES["invalid-fields"], error.remedy, error.fields)
    if isinstance(error, (InputError, FactError)):
        return Failure(TYPES["invalid-fields"], error.text(), [(error.where or "body", error.what)])
    # Store, rulebook, evidence, calendar: the platform cannot answer, and says no more than that.
    return Failure(TYPES["unavailable"], "no decision was taken; send the same request again later", headers=RETRY)


def _platform_error(error: DecisionServiceError) -> Response:
    found = failure(error)
    if found.type.name == "unavailable" and not isinstance(error, HttpProblem):
        log.error("a request was not answered: %s", error, extra={"request_id": request_id()})
    return _answer(found)


_BY_STATUS = {
    404: ("not-found", "there is no resource at this address"),
    405: ("method-not-allowed", "see the header Allow"),
    413: ("body-too-large", "send at most 64 KiB"),
    415: ("unsupported-media-type", "send Content-Type: application/json"),
}


def _http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _unforeseen(error)
    if status < 400:
        return Response(status=status, headers=error.get_headers())
    name, detail = _BY_STATUS.get(status, ("bad-request", error.description or error.name))
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After", "Location")}
    if status == 413:
        kept["Connection"] = "close"  # the rest of the body is never read
    known = TYPES[name]
    return _answer(Failure(ProblemType(known.name, status, known.en, known.zh), detail, headers=kept))


def _unforeseen(error: Exception) -> Response:
    log.error("a request failed", exc_info=error, extra={"request_id": request_id()})
    detail = "the failure was recorded under the request's id; tell the platform"
    return _answer(Failure(TYPES["internal-error"], detail))


def _answer(found: Failure) -> Response:
    lang = problems.language(request.headers.get("Accept-Language", ""))
    thing = request.path.rsplit("/", 1)[0]  # acts are posted below what they are about
    body = problems.body(
        found.type,
        found.detail,
        request_id=request_id(),
        lang=lang,
        errors=found.errors,
        admits={act: f"{thing}/{PLACES[act]}" for act in found.admits},
    )
    headers = {**found.headers, "Content-Language": lang}
    return Response(body, status=found.type.status, content_type=problems.CONTENT_TYPE, headers=headers)
