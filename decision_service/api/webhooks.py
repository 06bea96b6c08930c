"""`/v1/webhooks`: where a client's events are sent. `/v1/events`: the same events, to be read."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

from flask import Response
from flask.views import MethodView

from decision_service.api.access import allow, caller, owner
from decision_service.api.decisions import DECISION_ID, KEY_PARAMETER
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.event_schemas import EventListSchema, EventsQuery
from decision_service.api.preconditions import ETAG, IF_MATCH, changed, etag, require_match
from decision_service.api.render import moment, to_bytes
from decision_service.api.requests import idempotency_key, runtime
from decision_service.api.webhook_schemas import (
    DeliveriesQuery,
    DeliveryListSchema,
    NewSecretSchema,
    NewWebhookSchema,
    ReplaySchema,
    SecretSchema,
    SentSchema,
    WebhookChangeSchema,
    WebhookListSchema,
    WebhookMadeSchema,
    WebhookSchema,
    WebhookStandingSchema,
)
from decision_service.errors import InputError, NotFound
from decision_service.store import Asked, Delivery, Event, NewWebhook, Webhook
from decision_service.store.events import TYPES, event_id, place_of
from decision_service.store.webhooks import ACTIVE, PENDING
from decision_service.webhooks.desk import WebhookDesk

WEBHOOKS, EVENTS = "/v1/webhooks", "/v1/events"
blueprint = StrictBlueprint("webhooks", __name__, url_prefix=WEBHOOKS, description="Events sent to clients")
events_blueprint = StrictBlueprint("events", __name__, url_prefix=EVENTS, description="Events to be read")
REPLAYED = {
    "Idempotent-Replayed": {"description": "`true` if this answer was given before", "schema": {"type": "string"}}
}
LOCATION = {"Location": {"description": "Address of the webhook", "schema": {"type": "string"}}}


@blueprint.route("")
class AllWebhooks(MethodView):
    """The collection."""

    @allow("webhooks:write")
    @blueprint.doc(operationId="createWebhook", parameters=[KEY_PARAMETER])
    @blueprint.problems(400, 401, 403, 409, 413, 415, 422, 503)
    @blueprint.response(201, WebhookMadeSchema, headers={**LOCATION, **ETAG, **REPLAYED})
    @blueprint.body(NewWebhookSchema())
    def post(self, asked: dict[str, Any]) -> Response:
        """Have events sent to an address, from now on. The secret is told this once."""
        key, now, client = idempotency_key(), runtime().clock(), caller()
        new = NewWebhook(
            client.client_id,
            key,
            hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest(),
            asked["url"],
            asked["types"],
            asked["description"],
            asked["signature"],
        )
        webhook, secret, replayed = _desk().add(new, now)
        # What is answered follows from the request and the moment of the first one: a retry has the same bytes.
        content = {
            "webhook_id": webhook.webhook_id,
            "url": new.url,
            "types": list(new.types),
            "description": new.description,
            "state": ACTIVE,
            "notice": None,
            "created_at": moment(webhook.created_at),
            "updated_at": moment(webhook.created_at),
            "secret": secret,
        }
        headers = {"Location": f"{WEBHOOKS}/{webhook.webhook_id}", "ETag": etag(1)}
        return Response(to_bytes(content), 201, content_type=JSON, headers={**headers, **_replayed(replayed)})

    @allow("webhooks:read")
    @blueprint.doc(operationId="listWebhooks")
    @blueprint.problems(401, 403, 503)
    @blueprint.response(200, WebhookListSchema)
    def get(self) -> Response:
        """The webhooks that the caller may see, oldest first."""
        found = [document(one) for one in _desk().kept.list(_whose())]
        return Response(to_bytes({"webhooks": found}), content_type=JSON)


@blueprint.route("/<webhook_id>")
class OneWebhook(MethodView):
    """One webhook."""

    @allow("webhooks:read")
    @blueprint.doc(operationId="getWebhook")
    @blueprint.problems(401, 403, 404, 503)
    @blueprint.response(200, WebhookStandingSchema, headers=ETAG)
    def get(self, webhook_id: str) -> Response:
        """A webhook as it stands; `notice` tells why it is disabled."""
        webhook = _found(webhook_id, _whose())
        count, since = _desk().kept.waiting(webhook)
        waiting = {"waiting": count, "oldest_waits_since": None if since is None else moment(since)}
        return _tagged(webhook, {**document(webhook), **waiting})

    @allow("webhooks:write")
    @blueprint.doc(operationId="updateWebhook", parameters=[IF_MATCH])
    @blueprint.problems(400, 401, 403, 404, 412, 413, 415, 422, 428, 503)
    @blueprint.response(200, WebhookSchema, headers=ETAG)
    @blueprint.body(WebhookChangeSchema())
    def patch(self, asked: dict[str, Any], webhook_id: str) -> Response:
        """Change a webhook, disable it or make it active again."""
        webhook = _own(webhook_id)
        require_match(webhook.version)
        if "url" in asked:
            _desk().reach.check(asked["url"])
        values = {**asked, "types": " ".join(asked["types"])} if "types" in asked else asked
        found = _desk().kept.change(webhook, values, runtime().clock())
        if found is None:
            raise changed()
        return _tagged(found, document(found))

    @allow("webhooks:write")
    @blueprint.doc(operationId="deleteWebhook", parameters=[IF_MATCH])
    @blueprint.problems(401, 403, 404, 412, 428, 503)
    @blueprint.response(204)
    def delete(self, webhook_id: str) -> Response:
        """Forget a webhook; what waits for it is not sent."""
        webhook = _own(webhook_id)
        require_match(webhook.version)
        if not _desk().kept.remove(webhook):
            raise changed()
        return Response(status=204)


@blueprint.route("/<webhook_id>/secret")
class Secret(MethodView):
    """The key that signs."""

    @allow("webhooks:write")
    @blueprint.doc(operationId="rotateWebhookSecret", parameters=[KEY_PARAMETER])
    @blueprint.problems(400, 401, 403, 404, 409, 413, 415, 422, 503)
    @blueprint.response(201, SecretSchema, headers=REPLAYED)
    @blueprint.body(NewSecretSchema())
    def post(self, asked: dict[str, Any], webhook_id: str) -> Response:
        """Sign by a new key, told this once, and for a while by the old one too."""
        webhook, keep = _own(webhook_id), timedelta(hours=asked["keep_hours"])
        made, secret, replayed = _desk().rotate(
            webhook, asked["signature"], _asked("secret", webhook, asked), now=runtime().clock(), keep=keep
        )
        content = {"secret": secret, "others_valid_until": moment(made.made_at + keep)}
        return Response(to_bytes(content), 201, content_type=JSON, headers=_replayed(replayed))


@blueprint.route("/<webhook_id>/test")
class Test(MethodView):
    """Trying a webhook."""

    @allow("webhooks:write")
    @blueprint.doc(operationId="testWebhook", parameters=[KEY_PARAMETER])
    @blueprint.problems(400, 401, 403, 404, 409, 422, 503)
    @blueprint.response(202, SentSchema, headers=REPLAYED)
    def post(self, webhook_id: str) -> Response:
        """Send an event of the type `ping`; how it went is told by the deliveries."""
        webhook = _own(webhook_id)
        found, replayed = _desk().kept.ping(webhook, _asked("test", webhook), runtime().clock())
        return Response(to_bytes({"event_id": found}), 202, content_type=JSON, headers=_replayed(replayed))


@blueprint.route("/<webhook_id>/replay")
class Replay(MethodView):
    """Delivering again."""

    @allow("webhooks:write")
    @blueprint.doc(operationId="replayWebhook", parameters=[KEY_PARAMETER])
    @blueprint.problems(400, 401, 403, 404, 409, 413, 415, 422, 503)
    @blueprint.response(202, WebhookSchema, headers=REPLAYED)
    @blueprint.body(ReplaySchema())
    def post(self, asked: dict[str, Any], webhook_id: str) -> Response:
        """Deliver again what came after an event, under the same ids; also what came before the webhook was made."""
        webhook, now = _own(webhook_id), runtime().clock()
        body, after = to_bytes(document(webhook)), place_of(asked["after"])
        answer = _desk().kept.rewind(webhook, after, _asked("replay", webhook, asked), body, now)
        return Response(answer.body, answer.status, content_type=JSON, headers=_replayed(answer.replayed))


@blueprint.route("/<webhook_id>/deliveries")
class Deliveries(MethodView):
    """What became of events."""

    @allow("webhooks:read")
    @blueprint.doc(operationId="listWebhookDeliveries")
    @blueprint.problems(401, 403, 404, 422, 503)
    @blueprint.response(200, DeliveryListSchema)
    @blueprint.arguments(DeliveriesQuery(), location="query")
    def get(self, query: dict[str, Any], webhook_id: str) -> Response:
        """The deliveries of a webhook, newest first; finished ones for 30 days."""
        found, cursor = _desk().kept.deliveries(_found(webhook_id, _whose()), query.get("after"), query["limit"])
        content = {"deliveries": [_delivery(one) for one in found], "next": cursor}
        return Response(to_bytes(content), content_type=JSON)


@events_blueprint.route("")
class Events(MethodView):
    """The stream."""

    @allow("events:read")
    @events_blueprint.doc(operationId="listEvents")
    @events_blueprint.problems(401, 403, 422, 503)
    @events_blueprint.response(200, EventListSchema)
    @events_blueprint.arguments(EventsQuery(), location="query")
    def get(self, query: dict[str, Any]) -> Response:
        """One's own events after one that is known, oldest first: what webhooks may have missed."""
        kept, wanted = _desk().kept, query.get("types", TYPES)
        newest, after = kept.newest(), place_of(query["after"])
        if after > newest:
            remedy = f"the newest is {event_id(newest)}; go on with the cursors of this platform"
            raise InputError("the log does not reach that far", where="after", remedy=remedy)
        found = kept.events(owner(), after, query["limit"])
        content = {
            "events": [_event(one) for one in found.events if one.type in wanted],
            "next": event_id(found.seen),
            "newest": event_id(max(newest, found.seen)),
        }
        return Response(to_bytes(content), content_type=JSON)


def document(webhook: Webhook) -> dict[str, Any]:
    """A webhook as it is answered."""
    return {
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "types": list(webhook.types),
        "description": webhook.description,
        "state": webhook.state,
        "notice": webhook.notice,
        "created_at": moment(webhook.created_at),
        "updated_at": moment(webhook.updated_at),
    }


def _delivery(found: Delivery) -> dict[str, Any]:
    return {
        "event_id": found.event_id,
        "type": found.type,
        "state": found.state,
        "attempts": found.attempts,
        "next_attempt_at": moment(found.next_at) if found.state == PENDING else None,
        "status": found.status,
        "error": found.error,
        "created_at": moment(found.made_at),
        "finished_at": None if found.finished_at is None else moment(found.finished_at),
    }


def _event(found: Event) -> Any:
    return json.loads(found.body())


def _desk() -> WebhookDesk:
    return runtime().service.webhooks()


def _whose() -> str | None:
    """Whose webhooks the caller may see: an auditor all, the risk team its own."""
    return None if caller().kind == "auditor" else caller().client_id


def _asked(how: str, webhook: Webhook, body: dict[str, Any] | None = None) -> Asked:
    """What makes two requests the same."""
    content = json.dumps([how, webhook.webhook_id, body], sort_keys=True).encode()
    return Asked(webhook.client_id, idempotency_key(), hashlib.sha256(content).hexdigest())


def _own(webhook_id: str) -> Webhook:
    return _found(webhook_id, caller().client_id)


def _found(webhook_id: str, whose: str | None) -> Webhook:
    if not DECISION_ID.fullmatch(webhook_id):
        raise NotFound("there is no such webhook", remedy="check the id; only one's own webhooks can be reached")
    return _desk().kept.find(webhook_id, whose)


def _tagged(webhook: Webhook, content: dict[str, Any]) -> Response:
    return Response(to_bytes(content), content_type=JSON, headers={"ETag": etag(webhook.version)})


def _replayed(replayed: bool) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if replayed else {}
