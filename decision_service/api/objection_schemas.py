"""Schemas of objections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from decision_service.api.fields import IDENTIFIER, QueryCount, Text
from decision_service.api.life_schemas import DATE_TIME, BySchema, DoneSchema, comment, of_whole
from decision_service.api.schemas import CURSOR, REQUIRED, EnterpriseSchema, Strict
from decision_service.governance import objection
from decision_service.governance.objection import ACTS, ANSWERS, EFFECTS, RULINGS, STATES, TARGETS
from decision_service.governance.refusals import REFUSALS
from decision_service.objections import SLA_STATES, Target
from decision_service.portrait.disputes import DISPUTABLE

SHA256 = re.compile(r"[0-9a-f]{64}")
KEY = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
DECISION_ID = re.compile(r"[A-Za-z0-9-]+")
MOST_DOCUMENTS = 50
PLACES: Mapping[str, str] = {
    objection.ACCEPTANCE: "acceptance",
    objection.REFUSAL: "refusal",
    objection.CHECK: "source-check",
    objection.RULING: "ruling",
    objection.APPLICATION: "application",
    objection.NOTIFICATION: "notification",
    objection.APPEAL: "appeal",
    objection.ARBITRATED: "arbitration",
}
"""Where each act is posted, below the address of its objection."""


def evidence(*, least: int) -> fields.List:
    """Hashes of documents that are kept elsewhere."""
    told = "SHA-256 of each document, in hex; the documents themselves are kept by who sends this"
    one = Text(SHA256, longest=64, description="SHA-256 in hex")
    plain = validate.Length(min=least, max=MOST_DOCUMENTS)
    options: dict[str, Any] = REQUIRED if least else {"load_default": list}
    return fields.List(one, validate=plain, metadata={"description": told}, **options)


class RecordSchema(Strict):
    """What identifies a record among those of its enterprise."""

    kind = fields.String(validate=validate.OneOf(DISPUTABLE), **REQUIRED)
    key = Text(
        KEY,
        longest=100,
        description="`record_id` of `lists` and `overdues`, the year of `tax_ratings`, the id (IND14) of `indicators`",
        **REQUIRED,
    )


class FilingSchema(Strict):
    """An objection: to a record of an enterprise, or to a decision of one's own."""

    also = {
        "oneOf": [
            {"required": ["decision_id"], "not": {"anyOf": [{"required": ["record"]}, {"required": ["enterprise"]}]}},
            {"required": ["record", "enterprise"], "not": {"required": ["decision_id"]}},
        ]
    }

    enterprise = fields.Nested(EnterpriseSchema)
    record = fields.Nested(RecordSchema)
    decision_id = Text(DECISION_ID, longest=64, description="The decision objected to")
    authorization_id = Text(IDENTIFIER, longest=128, description="The enterprise's authorisation; fintechs need it")
    evidence = evidence(least=1)
    comment = comment()

    @of_whole
    def one_thing(self, data: dict[str, Any], sent: dict[str, Any], **kwargs: Any) -> None:
        """Either a record with its enterprise, or a decision."""
        if "decision_id" in sent:
            wrong = [name for name in ("enterprise", "record") if name in sent]
            found = {name: ["belongs to a record, not to a decision"] for name in wrong}
        else:
            found = {name: ["is required"] for name in ("enterprise", "record") if name not in sent}
        if found:
            raise ValidationError(found)

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """The target, and the rest of the body."""
        enterprise, record = data.pop("enterprise", {}), data.pop("record", {})
        target = Target(enterprise.get("uscc", ""), **record, decision_id=data.pop("decision_id", ""))
        return {"target": target, "rest": data}


class ObjectionNoteSchema(Strict):
    """Documents and a comment, or nothing."""

    evidence = evidence(least=0)
    comment = comment()


class RefusalSchema(ObjectionNoteSchema):
    """Why it is not taken up."""

    reason = fields.String(validate=validate.OneOf(tuple(REFUSALS)), **REQUIRED)


class ProvenSchema(Strict):
    """At least one document, and a comment."""

    evidence = evidence(least=1)
    comment = comment()


class SourceCheckSchema(ObjectionNoteSchema):
    """What the provider of the record says; an answer needs a document."""

    also = {
        "if": {"properties": {"answer": {"enum": [*ANSWERS[:2]]}}},
        "then": {"required": ["evidence"], "properties": {"evidence": {"minItems": 1}}},
    }
    answer = fields.String(validate=validate.OneOf(ANSWERS), **REQUIRED)

    @of_whole
    def proven(self, data: dict[str, Any], sent: dict[str, Any], **kwargs: Any) -> None:
        """Only silence has no document."""
        if data.get("answer") in ANSWERS[:2] and not sent.get("evidence"):
            raise ValidationError({"evidence": ["is required with an answer"]})


class RulingSchema(ProvenSchema):
    """What becomes of the record."""

    ruling = fields.String(validate=validate.OneOf(RULINGS), **REQUIRED)


class ObjectionActSchema(DoneSchema):
    """What was done with an objection."""

    objection_id = fields.String(required=True)
    act = fields.String(required=True, validate=validate.OneOf(ACTS))
    state = fields.String(required=True, validate=validate.OneOf(STATES))


class TargetSchema(Strict):
    """What is objected to. `list` is that of an entry."""

    type = fields.String(required=True, validate=validate.OneOf(TARGETS))
    uscc = fields.String()
    kind = fields.String()
    key = fields.String()
    list = fields.String()
    decision_id = fields.String()


class StepSchema(Strict):
    """What has to be done until when; null where the calendar of that year is not known."""

    step = fields.String(required=True)
    due_at = fields.String(required=True, allow_none=True, metadata=DATE_TIME)


class ObjectionSchema(Strict):
    """An objection as it stands. `effect` is what it makes of its record now."""

    objection_id = fields.String(required=True)
    target = fields.Nested(TargetSchema, required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    instance = fields.Integer(required=True)
    ruling = fields.String(required=True, allow_none=True, validate=validate.OneOf(RULINGS))
    effect = fields.String(required=True, allow_none=True, validate=validate.OneOf(EFFECTS))
    effect_since = fields.String(required=True, allow_none=True, metadata=DATE_TIME)
    filed_at = fields.String(required=True, metadata=DATE_TIME)
    due_at = fields.String(required=True, allow_none=True, metadata=DATE_TIME)
    steps = fields.List(fields.Nested(StepSchema), required=True)
    sla = fields.String(required=True, allow_none=True, validate=validate.OneOf(SLA_STATES))
    allowed = fields.List(fields.String(), required=True)


class ObjectionToldSchema(Strict):
    """One act. `leaf_index` is its place in the log."""

    act = fields.String(required=True, validate=validate.OneOf(ACTS))
    at = fields.String(required=True, metadata=DATE_TIME)
    by = fields.Nested(BySchema, required=True, allow_none=True)
    details = fields.Dict(keys=fields.String(), required=True)
    leaf_index = fields.Integer(required=True)


class ObjectionHistorySchema(ObjectionSchema):
    """An objection with all acts."""

    acts = fields.List(fields.Nested(ObjectionToldSchema), required=True)


class ObjectionListSchema(Strict):
    """One page."""

    objections = fields.List(fields.Nested(ObjectionSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class ObjectionQuery(Strict):
    """Which objections."""

    state = fields.String(validate=validate.OneOf(STATES), metadata={"description": "Only those in this state"})
    after = Text(CURSOR, longest=32, description="The `next` of the page before")
    limit = QueryCount(least=1, most=100, load_default=20)
