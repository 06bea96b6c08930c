"""What is in force: the active ruleset, the models in use, the log's checkpoint."""

from __future__ import annotations

from flask import Response
from flask.views import MethodView

from decision_service.api.access import allow, caller
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.render import to_bytes
from decision_service.api.requests import runtime
from decision_service.api.schemas import ModelListSchema, RulesetSchema

blueprint = StrictBlueprint("in-force", __name__, url_prefix="/v1", description="What is in force")


@blueprint.route("/rulesets/active")
class ActiveRuleset(MethodView):
    """The ruleset that decides now."""

    @allow("rulesets:read")
    @blueprint.doc(operationId="getActiveRuleset")
    @blueprint.problems(401, 403, 503)
    @blueprint.response(200, RulesetSchema)
    def get(self) -> Response:
        """Version, digest and closed lists of the active ruleset, and how many rules decide for the caller."""
        found = runtime().service.ruleset(client=caller(), now=runtime().clock())
        return Response(to_bytes(found), content_type=JSON)


@blueprint.route("/models")
class Models(MethodView):
    """The models that score now."""

    @allow("models:read")
    @blueprint.doc(operationId="listModels")
    @blueprint.problems(401, 403, 503)
    @blueprint.response(200, ModelListSchema)
    def get(self) -> Response:
        """Names, versions and digests of the models in use, and why others are not."""
        return Response(to_bytes(runtime().service.models()), content_type=JSON)


@blueprint.route("/log/checkpoint")
class Checkpoint(MethodView):
    """The log's signed size and root."""

    @allow("log:read")
    @blueprint.doc(operationId="getLogCheckpoint")
    @blueprint.problems(401, 403, 503)
    @blueprint.response(200, {"type": "string"}, content_type="text/plain")
    def get(self) -> Response:
        """A C2SP signed note over the whole log."""
        return Response(runtime().service.checkpoint(), content_type="text/plain; charset=utf-8")
