"""`/v1/decisions/{id}/…`: what banks and reviewers do with an application after its decision, and its history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response
from flask.views import MethodView

from decision_service.api.access import View, allow, caller, owner
from decision_service.api.decisions import HEADERS, KEY_PARAMETER, checked
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.life_schemas import (
    ActSchema,
    AssignmentSchema,
    ClosureSchema,
    FinalSchema,
    HistorySchema,
    MovementSchema,
    NoteSchema,
    OverdueSchema,
    ReviewSchema,
)
from decision_service.api.render import money, to_bytes
from decision_service.api.requests import idempotency_key, runtime
from decision_service.api.schemas import Strict
from decision_service.lending import life
from decision_service.lives import Request
from decision_service.store import KeptAnswer

PROBLEMS = (400, 401, 403, 404, 409, 413, 415, 422, 503)
KEYED = [{**KEY_PARAMETER, "description": "Unique per act; a retry with the same key and body gets the same answer"}]
blueprint = StrictBlueprint(
    "lives", __name__, url_prefix="/v1/decisions/<decision_id>", description="Applications after their decisions"
)


def request_of(how: str, body: dict[str, Any]) -> Request:
    """What is asked for: money as evidence writes it, dates as text, the comment apart."""
    details = {name: value for name, value in body.items() if name != "comment"}
    for name in ("amount", "exposure_total"):
        if name in details:
            details[name] = money(details[name])
    if "on" in details:
        details["on"] = details["on"].isoformat()
    return Request(how, caller(), idempotency_key(), runtime().clock(), details, body.get("comment", ""))


def answered(answer: KeptAnswer) -> Response:
    """The answer as it was given the first time."""
    headers = {"Location": answer.location or ""}
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.body, status=answer.status, content_type=JSON, headers=headers)


def done(decision_id: str, how: str, body: dict[str, Any]) -> Response:
    """Do it, and answer."""
    return answered(runtime().service.lives().act(checked(decision_id), owner(), request_of(how, body)))


def acts(schema: Strict, *, scope: str, name: str) -> Callable[[View], View]:
    """A view that does something, once per key: what it reads, the scope it needs, its name in the document."""

    def decorate(view: View) -> View:
        view = blueprint.response(201, ActSchema, headers=HEADERS)(blueprint.body(schema)(view))
        return allow(scope)(blueprint.doc(operationId=name, parameters=KEYED)(blueprint.problems(*PROBLEMS)(view)))

    return decorate


@blueprint.route("/final")
class Final(MethodView):
    """The bank's own decision."""

    @acts(FinalSchema(), scope="final:write", name="createFinalDecision")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """The bank's final decision: what it approves stays reserved for the customer, what it refuses is free again.

        An approval needs one of the platform, by rules or by a person, that has not lapsed; the bank may lend less,
        never more.
        """
        return done(decision_id, life.FINAL, body)


@blueprint.route("/assignment")
class Assignment(MethodView):
    """Who reviews."""

    @acts(AssignmentSchema(), scope="reviews:write", name="assignApplication")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """Take a referred application, or give it to another reviewer."""
        asked = request_of(life.ASSIGNMENT, {"assignee": body.get("assignee", caller().client_id)})
        return answered(runtime().service.lives().assign(checked(decision_id), asked))


@blueprint.route("/review")
class Review(MethodView):
    """A person's decision."""

    @acts(ReviewSchema(), scope="reviews:write", name="reviewApplication")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """Decide a referred application that is assigned to the caller.

        What is approved is assessed again: what the rules decline now nobody may approve, and where the customer's
        exposure has grown, `exposure_total` says that the reviewer knows of it. An approval reserves for 24 hours.
        """
        return answered(runtime().service.lives().review(checked(decision_id), request_of(life.REVIEW, body)))


@blueprint.route("/pause")
class Pause(MethodView):
    """The clock stands still."""

    @acts(NoteSchema(), scope="reviews:write", name="pauseApplication")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """Stop the clock while the customer's documents are awaited; at most twice."""
        return done(decision_id, life.PAUSE, body)


@blueprint.route("/resume")
class Resumption(MethodView):
    """The clock goes on."""

    @acts(NoteSchema(), scope="reviews:resume", name="resumeApplication")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """The documents have come: the clock goes on."""
        return done(decision_id, life.RESUMPTION, body)


@blueprint.route("/drawdowns")
class Drawdowns(MethodView):
    """Money lent."""

    @acts(MovementSchema(), scope="contracts:write", name="createDrawdown")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """The customer has drawn; in all at most what the bank committed to."""
        return done(decision_id, life.DRAWDOWN, body)


@blueprint.route("/repayments")
class Repayments(MethodView):
    """Money that came back."""

    @acts(MovementSchema(), scope="contracts:write", name="createRepayment")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """The customer has repaid; in all at most what was drawn."""
        return done(decision_id, life.REPAYMENT, body)


@blueprint.route("/overdues")
class Overdues(MethodView):
    """Arrears."""

    @acts(OverdueSchema(), scope="contracts:write", name="createOverdue")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """The customer is in arrears, or no longer; 90 days are a default for the models that learn from it."""
        return done(decision_id, life.ARREARS, {"amount": 0, **body})


@blueprint.route("/closure")
class Closure(MethodView):
    """The end of a contract."""

    @acts(ClosureSchema(), scope="contracts:write", name="closeContract")
    def post(self, body: dict[str, Any], decision_id: str) -> Response:
        """The contract has ended: settled, cancelled before anything was drawn, or written off.

        What was not drawn is free again; what is written off still counts as owed.
        """
        return done(decision_id, life.CLOSURE, body)


@blueprint.route("/history")
class History(MethodView):
    """All that happened."""

    @allow("decisions:read")
    @blueprint.doc(operationId="getDecisionHistory")
    @blueprint.problems(401, 403, 404, 503)
    @blueprint.response(200, HistorySchema)
    def get(self, decision_id: str) -> Response:
        """Every act with its time and who did it, the state, when it is due, and what the state admits."""
        platform = runtime()
        found = platform.service.lives().history(checked(decision_id), caller(), platform.clock())
        return Response(to_bytes(found), content_type=JSON)
