"""`/v1/webhooks`: where a client's events are sent. `/v1/events`: the same events, to be read."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

from flask import Response
from flask.views import MethodView
from marshmallow import ValidationError, fields, post_load, validate

from decision_service.api.access import allow, caller, owner
from decision_service.api.decisions import DECISION_ID, KEY_PARAMETER
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.event_schemas import EVENT_ID, EventListSchema, EventsQuery
from decision_service.api.fields import Count, QueryCount, Text, one_line
from decision_service.api.preconditions import ETAG, IF_MATCH, changed, etag, require_match
from decision_service.api.render import moment, to_bytes
from decision_service.api.requests import idempotency_key, runtime
from decision_service.api.schemas import CURSOR, REQUIRED, Strict
from decision_service.errors import InputError, NotFound
from decision_service.store import Asked, Delivery, Event, NewWebhook, Webhook
from decision_service.store.events import TYPES, event_id, place_of
from decision_service.store.webhooks import ACTIVE, DELIVERED, DISABLED, GIVEN_UP, PENDING
from decision_service.webhooks.desk import WebhookDesk
from decision_service.webhooks.reach import LONGEST
from decision_service.webhooks.signing import HMAC, KINDS

WEBHOOKS, EVENTS = "/v1/webhooks", "/v1/events"
LONGEST_DESCRIPTION = 200
KEPT_HOURS, MOST_HOURS = 24, 168
"""How long an old key stays valid beside a new one."""
blueprint = StrictBlueprint("webhooks", __name__, url_prefix=WEBHOOKS, description="Events sent to clients")
events_blueprint = StrictBlueprint("events", __name__, url_prefix=EVENTS, description="Events to be read")
REPLAYED = {
    "Idempotent-Replayed": {"description": "`true` if this answer was given before", "schema": {"type": "string"}}
}
LOCATION = {"Location": {"description": "Address of the webhook", "schema": {"type": "string"}}}


class EventTypes(fields.List):
    """Types of events, each once."""

    def __init__(self, **kwargs: Any) -> None:
        known = fields.String(validate=validate.OneOf(TYPES))
        super().__init__(known, validate=validate.Length(min=1, max=len(TYPES)), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return tuple(dict.fromkeys(super()._deserialize(value, attr, data, **kwargs)))


def _url(**kwargs: Any) -> fields.String:
    told = "https, at a public address"
    described = {"description": told, "example": "https://bank.example/events", "pattern": "^https?://[!-~]+$"}
    return fields.String(validate=validate.Length(min=1, max=LONGEST), metadata=described, **kwargs)


def _kind(**kwargs: Any) -> fields.String:
    told = {"description": "`hmac`: a shared `whsec_` secret (v1); `ed25519`: a public `whpk_` key (v1a)"}
    return fields.String(validate=validate.OneOf(KINDS), metadata=told, **kwargs)


class NewWebhookSchema(Strict):
    """A webhook as it is asked for."""

    url = _url(**REQUIRED)
    types = EventTypes(**REQUIRED)
    description = one_line(longest=LONGEST_DESCRIPTION, load_default="")
    signature = _kind(load_default=HMAC)


class WebhookChangeSchema(Strict):
    """What is to be different. Made active again, it goes on with what has waited."""

    also = {"minProperties": 1}

    url = _url()
    types = EventTypes()
    description = one_line(longest=LONGEST_DESCRIPTION)
    state = fields.String(validate=validate.OneOf((ACTIVE, DISABLED)))

    @post_load
    def _something(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if not data:
            raise ValidationError("must change something")
        return data


class NewSecretSchema(Strict):
    """How the next key is to be."""

    signature = _kind(load_default=HMAC)
    keep_hours = Count(least=0, most=MOST_HOURS, load_default=KEPT_HOURS)


class ReplaySchema(Strict):
    """From where to deliver again."""

    after = Text(EVENT_ID, longest=24, description="The event after which to begin; `evt_start` for all", **REQUIRED)


class WebhookSchema(Strict):
    """A webhook."""

    webhook_id = fields.String(required=True)
    url = fields.String(required=True)
    types = fields.List(fields.String(), required=True)
    description = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf((ACTIVE, DISABLED)))
    notice = fields.String(required=True, allow_none=True, metadata={"description": "Why it is disabled"})
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    updated_at = fields.String(required=True, metadata={"format": "date-time"})


class WebhookMadeSchema(WebhookSchema):
    """A new webhook, and what signatures are verified by: told this once."""

    secret = fields.String(required=True, metadata={"description": "`whsec_…`, or the public key `whpk_…`"})


class WebhookStandingSchema(WebhookSchema):
    """A webhook, and what waits for it."""

    waiting = fields.Integer(required=True, metadata={"description": "Deliveries that are not finished"})
    oldest_waits_since = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class WebhookListSchema(Strict):
    """One's webhooks, oldest first."""

    webhooks = fields.List(fields.Nested(WebhookSchema), required=True)


class SecretSchema(Strict):
    """A new key; those before are valid until the moment told, and each delivery is signed by all that are valid."""

    secret = fields.String(required=True)
    others_valid_until = fields.String(required=True, metadata={"format": "date-time"})


class SentSchema(Strict):
    """The event that will be delivered."""

    event_id = fields.String(required=True)


class DeliverySchema(Strict):
    """What became of an event."""

    event_id = fields.String(required=True)
    type = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf((PENDING, DELIVERED, GIVEN_UP)))
    attempts = fields.Integer(required=True)
    next_attempt_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    status = fields.Integer(required=True, allow_none=True, metadata={"description": "Of the last answer"})
    error = fields.String(required=True, allow_none=True, metadata={"description": "Why there was no answer"})
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    finished_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class DeliveryListSchema(Strict):
    """One page, newest first."""

    deliveries = fields.List(fields.Nested(DeliverySchema), required=True)
    next = fields.String(required=True, allow_none=True)


class DeliveriesQuery(Strict):
    """Which deliveries."""

    after = Text(CURSOR, longest=32, description="The `next` of the page before")
    limit = QueryCount(least=1, most=200, load_default=50)


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
