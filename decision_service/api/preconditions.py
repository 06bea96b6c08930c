"""ETag and If-Match: nobody overwrites what somebody else has changed meanwhile."""

from __future__ import annotations

from flask import request

from decision_service.api.problems import HttpProblem

IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
    "description": "The `ETag` of what is to be changed, as it was read last",
}
ETAG = {"ETag": {"description": "Names this state, for `If-Match`", "schema": {"type": "string"}}}


def etag(version: int) -> str:
    """The strong entity tag of a version."""
    return f'"{version}"'


def require_match(version: int) -> None:
    """Raises a 428 problem without ``If-Match``, a 412 problem when it names another state."""
    given = request.headers.get("If-Match")
    if given is None:
        raise HttpProblem(
            "precondition-required", "If-Match is missing", remedy="read it first, and send its ETag in If-Match"
        )
    tags = [one.strip() for one in given.split(",")]
    if given.strip() != "*" and etag(version) not in tags:
        raise changed()


def changed() -> HttpProblem:
    """The 412 problem."""
    return HttpProblem("precondition-failed", "it was changed meanwhile", remedy="read it again, then decide anew")
