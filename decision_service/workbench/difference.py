"""What would be decided otherwise by another version of the rules, and for whom; or the proof that nothing would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from decision_service.lending.limits import limit
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.difference import Answer, Aspect, Difference, Flip
from decision_service.rulebook.proof.inputs import INDUSTRY_STATUS
from decision_service.rulebook.regions import Region, incomparable
from decision_service.rulebook.ruleset import Ruleset
from decision_service.rulebook.stretches import change_days
from decision_service.workbench.beyond import Beyond, beyond
from decision_service.workbench.changes import Change, changes
from decision_service.workbench.reference import judge

Tick = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Effect:
    """What comes of one region: a flip per aspect. Without flips and doubts it is proven that nothing does."""

    region: Region
    flips: tuple[Flip, ...] = ()
    doubts: tuple[tuple[Aspect, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """What comes out otherwise for one client (empty: all without an overlay) from a day until another (exclusive).

    ``joint`` are flips to which no region is indispensable, because each of several would suffice. ``doubts`` are
    questions without an answer that belong to no one region.
    """

    client: str
    begins: date
    ends: date | None
    effects: tuple[Effect, ...]
    joint: tuple[Flip, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def flips(self) -> tuple[Flip, ...]:
        """Every flip."""
        return (*(flip for effect in self.effects for flip in effect.flips), *self.joint)

    @property
    def proven(self) -> bool:
        """Whether nothing comes out otherwise, proven for every application."""
        return not (self.doubts or self.flips or any(effect.doubts for effect in self.effects))


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions compared: what their files say, what comes of it by stretches, and what no proof covers."""

    old: Ruleset
    new: Ruleset
    changes: tuple[Change, ...]
    stretches: tuple[Stretch, ...]
    beyond: tuple[Beyond, ...]

    @property
    def proven(self) -> bool:
        """Whether no decision changes, proven, and nothing that differs lies beyond the proof."""
        return not self.beyond and all(stretch.proven for stretch in self.stretches)


def compare(
    old: Ruleset,
    new: Ruleset,
    *,
    on: date,
    client: str | None = None,
    bases: Mapping[str, Application],
    tick: Tick = lambda: None,
) -> Compared:
    """Compare two versions for every stretch of time from a day on.

    ``client`` is the one for whom (empty: all without an overlay); ``None`` for everybody. ``bases`` are familiar
    applications, ``tick`` is called after each question.
    """
    clients = [client] if client is not None else ["", *sorted({*old.overlays, *new.overlays})]
    found = [stretch for one in clients for stretch in _stretches(old, new, on, one, bases, tick)]
    differing = changes(old, new)
    return Compared(old, new, differing, tuple(found), beyond(old, new, differing))


def bases_of(cases: Iterable[Case], on: date) -> dict[str, Application]:
    """The profiles of cases as familiar applications, each in the industry with which it is used most."""
    used: dict[str, Counter[str]] = {}
    profiles: dict[str, Case] = {}
    for case in cases:
        if case.base is not None and case.industry is not None:
            profiles.setdefault(case.base, case)
            used.setdefault(case.base, Counter())[case.industry] += 1
    return {
        name: Application(_given(case), used[name].most_common(1)[0][0], on) for name, case in profiles.items()
    }


def _given(case: Case) -> dict[str, int | str | None]:
    """What a profile says of an application itself, without what its industry determines."""
    return {name: value for name, value in case.profile.items() if "." not in name and name != INDUSTRY_STATUS}


def _stretches(
    old: Ruleset, new: Ruleset, on: date, client: str, bases: Mapping[str, Application], tick: Tick
) -> Iterator[Stretch]:
    days = sorted({*change_days(old, on), *change_days(new, on)})
    known: list[Flip] = []
    for begins, ends in zip(days, [*days[1:], None]):
        here = {name: replace(base, on=begins) for name, base in bases.items()}
        found = _compared(old, new, client, here, begins, known, tick)
        stretch = Stretch(client, begins, ends, found.effects, found.joint, found.doubts)
        known += stretch.flips
        yield stretch


def _compared(
    old: Ruleset,
    new: Ruleset,
    client: str,
    bases: Mapping[str, Application],
    on: date,
    known: Sequence[Flip],
    tick: Tick,
) -> "_Found":
    before, after = old.in_force(on, client), new.in_force(on, client)
    if names := incomparable(before.catalogue, after.catalogue):
        return _Found(doubts=(f"not compared: {', '.join(names)} is not the same kind of fact in both",))
    difference = Difference(before, after, evaluate=judge, limit=limit, bases=bases)
    return _Asking(difference, known, tick).found() if difference.regions else _Found()


class _Asking:
    """Asks of each aspect where it shows; first everywhere at once, then region by region."""

    def __init__(self, difference: Difference, known: Sequence[Flip], tick: Tick) -> None:
        self._difference = difference
        self._known = list(known)
        self._tick = tick

    def found(self) -> "_Found":
        """The effect of every region, flips that come from none alone, and doubts that belong to none."""
        open_: list[Flip] = []
        doubts = []
        for aspect in self._difference.aspects():
            answer = self._difference.somewhere(aspect)
            self._tick()
            if answer.doubt:
                doubts.append(f"{aspect}: {answer.doubt}")
            elif answer.flip is not None:
                open_.append(answer.flip)
        self._known += open_
        effects = tuple(self._effect(region, [flip.aspect for flip in open_]) for region in self._difference.regions)
        told = {flip.aspect for effect in effects for flip in effect.flips}
        return _Found(effects, tuple(flip for flip in open_ if flip.aspect not in told), tuple(doubts))

    def _effect(self, region: Region, aspects: Iterable[Aspect]) -> Effect:
        answers = [(aspect, self._within(aspect, region)) for aspect in aspects]
        flips = tuple(answer.flip for _, answer in answers if answer.flip is not None)
        return Effect(region, flips, tuple((aspect, answer.doubt) for aspect, answer in answers if answer.doubt))

    def _within(self, aspect: Aspect, region: Region) -> Answer:
        """As before, where another question has shown it already."""
        for flip in self._known:
            if flip.aspect == aspect and (still := self._difference.still(flip, region)) is not None:
                return Answer(flip=still)
        answer = self._difference.within(aspect, region)
        self._tick()
        if answer.flip is not None:
            self._known.append(answer.flip)
        return answer


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found on one stretch of time."""

    effects: tuple[Effect, ...] = ()
    joint: tuple[Flip, ...] = ()
    doubts: tuple[str, ...] = ()
