"""`python -m bench.mutants`: which tool of the workbench notices which slip in the shipped rules, and which escape."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import cache, partial
from pathlib import Path

import click
from tqdm import tqdm

from decision_service.case_runs import record_facts
from decision_service.errors import Problem, RulebookError
from decision_service.lending.limits import limit
from decision_service.policy import Policy, portrait_mistakes
from decision_service.rule_folder import Candidate
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.cases import case_texts, cases_of, run_cases
from decision_service.rulebook.completeness import incomplete
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.proof.difference import Difference
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from decision_service.rulebook.stretches import change_days
from decision_service.workbench.beyond import beyond
from decision_service.workbench.changes import changes
from decision_service.workbench.lint import lint
from decision_service.workbench.prove import Result, prove, tasks_of
from decision_service.workbench.reference import judge
from tests.rules.mutants import Mutant, mutants, sample

TOOLS = ("check", "lint", "test", "prove", "diff")
MOST_ESCAPING = 0.02
DAY = date(2026, 11, 24)
FOLDER = Path(__file__).parents[1] / "rules"


@dataclass(frozen=True, slots=True)
class Noticed:
    """What became of a mutant: the tools that name it; ``equivalent`` is the proof that it decides as before."""

    mutant: str
    kind: str
    tools: frozenset[str]
    equivalent: bool
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def escaped(self) -> bool:
        """Neither named by any tool nor proven to decide as before."""
        return not self.tools and not self.equivalent


class Workbench:
    """The shipped rules and their cases, and every tool over a mutant of them, in memory; ``without`` some tools."""

    def __init__(self, folder: Path = FOLDER, on: date = DAY, without: Collection[str] = ()) -> None:
        self.ruleset = load(folder)
        self.on = on
        self._without = without
        problems: list[Problem] = []
        self._texts = case_texts(folder, problems)
        self.cases = cases_of(self._texts, self.ruleset, problems=problems)
        self._records = _record_facts(self.ruleset, self.cases)
        self._claims: list[str] = []
        self._clean = set() if "lint" in without else self._findings(self.ruleset, self.cases)

    def mutants(self) -> list[Mutant]:
        """Every mutant of the shipped rules."""
        return list(mutants(self.ruleset.sources, self.ruleset.catalogue))

    def notice(self, mutant: Mutant) -> Noticed:
        """Which tools name a mutant. What ``check`` refuses no other tool reads."""
        began = time.perf_counter()
        try:
            changed = load_sources(mutant.sources, checks=(portrait_mistakes,))
            cases = cases_of(self._texts, changed)
        except RulebookError:
            return Noticed(str(mutant), mutant.kind, frozenset({"check"}), False)
        tools = {"check": lambda: bool(list(incomplete(changed, on=self.on)))}
        tools |= {
            "lint": lambda: self._lint(changed, cases),
            "test": lambda: self._test(changed, cases),
            "prove": lambda: self._refuted(changed, cases),
        }
        seconds = {"load": time.perf_counter() - began}
        named = {tool for tool, run in tools.items() if tool not in self._without and _timed(run, tool, seconds)}
        outcome = self._differs(changed)
        seconds["diff"] = time.perf_counter() - began - sum(seconds.values())
        named |= {"diff"} if outcome else set()
        return Noticed(str(mutant), mutant.kind, frozenset(named), outcome is False, seconds)

    def _lint(self, changed: Ruleset, cases: tuple[Case, ...]) -> bool:
        """Whether there is a finding that the shipped rules do not have."""
        return not self._findings(changed, cases) <= self._clean

    def _findings(self, ruleset: Ruleset, cases: tuple[Case, ...]) -> set[tuple[str, str]]:
        policy = Policy(ruleset)
        try:
            found = lint(Candidate(policy, cases, self._texts, self.on))
        finally:
            policy.close()
        return {(one.code, str(one)) for one in found}

    def _test(self, changed: Ruleset, cases: tuple[Case, ...]) -> bool:
        """The cases by the reference evaluator; facts out of records are those of the shipped rules."""
        report = run_cases(changed, cases, evaluate=judge, facts_from_records=lambda case, _: self._records[case.name])
        return not report.passed

    def _refuted(self, changed: Ruleset, cases: tuple[Case, ...]) -> bool:
        """Whether a claim is refuted or undecided; those that refuted a mutant lately are tried first."""
        candidate = Candidate(Policy(changed), cases, self._texts, self.on)
        tasks = sorted(tasks_of(changed, on=self.on), key=lambda task: self._lately(task.invariant.id))
        for proof in prove(candidate, tasks):
            if proof.result is not Result.PROVEN:
                self._claims.append(proof.task.invariant.id)
                return True
        return False

    def _lately(self, claim: str) -> int:
        return self._claims[::-1].index(claim) if claim in self._claims else len(self._claims)

    def _differs(self, changed: Ruleset) -> bool | None:
        """Whether an application is decided otherwise, or what differs lies beyond a proof; ``None`` when in doubt."""
        for day in sorted({*change_days(self.ruleset, self.on), *change_days(changed, self.on)}):
            before, after = self.ruleset.in_force(day), changed.in_force(day)
            answer = Difference(before, after, evaluate=judge, limit=limit, bases={}).anything()
            if not answer.none:
                return True if answer.flip is not None else None
        return bool(beyond(self.ruleset, changed, changes(self.ruleset, changed)))


def _timed(run: Callable[[], bool], tool: str, seconds: dict[str, float]) -> bool:
    began = time.perf_counter()
    named = run()
    seconds[tool] = time.perf_counter() - began
    return named


def _record_facts(ruleset: Ruleset, cases: Iterable[Case]) -> dict[str, Mapping[str, object]]:
    policy = Policy(ruleset)

    def facts(case: Case, rules: RulesInForce) -> Mapping[str, object]:
        return record_facts(case, rules, policy=policy)

    try:
        return {one.name: facts(one, ruleset.in_force(one.decided_by, one.client)) for one in cases if one.records}
    finally:
        policy.close()


@cache
def _workbench(without: tuple[str, ...]) -> Workbench:
    return Workbench(without=without)


def _notice(mutant: Mutant, without: tuple[str, ...]) -> Noticed:
    """One mutant in a process of a pool."""
    return _workbench(without).notice(mutant)


def run(found: list[Mutant], *, jobs: int, without: tuple[str, ...] = ()) -> Iterator[Noticed]:
    """What becomes of each mutant, in their order, by so many processes."""
    if jobs == 1:
        yield from (_notice(mutant, without) for mutant in found)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(_notice, without=without), found, chunksize=4)


def table(noticed: Iterable[Noticed]) -> Iterator[tuple[str, ...]]:
    """Head, a row per kind and the sum: how many each tool names, names alone, are equivalent, escape."""
    yield ("kind", "mutants", *TOOLS, *(f"only {tool}" for tool in TOOLS), "equivalent", "unnamed", "escaped")
    noticed = list(noticed)
    for kind in sorted({one.kind for one in noticed}):
        yield (kind, *_counts([one for one in noticed if one.kind == kind]))
    yield ("all", *_counts(noticed))


def _counts(noticed: list[Noticed]) -> Iterator[str]:
    """``unnamed`` are equivalent ones that no tool names, which is as it should be."""
    named = Counter(tool for one in noticed for tool in one.tools)
    alone = Counter(next(iter(one.tools)) for one in noticed if len(one.tools) == 1)
    yield str(len(noticed))
    yield from (str(named[tool]) for tool in TOOLS)
    yield from (str(alone[tool]) for tool in TOOLS)
    yield str(sum(one.equivalent for one in noticed))
    yield str(sum(one.equivalent and not one.tools for one in noticed))
    yield str(sum(one.escaped for one in noticed))


def escape_rate(noticed: Iterable[Noticed]) -> float:
    """The share of escapees among the mutants that are not proven to decide as before."""
    different = [one for one in noticed if not one.equivalent]
    return sum(one.escaped for one in different) / len(different) if different else 0.0


@click.command()
@click.option("--per-kind", type=int, help="At most so many mutants of each kind; default: all.")
@click.option("--jobs", default=min(2, os.cpu_count() or 1), show_default=True, help="Processes.")
@click.option("--without", multiple=True, type=click.Choice(TOOLS[1:]), help="Leave a tool out; may be repeated.")
@click.option("--list", "listed", is_flag=True, help="Name also those that only diff names, and equivalent ones.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def main(per_kind: int | None, jobs: int, without: tuple[str, ...], listed: bool, as_json: bool) -> None:
    """Change one thing in the shipped rules after another, and see which tool names it; exit 1 if more than 2 % escape.

    Example: python -m bench.mutants --per-kind 12
    """
    began = time.perf_counter()
    found = Workbench(without=TOOLS).mutants()
    found = found if per_kind is None else sample(found, per_kind)
    results = run(found, jobs=jobs, without=without)
    noticed = list(tqdm(results, total=len(found), desc="mutants", disable=None, leave=False))
    rate, seconds = escape_rate(noticed), time.perf_counter() - began
    if as_json:
        rows = [
            {"mutant": one.mutant, "kind": one.kind, "tools": sorted(one.tools), "equivalent": one.equivalent}
            for one in noticed
        ]
        click.echo(json.dumps({"mutants": rows, "escape_rate": rate, "seconds": seconds}, ensure_ascii=False))
    else:
        _print(noticed, rate, seconds, listed)
    raise SystemExit(1 if rate > MOST_ESCAPING else 0)


def _print(noticed: list[Noticed], rate: float, seconds: float, listed: bool) -> None:
    rows = list(table(noticed))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        first, *others = zip(row, widths)
        click.echo("  ".join([first[0].ljust(first[1]), *(cell.rjust(size) for cell, size in others)]))
    groups = {"escaped": [one for one in noticed if one.escaped]}
    if listed:
        groups["only diff"] = [one for one in noticed if one.tools == {"diff"}]
        groups["equivalent, unnamed"] = [one for one in noticed if one.equivalent and not one.tools]
    for title, ones in groups.items():
        click.echo(f"\n{title}: {len(ones)}")
        for one in ones:
            click.echo(f"  {one.mutant}")
    spent: Counter[str] = Counter()
    for one in noticed:
        spent.update(one.seconds)
    told = ", ".join(f"{tool} {total:.0f} s" for tool, total in spent.items())
    click.echo(f"\n{rate:.1%} escape; {seconds:.0f} s in all ({told})")


if __name__ == "__main__":
    main()
