"""Which versions an alias means for several models at one moment, when some are promoted together: pure.

A promotion is a tag on every registered model it concerns, written before any alias moves, and never changed. So who
reads sees whether the aliases of a promotion of several models have moved all, or are on their way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from decision_service.errors import ModelError

PREFIX = "promotion/"
PROMOTED, ROLLED_BACK = "promoted", "rolled back"


@dataclass(frozen=True, slots=True)
class Promotion:
    """One move of an alias, of one model or of several together.

    ``members`` are the versions by name that it puts in force, ``before`` those in force until then (``None``: none).
    ``person`` is who did it, ``at`` when (ISO 8601, UTC); ``gates`` are (gate, passed, figures).
    """

    id: str
    number: int
    alias: str
    how: str
    members: Mapping[str, str]
    before: Mapping[str, str | None]
    person: str
    at: str
    note: str = ""
    gates: tuple[tuple[str, bool, str], ...] = ()

    @property
    def tag(self) -> str:
        """The key under which it is kept, the same on every model."""
        return f"{PREFIX}{self.alias}/{self.number:06}-{self.id}"

    def written(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True, slots=True)
class State:
    """A registered model as the registry shows it: the version behind an alias, and the alias's promotions in order."""

    version: str | None
    promotions: tuple[Promotion, ...] = ()

    @property
    def last(self) -> Promotion | None:
        """The promotion that came last."""
        return self.promotions[-1] if self.promotions else None


@dataclass(frozen=True, slots=True)
class Together:
    """Models that take over new versions together or not at all.

    ``wanted`` are the versions to serve by name, ``before`` those to serve when one of these cannot be used and none is
    in force. ``unfinished`` is the promotion that began and did not end, whose versions before are ``wanted``.
    """

    wanted: Mapping[str, str | None]
    before: Mapping[str, str | None] = field(default_factory=dict)
    unfinished: Promotion | None = None


def promotions_of(tags: Mapping[str, str], alias: str) -> tuple[Promotion, ...]:
    """The promotions of an alias among a registered model's tags, oldest first; raises ``ModelError`` for a bad one."""
    start = f"{PREFIX}{alias}/"
    found = [_read(key, value) for key, value in tags.items() if key.startswith(start)]
    return tuple(sorted(found, key=lambda one: (one.number, one.id)))


def _read(key: str, value: str) -> Promotion:
    try:
        content: dict[str, Any] = json.loads(value)
        gates = tuple((str(name), bool(passed), str(text)) for name, passed, text in content.pop("gates"))
        promotion = Promotion(**content, gates=gates)
        if promotion.tag != key or promotion.members.keys() != promotion.before.keys():
            raise ValueError("it is not what its key says")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the tag {key} cannot be read ({error!r})", remedy="delete the tag if it was written by hand"
        ) from error
    return promotion


def in_force(states: Mapping[str, State]) -> tuple[Together, ...]:
    """What to serve of models seen at one moment; every model once.

    An alias that was moved by hand, to neither version of its last promotion, means what it says.
    """
    several = {
        last.id: last for state in states.values() if (last := state.last) is not None and len(last.members) > 1
    }
    groups = [_group(promotion, states) for promotion in several.values()]
    grouped = {name for group in groups for name in group.wanted}
    singles = (_alone(name, state) for name, state in states.items() if name not in grouped)
    return (*groups, *singles)


def _group(promotion: Promotion, states: Mapping[str, State]) -> Together:
    """The models whose last promotion this is, but those whose alias was moved by hand since."""
    mine = [
        name
        for name in promotion.members
        if name in states
        and states[name].last == promotion
        and states[name].version in (promotion.members[name], promotion.before[name])
    ]
    before = {name: promotion.before[name] for name in mine}
    if all(states[name].version == promotion.members[name] for name in mine) and _everywhere(promotion, states):
        return Together({name: promotion.members[name] for name in mine}, before)
    return Together(before, unfinished=promotion)


def _everywhere(promotion: Promotion, states: Mapping[str, State]) -> bool:
    return all(promotion in states[name].promotions for name in promotion.members if name in states)


def _alone(name: str, state: State) -> Together:
    last = state.last
    before = last.before.get(name) if last is not None and last.members.get(name) == state.version else None
    return Together({name: state.version}, {} if before is None else {name: before})


def named(promotions: Iterable[Promotion]) -> Iterator[str]:
    """Every model that one of the promotions concerns."""
    for promotion in promotions:
        yield from promotion.members
