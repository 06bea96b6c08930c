"""Schemas of requests (they build frozen types) and of responses (they document what `render` writes)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate, validates_schema

from decision_service.api.fields import IDENTIFIER, NAME, Count, Money, QueryCount, Text, Uscc
from decision_service.store.cursors import CURSOR
from decision_service.vocabulary import CreditApplication

APPLICATION_FIELDS = (
    "application_id", "product", "amount", "term_months", "purpose", "authorization_id", "enterprise",
)  # fmt: skip
INDUSTRY = re.compile(r"[0-9]{2}")
MAX_FACTS = 400
EXAMPLE = "working_capital"
"""A product and a purpose; with the other examples, an application that the sandbox approves."""
FIRST_YEAR, LAST_YEAR = 2000, 2100
"""The years as of which anything may be assessed."""


class Strict(Schema):
    """Unknown fields are refused."""

    also: Mapping[str, Any] = {}
    """What the document says of it that its fields do not: JSON Schema."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "is not a field of this request", "type": "must be a JSON object"}


REQUIRED: dict[str, Any] = {"required": True, "error_messages": {"required": "is required", "null": "must not be null"}}


class EnterpriseSchema(Strict):
    """Who applies."""

    uscc = Uscc(**REQUIRED)


class ApplicationSchema(Strict):
    """A credit application as a bank sends it."""

    application_id = Text(
        IDENTIFIER, longest=64, description="The bank's own number of the application", example="A-1", **REQUIRED
    )
    product = Text(
        NAME, longest=64, description="Name of a product file of the active ruleset", example=EXAMPLE, **REQUIRED
    )
    amount = Money(**REQUIRED)
    term_months = Count(least=1, most=360, **REQUIRED)
    purpose = Text(
        NAME, longest=64, description="A purpose declared in the active ruleset", example=EXAMPLE, **REQUIRED
    )
    authorization_id = Text(
        IDENTIFIER,
        longest=128,
        description="The enterprise's authorisation to use its data",
        example="AUTH-1",
        **REQUIRED,
    )
    enterprise = fields.Nested(EnterpriseSchema, **REQUIRED)

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> CreditApplication:
        """The frozen application."""
        enterprise = data.pop("enterprise")
        return CreditApplication(uscc=enterprise["uscc"], **data)


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """What to assess: an application with facts changed, or facts alone."""

    application: CreditApplication | None
    facts: dict[str, Any]
    industry: str | None
    as_of: date | None


class SimulationSchema(Strict):
    """An application plus fact overrides, or facts alone; ``null`` makes a fact unknown."""

    application_id = Text(IDENTIFIER, longest=64, description="As in an application")
    product = Text(NAME, longest=64, description="As in an application")
    amount = Money()
    term_months = Count(least=1, most=360)
    purpose = Text(NAME, longest=64, description="As in an application")
    authorization_id = Text(IDENTIFIER, longest=128, description="As in an application")
    enterprise = fields.Nested(EnterpriseSchema)
    facts = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"description": "Facts by name: number, decimal text, flag, date, choice, or null for unknown"},
    )
    industry = Text(INDUSTRY, longest=2, description="Two-digit division, for facts alone")
    as_of = fields.Date(
        format="iso",
        validate=validate.Range(min=date(FIRST_YEAR, 1, 1), max=date(LAST_YEAR, 12, 31)),
        metadata={"description": "Judge by what is in force on this business date"},
    )

    @validates_schema
    def whole(self, data: dict[str, Any], **kwargs: Any) -> None:
        """Either a whole application or none of it."""
        given = [name for name in APPLICATION_FIELDS if name in data]
        missing = [name for name in APPLICATION_FIELDS if name not in data]
        if given and missing:
            raise ValidationError({name: ["is required with the rest of an application"] for name in missing})
        if not given and not data.get("facts"):
            raise ValidationError({"facts": ["is required when there is no application"]})
        if given and "industry" in data:
            raise ValidationError({"industry": ["belongs to facts alone; an enterprise has its own"]})
        if len(data.get("facts", {})) > MAX_FACTS:
            raise ValidationError({"facts": [f"has more than {MAX_FACTS} entries"]})

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> SimulationRequest:
        """The frozen request."""
        application = None
        if "enterprise" in data:
            values = {name: data[name] for name in APPLICATION_FIELDS if name != "enterprise"}
            application = CreditApplication(uscc=data["enterprise"]["uscc"], **values)
        return SimulationRequest(application, data["facts"], data.get("industry"), data.get("as_of"))


class PageQuery(Strict):
    """Cursor paging."""

    after = Text(CURSOR, longest=32, description="The `next` of the page before")
    limit = QueryCount(least=1, most=100, load_default=20)


class LangQuery(Strict):
    """The language of texts."""

    lang = fields.String(load_default="zh", validate=validate.OneOf(("zh", "en"), error="must be zh or en"))


class ProblemFieldSchema(Strict):
    """One field that is not acceptable."""

    field = fields.String(required=True)
    message = fields.String(required=True)


class AdmittedSchema(Strict):
    """An act that the state admits, and where it is posted."""

    act = fields.String(required=True)
    address = fields.String(required=True)


class ProblemSchema(Strict):
    """Problem details (RFC 9457)."""

    type = fields.String(required=True, metadata={"description": "Stable; see docs/problems.md"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    request_id = fields.String(required=True)
    errors = fields.List(fields.Nested(ProblemFieldSchema))
    admits = fields.List(
        fields.Nested(AdmittedSchema), metadata={"description": "With not-now: what the present state admits instead"}
    )


class ScoresSchema(Strict):
    """Probabilities of default in twelve months, six decimals, and the portrait's grade; null is unknown."""

    pd_12m = fields.String(required=True, allow_none=True)
    pd_xgb = fields.String(required=True, allow_none=True)
    pd_lstm = fields.String(required=True, allow_none=True)
    grade = fields.String(required=True, allow_none=True)


class ReasonSchema(Strict):
    """A reason, the rule behind it, and the customer's text."""

    code = fields.String(required=True)
    rule = fields.String(required=True)
    zh = fields.String(required=True)
    en = fields.String(required=True)


class RulesetRefSchema(Strict):
    """Which ruleset decided."""

    version = fields.String(required=True)
    digest = fields.String(required=True)


class ModelSchema(Strict):
    """Which model took part."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    digest = fields.String(required=True)


class ReceiptSchema(Strict):
    """Where the decision stands in the log, signed."""

    leaf_index = fields.Integer(required=True)
    leaf_hash = fields.String(required=True)
    signature = fields.String(required=True)


OUTCOMES = ("APPROVE", "REFER", "DECLINE")


class AssessmentSchema(Strict):
    """What decisions and simulations have in common."""

    outcome = fields.String(required=True, validate=validate.OneOf(OUTCOMES))
    limit = fields.String(required=True, allow_none=True)
    card = fields.String(required=True, allow_none=True)
    whitelisted = fields.Boolean(required=True, allow_none=True)
    scores = fields.Nested(ScoresSchema, required=True)
    reasons = fields.List(fields.Nested(ReasonSchema), required=True)
    conditions = fields.List(fields.String(), required=True)
    rate_spread_bp = fields.Integer(required=True)
    ruleset = fields.Nested(RulesetRefSchema, required=True)
    models = fields.List(fields.Nested(ModelSchema), required=True)


class DecisionSchema(AssessmentSchema):
    """A decision."""

    decision_id = fields.String(required=True)
    application_id = fields.String(required=True)
    approved_amount = fields.String(required=True, allow_none=True)
    decided_at = fields.String(required=True, metadata={"format": "date-time"})
    due_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    receipt = fields.Nested(ReceiptSchema, required=True)


class SimulationResultSchema(AssessmentSchema):
    """An assessment that is no decision and was not stored.

    Scores are those that were assessed: a given one stands in the place of the models', and no score is computed anew
    from other facts that were given. A model is listed unless its own score and `pd_12m` were both given.
    """

    overridden_facts = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The facts that the request gave, by name"},
    )
    simulation = fields.Boolean(required=True)
    as_of = fields.Date(required=True)
    matched_rules = fields.List(fields.String(), required=True)
    unknown_rules = fields.List(fields.String(), required=True)


class ProofSchema(Strict):
    """Evidence of a decision: its record in Base64, its place in the log (RFC 6962), the signed checkpoint, the key."""

    decision_id = fields.String(required=True)
    record = fields.String(required=True, metadata={"contentEncoding": "base64"})
    leaf_index = fields.Integer(required=True)
    leaf_hash = fields.String(required=True)
    tree_size = fields.Integer(required=True)
    inclusion_proof = fields.List(fields.String(), required=True)
    checkpoint = fields.String(required=True, metadata={"description": "A C2SP signed note"})
    public_key = fields.String(required=True)


class DecisionListSchema(Strict):
    """One page, newest first."""

    decisions = fields.List(fields.Nested(DecisionSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class RulesetSchema(Strict):
    """The ruleset in force."""

    version = fields.String(required=True)
    digest = fields.String(required=True)
    in_force_on = fields.Date(required=True)
    rules = fields.Integer(required=True)
    products = fields.List(fields.String(), required=True)
    purposes = fields.List(fields.String(), required=True)


class ModelListSchema(Strict):
    """The models in use."""

    models = fields.List(fields.Nested(ModelSchema), required=True)
    problems = fields.List(fields.String(), required=True)


class StateSchema(Strict):
    """Whether the process lives or is ready, and what is wrong all the same."""

    status = fields.String(required=True)
    problems = fields.List(fields.String())
