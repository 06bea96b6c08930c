"""Two rulesets over a table of facts with millions of rows: the only place that starts DuckDB or Spark."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import ibis

from decision_service.errors import EngineError, InputError
from decision_service.lending.limits import limit
from decision_service.rulebook.columnar import INDUSTRY_CODE, RULE, assessed, column_type, facts_read, with_parameters
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome

try:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    SPARK = True
except ImportError:  # the extra `spark` is not installed: only that engine is missing
    SPARK = False

KEY = "key"
BAD, WEIGHT, SIZE, CLIENT = "bad", "weight", "size", "client"
ROW_COLUMNS = (KEY, INDUSTRY_CODE, BAD, WEIGHT, SIZE, CLIENT)
"""Columns of a table of facts that are not facts; of these only key and industry code must be there."""
GROUPS = ("product", "industry", SIZE, CLIENT)
"""By what results are told apart."""
BANDS = {
    50_000_000: "≤ 500,000",
    100_000_000: "≤ 1,000,000",
    300_000_000: "≤ 3,000,000",
    500_000_000: "≤ 5,000,000",
}
ABOVE, NONE = "> 5,000,000", "-"
"""The size of a row that states none: the amount in CNY."""
ENGINES = ("duckdb", "spark")
MEMORY = "4GB"
EXACT = "decimal(38, 0)"
Row = dict[str, Any]
Table: TypeAlias = ibis.Table
Fetch = Callable[[Table], Any]
"""Gives a table as Arrow; Ibis takes Spark's by way of pandas, where a column with NULL becomes floating point."""
RulesOf = Callable[[str], RulesInForce]
"""The rules in force for a client; ``""`` is one without an overlay."""


class Engine:
    """A database over a folder of its own: reads Parquet, keeps results, gives rows."""

    def __init__(self, name: str, connection: Any, fetch: Fetch, folder: Path) -> None:
        self.name = name
        self._connection = connection
        self._fetch = fetch
        self._folder = folder
        self._kept = 0

    def read(self, path: Path) -> Table:
        """A Parquet file as a table. Raises ``EngineError``."""
        with _failures(self.name):
            return self._connection.read_parquet(str(path))

    def keep(self, table: Table) -> Table:
        """The table computed once and kept as long as the engine. Raises ``EngineError``."""
        self._kept += 1
        with _failures(self.name):
            if self.name == "duckdb":
                return self._connection.create_table(f"kept_{self._kept}", table, temp=True)
            place = self._folder / f"kept-{self._kept}"
            self._connection.to_parquet_dir(table, str(place))
            return self._connection.read_parquet(str(place))

    def rows(self, table: Table) -> list[Row]:
        """The rows of a small table, decimals as the whole numbers they are. Raises ``EngineError``."""
        with _failures(self.name):
            found = self._fetch(table).to_pylist()
        return [{name: _whole(value) for name, value in row.items()} for row in found]


@contextmanager
def opened(name: str, folder: Path, *, threads: int | None = None) -> Iterator[Engine]:
    """An engine by name, with a folder for what does not fit in memory; closed and emptied at the end.

    Raises ``InputError`` when the engine is not one of ``ENGINES`` or its libraries are not installed.
    """
    if name not in ENGINES:
        raise InputError(f"there is no engine '{name}'", where="--engine", remedy=f"use one of {', '.join(ENGINES)}")
    place = folder / f"{name}-{os.getpid()}"
    place.mkdir(parents=True)
    fusing, ibis.options.sql.fuse_selects = ibis.options.sql.fuse_selects, False  # trying to takes longer than it saves
    try:
        connect = _duckdb if name == "duckdb" else _spark
        with connect(place, threads or os.cpu_count() or 1) as (connection, fetch):
            yield Engine(name, connection, fetch, place)
    finally:
        ibis.options.sql.fuse_selects = fusing
        shutil.rmtree(place)


@contextmanager
def _duckdb(folder: Path, threads: int) -> Iterator[tuple[Any, Fetch]]:
    connection = ibis.duckdb.connect(threads=threads, memory_limit=MEMORY, temp_directory=str(folder))
    try:
        yield connection, connection.to_pyarrow
    finally:
        connection.disconnect()


@contextmanager
def _spark(folder: Path, threads: int) -> Iterator[tuple[Any, Fetch]]:
    with spark_session(folder, threads, "rules backtest") as session:
        connection = ibis.pyspark.connect(session)
        yield connection, lambda table: session.sql(str(connection.compile(table))).toArrow()


@contextmanager
def spark_session(folder: Path, threads: int, name: str) -> Iterator[Any]:
    """A Spark session on ``$SPARK_MASTER`` or this machine alone, with a folder for what does not fit in memory.

    Raises ``InputError`` when PySpark or Java is not there.
    """
    if not SPARK:
        raise InputError("PySpark is not installed", where="--engine", remedy="pip install 'decision-service[spark]'")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise InputError("Spark needs Java", where="--engine", remedy="install Java 17 and put it on the PATH")
    cluster = os.environ.get("SPARK_MASTER")
    builder = SparkSession.builder.master(cluster or f"local[{threads}]")
    if not cluster:  # alone on this machine, it talks to nobody else
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # its workers run this one, not the first on the PATH
    session = (
        builder.appName(name)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", MEMORY.lower().removesuffix("b"))
        .config("spark.sql.ansi.enabled", "true")  # what is too large is an error, never NULL
        .config("spark.sql.variable.substitute", "false")  # a key such as ${x} is text
        .config("spark.local.dir", str(folder))
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
    try:
        session.sparkContext.setLogLevel("ERROR")
        yield session
    finally:
        session.stop()


@contextmanager
def _failures(engine: str) -> Iterator[None]:
    """The databases' own errors as ``EngineError``."""
    known = (duckdb.Error, PySparkException, Py4JError) if SPARK else (duckdb.Error,)
    try:
        yield
    except known as error:
        first = str(error).strip().partition("\n")[0]
        raise EngineError(f"{engine} could not evaluate the table: {first}", remedy="see docs/backtest.md") from error


@dataclass(frozen=True, slots=True)
class Judged:
    """What one ruleset says of every row: tables of results with the rules that they come from."""

    parts: tuple[tuple[Table, RulesInForce], ...]

    @property
    def results(self) -> Table:
        """Key, outcome and limit of every row."""
        columns = [part.select(KEY, "outcome", limit_max=ibis._["limit_max"].cast(EXACT)) for part, _ in self.parts]
        return reduce(lambda one, other: one.union(other), columns)


def judged(
    engine: Engine, table: Table, rules_of: RulesOf, *, overlays: Sequence[str], held: Mapping[str, Fact] | None = None
) -> Judged:
    """A ruleset over a table of facts; rows of a client with an overlay by the rules in force for that client.

    ``held`` are declarations that the values of the table are known to fit.
    """
    parts = []
    if CLIENT in table.columns:
        parts = [(table.filter(table[CLIENT] == client), rules_of(client)) for client in overlays]
        table = table.filter(~table[CLIENT].isin(list(overlays)).fill_null(False)) if overlays else table
    parts.append((table, rules_of("")))
    return Judged(tuple((engine.keep(_assessed(part, rules, held or {})), rules) for part, rules in parts))


def _assessed(table: Table, rules: RulesInForce, held: Mapping[str, Fact]) -> Table:
    names = facts_read(rules, limit=limit)
    chosen = table.select(KEY, INDUSTRY_CODE, *(name for name in table.columns if name in names))
    doubtful = [name for name in chosen.columns if name in names and held.get(name) != rules.catalogue[name]]
    chosen = chosen.mutate(**{name: _admitted(chosen, name, rules) for name in doubtful})
    return assessed(with_parameters(chosen, rules, names), rules, key=KEY, limit=limit)


def _admitted(table: Table, name: str, rules: RulesInForce) -> Any:
    """A value that the ruleset's declaration does not admit is unknown, as it is when an application is decided."""
    fact, column = rules.catalogue[name], table[name]
    if column_type(fact) == "string":
        inside = column.isin(list(fact.choices))
    else:
        inside = (column >= fact.minimum) & (column <= fact.maximum)
    return ibis.cases((inside, column))


def paired(engine: Engine, table: Table, old: Judged, new: Judged) -> Table:
    """Every row with both outcomes and limits, and what it is counted by."""
    one, other = old.results, new.results
    base = table.select(
        KEY,
        "product",
        industry=table[INDUSTRY_CODE],
        amount=table["amount"],
        size=table[SIZE] if SIZE in table.columns else _band(table["amount"]),
        client=table[CLIENT] if CLIENT in table.columns else ibis.literal(NONE),
        bad=table[BAD] if BAD in table.columns else ibis.null("boolean"),
        weight=table[WEIGHT] if WEIGHT in table.columns else ibis.literal(1, "int64"),
    )
    joined = base.join(one.rename(old="outcome", old_limit="limit_max"), KEY)
    return engine.keep(joined.join(other.rename(new="outcome", new_limit="limit_max"), KEY))


def _band(amount: Any) -> Any:
    bands = [(amount <= most, name) for most, name in BANDS.items()]
    return ibis.cases((amount.isnull(), NONE), *bands, else_=ABOVE)


def cells(engine: Engine, pairs: Table) -> list[Row]:
    """Sums by product, industry, size, client and both outcomes: the finest numbers that a report is made from."""
    weight, amount = pairs["weight"].cast(EXACT), pairs["amount"].cast(EXACT)
    both = pairs["old_limit"].notnull() & pairs["new_limit"].notnull()
    sums = {
        "rows": ibis.literal(1).cast("int64"),
        "count": weight,
        "amount": weight * amount,
        "known": pairs["bad"].notnull().cast("int64"),
        "bad": pairs["bad"].fill_null(False).cast("int64"),
        "limit_old": ibis.ifelse(both, weight * pairs["old_limit"], None),
        "limit_new": ibis.ifelse(both, weight * pairs["new_limit"], None),
        "limit_up": ibis.ifelse(both & (pairs["new_limit"] > pairs["old_limit"]), weight, None),
        "limit_down": ibis.ifelse(both & (pairs["new_limit"] < pairs["old_limit"]), weight, None),
        "limit_gained": ibis.ifelse(pairs["old_limit"].isnull() & pairs["new_limit"].notnull(), weight, None),
        "limit_lost": ibis.ifelse(pairs["old_limit"].notnull() & pairs["new_limit"].isnull(), weight, None),
    }
    grouped = pairs.mutate(**sums).group_by([*GROUPS, "old", "new"])
    found = engine.rows(grouped.aggregate(**{name: ibis._[name].sum() for name in sums}))
    return sorted(({**row, **{name: row[name] or 0 for name in sums}} for row in found), key=_place)


def _place(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in (*GROUPS, "old", "new"))


def hits(engine: Engine, found: Judged) -> dict[str, tuple[int, int, int]]:
    """By rule: rows on which it matched, on which it was unknown, and all rows on which it was evaluated."""
    counted: dict[str, tuple[int, int, int]] = {}
    for part, rules in found.parts:
        (row,) = engine.rows(part.aggregate(**_tallies(rules)))
        for name, rule_id in _ids(rules):
            before = counted.get(name, (0, 0, 0))
            seen = (row[f"{rule_id} matched"] or 0, row[f"{rule_id} unknown"] or 0, row["rows"])
            counted[name] = (before[0] + seen[0], before[1] + seen[1], before[2] + seen[2])
    return counted


def _tallies(rules: RulesInForce) -> dict[str, Any]:
    tallies: dict[str, Any] = {"rows": ibis._.count()}
    for _, rule_id in _ids(rules):
        tallies[f"{rule_id} matched"] = ibis._[RULE + rule_id].fill_null(False).cast("int64").sum()
        tallies[f"{rule_id} unknown"] = ibis._[RULE + rule_id].isnull().cast("int64").sum()
    return tallies


def _ids(rules: RulesInForce) -> Iterable[tuple[str, str]]:
    """Every rule's name and its id."""
    return [(rule.name, rule.id) for stage in Stage for rule in rules.rules(stage)]


def flipped(engine: Engine, pairs: Table, *, most: int) -> list[Row]:
    """For every two different outcomes, the first ``most`` rows by key that go from one to the other."""
    found: list[Row] = []
    for old in Outcome:
        for new in Outcome:
            if old is not new:
                rows = pairs.filter((pairs["old"] == int(old)) & (pairs["new"] == int(new)))
                found += engine.rows(rows.order_by(KEY).limit(most))
    return found


def truths(engine: Engine, found: Judged, keys: Sequence[str]) -> dict[str, Mapping[str, bool | None]]:
    """By key, the truth of every rule by its name."""
    seen: dict[str, Mapping[str, bool | None]] = {}
    for part, rules in found.parts if keys else ():
        names = {RULE + rule_id: name for name, rule_id in _ids(rules)}
        for row in engine.rows(part.filter(part[KEY].isin(list(keys)))):
            seen[row[KEY]] = {name: row[column] for column, name in names.items()}
    return seen


def _whole(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, str)) else int(value)
