"""Engines side by side: reference evaluator, durable-rules and GoRules ZEN on the same rules and facts, in turns."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import click

from bench.zen_rules import Context, bare_expression, decision_table, expression_node, zen_name
from decision_service.rulebook.conditions import Exact, FactName, comparisons, facts_named
from decision_service.rulebook.durable_engine import DurableEngine
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import Fact, FactType
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Rule, Stage, StageResult
from decision_service.rulebook.ruleset import RulesInForce

RULES = Path(__file__).resolve().parents[1] / "rules"
RULE_COUNT = 40
ROUNDS = 7
Table = dict[str, Exact | None]
Work = Mapping[str, tuple[Callable[[Any], object], Sequence[Any]]]
"""What each engine runs, and on which inputs."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Decisions per second and the time of one in microseconds."""

    engine: str
    per_second: float
    p50_us: float
    p99_us: float


def main() -> None:
    """Entry point of ``python -m bench.engines``."""
    bench()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--tables", default=400, show_default=True, help="Fact tables per round.")
@click.option("--rules", "folder", default=str(RULES), show_default=True, help="Folder of rule files.")
@click.option("--on", default="2024-06-03", show_default=True, help="Business date whose rules are in force.")
def bench(as_json: bool, tables: int, folder: str, on: str) -> None:
    """Compare engines. Exit 1 when they disagree on any fact table or when ZEN is faster than one of ours.

    Example: python -m bench.engines --json
    """
    rules = load(folder).in_force(date.fromisoformat(on))
    forty = rules.rules(Stage.DECISION)[:RULE_COUNT]
    report: dict[str, Any] = {
        "rules": len(forty),
        "tables": tables,
        "forty_rules": beside_zen(rules, forty, tables=tables),
        "shipped_ruleset": shipped(rules, tables=tables),
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print(report)
    sys.exit(0 if report["forty_rules"]["faster_than_zen"] and _agree(report) else 1)


def beside_zen(rules: RulesInForce, forty: Sequence[Rule], *, tables: int) -> dict[str, Any]:
    """Forty decision rules on fully known facts (ZEN has no unknown), every engine on the very same tables."""
    chosen = RulesInForce(rules.catalogue, forty)
    maker = Tables(chosen)
    known = [maker.table(Random(seed), unknown=0.0) for seed in range(tables)]
    contexts = [_context(table, chosen) for table in known]
    reference, durable = ReferenceEngine(chosen), DurableEngine(chosen)
    ours: dict[str, Callable[[Table], StageResult]] = {
        "reference": lambda table: reference.evaluate(Stage.DECISION, table),
        "durable-rules": lambda table: durable.evaluate(Stage.DECISION, table),
    }
    theirs = {
        "zen decision table": decision_table(forty),
        "zen expression node": expression_node(forty),
        "zen bare expression": bare_expression(forty),
    }
    expected = [reference.evaluate(Stage.DECISION, table).matched for table in known]
    differing = sum(durable.evaluate(Stage.DECISION, table).matched != one for table, one in zip(known, expected))
    for evaluate in theirs.values():
        differing += sum(evaluate(context) != one for context, one in zip(contexts, expected))
    work: dict[str, Any] = {name: (run, known) for name, run in ours.items()}
    work |= {name: (run, contexts) for name, run in theirs.items()}
    speeds = _in_turns(work)
    durable.close()
    zen = min(speeds["zen decision table"].p50_us, speeds["zen expression node"].p50_us)
    return {
        "engines": [asdict(speed) for speed in speeds.values()],
        "differing": differing,
        "matched_per_table": round(statistics.mean(len(one) for one in expected), 1),
        "times_zen": {name: round(zen / speeds[name].p50_us, 1) for name in ours},
        "faster_than_zen": all(speeds[name].p50_us < zen for name in ours),
    }


def shipped(rules: RulesInForce, *, tables: int) -> dict[str, Any]:
    """All stages of the shipped rules, with a tenth of the facts unknown."""
    maker = Tables(rules)
    mixed = [maker.table(Random(seed), unknown=0.1) for seed in range(tables)]
    reference, durable = ReferenceEngine(rules), DurableEngine(rules)

    def by(engine: ReferenceEngine | DurableEngine) -> Callable[[Table], list[StageResult]]:
        return lambda table: [engine.evaluate(stage, table) for stage in Stage]

    differing = sum(by(reference)(table) != by(durable)(table) for table in mixed)
    speeds = _in_turns({"reference": (by(reference), mixed), "durable-rules": (by(durable), mixed)})
    durable.close()
    return {
        "rules": sum(len(rules.rules(stage)) for stage in Stage),
        "engines": [asdict(speed) for speed in speeds.values()],
        "differing": differing,
    }


class Tables:
    """Fact tables near the literals of the rules: about half of the numbers lie within one unit of a bound."""

    def __init__(self, rules: RulesInForce) -> None:
        every = [rule for stage in Stage for rule in rules.rules(stage)]
        names = sorted(frozenset().union(*(facts_named(rule.when) for rule in every)))
        self._facts = [rules.catalogue[name] for name in names]
        self._bounds: dict[str, list[int]] = {name: [0] for name in names}
        for rule in every:
            for one in comparisons(rule.when):
                if isinstance(one.operand, int):
                    self._bounds[one.fact].append(one.operand)
                elif isinstance(one.operand, FactName):
                    self._bounds[one.fact].append(500_000)

    def table(self, random: Random, *, unknown: float) -> Table:
        """One table with every fact that the rules name."""
        return {fact.name: None if random.random() < unknown else self._value(random, fact) for fact in self._facts}

    def _value(self, random: Random, fact: Fact) -> Exact:
        if fact.type is FactType.CHOICE:
            return random.choice(fact.choices)
        if fact.type is FactType.FLAG:
            return random.randint(0, 1)
        near = random.choice(self._bounds[fact.name]) + random.choice((-1, 0, 1))
        number = near if random.random() < 0.5 else random.randint(0, 10**9)
        return max(fact.minimum, min(fact.maximum, number))


def _context(table: Mapping[str, Exact | None], rules: RulesInForce) -> Context:
    return {zen_name(name): value for name, value in table.items() if value is not None and name in rules.catalogue}


def _in_turns(work: Work) -> dict[str, Speed]:
    """Every engine takes its turn in every round, so that the machine's mood hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, (run, inputs) in work.items():
            times[name] += _times(run, inputs)
    return {name: _speed(name, seen) for name, seen in times.items()}


def _times(run: Callable[[Any], object], inputs: Sequence[Any]) -> list[float]:
    seen = []
    for one in inputs:
        started = time.perf_counter()
        run(one)
        seen.append(time.perf_counter() - started)
    return seen


def _speed(engine: str, seconds: Sequence[float]) -> Speed:
    cuts = statistics.quantiles(seconds, n=100)
    return Speed(engine, round(len(seconds) / sum(seconds)), round(cuts[49] * 1e6, 1), round(cuts[98] * 1e6, 1))


def _agree(report: Mapping) -> bool:
    return report["forty_rules"]["differing"] == 0 and report["shipped_ruleset"]["differing"] == 0


def _print(report: Mapping) -> None:
    forty, whole = report["forty_rules"], report["shipped_ruleset"]
    click.echo(f"{report['rules']} decision rules, {report['tables']} fact tables, {ROUNDS} rounds in turns")
    _print_speeds(forty["engines"])
    click.echo(f"  tables on which engines differ: {forty['differing']}; rules matched: {forty['matched_per_table']}")
    for name, times in forty["times_zen"].items():
        click.echo(f"  {name}: {times}× as fast as the faster ZEN decision (by p50)")
    click.echo("  (a bare ZEN expression has no decision model, table or hit policy: for information)")
    click.echo(f"\nThe shipped ruleset, {whole['rules']} rules in three stages, a tenth of the facts unknown")
    _print_speeds(whole["engines"])
    click.echo(f"  tables on which engines differ: {whole['differing']}")


def _print_speeds(engines: Sequence[Mapping]) -> None:
    click.echo(f"  {'engine':22}{'decisions/s':>12}{'p50 µs':>10}{'p99 µs':>10}")
    for row in engines:
        click.echo(f"  {row['engine']:22}{row['per_second']:>12,.0f}{row['p50_us']:>10}{row['p99_us']:>10}")


if __name__ == "__main__":
    main()
