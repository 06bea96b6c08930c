"""Schemas of webhooks and of what is delivered to them."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from decision_service.api.event_schemas import EVENT_ID
from decision_service.api.fields import Count, QueryCount, Text, one_line
from decision_service.api.schemas import CURSOR, REQUIRED, Strict
from decision_service.store.events import TYPES
from decision_service.store.webhooks import ACTIVE, DELIVERED, DISABLED, GIVEN_UP, PENDING
from decision_service.webhooks.reach import LONGEST
from decision_service.webhooks.signing import HMAC, KINDS

LONGEST_DESCRIPTION = 200
KEPT_HOURS, MOST_HOURS = 24, 168
"""How long an old key stays valid beside a new one."""


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
