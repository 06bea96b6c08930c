"""`/v1/simulations`: what would be decided if; never stored, never a decision."""

from __future__ import annotations

from flask import Response
from flask.views import MethodView

from decision_service.api.access import allow, caller
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.render import to_bytes
from decision_service.api.requests import runtime
from decision_service.api.schemas import SimulationRequest, SimulationResultSchema, SimulationSchema

blueprint = StrictBlueprint("simulations", __name__, url_prefix="/v1/simulations", description="What-if")


@blueprint.route("")
class Simulations(MethodView):
    """Assessments that leave no trace."""

    @allow("simulations:run")
    @blueprint.doc(operationId="createSimulation")
    @blueprint.problems(400, 401, 403, 404, 413, 415, 422, 503)
    @blueprint.response(200, SimulationResultSchema)
    @blueprint.body(SimulationSchema())
    def post(self, simulation: SimulationRequest) -> Response:
        """Assess an application with facts changed, or facts alone."""
        result = runtime().service.simulate(simulation, client=caller(), now=runtime().clock())
        return Response(to_bytes(result), content_type=JSON)
