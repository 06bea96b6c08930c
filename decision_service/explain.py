"""Why a decision came out as it did: every rule with what it saw, contributions, what would have to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from decision_service.audit.record import values_of
from decision_service.audit.replay import Recorded, read_record
from decision_service.decide import Assessment, Platform
from decision_service.errors import NotFound
from decision_service.policy import PolicyInForce
from decision_service.recorded import assess_again, in_force
from decision_service.rulebook.conditions import facts_named
from decision_service.rulebook.evaluate import RuleTrace
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.rules import Rule, Stage
from decision_service.store import StoredDecision
from decision_service.vocabulary import Outcome

TRUTH = {True: "matched", False: "not_matched", None: "unknown"}


def explain(platform: Platform, stored: StoredDecision, *, lang: str, openness: int = 3) -> dict[str, Any]:
    """The explanation in ``zh`` or ``en``; rules and contributions that read facts above ``openness`` are withheld.

    Raises ``NotFound`` when the values behind the decision were erased.
    """
    if stored.private is None:
        raise NotFound("the data behind this decision were erased", remedy="its proof still verifies")
    recorded = read_record(stored)
    policy = in_force(platform, recorded)
    assessment = assess_again(platform, recorded)
    view = _View(policy, assessment, lang, openness)
    return {
        "decision_id": recorded.decision_id,
        "outcome": recorded.answer.outcome,
        "lang": lang,
        "in_force_on": recorded.in_force_on.isoformat(),
        "ruleset": recorded.ruleset_digest,
        "stages": [{"stage": stage.value, "rules": list(view.rules(stage))} for stage in Stage],
        "contributions": _contributions(_shares(platform, recorded, stored), view),
        "changes": list(view.changes()),
    }


class _View:
    """One assessment in one language, as far as the reader may see it."""

    def __init__(self, policy: PolicyInForce, assessment: Assessment, lang: str, openness: int) -> None:
        self.lang = lang
        self.openness = openness
        self._rules = policy.rules
        self._assessment = assessment
        self._traces: Mapping[Stage, tuple[RuleTrace, ...]] = {
            stage: policy.engines.reference.explain(stage, assessment.facts, lang) for stage in Stage
        }

    @property
    def catalogue(self) -> FactCatalogue:
        """The facts' declarations."""
        return self._rules.catalogue

    def label(self, name: str) -> str:
        """A fact's label in the reader's language."""
        return self.catalogue[name].label.get(self.lang, name)

    def may_see(self, name: str) -> bool:
        """Whether a fact is open enough for the reader."""
        return self.catalogue[name].level <= self.openness

    def rules(self, stage: Stage) -> Iterator[dict[str, Any]]:
        """Every rule of a stage with its comparisons."""
        for trace in self._traces[stage]:
            rule = self._rules.rule(trace.rule)
            head = {"rule": rule.id, "title": rule.title.get(self.lang, rule.id), "reference": rule.reference}
            if self._withheld(rule):
                yield {**head, "withheld": True}
            else:
                yield {**head, **_effect(rule), "result": TRUTH[trace.truth], "comparisons": self._comparisons(trace)}

    def changes(self) -> Iterator[dict[str, Any]]:
        """What stood in the way of an approval, rule by rule, and which comparisons would have to differ."""
        if self._assessment.outcome is Outcome.APPROVE:
            return
        approving = []
        for trace in self._traces[Stage.DECISION]:
            rule = self._rules.rule(trace.rule)
            if self._withheld(rule):
                continue
            if rule.outcome is Outcome.APPROVE:
                approving.append((rule, trace))
            elif trace.truth is not False:
                yield self._change(rule, trace, wanted=False)
        if approving and not any(trace.truth for _, trace in approving):
            nearest = min(approving, key=lambda pair: (_missed(pair[1]), pair[0].id))
            yield self._change(*nearest, wanted=True)

    def _change(self, rule: Rule, trace: RuleTrace, *, wanted: bool) -> dict[str, Any]:
        blocking = [one for one in self._comparisons(trace) if one["result"] != TRUTH[wanted]]
        return {
            "rule": rule.id,
            "title": rule.title.get(self.lang, rule.id),
            "now": TRUTH[trace.truth],
            "wanted": TRUTH[wanted],
            "comparisons": blocking,
        }

    def _comparisons(self, trace: RuleTrace) -> list[dict[str, Any]]:
        return [
            {
                "text": one.text,
                "fact": one.fact,
                "label": self.label(one.fact),
                "seen": one.left,
                "operator": one.operator,
                "against": one.right,
                "result": TRUTH[one.truth],
            }
            for one in trace.comparisons
        ]

    def _withheld(self, rule: Rule) -> bool:
        return not all(self.may_see(name) for name in facts_named(rule.when))


def _missed(trace: RuleTrace) -> int:
    return sum(one.truth is not True for one in trace.comparisons)


def _effect(rule: Rule) -> dict[str, Any]:
    """What the rule does when it matches."""
    if rule.outcome is not None:
        return {"outcome": rule.outcome.name, "reason": rule.reason}
    if rule.sets:
        return {"sets": dict(rule.sets), "reason": rule.reason}
    return {"reason": rule.reason}


def _shares(platform: Platform, recorded: Recorded, stored: StoredDecision) -> Mapping[str, float]:
    """Recorded contributions; else computed, if the model that scored is still the one in use."""
    shares = values_of(stored.private)["contributions"] if stored.private else {}
    if shares:
        return {name: float(value) for name, value in shares.items() if value is not None}
    for model in recorded.scores.models:
        if model in platform.scorer.versions([model.name]):
            found = platform.scorer.contributions(recorded.features, model.name)
            if found:
                return found
    return {}


def _contributions(shares: Mapping[str, float], view: _View) -> list[dict[str, Any]]:
    """Shares of the tree model's margin (log-odds of default), the heaviest first; above zero speaks against."""
    seen = [(name, share) for name, share in shares.items() if name not in view.catalogue or view.may_see(name)]
    ordered = sorted(seen, key=lambda pair: (-abs(pair[1]), pair[0]))
    return [
        {"feature": name, "label": view.label(name) if name in view.catalogue else name, "log_odds": f"{share:.6f}"}
        for name, share in ordered
        if share
    ]
