"""A backtest: what two rulesets say of the same facts, side by side, as numbers a risk team can decide by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import Ruleset
from decision_service.vocabulary import Outcome
from decision_service.workbench import bulk
from decision_service.workbench.bulk import Engine, Judged, Row
from decision_service.workbench.fact_tables import given_facts, merged_facts
from decision_service.workbench.populations import Population
from decision_service.workbench.shares import wilson

MOST_FLIPS = 20
ABSENT, TRUTHS = "absent", {True: "matched", False: "missed", None: "unknown"}
LIMITS = ("limit_old", "limit_new", "limit_up", "limit_down", "limit_gained", "limit_lost")


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % Wilson interval: ``bad`` of ``known`` rows."""

    bad: int
    known: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Swap:
    """Applications that have one outcome under OLD and one under NEW. ``amount`` is what they ask for, in fen.

    ``count`` adds up the weights; ``rows``, ``known`` and ``bad`` count rows, weights aside.
    """

    old: Outcome
    new: Outcome
    rows: int
    count: int
    amount: int
    known: int
    bad: int

    @property
    def bad_rate(self) -> Rate | None:
        """``None`` where no outcome is known."""
        return rate(self.bad, self.known)


@dataclass(frozen=True, slots=True)
class Swaps:
    """All swaps of a group; ``limits`` compares the computed limits where both are known, in fen and by weight."""

    value: str
    cells: tuple[Swap, ...]
    limits: Mapping[str, int]

    @property
    def count(self) -> int:
        """Of all applications."""
        return sum(cell.count for cell in self.cells)

    @property
    def changed(self) -> int:
        """Of those whose outcome differs."""
        return sum(cell.count for cell in self.cells if cell.old is not cell.new)

    def approved(self, by: str) -> tuple[int, int]:
        """Count and amount (fen) that ``old`` or ``new`` approves."""
        cells = [cell for cell in self.cells if getattr(cell, by) is Outcome.APPROVE]
        return sum(cell.count for cell in cells), sum(cell.amount for cell in cells)

    def bad_rate(self, by: str) -> Rate | None:
        """Of what ``old`` or ``new`` approves."""
        cells = [cell for cell in self.cells if getattr(cell, by) is Outcome.APPROVE]
        return rate(sum(cell.bad for cell in cells), sum(cell.known for cell in cells))


@dataclass(frozen=True, slots=True)
class Hits:
    """Rows on which a rule matched, was unknown, and on which it was evaluated at all."""

    matched: int
    unknown: int
    rows: int


@dataclass(frozen=True, slots=True)
class RuleHits:
    """One rule by its stable id under both rulesets; ``None`` where a ruleset does not have it in force."""

    rule: str
    old: Hits | None
    new: Hits | None


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule behind a flip: what was its truth and what is it; ``edited`` when it now does something else."""

    rule: str
    old: str
    new: str
    edited: bool


@dataclass(frozen=True, slots=True)
class Flip:
    """One application whose outcome differs. ``amount`` in fen, ``None`` if unknown."""

    key: str
    product: str | None
    industry: str | None
    amount: int | None
    old: Outcome
    new: Outcome
    rules: tuple[RuleChange, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one population: all of it, by group (``product``, ``industry``, ``size``, ``client``), by rule."""

    population: Population
    swaps: Swaps
    groups: Mapping[str, tuple[Swaps, ...]]
    rules: tuple[RuleHits, ...]
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A ruleset by version and digest."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Backtest:
    """Both rulesets, the day whose parameters are in force, and a result per population."""

    old: Named
    new: Named
    on: date
    engine: str
    results: tuple[Result, ...]
    notes: tuple[Mapping[str, str], ...] = ()

    @property
    def changed(self) -> int:
        """Applications whose outcome differs, over all populations."""
        return sum(result.swaps.changed for result in self.results)


def backtest(
    old: Ruleset,
    new: Ruleset,
    populations: Iterable[Population],
    *,
    on: date,
    engine: Engine,
    most_flips: int = MOST_FLIPS,
    step: Callable[[str], object] = lambda name: None,
) -> Backtest:
    """Evaluate both rulesets, with the parameters in force on a day, over every population.

    Where a population is ``remade``, OLD is evaluated over what OLD makes of it and NEW over what NEW makes of it.

    ``step(name)`` is called before each population. Raises ``InputError`` for a fact that the two hold in different
    units, ``EngineError`` when the engine cannot evaluate.
    """
    held = merged_facts(old.catalogue, new.catalogue)
    results = []
    for population in populations:
        step(population.name)
        before = _judged(engine, population.path, held, on, old)
        if population.remade is not None:
            after = _judged(engine, population.remade, given_facts(new.catalogue), on, new)
        else:
            after = before if new.digest == old.digest else _judged(engine, population.path, held, on, new)
        results.append(_result(engine, population, before, after, most_flips=most_flips))
    one, other = Named(old.version, old.digest), Named(new.version, new.digest)
    return Backtest(one, other, on, engine.name, tuple(results), tuple(_notes(old, new)))


def rate(bad: int, known: int) -> Rate | None:
    """The share of bad ones with its interval; ``None`` of none."""
    return Rate(bad, known, bad / known, *wilson(bad, known)) if known else None


def _notes(old: Ruleset, new: Ruleset) -> Iterator[Mapping[str, str]]:
    for path in ("indicators.csv", "lists.yaml"):
        if old.sources.get(path) != new.sources.get(path):
            yield {
                "zh": f"{path} 有改动；企业总体按各版本分别生成事实；已存决策与给定表的事实照原样，不含其影响",
                "en": f"{path} differs; the portfolio's facts are made under each version, those of stored decisions "
                "and given tables are as they were: its effect on these is not in this backtest",
            }


def _judged(engine: Engine, path: Path, held: Mapping[str, Fact], on: date, ruleset: Ruleset) -> Judged:
    overlays = sorted(ruleset.overlays)
    return bulk.judged(engine, engine.read(path), partial(ruleset.in_force, on), overlays=overlays, held=held)


def _result(engine: Engine, population: Population, before: Judged, after: Judged, *, most_flips: int) -> Result:
    pairs = bulk.paired(engine, engine.read(population.path), before, after)
    cells = bulk.cells(engine, pairs)
    return Result(
        population,
        _swaps("all", cells),
        {name: _grouped(name, cells) for name in bulk.GROUPS},
        _rule_hits(bulk.hits(engine, before), bulk.hits(engine, after)),
        tuple(_flips(engine, pairs, before, after, most_flips)),
    )


def _swaps(value: str, rows: Sequence[Row]) -> Swaps:
    cells: dict[tuple[Outcome, Outcome], list[Row]] = {}
    for row in rows:
        cells.setdefault((Outcome(row["old"]), Outcome(row["new"])), []).append(row)
    return Swaps(
        value,
        tuple(
            Swap(*pair, *(sum(row[name] for row in found) for name in ("rows", "count", "amount", "known", "bad")))
            for pair, found in sorted(cells.items())
        ),
        {name: sum(row[name] for row in rows) for name in LIMITS},
    )


def _grouped(name: str, rows: Iterable[Row]) -> tuple[Swaps, ...]:
    """By the values of a group, those with most changes first."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(bulk.NONE if row[name] is None else str(row[name]), []).append(row)
    swaps = [_swaps(value, part) for value, part in found.items()]
    return tuple(sorted(swaps, key=lambda one: (-one.changed, -one.count, one.value)))


def _rule_hits(
    old: Mapping[str, tuple[int, int, int]], new: Mapping[str, tuple[int, int, int]]
) -> tuple[RuleHits, ...]:
    return tuple(
        RuleHits(name, Hits(*old[name]) if name in old else None, Hits(*new[name]) if name in new else None)
        for name in sorted({*old, *new})
    )


def _flips(engine: Engine, pairs: bulk.Table, before: Judged, after: Judged, most: int) -> Iterator[Flip]:
    rows = bulk.flipped(engine, pairs, most=most)
    keys = [row[bulk.KEY] for row in rows]
    old, new = bulk.truths(engine, before, keys), bulk.truths(engine, after, keys)
    edited = _edited(_by_name(before), _by_name(after))
    for row in rows:
        key = row[bulk.KEY]
        rules = tuple(_behind(old[key], new[key], edited))
        outcomes = Outcome(row["old"]), Outcome(row["new"])
        yield Flip(key, row["product"], row["industry"], row["amount"], *outcomes, rules)


def _by_name(found: Judged) -> dict[str, Rule]:
    return {rule.name: rule for _, rules in found.parts for stage in Stage for rule in rules.rules(stage)}


def _edited(old: Mapping[str, Rule], new: Mapping[str, Rule]) -> frozenset[str]:
    """Rules that do something else than before when they match."""

    def deed(rule: Rule) -> object:
        return rule.stage, rule.outcome, rule.sets, rule.effects

    return frozenset(name for name in old.keys() & new.keys() if deed(old[name]) != deed(new[name]))


def _behind(
    old: Mapping[str, bool | None], new: Mapping[str, bool | None], edited: frozenset[str]
) -> Iterator[RuleChange]:
    """Rules whose truth differs, or which counted in both and do something else now."""
    for name in sorted({*old, *new}):
        was, now = (TRUTHS[one[name]] if name in one else ABSENT for one in (old, new))
        counted = name in edited and {was, now} <= {"matched", "unknown"}
        if counted or (was != now and {was, now} != {"missed", ABSENT}):
            yield RuleChange(name, was, now, name in edited)
