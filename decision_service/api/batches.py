"""`/v1/decision-batches`: many applications in one request, decided one by one beside the single ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from flask import Response, g, request
from flask.views import MethodView
from marshmallow import fields, validate
from werkzeug.exceptions import RequestEntityTooLarge

from decision_service.api import batch_lines, problems
from decision_service.api.access import allow, caller, owner
from decision_service.api.decisions import DECISION_ID, KEY_PARAMETER
from decision_service.api.documents import JSON, MAX_BATCH_BYTES, StrictBlueprint
from decision_service.api.fields import QueryCount
from decision_service.api.metrics import BATCHES
from decision_service.api.problems import HttpProblem
from decision_service.api.render import moment, to_bytes
from decision_service.api.requests import idempotency_key, request_id, runtime
from decision_service.api.schemas import DecisionSchema, PageQuery, ProblemSchema, Strict
from decision_service.errors import NotFound
from decision_service.store import Answered, Batch, NewBatch

JSON_LINES = "application/x-ndjson"
PAGE = 200
"""Results that are read and sent at a time."""
blueprint = StrictBlueprint("batches", __name__, url_prefix=BATCHES, description="Many applications at once")
HEADERS = {
    "Location": {"description": "Address of the batch", "schema": {"type": "string"}},
    "Idempotent-Replayed": {"description": "`true` if this answer was given before", "schema": {"type": "string"}},
}
RESULT_HEADERS = {"Content-Language": {"description": "Language of the problems", "schema": {"type": "string"}}}
APPLICATION = {
    "description": "An application as of `POST /v1/decisions`; what is none is told at its line and stops no other",
    "anyOf": [{"$ref": "#/components/schemas/Application"}, {}],
}
BODY = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "type": "object",
                "required": [batch_lines.NAME],
                "additionalProperties": False,
                "properties": {
                    batch_lines.NAME: {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": batch_lines.MAX_LINES,
                        "items": APPLICATION,
                    }
                },
            }
        },
        JSON_LINES: {
            "schema": {
                "type": "string",
                "minLength": 1,
                "description": "One application on each line; blank lines do not count",
            }
        },
    },
}


class OutcomesSchema(Strict):
    """How many lines had which outcome."""

    APPROVE = fields.Integer(required=True)
    REFER = fields.Integer(required=True)
    DECLINE = fields.Integer(required=True)


class BatchSchema(Strict):
    """A batch as it stands. Lines are decided in their order: results of the first `done` can be read."""

    batch_id = fields.String(required=True)
    state = fields.String(
        required=True, validate=validate.OneOf(("queued", "running", "finished", "cancelling", "cancelled"))
    )
    lines = fields.Integer(required=True)
    done = fields.Integer(required=True)
    outcomes = fields.Nested(OutcomesSchema, required=True)
    refused = fields.Integer(required=True, metadata={"description": "Lines with a problem instead of a decision"})
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    started_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    finished_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    cancelled_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    results = fields.String(required=True, metadata={"description": "Address of the results"})


class BatchListSchema(Strict):
    """One page, newest first."""

    batches = fields.List(fields.Nested(BatchSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class BatchResultSchema(Strict):
    """One line of the results: the decision with status 201, or the problem because of which there is none."""

    line = fields.Integer(required=True, metadata={"description": "Counted from 1; blank lines do not count"})
    application_id = fields.String(required=True, allow_none=True)
    status = fields.Integer(required=True)
    decision = fields.Nested(DecisionSchema)
    problem = fields.Nested(ProblemSchema)


class ResultsQuery(Strict):
    """Which results: `after` is the last `line` that was read."""

    after = QueryCount(least=0, most=batch_lines.MAX_LINES, load_default=0)
    limit = QueryCount(least=1, most=batch_lines.MAX_LINES, load_default=batch_lines.MAX_LINES)


@blueprint.route("")
class Batches(MethodView):
    """The collection."""

    @allow("decisions:write")
    @blueprint.doc(operationId="createDecisionBatch", parameters=[KEY_PARAMETER], requestBody=BODY)
    @blueprint.problems(400, 401, 403, 409, 413, 415, 422, 503)
    @blueprint.response(202, BatchSchema, headers=HEADERS)
    def post(self) -> Response:
        """Take up to 10,000 applications, to be decided in their order.

        Each is decided as if it had been sent alone, at the moment when its turn comes; what is wrong with a line is
        told in its result. The batch is durable before this is answered and goes on after a restart.
        """
        key, lines, platform = idempotency_key(), _lines(), runtime()
        new = NewBatch(caller().client_id, key, _digest(lines), request_id(), lines)
        batch, replayed = platform.service.batches().add(new, platform.clock())
        g.concerned = {"batch_id": batch.batch_id}
        headers = {"Location": f"{BATCHES}/{batch.batch_id}"}
        if replayed:
            headers["Idempotent-Replayed"] = "true"
        return Response(to_bytes(taken(batch)), status=202, content_type=JSON, headers=headers)

    @allow("decisions:read")
    @blueprint.doc(operationId="listDecisionBatches")
    @blueprint.problems(401, 403, 422, 503)
    @blueprint.response(200, BatchListSchema)
    @blueprint.arguments(PageQuery(), location="query")
    def get(self, query: dict[str, Any]) -> Response:
        """The batches that the caller may see, newest first."""
        found, cursor = runtime().service.batches().page(owner(), query.get("after"), query["limit"])
        return Response(to_bytes({"batches": [document(one) for one in found], "next": cursor}), content_type=JSON)


@blueprint.route("/<batch_id>")
class OneBatch(MethodView):
    """One batch."""

    @allow("decisions:read")
    @blueprint.doc(operationId="getDecisionBatch")
    @blueprint.problems(401, 403, 404, 503)
    @blueprint.response(200, BatchSchema)
    def get(self, batch_id: str) -> Response:
        """How far a batch has come."""
        return Response(to_bytes(document(_found(batch_id))), content_type=JSON)


@blueprint.route("/<batch_id>/cancellation")
class Cancellation(MethodView):
    """The end of a batch before its last line."""

    @allow("decisions:write")
    @blueprint.doc(operationId="cancelDecisionBatch")
    @blueprint.problems(401, 403, 404, 503)
    @blueprint.response(200, BatchSchema)
    def post(self, batch_id: str) -> Response:
        """Decide no further line; decisions that were taken stand. A batch that has ended stays as it is."""
        found, platform = _found(batch_id), runtime()
        batch = platform.service.batches().cancel(found.batch_id, caller().client_id, platform.clock())
        return Response(to_bytes(document(batch)), content_type=JSON)


@blueprint.route("/<batch_id>/results")
class Results(MethodView):
    """What became of the lines."""

    @allow("decisions:read")
    @blueprint.doc(operationId="getDecisionBatchResults")
    @blueprint.problems(401, 403, 404, 422, 503)
    @blueprint.response(200, BatchResultSchema, content_type=JSON_LINES, headers=RESULT_HEADERS)
    @blueprint.arguments(ResultsQuery(), location="query")
    def get(self, query: dict[str, Any], batch_id: str) -> Response:
        """The results so far as JSON Lines, in the order of the lines; `after` goes on where one has come to.

        Problems are in the language of this request (`Accept-Language`), whichever the batch was sent with.
        """
        batch, lang = _found(batch_id), problems.language(request.headers.get("Accept-Language", ""))
        pages = _pages(runtime().service.batches(), batch, after=query["after"], limit=query["limit"], lang=lang)
        return Response(pages, content_type=JSON_LINES, headers={"Content-Language": lang})


def document(batch: Batch) -> dict[str, Any]:
    """A batch as it is answered."""
    return {
        "batch_id": batch.batch_id,
        "state": batch.state,
        "lines": batch.lines,
        "done": batch.done,
        "outcomes": {"APPROVE": batch.approved, "REFER": batch.referred, "DECLINE": batch.declined},
        "refused": batch.refused,
        "created_at": moment(batch.created_at),
        "started_at": None if batch.started_at is None else moment(batch.started_at),
        "finished_at": None if batch.finished_at is None else moment(batch.finished_at),
        "cancelled_at": None if batch.cancelled_at is None else moment(batch.cancelled_at),
        "results": f"{BATCHES}/{batch.batch_id}/results",
    }


def taken(batch: Batch) -> dict[str, Any]:
    """A batch as it stood when it was taken: what a retry of its request is answered, byte by byte."""
    unbegun = {"done": 0, "refused": 0, "outcomes": {"APPROVE": 0, "REFER": 0, "DECLINE": 0}}
    times = {"started_at": None, "finished_at": None, "cancelled_at": None}
    return {**document(batch), "state": "queued", **unbegun, **times}


def rendered(found: Answered, lang: str) -> bytes:
    """One line of the results, a problem in English or Chinese."""
    result = found.result
    name = json.dumps(result.application_id, ensure_ascii=False).encode()
    head = b'{"line":%d,"application_id":%b,"status":%d,' % (result.line, name, result.status)
    if found.body is not None:
        return b'%b"decision":%b}\n' % (head, found.body)
    problem = b"null" if result.problem is None else problems.kept(result.problem.encode(), lang)
    return b'%b"problem":%b}\n' % (head, problem)


def _pages(batches: Any, batch: Batch, *, after: int, limit: int, lang: str) -> Iterator[bytes]:
    """Page by page, so that nothing is held while a slow reader reads."""
    last = min(after + limit, batch.lines)
    while after < last and (page := batches.results(batch, after, min(PAGE, last - after))):
        yield b"".join(rendered(one, lang) for one in page)
        after = page[-1].result.line


def _found(batch_id: str) -> Batch:
    found: Batch | None = None
    if DECISION_ID.fullmatch(batch_id):
        found = runtime().service.batches().find(batch_id, owner())
    if found is None:
        raise NotFound("there is no such batch", remedy="check the id; only one's own batches can be read")
    return found


def _lines() -> list[bytes]:
    request.max_content_length = MAX_BATCH_BYTES + 1  # the byte that tells too large a body from one that just fits
    if request.mimetype not in (JSON, JSON_LINES) or request.headers.get("Content-Encoding", "identity") != "identity":
        remedy = f"send {JSON} or {JSON_LINES}, not compressed"
        raise HttpProblem("unsupported-media-type", "the body is neither JSON nor JSON Lines", remedy=remedy)
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise _too_large() from error
    if len(body) > MAX_BATCH_BYTES:
        raise _too_large()
    return batch_lines.of_json(body) if request.mimetype == JSON else batch_lines.of_json_lines(body)


def _too_large() -> HttpProblem:
    remedy = f"send at most {MAX_BATCH_BYTES >> 20} MiB in each of several batches"
    return HttpProblem("body-too-large", "the batch is too large", remedy=remedy, headers={"Connection": "close"})


def _digest(lines: list[bytes]) -> str:
    return hashlib.sha256(b"\n".join(lines)).hexdigest()
