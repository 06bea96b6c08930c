"""Which records the reasons of a decision rest on, each named as an objection names it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from decision_service.audit.record import RECORDS, values_of
from decision_service.audit.replay import Recorded
from decision_service.decide import PD_REASONS, Platform
from decision_service.explain_view import View
from decision_service.policy import Policy
from decision_service.portrait.disputes import INDICATORS, LISTS, OVERDUES, TAX_RATINGS, key_of
from decision_service.portrait.overdues import overdue_facts
from decision_service.portrait.records import EnterpriseRecords
from decision_service.rulebook.conditions import facts_named
from decision_service.rulebook.evaluate import truth_of
from decision_service.rulebook.rules import Rule
from decision_service.store import StoredDecision

Named = tuple[str, str]
"""Kind and key of a record."""


def records(
    platform: Platform, stored: StoredDecision, recorded: Recorded, view: View, *, scored: Iterable[str]
) -> list[dict[str, Any]] | None:
    """By reason and fact, the enterprise's own records that are on file and that it rests on.

    ``scored`` are the inputs that weigh most in the score; they stand behind its reasons. A reason that rests on a fact
    above the reader is withheld. ``None`` when the evidence does not name records: it is of an older program.
    """
    said = None if stored.private is None else values_of(stored.private).get(RECORDS)
    found = platform.store.records(stored.uscc)
    if said is None or found is None:
        return None
    source = _OnFile(found, said, recorded, platform.policies.by_digest(recorded.ruleset_digest), view)
    told = [
        {"reason": code, "rule": rule, **part}
        for code, rule in recorded.answer.reasons
        for part in source.behind(code, rule, scored, stored.uscc)
    ]
    return [one for number, one in enumerate(told) if one not in told[:number]]


def _is_missing(value: float | str | None) -> bool:
    """Whether a recorded feature has no value."""
    return value is None or isinstance(value, float) and math.isnan(value)


@dataclass(frozen=True, slots=True)
class _OnFile:
    """The records of an enterprise, and what the evidence of one decision says of them."""

    records: EnterpriseRecords
    said: Mapping[str, Any]
    recorded: Recorded
    policy: Policy
    view: View

    def behind(self, code: str, rule_id: str, scored: Iterable[str], uscc: str) -> Iterator[dict[str, Any]]:
        """What a reason rests on."""
        traced = (pair for stage in self.view.traces for pair in self.view.traced(stage))
        rule = next((rule for rule, trace in traced if rule.id == rule_id and trace.truth), None)
        if rule is None:  # a reason of the platform itself, or of a rule that is unknown
            return
        for name in (*sorted(facts_named(rule.when)), *(scored if code in PD_REASONS else ())):
            for kind, key in self._of(name, rule):
                if self.view.may_see(name):
                    record = {"enterprise": {"uscc": uscc}, "record": {"kind": kind, "key": key}}
                    yield {"fact": name, "label": self.view.label(name), **record}
                else:
                    yield {"withheld": True}

    def _of(self, name: str, rule: Rule) -> Iterator[Named]:
        """The records that say a fact."""
        as_of = self.recorded.in_force_on
        source = self.view.catalogue[name].source if name in self.view.catalogue else ""
        if name in self.policy.lists:
            counted = (one for one in self.records.lists if one.list_name == name)
            counted = (one for one in counted if self.policy.lists[name].counts(one, as_of))
            yield from self._used(LISTS, counted)
        elif source == OVERDUES:
            alone = ((one, overdue_facts([one], as_of, fresh=True)[name]) for one in self.records.overdues)
            yield from self._used(OVERDUES, (one for one, value in alone if value and self._matches(rule, name, value)))
        elif source == TAX_RATINGS:
            published = [one for one in self.records.tax_ratings if one.published_on <= as_of]
            yield from self._used(TAX_RATINGS, sorted(published, key=lambda one: one.year)[-1:])
        elif (spec := self.policy.registry.by_name.get(name)) is not None:
            known = name in self.recorded.facts or not _is_missing(self.recorded.features.get(name))
            arrived = (one for one in self.records.indicators if one.indicator == spec.id and one.observed_on <= as_of)
            yield from ((INDICATORS, one.indicator) for one in arrived if known)

    def _used(self, kind: str, found: Iterable[Any]) -> Iterator[Named]:
        """Those of which the evidence says that they spoke."""
        yield from ((kind, key_of(one)) for one in found if key_of(one) in self.said.get(kind, {}))

    def _matches(self, rule: Rule, name: str, value: int) -> bool:
        """Whether the rule would match by this value of one fact as well."""
        return truth_of(rule.when, self.view.assessment.facts.with_values({name: int(value)})) is True
