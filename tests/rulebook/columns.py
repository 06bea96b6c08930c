"""The columnar engine beside the reference evaluator: the same tables through both, compared value by value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

import ibis
import pyarrow

from decision_service.lending.limits import limit, limit_max
from decision_service.rulebook.columnar import RULE, assessed, column_type
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.encoding import INT64_MAX, Fact, FactType
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.formulas import parse_formula
from decision_service.rulebook.rules import Effects, Product, Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import combine, limit_effects, set_status
from decision_service.vocabulary import Outcome
from tests.rulebook.generate import condition

Row = dict[str, Any]
KEY = "key"


@contextmanager
def duckdb() -> Iterator[Any]:
    """DuckDB, set as the backtest sets it: that Ibis fuses queries takes longer than all that is computed here."""
    connection = ibis.duckdb.connect(threads=1)
    fusing, ibis.options.sql.fuse_selects = ibis.options.sql.fuse_selects, False
    try:
        yield connection
    finally:
        ibis.options.sql.fuse_selects = fusing
        connection.disconnect()


def reference_rows(rules: RulesInForce, tables: Iterable[Mapping[str, Exact | None]]) -> list[Row]:
    """What the reference evaluator says of every table."""
    engine = ReferenceEngine(rules)
    return [_reference_row(rules, engine, table) for table in tables]


def _reference_row(rules: RulesInForce, engine: ReferenceEngine, table: Mapping[str, Exact | None]) -> Row:
    given = {
        name: value
        for name, value in table.items()
        if rules.catalogue[name].derived is None and rules.catalogue[name].combine is None and name != "limit_max"
    }
    facts = Facts(rules.catalogue, given)
    results = {Stage.STATUS: engine.evaluate(Stage.STATUS, facts)}
    facts = set_status(rules, results[Stage.STATUS], facts)
    results[Stage.LIMIT] = engine.evaluate(Stage.LIMIT, facts)
    effects = limit_effects(rules, results[Stage.LIMIT], facts)
    lent = limit_max(facts, effects)
    facts = facts.with_values({"limit_max": lent})
    results[Stage.DECISION] = engine.evaluate(Stage.DECISION, facts)
    outcome, _ = combine(rules, results, facts)
    row: Row = {"outcome": int(outcome), "limit_max": lent}
    row |= {fact.name: facts[fact.name] for fact in rules.catalogue.settable}
    row |= {name: getattr(effects, name) for name in ("limit_cap", "limit_factor", "rate_spread_bp")}
    for stage, result in results.items():
        truths: dict[str, bool | None] = {rule.id: False for rule in rules.rules(stage)}
        truths |= {**dict.fromkeys(result.matched, True), **dict.fromkeys(result.unknown)}
        row |= {RULE + rule_id: truth for rule_id, truth in truths.items()}
    return row


def arrow(catalogue: FactCatalogue, tables: list[dict[str, Exact | None]]) -> pyarrow.Table:
    """Tables as one of columns, with a key."""
    columns: dict[str, Any] = {KEY: pyarrow.array(range(len(tables)), pyarrow.int64())}
    for name, fact in catalogue.items():
        kind = pyarrow.string() if column_type(fact) == "string" else pyarrow.int64()
        columns[name] = pyarrow.array([table.get(name) for table in tables], kind)
    return pyarrow.table(columns)


def columnar_rows(rules: RulesInForce, tables: list[dict[str, Exact | None]], connection: Any) -> list[Row]:
    """What the columnar engine says, in the order of the tables."""
    table = ibis.memtable(arrow(rules.catalogue, tables))
    return rows_of(connection.to_pyarrow(assessed(table, rules, key=KEY, limit=limit)))


def rows_of(found: pyarrow.Table) -> list[Row]:
    """Rows in the order of their key; decimals as the whole numbers they are."""
    rows = sorted(found.to_pylist(), key=lambda row: row[KEY])
    return [{name: _whole(value) for name, value in row.items() if name != KEY} for row in rows]


def _whole(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, str)) else int(value)


def differing(expected: list[Row], found: list[Row]) -> list[str]:
    """Every value that differs, as a sentence."""
    assert len(expected) == len(found)
    return [
        f"row {number}: {name} is {other.get(name)!r}, the reference says {value!r}"
        for number, (one, other) in enumerate(zip(expected, found))
        for name, value in one.items()
        if name not in other or other[name] != value or isinstance(other[name], bool) != isinstance(value, bool)
    ]


CARDS = ("none", "yellow", "red")
GRADES = ("P1", "P2", "P3", "P4", "P5", "insufficient_data")
FORMULAS = {
    "derived.money": (FactType.MONEY, "money0 + 1.5 * money1 - 0.333333333 * money2"),
    "derived.ratio": (FactType.RATIO, "abs(ratio0 - ratio1) / 3"),
    "derived.least": (FactType.MONEY, "min(money0, max(money1, 1000.01), 7 * ratio0)"),
    "derived.again": (FactType.COUNT, "derived.ratio - 2.000001 * number0 + limit_max / 7"),
}


def catalogue(*, extreme: bool) -> FactCatalogue:
    """Facts of every type, those that limits read, facts that rules set and derived ones."""
    ends = {} if extreme else {"minimum": -(10**14), "maximum": 10**14}
    facts = [Fact(f"money{n}", FactType.MONEY, **ends) for n in range(3)]
    facts += [Fact(f"ratio{n}", FactType.RATIO, **ends) for n in range(2)]
    facts += [Fact("number0", FactType.COUNT, **ends), Fact("number1", FactType.COUNT), Fact("day0", FactType.DATE)]
    facts += [Fact("flag0", FactType.FLAG, minimum=0, maximum=1)]
    facts += [Fact("share", FactType.RATIO, minimum=0, maximum=2_000_000)]
    facts += [Fact("product", FactType.CHOICE, choices=("working_capital", "invoice_loan", "other"))]
    facts += [Fact("grade", FactType.CHOICE, choices=GRADES)]
    for name in ("revenue_12m", "total_assets", "total_liabilities", "working_capital_need", "inv_sales_12m"):
        facts.append(Fact(name, FactType.MONEY, minimum=-(10**14), maximum=10**14))
    for name in ("industry.limit_multiple_of_revenue", "industry.max_leverage", "product.limit_multiple_of_revenue"):
        facts.append(Fact(name, FactType.RATIO, minimum=-(10**18), maximum=10**18))
    facts += [Fact("card", FactType.CHOICE, choices=CARDS, combine="strongest", default="none")]
    facts += [Fact("whitelisted", FactType.FLAG, minimum=0, maximum=1, combine="strongest", default=0)]
    facts += [Fact("tier", FactType.CHOICE, choices=("low", "mid", "high"), combine="strongest", default="mid")]
    facts += [Fact("limit_max", FactType.MONEY)]
    for name, (kind, text) in FORMULAS.items():
        facts.append(Fact(name, kind, derived=parse_formula(text), **ends))
    return FactCatalogue(facts)


def generated(random: Random, *, extreme: bool = False) -> RulesInForce:
    """Random rules of all three stages over random conditions, with products that require facts."""
    declared = catalogue(extreme=extreme)
    early = FactCatalogue(fact for fact in declared.values() if _readable_early(fact))
    rules = [_rule(random, number, Stage.STATUS, early, _setting) for number in range(10)]
    limited = FactCatalogue(fact for fact in declared.values() if _readable_early(fact) or fact.combine is not None)
    rules += [_rule(random, number, Stage.LIMIT, limited, _limiting) for number in range(8)]
    rules += [_rule(random, number, Stage.DECISION, declared, _deciding) for number in range(8)]
    required = tuple(random.sample(["money0", "grade", "derived.money"], random.randint(0, 2)))
    products = {
        "working_capital": Product("working_capital", {}, required, "x", "l"),
        "invoice_loan": Product("invoice_loan", {}, (), "x", "l"),
    }
    return RulesInForce(declared, rules, products=products)


def _readable_early(fact: Fact) -> bool:
    return fact.combine is None and fact.name not in ("limit_max", "derived.again")


def _rule(
    random: Random, number: int, stage: Stage, facts: FactCatalogue, doing: Callable[[Random], dict[str, Any]]
) -> Rule:
    when = condition(random, facts, depth=2)
    return Rule(id=f"{stage.value}-{number:02}", stage=stage, title={}, when=when, **doing(random))


def _setting(random: Random) -> dict[str, Any]:
    values: list[tuple[str, Exact]] = [(name, value) for name in ("card",) for value in CARDS]
    values += [("whitelisted", 1), ("whitelisted", 0), ("tier", "low"), ("tier", "mid"), ("tier", "high")]
    chosen = dict(random.sample(values, random.randint(1, 3)))
    return {"sets": tuple(chosen.items())}


def _limiting(random: Random) -> dict[str, Any]:
    cap = random.choice((None, None, 0, 1, 10**9, INT64_MAX, "money0", "working_capital_need"))
    factor = random.choice((None, None, 0, 500_000, 1_000_000, 2_000_000, "share"))
    return {"effects": Effects(limit_factor=factor, limit_cap=cap, rate_spread_bp=random.choice((None, 0, 50, 120)))}


def _deciding(random: Random) -> dict[str, Any]:
    return {"outcome": random.choice((Outcome.APPROVE, Outcome.APPROVE, Outcome.REFER, Outcome.DECLINE))}
