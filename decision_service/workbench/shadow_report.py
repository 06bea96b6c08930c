"""How far a shadow agrees with the versions that decided: outcomes, limits, rule by rule, and every flip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from decision_service.decide import business_date
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import Ruleset
from decision_service.store import Shadowed
from decision_service.vocabulary import Outcome
from decision_service.workbench.shadow_compare import ABSENT, MATCHED, MISSED, NO_EFFECT, UNKNOWN, Pairs, deed
from decision_service.workbench.shadow_follow import COMPARED
from decision_service.workbench.shadow_notes import notes
from decision_service.workbench.shares import wilson

RulesetOf = Callable[[str], Ruleset]
Texts = Mapping[str, str]
SAME, LOWER, HIGHER, GAINED, LOST = "same", "lower", "higher", "became known", "became unknown"
BOTH, ACTIVE_ONLY, SHADOW_ONLY = "both", "active only", "shadow only"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Decisions with the same outcome, as a share with its 95 % Wilson interval; ``None`` of no decision."""

    same: int
    compared: int
    share: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """Decisions with one pair of outcomes, and the amounts applied for, in fen."""

    active: Outcome
    shadow: Outcome
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class RuleAgreement:
    """One rule by its id: decisions in which it matched in both versions, in one alone, or was unknown in one alone.

    ``exists`` says which versions have it.
    """

    rule: str
    title: Texts
    exists: str
    both: int
    active_only: int
    shadow_only: int
    unknown: int

    @property
    def differing(self) -> int:
        """Decisions in which the versions say different things of it."""
        return self.active_only + self.shadow_only + self.unknown


@dataclass(frozen=True, slots=True)
class RuleBehind:
    """A rule behind a flip, its truth in both versions; ``edited`` when it matters in both and does something else."""

    rule: str
    title: Texts
    active: str
    shadow: str
    edited: bool


@dataclass(frozen=True, slots=True)
class Flip:
    """A decision whose outcome differs. ``amount`` in fen."""

    decision_id: str
    client_id: str
    product: str
    amount: int | None
    decided_at: datetime
    active: Outcome
    shadow: Outcome
    rules: tuple[RuleBehind, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. ``left_out`` counts decisions by what became of them, ``limits`` the others by how the limit moved.

    ``active`` are (version, digest) of those that decided.
    """

    version: str
    digest: str
    active: tuple[tuple[str, str], ...]
    first: datetime | None
    last: datetime | None
    agreement: Agreement
    left_out: Mapping[str, int]
    matrix: tuple[Cell, ...]
    limits: Mapping[str, int]
    rules: tuple[RuleAgreement, ...]
    flips: tuple[Flip, ...]
    notes: tuple[Texts, ...]


def report(shadow: Ruleset, results: Iterable[Shadowed], ruleset_of: RulesetOf) -> Report:
    """Count what a shadow says of decisions; ``ruleset_of(digest)`` gives the versions that decided them."""
    tally = _Tally(shadow, ruleset_of)
    for one in results:
        tally.count(one)
    return tally.report()


def agreement(same: int, compared: int) -> Agreement:
    """The share of equal outcomes with its interval."""
    if not compared:
        return Agreement(0, 0)
    return Agreement(same, compared, same / compared, *wilson(same, compared))


@dataclass
class _Tally:
    """Counts so far."""

    shadow: Ruleset
    ruleset_of: RulesetOf
    cells: Counter[tuple[Outcome, Outcome]] = field(default_factory=Counter)
    amounts: Counter[tuple[Outcome, Outcome]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    truths: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    flips: list[Flip] = field(default_factory=list)
    digests: dict[str, None] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None

    def count(self, one: Shadowed) -> None:
        """One decision more."""
        result = one.result
        if result.status != COMPARED or result.outcome is None or result.rules is None:
            self.left_out[result.status] += 1
            return
        cell, pairs = (Outcome[one.outcome], Outcome[result.outcome]), Pairs.read(result.rules)
        self.digests[one.ruleset_digest] = None
        self.first = min(self.first or one.decided_at, one.decided_at)
        self.last = max(self.last or one.decided_at, one.decided_at)
        self.cells[cell] += 1
        self.amounts[cell] += result.amount or 0
        self.limits[_moved(result.active_limit, result.shadow_limit)] += 1
        self.truths.update((name, MATCHED, MATCHED) for name in pairs.matched)
        self.truths.update((name, *pair) for name, pair in pairs.differing.items())
        if cell[0] is not cell[1]:
            self.flips.append(self._flip(one, cell, pairs))

    def report(self) -> Report:
        """What came of it."""
        same = sum(count for (active, shadow), count in self.cells.items() if active is shadow)
        active = [self.ruleset_of(digest) for digest in self.digests]
        day = business_date(self.last) if self.last is not None else None
        return Report(
            version=self.shadow.version,
            digest=self.shadow.digest,
            active=tuple((one.version, one.digest) for one in active),
            first=self.first,
            last=self.last,
            agreement=agreement(same, sum(self.cells.values())),
            left_out=dict(sorted(self.left_out.items())),
            matrix=tuple(Cell(*cell, count, self.amounts[cell]) for cell, count in sorted(self.cells.items())),
            limits={name: self.limits[name] for name in (SAME, LOWER, HIGHER, GAINED, LOST)},
            rules=tuple(sorted(self._rules(active), key=lambda rule: (-rule.differing, rule.rule))),
            flips=tuple(self.flips),
            notes=tuple(notes(active, self.shadow, day)) if day is not None else (),
        )

    def _flip(self, one: Shadowed, cell: tuple[Outcome, Outcome], pairs: Pairs) -> Flip:
        day, amount = business_date(one.decided_at), one.result.amount
        rules = tuple(self._behind(pairs, self.ruleset_of(one.ruleset_digest), day, one.client_id))
        return Flip(one.decision_id, one.client_id, one.product, amount, one.decided_at, *cell, rules)

    def _behind(self, pairs: Pairs, active: Ruleset, day: date, client: str) -> Iterator[RuleBehind]:
        """Rules whose truth differs, and those that count in both and do something else."""
        was, now = active.in_force(day, client), self.shadow.in_force(day, client)
        truths = {name: (MATCHED, MATCHED) for name in pairs.matched}
        truths |= {name: (UNKNOWN, UNKNOWN) for name in pairs.unknown}
        truths |= pairs.differing
        titles = {rule.id: rule.title for rules in (was, now) for stage in Stage for rule in rules.rules(stage)}
        for name, pair in sorted(truths.items()):
            edited = NO_EFFECT.isdisjoint(pair) and deed(was, name) != deed(now, name)
            if edited or name in pairs.differing:
                yield RuleBehind(name, titles.get(name, {}), *pair, edited)

    def _rules(self, active: Sequence[Ruleset]) -> Iterator[RuleAgreement]:
        """Rules that matched or differed anywhere, and those that only one side has."""
        seen: dict[str, Counter[tuple[str, str]]] = {}
        for (name, *pair), count in self.truths.items():
            seen.setdefault(name, Counter())[pair[0], pair[1]] += count
        there = _by_id(rule for ruleset in active for rule in ruleset.every_rule())
        here = _by_id(self.shadow.every_rule())
        for name in {*seen, *(there.keys() ^ here.keys() if active else ())}:
            exists = BOTH if name in there and name in here else ACTIVE_ONLY if name in there else SHADOW_ONLY
            yield _rule_agreement(name, (here.get(name) or there[name]).title, exists, seen.get(name, Counter()))


def _by_id(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Rules by id, the base's before those of overlays."""
    found: dict[str, Rule] = {}
    for rule in rules:
        found.setdefault(rule.id, rule)
    return found


def _rule_agreement(name: str, title: Texts, exists: str, pairs: Counter[tuple[str, str]]) -> RuleAgreement:
    return RuleAgreement(
        name,
        title,
        exists,
        both=pairs[MATCHED, MATCHED],
        active_only=pairs[MATCHED, MISSED] + pairs[MATCHED, ABSENT],
        shadow_only=pairs[MISSED, MATCHED] + pairs[ABSENT, MATCHED],
        unknown=sum(count for pair, count in pairs.items() if UNKNOWN in pair),
    )


def _moved(active: int | None, shadow: int | None) -> str:
    if active is None or shadow is None:
        return SAME if active is shadow else GAINED if active is None else LOST
    return SAME if active == shadow else LOWER if shadow < active else HIGHER
