"""Related parties: whose red cards reach the enterprise, and the contagion index over two hops."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from decimal import Decimal

from decision_service.portrait.formulas import HOP_DECAY, contagion
from decision_service.portrait.lists import COURT_DISHONEST, Lists
from decision_service.portrait.records import EnterpriseRecords, Relation

LINK_WEIGHTS: Mapping[str, float] = {
    "parent": 1.0,
    "controller_person": 1.0,
    "control": 1.0,
    "same_legal_representative": 0.6,
    "guarantee": 0.7,
}
HOLDING, PARENT, CONTROLLER = "holding", "parent", "controller_person"
PERSON = "P:"
CONTROLLING_SHARE = Decimal("0.5")
NOTABLE_SHARE = Decimal("0.2")
HOLDING_WEIGHT = 0.5
SEVERITY: Mapping[str, float] = {"red": 1.0, "yellow": 0.4}

FactValue = bool | None
Cards = Mapping[str, FactValue]
"""Whether the card of a firm is red by the rules, by its code; ``None`` is unknown, as is a firm that is not there."""


def relation_facts(
    records: EnterpriseRecords, lists: Lists, as_of: date, *, relations_fresh: bool, lists_fresh: bool, cards: Cards
) -> dict[str, FactValue]:
    """``parent_red``, ``controller_dishonest``, ``predecessor_red``; not known to be red is false only if fresh.

    A yellow card never passes on. A red card of the controlling person counts like the parent's, except dishonesty,
    which has a fact of its own. Persons have no card but by lists. A list that nobody declared may be a red one.
    """
    silent = False if relations_fresh and lists_fresh else None
    above = [one for one in records.relations if controlled_by(one) is not False]
    parents = [_red_above(one, records, lists, as_of, cards=cards) for one in above]
    persons = [
        _listed(records, lists, one.other, as_of, names={COURT_DISHONEST})
        for one in above
        if one.link == CONTROLLER
    ]
    return {
        "parent_red": any_of([*parents, silent]),
        "controller_dishonest": any_of([*persons, silent]),
        "predecessor_red": _predecessor_red(records, lists, as_of, fresh=lists_fresh),
    }


def any_of(values: Iterable[FactValue]) -> FactValue:
    """True if one is true, else unknown if one is unknown, else false."""
    found = set(values)
    return True if True in found else None if None in found else False


def controlled_by(relation: Relation) -> FactValue:
    """Whether the other party controls the enterprise: named so, or holding more than half; a share may be unknown."""
    if relation.link == HOLDING:
        return None if relation.share is None else relation.share > CONTROLLING_SHARE
    return relation.link in (PARENT, CONTROLLER)


def firms_above(relations: Iterable[Relation]) -> tuple[str, ...]:
    """The codes of firms that control the enterprise or may do so, sorted; persons are none."""
    above = {one.other for one in relations if controlled_by(one) is not False}
    return tuple(sorted(party for party in above if not is_person(party)))


def is_person(party: str) -> bool:
    """Whether a party is a person's token."""
    return party.startswith(PERSON)


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


def _red_above(
    relation: Relation, records: EnterpriseRecords, lists: Lists, as_of: date, *, cards: Cards
) -> FactValue:
    """Whether a red card reaches the enterprise from a party that controls it or may do so."""
    dishonesty = {COURT_DISHONEST} if relation.link == CONTROLLER else frozenset()
    red = _listed(records, lists, relation.other, as_of, names=lists.keys() - dishonesty)
    if not is_person(relation.other):
        red = any_of([red, cards.get(relation.other)])
    return red if controlled_by(relation) or red is False else None


def _listed(
    records: EnterpriseRecords, lists: Lists, other: str, as_of: date, *, names: Collection[str]
) -> FactValue:
    """Whether a red list of these names has a party; unknown if only a list that is not declared has it."""
    entries = records.related_lists.get(other, ())
    if not lists.active_reds(entries, as_of).isdisjoint(names):
        return True
    return False if all(entry.list_name in lists for entry in entries) else None


def _predecessor_red(records: EnterpriseRecords, lists: Lists, as_of: date, *, fresh: bool) -> FactValue:
    registration = records.registration
    if registration.predecessor_uscc is None or registration.predecessor_reviewed:
        return False
    red = _listed(records, lists, registration.predecessor_uscc, as_of, names=lists.keys())
    return any_of([red, False if fresh else None])


def control_changes(days: Iterable[date], *, since: date, until: date) -> int:
    """Days with a change of control within [since, until]; what changes on one day counts once."""
    return len({day for day in days if since <= day <= until})
