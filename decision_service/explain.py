"""Why a decision came out as it did: every rule with what it saw, the score, the limit, what would have to change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from decision_service import explain_reasons, explain_score
from decision_service.audit.replay import read_record
from decision_service.decide import Platform
from decision_service.errors import NotFound
from decision_service.explain_changes import changes
from decision_service.explain_limit import limit
from decision_service.explain_records import records
from decision_service.explain_view import TRUTH, View
from decision_service.recorded import assess_again, in_force
from decision_service.repaired import later_repairs, told
from decision_service.rulebook.rules import Rule, Stage
from decision_service.store import StoredDecision


def explain(platform: Platform, stored: StoredDecision, *, lang: str, openness: int = 3) -> dict[str, Any]:
    """The explanation in ``zh`` or ``en``; rules and contributions that read facts above ``openness`` are withheld.

    Raises ``NotFound`` when the values behind the decision were erased.
    """
    if stored.private is None:
        raise NotFound("the data behind this decision were erased", remedy="its proof still verifies")
    recorded = read_record(stored)
    view = View(in_force(platform, recorded), assess_again(platform, recorded), lang, openness)
    explained = explain_score.taken_apart(platform, recorded, stored)
    why = explain_reasons.taken_apart(platform, recorded, stored)
    return {
        "decision_id": recorded.decision_id,
        "outcome": recorded.answer.outcome,
        "lang": lang,
        "in_force_on": recorded.in_force_on.isoformat(),
        "ruleset": recorded.ruleset_digest,
        "stages": [{"stage": stage.value, "rules": list(_rules(view, stage))} for stage in Stage],
        "contributions": explain_score.contributions(explained, view),
        "score": explain_score.score(explained, view, recorded),
        "score_reasons": explain_reasons.stated(why, view, platform.policies.by_digest(recorded.ruleset_digest)),
        "blend": explain_reasons.blend(why, view, recorded),
        "limit": limit(view),
        "changes": list(changes(view)),
        "records": records(
            platform, stored, recorded, view, scored=[one.name for one in (() if why is None else why.stated)]
        ),
        **told(later_repairs(platform, stored)),
    }


def _rules(view: View, stage: Stage) -> Iterator[dict[str, Any]]:
    """Every rule of a stage with its comparisons."""
    for rule, trace in view.traced(stage):
        if view.withheld(rule):
            yield {**view.head(rule), "withheld": True}
        else:
            seen = [one for _, one in view.comparisons(rule, trace)]
            yield {**view.head(rule), **_effect(rule), "result": TRUTH[trace.truth], "comparisons": seen}


def _effect(rule: Rule) -> dict[str, Any]:
    """What the rule does when it matches."""
    if rule.outcome is not None:
        return {"outcome": rule.outcome.name, "reason": rule.reason}
    if rule.sets:
        return {"sets": dict(rule.sets), "reason": rule.reason}
    return {"reason": rule.reason}
