"""`/v1/reviews`: the queue of referred applications."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask.views import MethodView

from decision_service.api.access import allow
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.life_schemas import QueueQuery, QueueSchema
from decision_service.api.render import to_bytes
from decision_service.api.requests import runtime

blueprint = StrictBlueprint(
    "reviews", __name__, url_prefix="/v1/reviews", description="Referred applications that wait for people"
)


@blueprint.route("")
class Reviews(MethodView):
    """The queue."""

    @allow("reviews:read")
    @blueprint.doc(operationId="listReviews")
    @blueprint.problems(401, 403, 422, 503)
    @blueprint.response(200, QueueSchema)
    @blueprint.arguments(QueueQuery(), location="query")
    def get(self, query: dict[str, Any]) -> Response:
        """Whitelisted customers first, then by the time they are due; `sla` tells how the clock stands."""
        platform = runtime()
        found = platform.service.lives().queue(
            state=query.get("state"), after=query.get("after"), limit=query["limit"], now=platform.clock()
        )
        return Response(to_bytes(found), content_type=JSON)
