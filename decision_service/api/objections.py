"""`/v1/objections`: objections to records and decisions, from filing to the second instance."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Response
from flask.views import MethodView

from decision_service.api.access import View, allow, caller
from decision_service.api.bodies import Declared
from decision_service.api.decisions import HEADERS
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.lives import KEYED, answered, request_of
from decision_service.api.objection_schemas import (
    FilingSchema,
    ObjectionActSchema,
    ObjectionHistorySchema,
    ObjectionListSchema,
    ObjectionNoteSchema,
    ObjectionQuery,
    ObjectionSchema,
    ProvenSchema,
    RefusalSchema,
    RulingSchema,
    SourceCheckSchema,
)
from decision_service.api.problems import invalid_fields
from decision_service.api.render import to_bytes
from decision_service.api.requests import runtime
from decision_service.api.schemas import Strict
from decision_service.errors import NotFound
from decision_service.governance import objection as fold
from decision_service.objections import seen_by

PROBLEMS = (400, 401, 403, 404, 409, 413, 415, 422, 503)
OBJECTION_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
blueprint = StrictBlueprint(
    "objections", __name__, url_prefix="/v1/objections", description="Objections to records and decisions"
)


def acts(
    schema: Strict, *, name: str, scope: str = "objections:rule", declared: Declared = lambda fields: ()
) -> Callable[[View], View]:
    """A view that does something, once per key: what it reads, the scope it needs, its name in the document."""

    def decorate(view: View) -> View:
        view = blueprint.response(201, ObjectionActSchema, headers=HEADERS)(blueprint.body(schema, declared)(view))
        return allow(scope)(blueprint.doc(operationId=name, parameters=KEYED)(blueprint.problems(*PROBLEMS)(view)))

    return decorate


def _unauthorised(fields: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What a filing lacks because of who files it."""
    if caller().kind == "fintech" and "authorization_id" not in fields:
        yield "authorization_id", "is required of a fintech"


def checked(objection_id: str) -> str:
    """An id that could be one; anything else does not exist."""
    if not OBJECTION_ID.fullmatch(objection_id):
        raise NotFound("there is no such objection")
    return objection_id


def done(objection_id: str, how: str, body: dict[str, Any]) -> Response:
    """Do it, and answer."""
    desk = runtime().service.objections()
    return answered(desk.act(checked(objection_id), seen_by(caller()), request_of(how, body)))


@blueprint.route("")
class Objections(MethodView):
    """The collection."""

    @acts(FilingSchema(), scope="objections:write", name="createObjection", declared=_unauthorised)
    def post(self, body: dict[str, Any]) -> Response:
        """Object to a record of an enterprise, or to a decision of one's own.

        A fintech does so for the enterprise and names its authorisation. While an objection to a thing is open, no
        other one to it is admitted.
        """
        target, rest = body["target"], body["rest"]
        if wrong := list(_unauthorised(rest)):
            raise invalid_fields(wrong)
        return answered(runtime().service.objections().file(target, request_of(fold.FILING, rest)))

    @allow("objections:read")
    @blueprint.doc(operationId="listObjections")
    @blueprint.problems(401, 403, 422, 503)
    @blueprint.response(200, ObjectionListSchema)
    @blueprint.arguments(ObjectionQuery(), location="query")
    def get(self, query: dict[str, Any]) -> Response:
        """The caller's own objections, newest first; stewards and auditors see those of all clients."""
        platform = runtime()
        found = platform.service.objections().page(
            caller(), state=query.get("state"), after=query.get("after"), limit=query["limit"], now=platform.clock()
        )
        return Response(to_bytes(found), content_type=JSON)


@blueprint.route("/<objection_id>")
class OneObjection(MethodView):
    """One objection."""

    @allow("objections:read")
    @blueprint.doc(operationId="getObjection")
    @blueprint.problems(401, 403, 404, 503)
    @blueprint.response(200, ObjectionSchema)
    def get(self, objection_id: str) -> Response:
        """How it stands: the state, what is due until when, what it makes of its record."""
        platform = runtime()
        found = platform.service.objections().one(checked(objection_id), caller(), platform.clock())
        return Response(to_bytes(found), content_type=JSON)


@blueprint.route("/<objection_id>/history")
class ObjectionHistory(MethodView):
    """All that happened."""

    @allow("objections:read")
    @blueprint.doc(operationId="getObjectionHistory")
    @blueprint.problems(401, 403, 404, 503)
    @blueprint.response(200, ObjectionHistorySchema)
    def get(self, objection_id: str) -> Response:
        """The same with every act: when, by whom, with which documents."""
        platform = runtime()
        found = platform.service.objections().history(checked(objection_id), caller(), platform.clock())
        return Response(to_bytes(found), content_type=JSON)


@blueprint.route("/<objection_id>/acceptance")
class Acceptance(MethodView):
    """It is taken up."""

    @acts(ObjectionNoteSchema(), name="acceptObjection")
    def post(self, body: dict[str, Any], objection_id: str) -> Response:
        """Accept it for review, within two working days: from now on its record declines nobody."""
        return done(objection_id, fold.ACCEPTANCE, body)


@blueprint.route("/<objection_id>/refusal")
class Refusal(MethodView):
    """It is not taken up."""

    @acts(RefusalSchema(), name="refuseObjection")
    def post(self, body: dict[str, Any], objection_id: str) -> Response:
        """Refuse it, with a reason out of a closed list."""
        return done(objection_id, fold.REFUSAL, body)


@blueprint.route("/<objection_id>/source-check")
class SourceCheck(MethodView):
    """The provider's answer."""

    @acts(SourceCheckSchema(), name="checkObjectionSource")
    def post(self, body: dict[str, Any], objection_id: str) -> Response:
        """What the provider of the record answered, within five working days; after these, that it did not."""
        return done(objection_id, fold.CHECK, body)


@blueprint.route("/<objection_id>/ruling")
class Ruling(MethodView):
    """The ruling of the first instance."""

    @acts(RulingSchema(), name="ruleObjection")
    def post(self, body: dict[str, Any], objection_id: str) -> Response:
        """Rule; who filed or accepted it cannot.

        `reject`: the record counts again. `correct`: what it says counts for nothing until its source says otherwise.
        `delete`: it counts for nothing. All from now on.
        """
        return done(objection_id, fold.RULING, body)


@blueprint.route("/<objection_id>/application")
class Application(MethodView):
    """The ruling is carried out."""

    @acts(ObjectionNoteSchema(), name="applyObjection")
    def post(self, body: dict[str, Any], objection_id: str) -> Response:
        """The provider and those who hold copies have been told to follow the ruling."""
        return done(objection_id, fold.APPLICATION, body)


@blueprint.route("/<objection_id>/notification")
class Notification(MethodView):
    """Who objected knows."""

    @acts(ObjectionNoteSchema(), name="notifyObjection")
    def post(self, body: dict[str, Any], objection_id: str) -> Response:
        """The written answer has been given; the clock ends."""
        return done(objection_id, fold.NOTIFICATION, body)


@blueprint.route("/<objection_id>/appeal")
class Appeal(MethodView):
    """The second instance."""

    @acts(ProvenSchema(), scope="objections:write", name="appealObjection")
    def post(self, body: dict[str, Any], objection_id: str) -> Response:
        """Ask for arbitration, once; until it has ruled the first ruling holds."""
        return done(objection_id, fold.APPEAL, body)


@blueprint.route("/<objection_id>/arbitration")
class Arbitration(MethodView):
    """The ruling of the second instance."""

    @acts(RulingSchema(), name="arbitrateObjection")
    def post(self, body: dict[str, Any], objection_id: str) -> Response:
        """Rule in the second instance; nobody who accepted or ruled before can."""
        return done(objection_id, fold.ARBITRATED, body)
