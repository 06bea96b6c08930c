"""Operations: alive, ready, metrics. Open to whoever reaches the port, and free of anybody's data."""

from __future__ import annotations

from flask import Response, current_app
from flask.views import MethodView

from decision_service.api import metrics
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.render import to_bytes
from decision_service.api.requests import runtime
from decision_service.api.schemas import StateSchema

blueprint = StrictBlueprint("operations", __name__, description="For those who run the service")
OPEN: dict[str, list[str]] = {"security": []}


@blueprint.route("/livez")
class Live(MethodView):
    """The process answers."""

    @blueprint.doc(operationId="getLiveness", **OPEN)
    @blueprint.response(200, StateSchema)
    def get(self) -> Response:
        """Whether the process lives."""
        return Response(to_bytes({"status": "alive"}), content_type=JSON)


@blueprint.route("/readyz")
class Ready(MethodView):
    """Decisions can be taken."""

    @blueprint.doc(operationId="getReadiness", **OPEN)
    @blueprint.problems(503)
    @blueprint.response(200, StateSchema)
    def get(self) -> Response:
        """Whether the store answers and a ruleset is active.

        ``problems`` tells of models that are down, which only refers applications, or of new versions that were
        refused, while the ones before go on scoring.
        """
        problems = runtime().service.ready()
        return Response(to_bytes({"status": "ready", "problems": list(problems)}), content_type=JSON)


@blueprint.route("/metrics")
class Exposition(MethodView):
    """Prometheus."""

    @blueprint.doc(operationId="getMetrics", **OPEN)
    @blueprint.response(200, {"type": "string"}, content_type="text/plain")
    def get(self) -> Response:
        """Requests, times and outcomes in the Prometheus text format."""
        found = current_app.extensions["decision_service_metrics"].exposition()
        return Response(found, content_type=metrics.CONTENT_TYPE)
