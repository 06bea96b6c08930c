"""`/v1/decisions`: decide, read one, list them, explain, prove."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, g
from flask.views import MethodView
from werkzeug.datastructures import Headers

from decision_service.api.access import allow, caller, openness, owner
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.explanation_schema import ExplanationSchema
from decision_service.api.render import decision_bytes, to_bytes
from decision_service.api.requests import idempotency_key, real, runtime
from decision_service.api.schemas import (
    ApplicationSchema,
    DecisionListSchema,
    DecisionSchema,
    LangQuery,
    PageQuery,
    ProofSchema,
)
from decision_service.errors import NotFound
from decision_service.vocabulary import CreditApplication

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

DECISION_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
blueprint = StrictBlueprint(
    "decisions", __name__, url_prefix="/v1/decisions", description="Decisions on credit applications"
)
_CONTENT = attrgetter(*(one.name for one in fields(CreditApplication) if one.name != "amount"))
_COMPACT = json.JSONEncoder(separators=(",", ":"))
HEADERS = {
    "Location": {"description": "Address of the decision", "schema": {"type": "string"}},
    "Idempotent-Replayed": {"description": "`true` if this answer was given before", "schema": {"type": "string"}},
}
KEY_PARAMETER = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": True,
    "description": "Unique per application; a retry with the same key and body gets the same answer",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}


class Finished(Response):
    """An answer whose headers are complete as they are: a body of known length, an address of ASCII letters."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Its headers, neither copied nor looked through."""
        return self.headers


@blueprint.route("")
class Decisions(MethodView):
    """The collection."""

    init_every_request = False

    @allow("decisions:write")
    @blueprint.doc(operationId="createDecision", parameters=[KEY_PARAMETER])
    @blueprint.problems(400, 401, 403, 404, 409, 413, 415, 422, 503)
    @blueprint.response(201, DecisionSchema, headers=HEADERS)
    @blueprint.body(ApplicationSchema())
    def post(self, application: CreditApplication) -> Response:
        """Decide one application; the answer is durable before it is given."""
        key, platform = idempotency_key(), runtime()
        decided = platform.service.decide(
            application,
            client=caller(),
            idempotency_key=key,
            body_digest=digest_of(application),
            render=decision_bytes,
            now=platform.clock(),
        )
        real(g).concerned = {"decision_id": decided.decision_id}
        headers = {"Location": f"/v1/decisions/{decided.decision_id}"}
        if decided.outcome is None:
            headers["Idempotent-Replayed"] = "true"
        else:
            current_app.extensions["decision_service_metrics"].decided(decided.outcome.name)
        return Finished(decided.body, status=201, content_type=JSON, headers=headers)

    @allow("decisions:read")
    @blueprint.doc(operationId="listDecisions")
    @blueprint.problems(401, 403, 422, 503)
    @blueprint.response(200, DecisionListSchema)
    @blueprint.arguments(PageQuery(), location="query")
    def get(self, query: dict[str, Any]) -> Response:
        """The decisions that the caller may see, newest first.

        Clients of kind `risk` and `auditor` see those of all clients, others their own; so it is with each decision,
        its explanation and its proof.
        """
        page = runtime().service.decisions(owner(), after=query.get("after"), limit=query["limit"])
        body = b'{"decisions":[%b],"next":%b}' % (b",".join(page.bodies), json.dumps(page.next).encode())
        return Response(body, content_type=JSON)


@blueprint.route("/<decision_id>")
class OneDecision(MethodView):
    """One decision."""

    @allow("decisions:read")
    @blueprint.doc(operationId="getDecision")
    @blueprint.problems(401, 403, 404, 503)
    @blueprint.response(200, DecisionSchema)
    def get(self, decision_id: str) -> Response:
        """A decision, in the bytes in which it was answered."""
        return Response(runtime().service.decision(checked(decision_id), owner()), content_type=JSON)


@blueprint.route("/<decision_id>/explanation")
class Explanation(MethodView):
    """Why it was decided so."""

    @allow("decisions:read")
    @blueprint.doc(operationId="getDecisionExplanation")
    @blueprint.problems(401, 403, 404, 422, 503)
    @blueprint.response(200, ExplanationSchema)
    @blueprint.arguments(LangQuery(), location="query")
    def get(self, query: dict[str, Any], decision_id: str) -> Response:
        """Every rule with its comparisons and the values seen, the score, the limit, what would have to change."""
        document = runtime().service.explanation(
            checked(decision_id), owner(), lang=query["lang"], openness=openness()
        )
        return Response(to_bytes(document), content_type=JSON, headers={"Content-Language": query["lang"]})


@blueprint.route("/<decision_id>/proof")
class Proof(MethodView):
    """Evidence that needs no trust in the platform."""

    @allow("decisions:read")
    @blueprint.doc(operationId="getDecisionProof")
    @blueprint.problems(401, 403, 404, 503)
    @blueprint.response(200, ProofSchema)
    def get(self, decision_id: str) -> Response:
        """Record, inclusion proof, checkpoint."""
        return Response(to_bytes(runtime().service.proof(checked(decision_id), owner())), content_type=JSON)


def checked(decision_id: str) -> str:
    """An id that could be one; anything else does not exist."""
    if not DECISION_ID.fullmatch(decision_id):
        raise NotFound("there is no such decision")
    return decision_id


def digest_of(application: CreditApplication) -> str:
    """What makes two bodies the same: their content, not their spacing or how a number is written."""
    values = [str(value) for value in _CONTENT(application)] + [f"{application.amount:.2f}"]
    return hashlib.sha256(_COMPACT.encode(values).encode()).hexdigest()
