"""One assessment in one language, as far as its reader may see it: what every part of an explanation draws on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from decision_service.decide import Assessment
from decision_service.policy import PolicyInForce
from decision_service.rulebook.conditions import Comparison, Exact, comparisons, facts_named
from decision_service.rulebook.evaluate import RuleTrace, truth_of
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.rules import Rule, Stage

TRUTH = {True: "matched", False: "not_matched", None: "unknown"}


class View:
    """An assessment with its rules, traced once. Facts above the reader's ``openness`` are withheld."""

    def __init__(self, policy: PolicyInForce, assessment: Assessment, lang: str, openness: int) -> None:
        self.lang = lang
        self.rules = policy.rules
        self.assessment = assessment
        self._openness = openness
        self.traces: Mapping[Stage, tuple[RuleTrace, ...]] = {
            stage: policy.engines.reference.explain(stage, assessment.facts, lang) for stage in Stage
        }

    @property
    def catalogue(self) -> FactCatalogue:
        """The facts' declarations."""
        return self.rules.catalogue

    def label(self, name: str) -> str:
        """A fact's label in the reader's language."""
        return self.catalogue[name].label.get(self.lang, name)

    def may_see(self, name: str) -> bool:
        """Whether a fact is open enough for the reader; what is no fact is open."""
        return name not in self.catalogue or self.catalogue[name].level <= self._openness

    def withheld(self, rule: Rule) -> bool:
        """Whether a rule reads a fact that the reader may not see."""
        return not all(map(self.may_see, facts_named(rule.when)))

    def head(self, rule: Rule) -> dict[str, Any]:
        """What may be told of any rule."""
        return {"rule": rule.id, "title": rule.title.get(self.lang, rule.id), "reference": rule.reference}

    def traced(self, stage: Stage) -> Iterator[tuple[Rule, RuleTrace]]:
        """Every rule of a stage with its trace."""
        for trace in self.traces[stage]:
            yield self.rules.rule(trace.rule), trace

    def comparisons(self, rule: Rule, trace: RuleTrace) -> Iterator[tuple[Comparison, dict[str, Any]]]:
        """Every comparison of a rule with what it saw."""
        for comparison, one in zip(comparisons(rule.when), trace.comparisons, strict=True):
            yield comparison, {
                "text": one.text,
                "fact": one.fact,
                "label": self.label(one.fact),
                "seen": one.left,
                "operator": one.operator,
                "against": one.right,
                "result": TRUTH[truth_of(comparison, self.assessment.facts)],
            }

    def fact(self, name: str) -> dict[str, Any]:
        """A fact with its label and value, or that it is withheld."""
        head = {"fact": name, "label": self.label(name)}
        if not self.may_see(name):
            return {**head, "withheld": True}
        return {**head, "value": self.text(name, self.assessment.facts[name])}

    def text(self, name: str, exact: Exact | None) -> str:
        """A value as the reader reads it."""
        return self.catalogue.text(name, exact, self.lang)
