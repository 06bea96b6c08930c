"""One recorded decision under a version that did not decide it: what both say of its facts, rule by rule."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from decision_service.audit.replay import Recorded
from decision_service.decide import DECLARED, Assessment
from decision_service.recorded import COMPUTED
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from decision_service.workbench.reference import judge

MATCHED, MISSED, UNKNOWN, ABSENT = "matched", "missed", "unknown", "absent"
"""What a rule says of an application; absent is one that a version does not have in force."""
NO_EFFECT = frozenset({MISSED, ABSENT})
PARAMETERS, OF_INDUSTRY = ("policy.", "product.", "industry."), "industry."
INDUSTRY_CODE, INDUSTRY_STATUS = "industry_code", "industry_status"
Truths = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pairs:
    """How the rules of both versions say it: ids of those that matched in both, of those unknown in both, and the rest.

    ``differing`` is (truth in the active version, truth in the shadow) by id; a rule with no effect in either is left
    out.
    """

    matched: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    differing: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def written(self) -> str:
        """As it is kept beside the decision."""
        differing = {name: list(pair) for name, pair in self.differing.items()}
        return json.dumps({"matched": self.matched, "unknown": self.unknown, "differing": differing})

    @classmethod
    def read(cls, text: str) -> "Pairs":
        """Back from what was kept."""
        found = json.loads(text)
        differing = {name: (was, shadow) for name, (was, shadow) in found["differing"].items()}
        return cls(tuple(found["matched"]), tuple(found["unknown"]), differing)


def admits(shadow: Ruleset, declared: FactCatalogue, recorded: Recorded) -> bool:
    """Whether the version would have taken the application at all: its declared fields are ones that it knows."""
    given = usable(recorded.facts, declared, shadow.catalogue, names=DECLARED)
    return all(given.get(name) is not None for name in DECLARED if recorded.facts.get(name) is not None)


def judged(shadow: RulesInForce, declared: FactCatalogue, recorded: Recorded) -> Assessment:
    """What a version says of a recorded decision, whose own version's catalogue is ``declared``.

    The shadow's own parameters are in force; everything else is as recorded.
    """
    return judge(shadow, Facts(shadow.catalogue, facts_for(shadow, declared, recorded)))


def facts_for(shadow: RulesInForce, declared: FactCatalogue, recorded: Recorded) -> dict[str, Exact]:
    """The facts that a version starts from, exact.

    What it does not declare is dropped; what it declares and the record lacks, or holds in another unit or out of its
    range, stays unknown. A record without the industry's code keeps the industry's parameters of the decision.
    """
    code = recorded.features.get(INDUSTRY_CODE)
    known = isinstance(code, str)
    own = PARAMETERS if known else tuple(scope for scope in PARAMETERS if scope != OF_INDUSTRY)
    names = (
        name
        for name, fact in shadow.catalogue.items()
        if not name.startswith(own) and fact.derived is None and fact.combine is None and name != COMPUTED
    )
    given = usable(recorded.facts, declared, shadow.catalogue, names=names)
    given.update(shadow.parameters(recorded.product, str(code) if known else None))
    if known and INDUSTRY_STATUS in shadow.catalogue:
        given[INDUSTRY_STATUS] = shadow.industry_status(str(code))
    return given


def usable(
    recorded: Mapping[str, Exact], declared: FactCatalogue, catalogue: FactCatalogue, *, names: Iterable[str]
) -> dict[str, Exact]:
    """Of the recorded values those that another catalogue admits as they are."""
    found: dict[str, Exact] = {}
    for name in names:
        value, was, fact = recorded.get(name), declared.get(name), catalogue.get(name)
        if value is not None and was is not None and fact is not None and was.type is fact.type and _fits(fact, value):
            found[name] = value
    return found


def _fits(fact: Fact, value: Exact) -> bool:
    if isinstance(value, str):
        return value in fact.choices
    return fact.type is FactType.FLAG or fact.minimum <= value <= fact.maximum


def paired(active: RulesInForce, shadow: RulesInForce, recorded: Recorded, found: Assessment) -> Pairs:
    """Every rule in both versions, as recorded and as found."""
    stages = recorded.answer.stages.values()
    was = _truths(active, (one for stage in stages for one in stage[0]), (one for stage in stages for one in stage[1]))
    now = _truths(shadow, found.matched, found.unknown)
    return Pairs(_in_both(was, now, MATCHED), _in_both(was, now, UNKNOWN), dict(_differing(was, now)))


def _truths(rules: RulesInForce, matched: Iterable[str], unknown: Iterable[str]) -> Truths:
    truths = dict.fromkeys((rule.id for stage in Stage for rule in rules.rules(stage)), MISSED)
    return {**truths, **dict.fromkeys(matched, MATCHED), **dict.fromkeys(unknown, UNKNOWN)}


def _in_both(was: Truths, now: Truths, truth: str) -> tuple[str, ...]:
    return tuple(sorted(name for name, one in was.items() if one == truth == now.get(name)))


def _differing(was: Truths, now: Truths) -> Iterator[tuple[str, tuple[str, str]]]:
    for name in sorted({*was, *now}):
        pair = was.get(name, ABSENT), now.get(name, ABSENT)
        if pair[0] != pair[1] and not NO_EFFECT.issuperset(pair):
            yield name, pair


def deed(rules: RulesInForce, rule_id: str) -> Any:
    """What a rule does when it matches; ``None`` when it is not in force."""
    try:
        rule = rules.rule(rule_id)
    except KeyError:
        return None
    return rule.stage, rule.outcome, rule.sets, rule.effects
