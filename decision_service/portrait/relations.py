"""Related parties: whose red cards reach the enterprise, and the contagion index over two hops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

from decision_service.portrait.formulas import HOP_DECAY, contagion
from decision_service.portrait.lists import COURT_DISHONEST, RED, Lists
from decision_service.portrait.records import EnterpriseRecords, Relation

LINK_WEIGHTS: Mapping[str, float] = {
    "parent": 1.0,
    "controller_person": 1.0,
    "control": 1.0,
    "same_legal_representative": 0.6,
    "guarantee": 0.7,
}
HOLDING = "holding"
CONTROLLING_SHARE = Decimal("0.5")
NOTABLE_SHARE = Decimal("0.2")
HOLDING_WEIGHT = 0.5
SEVERITY: Mapping[str, float] = {"red": 1.0, "yellow": 0.4}

FactValue = bool | None


def relation_facts(
    records: EnterpriseRecords, lists: Lists, as_of: date, *, relations_fresh: bool, lists_fresh: bool
) -> dict[str, FactValue]:
    """``parent_red``, ``controller_dishonest``, ``predecessor_red``; not known to be red is false only if fresh.

    A yellow card never passes on. A red card of the controlling person counts like the parent's, except dishonesty,
    which has a fact of its own.
    """
    silent = False if relations_fresh and lists_fresh else None
    reds = {relation: _reds(records, lists, relation.other, as_of) for relation in records.relations}
    dishonest = any(COURT_DISHONEST in reds[one] for one in reds if one.link == "controller_person")
    parent = any(
        found if is_parent(one) else (one.link == "controller_person" and found - {COURT_DISHONEST})
        for one, found in reds.items()
    )
    return {
        "parent_red": parent or silent,
        "controller_dishonest": dishonest or silent,
        "predecessor_red": _predecessor_red(records, lists, as_of, fresh=lists_fresh),
    }


def is_parent(relation: Relation) -> bool:
    """Whether the other party controls the enterprise: named so, or holding more than half."""
    holds_control = relation.link == HOLDING and relation.share is not None and relation.share > CONTROLLING_SHARE
    return relation.link == "parent" or holds_control


def link_weight(relation: Relation) -> float:
    """How strongly a card is felt over a link; a holding of unknown share counts as a notable one."""
    if relation.link != HOLDING:
        return LINK_WEIGHTS.get(relation.link, 0.0)
    if relation.share is None:
        return HOLDING_WEIGHT
    if relation.share > CONTROLLING_SHARE:
        return 1.0
    return HOLDING_WEIGHT if relation.share >= NOTABLE_SHARE else 0.0


def contagion_index(records: EnterpriseRecords, lists: Lists, as_of: date) -> float:
    """The contagion index (IND29): related parties within two hops, each counted once by its strongest path."""
    sources = []
    for other, (weight, hop) in _strongest_paths(records).items():
        card = lists.card(records.related_lists.get(other, ()), as_of)
        if card is not None:
            sources.append((SEVERITY[card], weight, hop))
    return contagion(sources)


def _strongest_paths(records: EnterpriseRecords) -> dict[str, tuple[float, int]]:
    paths: dict[str, tuple[float, int]] = {}
    for near in records.relations:
        weight = link_weight(near)
        _keep(paths, near.other, weight, 1)
        for far in records.related_relations.get(near.other, ()):
            _keep(paths, far.other, weight * link_weight(far), 2)
    paths.pop(records.registration.uscc, None)
    return paths


def _keep(paths: dict[str, tuple[float, int]], other: str, weight: float, hop: int) -> None:
    known = paths.get(other)
    if weight and (known is None or _felt(weight, hop) > _felt(*known)):
        paths[other] = (weight, hop)


def _felt(weight: float, hop: int) -> float:
    return weight * HOP_DECAY ** (hop - 1)


def _reds(records: EnterpriseRecords, lists: Lists, other: str, as_of: date) -> frozenset[str]:
    return lists.active_reds(records.related_lists.get(other, ()), as_of)


def _predecessor_red(records: EnterpriseRecords, lists: Lists, as_of: date, *, fresh: bool) -> FactValue:
    registration = records.registration
    if registration.predecessor_uscc is None or registration.predecessor_reviewed:
        return False
    red = lists.card(records.related_lists.get(registration.predecessor_uscc, ()), as_of) == RED
    return True if red else (False if fresh else None)


def control_changes(days: Iterable[date], *, since: date, until: date) -> int:
    """Days with a change of control within [since, until]; what changes on one day counts once."""
    return len({day for day in days if since <= day <= until})
