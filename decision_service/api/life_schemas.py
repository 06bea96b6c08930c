"""Schemas of what is done with an application after its decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from decision_service.api.fields import IDENTIFIER, Count, Money, QueryCount, Text, one_line
from decision_service.api.schemas import REQUIRED, ReasonSchema, ReceiptSchema, Strict
from decision_service.lending import life
from decision_service.lending.life import ACTS, APPROVE, DECLINE, ENDS, STATES, WAITING
from decision_service.lending.review_reasons import FINAL_REASONS, REVIEW_REASONS
from decision_service.lives import PLACE, SLA_STATES
from decision_service.repaired import OBJECTION, REPAIR
from decision_service.vocabulary import CLIENT_ID

LONGEST_COMMENT = 1_000
LONGEST_ARREARS = 36_500
DATE_TIME = {"format": "date-time"}
PLACES: Mapping[str, str] = {
    life.ASSIGNMENT: "assignment",
    life.REVIEW: "review",
    life.PAUSE: "pause",
    life.RESUMPTION: "resume",
    life.FINAL: "final",
    life.DRAWDOWN: "drawdowns",
    life.REPAYMENT: "repayments",
    life.ARREARS: "overdues",
    life.CLOSURE: "closure",
}
"""Where each act is posted, below the address of its decision."""
of_whole = validates_schema(pass_original=True, skip_on_field_errors=False)
"""A check of a whole body that tells its mistakes with those of single fields."""


def comment() -> fields.String:
    """Free text for people, kept apart from the leaf so that it can be erased."""
    return one_line(longest=LONGEST_COMMENT, description="One line for people; can be erased", load_default="")


def reason(reasons: Mapping[str, Mapping[str, Mapping[str, str]]]) -> fields.String:
    """A code out of a closed list, which the document tells in both languages."""
    texts = {code: text for group in reasons.values() for code, text in group.items()}
    told = "; ".join(f"`{code}` {text['zh']} · {text['en']}" for code, text in texts.items())
    return fields.String(validate=validate.OneOf([*texts]), metadata={"description": told}, **REQUIRED)


def contract(**kwargs: Any) -> Text:
    """The bank's number of a contract."""
    told = "The bank's own number of the contract: the `line_id` under which it reports exposure"
    return Text(IDENTIFIER, longest=64, description=told, **kwargs)


def on() -> fields.Date:
    """A business date."""
    return fields.Date(format="iso", metadata={"description": "When it happened; a business date"}, **REQUIRED)


def by_outcome(reasons: Mapping[str, Mapping[str, Any]], *of_approval: str) -> dict[str, Any]:
    """What an approval has, and which reasons belong to which outcome, as the document tells it."""
    one, other = ({"reason": {"enum": [*reasons[outcome]]}} for outcome in (APPROVE, DECLINE))
    return {
        "if": {"properties": {"outcome": {"const": APPROVE}}},
        "then": {"required": ["amount"], "properties": one},
        "else": {"properties": {**other, **dict.fromkeys(of_approval, False)}},
    }


class VerdictSchema(Strict):
    """An outcome with what belongs to it."""

    reasons: Mapping[str, Mapping[str, Any]] = {}
    outcome = fields.String(validate=validate.OneOf((APPROVE, DECLINE)), **REQUIRED)
    amount = Money()
    comment = comment()

    @of_whole
    def whole(self, data: dict[str, Any], sent: dict[str, Any], **kwargs: Any) -> None:
        """An approval has an amount, a refusal has none; a reason belongs to its outcome."""
        outcome, found = data.get("outcome", ""), {}
        if outcome == APPROVE and "amount" not in sent:
            found["amount"] = ["is required with APPROVE"]
        if outcome == DECLINE and "amount" in sent:
            found["amount"] = ["belongs to APPROVE"]
        if outcome in self.reasons and "reason" in data and data["reason"] not in self.reasons[outcome]:
            found["reason"] = [f"with {outcome} must be one of {', '.join(self.reasons[outcome])}"]
        if found:
            raise ValidationError(found)


class FinalSchema(VerdictSchema):
    """The bank's final decision."""

    reasons = FINAL_REASONS
    also = by_outcome(FINAL_REASONS, "amount", "contract_id")
    reason = reason(FINAL_REASONS)
    contract_id = contract()

    @of_whole
    def of_contract(self, data: dict[str, Any], sent: dict[str, Any], **kwargs: Any) -> None:
        """A refusal has no contract."""
        if data.get("outcome") == DECLINE and "contract_id" in sent:
            raise ValidationError({"contract_id": ["belongs to APPROVE"]})


class ReviewSchema(VerdictSchema):
    """A person's decision on a referred application."""

    reasons = REVIEW_REASONS
    also = by_outcome(REVIEW_REASONS, "amount")
    reason = reason(REVIEW_REASONS)
    exposure_total = Money()


class AssignmentSchema(Strict):
    """To whom; without it, to the caller."""

    assignee = Text(CLIENT_ID, longest=64, description="The id of a client of kind `risk`")


class NoteSchema(Strict):
    """A comment, or nothing."""

    comment = comment()


class MovementSchema(Strict):
    """Money that moved under a contract."""

    amount = Money(**REQUIRED)
    on = on()
    contract_id = contract(**REQUIRED)


class OverdueSchema(Strict):
    """Arrears as they stand; zero days, without an amount, once they are made good."""

    also = {
        "if": {"properties": {"days": {"minimum": 1}}},
        "then": {"required": ["amount"]},
        "else": {"properties": {"amount": False}},
    }

    days = Count(least=0, most=LONGEST_ARREARS, **REQUIRED)
    amount = Money()
    on = on()
    contract_id = contract(**REQUIRED)

    @of_whole
    def whole(self, data: dict[str, Any], sent: dict[str, Any], **kwargs: Any) -> None:
        """What is overdue has an amount."""
        if "days" in data and ("amount" in sent) != (data["days"] > 0):
            raise ValidationError({"amount": ["is required with days above zero, and only then"]})


class ClosureSchema(Strict):
    """How the contract ended."""

    end = fields.String(validate=validate.OneOf(ENDS), **REQUIRED)
    on = on()
    contract_id = contract()


class DoneSchema(Strict):
    """What was done with an application or an objection, and what may be done next."""

    at = fields.String(required=True, metadata=DATE_TIME)
    due_at = fields.String(required=True, allow_none=True, metadata=DATE_TIME)
    allowed = fields.List(fields.String(), required=True)
    receipt = fields.Nested(ReceiptSchema, required=True)


class ActSchema(DoneSchema):
    """What was done with an application."""

    decision_id = fields.String(required=True)
    act = fields.String(required=True, validate=validate.OneOf(ACTS))
    state = fields.String(required=True, validate=validate.OneOf(STATES))


class BySchema(Strict):
    """Who acted; the id only of the reader itself, or to those who may read everything."""

    kind = fields.String(required=True)
    id = fields.String(required=True, allow_none=True)


class ToldSchema(Strict):
    """One act of a history. `leaf_index` is its place in the log."""

    act = fields.String(required=True)
    at = fields.String(required=True, metadata=DATE_TIME)
    by = fields.Nested(BySchema, required=True, allow_none=True)
    details = fields.Dict(keys=fields.String(), required=True)
    leaf_index = fields.Integer()


class RepairSchema(Strict):
    """A record that a decision used and that was ruled wrong (`objection`) or repaired at its source since."""

    kind = fields.String(required=True)
    how = fields.String(required=True, validate=validate.OneOf((OBJECTION, REPAIR)))
    at = fields.String(required=True)


class HistorySchema(Strict):
    """An application from its arrival on. `later_repaired` is null once the values of the decision are erased."""

    later_repaired = fields.Boolean(required=True, allow_none=True)
    repairs = fields.List(fields.Nested(RepairSchema), required=True)
    decision_id = fields.String(required=True)
    application_id = fields.String(required=True)
    outcome = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    asked = fields.String(required=True)
    approved = fields.String(required=True, allow_none=True)
    holds_until = fields.String(required=True, allow_none=True, metadata=DATE_TIME)
    contract_id = fields.String(required=True, allow_none=True)
    drawn = fields.String(required=True)
    repaid = fields.String(required=True)
    overdue_days = fields.Integer(required=True)
    due_at = fields.String(required=True, allow_none=True, metadata=DATE_TIME)
    allowed = fields.List(fields.String(), required=True)
    acts = fields.List(fields.Nested(ToldSchema), required=True)


class WaitingSchema(Strict):
    """A referred application that waits for people."""

    decision_id = fields.String(required=True)
    application_id = fields.String(required=True)
    client_id = fields.String(required=True)
    product = fields.String(required=True)
    amount = fields.String(required=True)
    card = fields.String(required=True, allow_none=True)
    whitelisted = fields.Boolean(required=True, allow_none=True)
    decided_at = fields.String(required=True, metadata=DATE_TIME)
    reasons = fields.List(fields.Nested(ReasonSchema), required=True)
    state = fields.String(required=True, validate=validate.OneOf(WAITING))
    assignee = fields.String(required=True, allow_none=True)
    due_at = fields.String(required=True, allow_none=True, metadata=DATE_TIME)
    sla = fields.String(required=True, validate=validate.OneOf(SLA_STATES))
    pauses = fields.Integer(required=True)


class QueueSchema(Strict):
    """One page of the queue."""

    reviews = fields.List(fields.Nested(WaitingSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class QueueQuery(Strict):
    """Which of the queue."""

    state = fields.String(validate=validate.OneOf(WAITING), metadata={"description": "Only those in this state"})
    after = Text(PLACE, longest=64, description="The `next` of the page before")
    limit = QueryCount(least=1, most=100, load_default=20)
