"""Schemas of events: as they are read, and as the document tells who receives them, type by type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apispec import APISpec
from marshmallow import fields, validate
from webargs.fields import DelimitedList

from decision_service.api.fields import QueryCount, Text
from decision_service.api.schemas import Strict
from decision_service.audit.act import (
    CARD_CHANGED,
    LATER_REPAIRED,
    MODEL_SWITCHED,
    OBJECTION_BREACHED,
    OBJECTION_NEAR,
    SLA_BREACHED,
    SLA_NEAR,
)
from decision_service.governance import objection
from decision_service.lending import life
from decision_service.store.events import APPLICATION, DECISION_MADE, OBJECTED, PING, RULESET_SWITCHED, TYPES

EVENT_ID = re.compile(r"evt_([0-9]{1,18}|start)")
_IDS = ("decision_id", "application_id")
_STEP = ("objection_id", "step", "instance", "due_at")
_TOLD = {
    life.REVIEW: ("outcome",),
    life.FINAL: ("outcome",),
    life.ARREARS: ("days",),
    life.CLOSURE: ("end",),
}
_RULED = {
    objection.CHECK: ("answer",),
    objection.RULING: ("ruling",),
    objection.ARBITRATED: ("ruling",),
}
DATA: Mapping[str, tuple[str, ...]] = {
    DECISION_MADE: (*_IDS, "outcome"),
    **{APPLICATION + how: (*_IDS, *_TOLD.get(how, ())) for how in life.ACTS},
    **{OBJECTED + how: ("objection_id", *_RULED.get(how, ())) for how in objection.ACTS},
    SLA_NEAR: (*_IDS, "day", "close", "due_at"),
    SLA_BREACHED: (*_IDS, "due_at"),
    CARD_CHANGED: (*_IDS, "card", "card_before"),
    LATER_REPAIRED: (*_IDS, "how"),
    MODEL_SWITCHED: ("model", "version", "version_before", "digest"),
    OBJECTION_NEAR: _STEP,
    OBJECTION_BREACHED: _STEP,
    RULESET_SWITCHED: ("version", "digest", "effective_at"),
    PING: ("webhook_id",),
}
"""What the data of an event holds, by its type."""
HEADERS = {
    "webhook-id": "The event's id: an event that comes again has it again",
    "webhook-timestamp": "When this attempt was signed, in seconds since 1970",
    "webhook-signature": "One signature for each key that is valid, with blanks between (Standard Webhooks)",
}


def component(kind: str) -> str:
    """``decision.made`` is called ``DecisionMadeEvent`` in the document."""
    return "".join(part.capitalize() for part in re.split("[._]", kind)) + "Event"


def _reference(kind: str) -> str:
    return f"#/components/schemas/{component(kind)}"


class EventsQuery(Strict):
    """Which events: those after `after`, of these types."""

    after = Text(EVENT_ID, longest=24, description="Id of an event; `evt_start` for all", load_default="evt_start")
    types = DelimitedList(
        fields.String(validate=validate.OneOf(TYPES)),
        validate=validate.Length(min=1, max=len(TYPES)),
        metadata={"description": "All, unless some are named; types with commas between"},
    )
    limit = QueryCount(least=1, most=200, load_default=50)


class EventDataSchema(Strict):
    """Ids and states; which are there depends on the type."""

    decision_id = fields.String()
    application_id = fields.String()
    objection_id = fields.String()
    webhook_id = fields.String()
    outcome = fields.String()
    answer = fields.String(metadata={"description": "Of the provider of a record objected to"})
    ruling = fields.String()
    step = fields.String(metadata={"description": "What is due of an objection"})
    instance = fields.Integer()
    days = fields.Integer(metadata={"description": "How long it is overdue"})
    end = fields.String(metadata={"description": "How the contract ended"})
    day = fields.Integer(metadata={"description": "Of the working days, which has ended"})
    close = fields.String(metadata={"format": "date-time"})
    due_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    card = fields.String()
    card_before = fields.String(allow_none=True)
    how = fields.String(metadata={"description": "`objection`: its record was ruled wrong; `repair`: at its source"})
    model = fields.String()
    version_before = fields.String(allow_none=True)
    version = fields.String()
    digest = fields.String()
    effective_at = fields.String(metadata={"format": "date-time"})


class EventSchema(Strict):
    """An event, as webhooks receive it."""

    also = {
        "oneOf": [{"$ref": _reference(kind)} for kind in TYPES],
        "discriminator": {"propertyName": "type", "mapping": {kind: _reference(kind) for kind in TYPES}},
    }

    id = fields.String(required=True)
    type = fields.String(required=True, validate=validate.OneOf(TYPES))
    timestamp = fields.String(required=True, metadata={"format": "date-time"})
    data = fields.Nested(EventDataSchema, required=True)


class EventListSchema(Strict):
    """Oldest first. `next` is where to go on, also when there is nothing more now; `newest` where the log ends."""

    events = fields.List(fields.Nested(EventSchema), required=True)
    next = fields.String(required=True)
    newest = fields.String(required=True)


def describe(spec: APISpec) -> None:
    """Tell in a document, which has the schema of their data, what each type of event is and how it is sent."""
    told = spec.components.schemas["EventData"]["properties"]
    for kind, names in DATA.items():
        spec.components.schema(component(kind), _event(kind, {name: told[name] for name in names}))
    spec.options["webhooks"] = {kind: {"post": _delivery(kind)} for kind in DATA}


def _event(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a type of events: nothing more stands in one, and nothing less."""
    whole = {
        "id": {"type": "string", "pattern": "^evt_[A-Za-z0-9_-]+$"},
        "type": {"type": "string", "const": kind},
        "timestamp": {"type": "string", "format": "date-time"},
        "data": _closed(data),
    }
    return _closed(whole)


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _delivery(kind: str) -> dict[str, Any]:
    parameters = [
        {"in": "header", "name": name, "required": True, "description": told, "schema": {"type": "string"}}
        for name, told in HEADERS.items()
    ]
    return {
        "operationId": f"receive{component(kind)}",
        "summary": f"{kind}, sent to a webhook that asked for it; signed as docs/webhooks.md tells.",
        "tags": ["webhooks"],
        "security": [],
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": _reference(kind)}}}},
        "responses": {
            "2XX": {"description": "Accepted; anything else but 410 is tried again"},
            "410": {"description": "Gone: the webhook is disabled"},
        },
    }
