"""What an explanation holds, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from decision_service.api.life_schemas import RepairSchema
from decision_service.api.objection_schemas import RecordSchema
from decision_service.api.schemas import OUTCOMES, EnterpriseSchema, ModelSchema, Strict

RESULTS = ("matched", "not_matched", "unknown")
STAGES = ("status", "limit", "decision")


def _text(told: str, **options: Any) -> fields.String:
    return fields.String(metadata={"description": told}, **options)


def _amount(told: str, **options: Any) -> fields.String:
    return _text(f"{told}; CNY with two decimals, null is unknown", allow_none=True, **options)


def _result(told: str, **options: Any) -> fields.String:
    return fields.String(validate=validate.OneOf(RESULTS), metadata={"description": told}, **options)


def _withheld() -> fields.Boolean:
    return fields.Boolean(metadata={"description": "`true`: it rests on facts that the caller may not see"})


class ComparisonSchema(Strict):
    """One comparison of a rule with the values seen, as people read them."""

    text = _text("As the rule file says it", required=True)
    fact = fields.String(required=True)
    label = fields.String(required=True)
    seen = fields.String(required=True)
    operator = fields.String(required=True)
    against = fields.String(required=True)
    result = _result("How it came out", required=True)
    wanted = _result("Among `changes`: how it would have to come out")


class ExplainedRuleSchema(Strict):
    """One rule in force."""

    rule = fields.String(required=True)
    title = fields.String(required=True)
    reference = fields.String(required=True)
    withheld = _withheld()
    outcome = _text("Of a decision rule: what it asks for when it matches")
    sets = fields.Dict(keys=fields.String(), metadata={"description": "Of a status rule: the facts that it sets"})
    reason = fields.String(allow_none=True)
    result = _result("How it came out")
    comparisons = fields.List(fields.Nested(ComparisonSchema))


class ExplainedStageSchema(Strict):
    """One stage with every rule in force."""

    stage = fields.String(required=True, validate=validate.OneOf(STAGES))
    rules = fields.List(fields.Nested(ExplainedRuleSchema), required=True)


class ContributionSchema(Strict):
    """A feature's share of the tree model's margin; above zero speaks against the enterprise."""

    feature = _text("An indicator, `industry`, or `base`: the margin before any feature is looked at", required=True)
    label = fields.String(required=True)
    log_odds = _text("Log-odds of default before calibration", required=True)
    points_lost = _text("Of a scorecard: points below the feature's best bin")


class CalibrationSchema(Strict):
    """How a margin becomes a 12-month probability of default at a base rate."""

    slope = fields.String(required=True)
    offset = fields.String(required=True)
    base_rate = fields.String(required=True)
    knots = fields.List(
        fields.List(fields.String()),
        metadata={"description": "`[margin, bend]`: `bend` is straight between them and level beyond the ends"},
    )


class ExplainedScoreSchema(Strict):
    """The way from the contributions to `pd_xgb`: they sum to `margin`, and calibration makes that a probability.

    `blend` goes on from there to `pd_12m`.
    """

    model = fields.Nested(ModelSchema, required=True)
    withheld = _withheld()
    base = _text("The contribution named `base`")
    features = _text("The sum of all other contributions")
    margin = _text("`base` + `features`: log-odds before calibration")
    calibration = fields.Nested(CalibrationSchema)
    formula = _text("How the margin becomes `pd_xgb`")
    pd_xgb = _text("The score of the decision, rounded to six decimals", allow_none=True)
    pd_12m = _text("The same, where a scorecard stood in for a model that could not score", allow_none=True)


class ScoreReasonSchema(Strict):
    """An input of a model that speaks against the enterprise: with a healthy value the score would be better.

    A reason that rests on a fact that the caller may not see is `withheld` and keeps its place in the list.
    """

    withheld = _withheld()
    code = _text("`IND01` to `IND32`, `INDUSTRY`, `SERIES_…` or the name of an invoice feature in capitals")
    score = _text("The score whose model reads it: `pd_xgb`, `pd_lstm`, or `pd_12m` of a scorecard")
    feature = fields.String()
    label = fields.String()
    unit = fields.String()
    direction = _text("`raises`: it raises the probability of default")
    seen = _text("The value that the model read; of a series the mean of 12 months; null: not known", allow_none=True)
    healthy = _text("That of a healthy firm, or the best bin of a scorecard; null: none is usual", allow_none=True)
    change = _text("Of a series: its last 3 months against the 9 before", allow_none=True)
    healthy_change = _text("That of a healthy firm", allow_none=True)
    log_odds = _text("How far the log-odds of `pd_12m` fall when this alone is healthy")
    text = _text("All of it as a sentence")


class SharePartSchema(Strict):
    """A part of a series' share: its `level`, or its months by how long ago they were."""

    part = fields.String(required=True)
    log_odds = fields.String(required=True)


class ShareSchema(Strict):
    """One input's share of the log-odds of `pd_12m`; above zero speaks against the enterprise."""

    score = fields.String(required=True)
    feature = fields.String(required=True)
    label = fields.String(required=True)
    log_odds = fields.String(required=True)
    parts = fields.List(fields.Nested(SharePartSchema))


class BlendSchema(Strict):
    """The way from both models' inputs to `pd_12m`: `base` and all shares sum to its `log_odds`."""

    withheld = _withheld()
    base = _text("Log-odds before any share: trees at their mean, the network at a healthy firm, calibrated, weighted")
    shares = fields.List(fields.Nested(ShareSchema))
    log_odds = _text("ln(`pd_12m` / (1 - `pd_12m`)), before rounding")
    pd_12m = _text("The score of the decision, rounded to six decimals")


class ExplainedFactSchema(Strict):
    """A fact with its value as people read it."""

    fact = fields.String(required=True)
    label = fields.String(required=True)
    value = fields.String()
    withheld = _withheld()


class BoundSchema(Strict):
    """An amount that the limit cannot exceed, from the enterprise's own figures."""

    bound = fields.String(required=True)
    title = fields.String(required=True)
    formula = fields.String(required=True)
    inputs = fields.List(fields.Nested(ExplainedFactSchema), required=True)
    withheld = _withheld()
    grade_factor = _text("The factor that the portrait grade stands for")
    amount = _amount("The bound")


class LimitEffectSchema(Strict):
    """A cap or a factor of a limit rule that matched, or is unknown and counts all the same."""

    rule = fields.String(required=True)
    title = fields.String(required=True)
    reference = fields.String(required=True)
    withheld = _withheld()
    result = _result("How the rule came out")
    # ``from`` is a word of Python, so it cannot be a class attribute.
    source = fields.Nested(ExplainedFactSchema, data_key="from", metadata={"description": "The fact that it takes"})
    amount = _amount("The cap; an unknown one counts as zero")
    factor = _text("The factor; an unknown one counts as zero")


class ExplainedLimitSchema(Strict):
    """The limit: the least of `bounds`, at most the least of `caps`, times the least of `factors`, rounded down."""

    bounds = fields.List(fields.Nested(BoundSchema), required=True)
    caps = fields.List(fields.Nested(LimitEffectSchema), required=True)
    factors = fields.List(fields.Nested(LimitEffectSchema), required=True)
    bound = _amount("The least of `bounds`")
    cap = fields.String(allow_none=True, metadata={"description": "The least of `caps`; null: no rule caps the limit"})
    factor = _text("The least of `factors`, at most 1")
    before_rounding = _amount("min(`bound`, `cap`) × `factor`")
    rounded_down_to = _text("The step to which the limit is rounded down, in CNY", required=True)
    limit = _amount("The limit of the decision", required=True)


class ChangeSchema(Strict):
    """A rule that stood in the way of an approval, and the comparisons that would have to come out differently.

    Not all need to: of alternatives, such as those that make a rule match, one is enough.
    """

    rule = fields.String(required=True)
    title = fields.String(required=True)
    now = _result("How the rule came out", required=True)
    wanted = _result("How it would have to come out", required=True)
    comparisons = fields.List(fields.Nested(ComparisonSchema), required=True)


class RestsOnSchema(Strict):
    """A record that a reason rests on. `enterprise` and `record` are the body of an objection to it.

    Where it rests on a fact that the caller may not see, nothing but that is told.
    """

    reason = _text("The code of the reason", required=True)
    rule = _text("The rule behind it", required=True)
    withheld = _withheld()
    fact = _text("What the record says")
    label = fields.String()
    enterprise = fields.Nested(EnterpriseSchema)
    record = fields.Nested(RecordSchema)


class ExplanationSchema(Strict):
    """Why a decision came out as it did, in one language."""

    decision_id = fields.String(required=True)
    outcome = fields.String(required=True, validate=validate.OneOf(OUTCOMES))
    lang = fields.String(required=True)
    in_force_on = fields.Date(required=True)
    ruleset = _text("Digest of the ruleset that decided", required=True)
    stages = fields.List(fields.Nested(ExplainedStageSchema), required=True)
    contributions = fields.List(
        fields.Nested(ContributionSchema),
        required=True,
        metadata={"description": "Of the tree model named in `score`, the heaviest first; without those withheld"},
    )
    score = fields.Nested(
        ExplainedScoreSchema, required=True, allow_none=True, metadata={"description": "null: no model can be shown"}
    )
    score_reasons = fields.List(
        fields.Nested(ScoreReasonSchema),
        required=True,
        metadata={"description": "What weighs most against the enterprise in `pd_12m`: up to four, heaviest first"},
    )
    blend = fields.Nested(
        BlendSchema, required=True, allow_none=True, metadata={"description": "null: there is no score to divide"}
    )
    limit = fields.Nested(ExplainedLimitSchema, required=True)
    changes = fields.List(fields.Nested(ChangeSchema), required=True)
    records = fields.List(
        fields.Nested(RestsOnSchema),
        required=True,
        allow_none=True,
        metadata={
            "description": "The enterprise's records on file behind each reason, as `POST /v1/objections` takes them;"
            " those of related parties are not named. null: the evidence of an old decision does not name records"
        },
    )
    later_repaired = fields.Boolean(required=True, allow_none=True)
    repairs = fields.List(
        fields.Nested(RepairSchema),
        required=True,
        metadata={"description": "Records that it used and that were ruled wrong or repaired since"},
    )
