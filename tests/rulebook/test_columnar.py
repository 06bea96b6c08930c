"""The columnar engine says of every row what the reference evaluator says, unknowns and extremes included."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import ibis
import pyarrow
import pytest

from bench.synthetic import portfolio
from decision_service.lending.limits import limit
from decision_service.rulebook.columnar import INDUSTRY_CODE, assessed, facts_read, with_parameters
from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, FactName, Not
from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN, Fact, FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.files import load
from decision_service.rulebook.formulas import parse_formula
from decision_service.rulebook.rules import Effects, Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome
from tests.rulebook.column_numbers import arithmetic, number_pairs, number_table, wrong_numbers
from tests.rulebook.columns import KEY, Row, columnar_rows, differing, duckdb, generated, reference_rows, rows_of
from tests.rulebook.generate import AWKWARD, TableMaker

RULES = Path(__file__).resolve().parents[2] / "rules"
IN_FORCE_ON = date(2026, 6, 3)


@pytest.fixture(scope="module")
def duck() -> Any:
    with duckdb() as connection:
        yield connection


@pytest.fixture(scope="module")
def shipped() -> RulesInForce:
    return load(RULES).in_force(IN_FORCE_ON)


def lent(*names: str) -> list[Fact]:
    """Of the shipped facts those that the limit's formulas read, and some more: fewer make a shorter query."""
    whole = load(RULES).catalogue
    read = facts_read(RulesInForce(whole, []), limit=limit)
    return [fact for name, fact in whole.items() if name in read or name in ("limit_max", *names)]


def disagreements(rules: RulesInForce, duck: Any, *, seed: int, tables: int) -> tuple[list[str], list[Row]]:
    maker, random = TableMaker(rules), Random(seed)
    made = [maker.table(random) for _ in range(tables)]
    expected = reference_rows(rules, made)
    return differing(expected, columnar_rows(rules, made, duck)), expected


def portfolio_disagreements(rules: RulesInForce, duck: Any, *, rows: int) -> tuple[list[str], list[Row]]:
    """A plausible portfolio whose parameters the engine joins, and the reference takes from the ruleset."""
    table = portfolio(rules, rows)
    tables = []
    for row in table.to_pylist():
        code = row.pop(INDUSTRY_CODE)
        parameters = rules.parameters(str(row.get("product")), code)
        status = rules.industry_status(code) if code else row["industry_status"] or rules.industry_status(None)
        tables.append({**row, **parameters, "industry_status": status})
        del tables[-1][KEY]
    expected = reference_rows(rules, tables)
    with_all = with_parameters(ibis.memtable(table), rules, facts_read(rules, limit=limit))
    return differing(expected, rows_of(duck.to_pyarrow(assessed(with_all, rules, key=KEY, limit=limit)))), expected


def test_agrees_on_awkward_tables_over_the_shipped_rules(shipped: RulesInForce, duck: Any) -> None:
    assert disagreements(shipped, duck, seed=1, tables=700)[0] == []


def test_agrees_on_a_portfolio_over_the_shipped_rules(shipped: RulesInForce, duck: Any) -> None:
    differences, expected = portfolio_disagreements(shipped, duck, rows=1_500)
    assert differences == []
    outcomes = Counter(row["outcome"] for row in expected)
    assert min(outcomes[outcome] for outcome in (0, 1, 2)) > 40
    assert len({row["limit_max"] for row in expected}) > 100
    assert {row["card"] for row in expected} == {"none", "yellow", "red", None}


@pytest.mark.parametrize("seed", range(3))
def test_agrees_on_generated_rulesets(seed: int, duck: Any) -> None:
    rules = generated(Random(seed), extreme=seed % 2 == 1)
    differences, expected = disagreements(rules, duck, seed=seed, tables=200)
    assert differences == []
    assert len({tuple(row.items()) for row in expected}) > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 63))
def test_agrees_on_many_generated_rulesets(seed: int, duck: Any) -> None:
    rules = generated(Random(seed), extreme=seed % 2 == 1)
    assert disagreements(rules, duck, seed=seed, tables=1_000)[0] == []


@pytest.mark.slow
def test_agrees_on_twenty_thousand_tables_over_the_shipped_rules(shipped: RulesInForce, duck: Any) -> None:
    assert disagreements(shipped, duck, seed=7, tables=20_000)[0] == []
    assert portfolio_disagreements(shipped, duck, rows=20_000)[0] == []


A, B, C, D = (Comparison("a", "==", 1), Comparison("b", "==", 1), Comparison("one", "==", ""), Comparison("x", ">", 0))
LOGIC: tuple[Condition, ...] = (
    A,
    Not(A),
    Not(Not(A)),
    AllOf((A, B)),
    AnyOf((A, B)),
    Not(AllOf((A, B))),
    Not(AnyOf((A, Not(B)))),
    AllOf(()),
    AnyOf(()),
    Not(AnyOf(())),
    AllOf((A,)),
    AnyOf((AllOf((A, Not(A))), B)),
    Comparison("a", "!=", 1),
    Not(Comparison("a", "!=", FactName("b"))),
    Comparison("a", "in", (0,)),
    Not(Comparison("a", "in", (0, 1))),
    C,
    Not(C),
    Comparison("one", "!=", "1e-07"),
    Comparison("one", "in", ('say "x"', "back\\slash", "未知")),
    Not(Comparison("one", "in", ("null", "none"))),
    Comparison("one", "==", FactName("other")),
    Comparison("one", "!=", FactName("other")),
    D,
    Comparison("x", "<", INT64_MAX),
    Comparison("x", ">=", INT64_MIN),
    Comparison("x", "<=", FactName("y")),
    Comparison("x", "!=", FactName("y")),
    Comparison("x", "in", (INT64_MIN, -1, INT64_MAX)),
)


def test_every_operator_and_connective_treats_unknown_as_the_reference_does(duck: Any) -> None:
    choice = {"type": FactType.CHOICE, "choices": AWKWARD}
    facts = [Fact("a", FactType.FLAG), Fact("b", FactType.FLAG), Fact("x", FactType.COUNT), Fact("y", FactType.COUNT)]
    facts += [Fact("one", **choice), Fact("other", **choice)]
    facts += lent()
    rules = RulesInForce(
        FactCatalogue(facts),
        [
            Rule(f"R-{number:02}", Stage.DECISION, {}, when, outcome=Outcome.REFER)
            for number, when in enumerate(LOGIC)
        ],
    )
    numbers = (None, INT64_MIN, -1, 0, INT64_MAX)
    tables: list[dict[str, Any]] = [dict(a=a, b=b) for a, b in product((None, 0, 1), repeat=2)]
    tables += [dict(x=x, y=y) for x, y in product(numbers, repeat=2)]
    tables += [dict(one=one, other=other) for one, other in product((None, *AWKWARD), repeat=2)]
    full = [{**dict.fromkeys(rules.catalogue), **table} for table in tables]
    assert differing(reference_rows(rules, full), columnar_rows(rules, full, duck)) == []


def test_a_status_is_the_strongest_that_is_certain_whatever_is_set_and_unknown(duck: Any) -> None:
    choices = ("low", "mid", "high")
    facts = [Fact(name, FactType.FLAG) for name in choices]
    settable = {"type": FactType.CHOICE, "choices": choices, "combine": "strongest"}
    facts += [Fact(f"from_{default}", default=default, **settable) for default in choices]
    facts += lent()
    rules = RulesInForce(
        FactCatalogue(facts),
        [
            Rule(
                f"S-{value}",
                Stage.STATUS,
                {},
                Comparison(value, "==", 1),
                sets=tuple((f"from_{default}", value) for default in choices),
            )
            for value in choices
        ],
    )
    tables = [
        {**dict.fromkeys(rules.catalogue), **dict(zip(choices, truths))}
        for truths in product((None, 0, 1), repeat=3)
    ]
    expected = reference_rows(rules, tables)
    assert differing(expected, columnar_rows(rules, tables, duck)) == []
    assert {row["from_mid"] for row in expected} == {"low", "mid", "high", None}


def test_limits_beyond_64_bits_are_exact_with_and_without_a_cap(duck: Any) -> None:
    facts = [replace(fact, maximum=INT64_MAX) for fact in lent("stale_feeds", "disputed_data")]
    rules = RulesInForce(
        FactCatalogue(facts),
        [
            Rule("L-1", Stage.LIMIT, {}, Comparison("stale_feeds", ">", 0), effects=Effects(limit_cap=10**12)),
            Rule("L-2", Stage.LIMIT, {}, Comparison("stale_feeds", ">", 1), effects=Effects(limit_cap=INT64_MAX)),
            Rule("L-3", Stage.LIMIT, {}, Comparison("disputed_data", "==", 1), effects=Effects(limit_factor=333_333)),
        ],
    )
    known = {"product": "invoice_loan", "inv_sales_12m": 10**14, "product.limit_multiple_of_revenue": 9 * 10**18}
    tables = [
        {**dict.fromkeys(rules.catalogue), **known, "stale_feeds": stale, "disputed_data": disputed}
        for stale, disputed in product((None, 0, 1, 2), (None, 0, 1))
    ]
    expected = reference_rows(rules, tables)
    assert differing(expected, columnar_rows(rules, tables, duck)) == []
    assert max(row["limit_max"] for row in expected) > 2**64
    assert {row["limit_cap"] for row in expected} == {None, 10**12}


@pytest.mark.parametrize("read", [True, False])
def test_a_derived_fact_is_computed_where_something_reads_it_by_way_of_another_and_nowhere_else(read: bool) -> None:
    derived = [
        Fact(name, FactType.RATIO, minimum=0, maximum=10**6, derived=parse_formula(f"min({origin}, 0.5)"))
        for name, origin in (("by_way", "disputed_share"), ("at_last", "by_way"))
    ]
    share = Fact("disputed_share", FactType.RATIO, minimum=0, maximum=10**6)
    catalogue = FactCatalogue([*lent("stale_feeds"), share, *derived])
    when = Comparison("at_last" if read else "stale_feeds", ">", 0)
    rules = RulesInForce(catalogue, [Rule("D-1", Stage.DECISION, {}, when, outcome=Outcome.REFER)])
    query = str(ibis.to_sql(assessed(ibis.memtable(pyarrow.table({KEY: [0]})), rules, key=KEY, limit=limit)))
    assert {name for name in ("by_way", "at_last") if name in query} == ({"by_way", "at_last"} if read else set())


def test_whole_numbers_are_exact_to_the_last_digit(duck: Any) -> None:
    pairs = number_pairs(Random(5), count=3_000)
    sheet, exact = arithmetic()
    found = rows_of(duck.to_pyarrow(sheet.apply(ibis.memtable(number_table(pairs)))))
    assert wrong_numbers(pairs, found, exact) == []


def test_a_code_that_no_file_names_has_no_parameters_and_an_unknown_status(shipped: RulesInForce, duck: Any) -> None:
    codes = ["35", "00", None, shipped.industry_codes()[-1]]
    table = ibis.memtable(pyarrow.table({KEY: [0, 1, 2, 3], INDUSTRY_CODE: codes, "product": ["invoice_loan"] * 4}))
    names = {"industry.max_leverage", "industry_status", "policy.auto_cap", "product.max_amount"}
    rows = rows_of(duck.to_pyarrow(with_parameters(table, shipped, names)))
    assert [row["industry_status"] for row in rows] == ["covered", "unknown", "unknown", "excluded"]
    assert [row["industry.max_leverage"] is None for row in rows] == [False, True, True, True]
    assert {(row["policy.auto_cap"], row["product.max_amount"]) for row in rows} == {(500_000_000, 100_000_000)}


def test_a_row_without_a_code_keeps_its_own_industry_parameters_and_no_others(shipped: RulesInForce, duck: Any) -> None:
    own = {"industry.max_leverage": [7, 7], "policy.auto_cap": [7, 7], "industry_status": ["covered", "excluded"]}
    rest = {KEY: [0, 1], INDUSTRY_CODE: [None, "35"], "product": ["invoice_loan"] * 2}
    table = ibis.memtable(pyarrow.table({**rest, **own}))
    rows = rows_of(duck.to_pyarrow(with_parameters(table, shipped, set(own))))
    assert [row["industry.max_leverage"] for row in rows] == [7, shipped.parameters("", "35")["industry.max_leverage"]]
    assert [row["industry_status"] for row in rows] == ["covered", "covered"]
    assert [row["policy.auto_cap"] for row in rows] == [500_000_000, 500_000_000]


def test_the_facts_that_are_read_are_those_without_which_a_decision_may_change(shipped: RulesInForce) -> None:
    read = facts_read(shipped, limit=limit)
    assert {"exposure_pending", "total_liabilities", "industry.max_leverage", "inv_sales_12m", "product"} <= read
    assert not {"exposure_total", "limit_max", "card", "portrait_score", "entity_type"} & read
