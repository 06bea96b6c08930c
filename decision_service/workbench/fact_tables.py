"""Tables of facts in Parquet: what their columns must be, how a file is checked row by row, how one is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet
from pyarrow import types

from decision_service.errors import InputError
from decision_service.rulebook.encoding import INT64_MAX, Fact, FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.syntax import did_you_mean

KEY, INDUSTRY_CODE, BAD, WEIGHT, SIZE, CLIENT = "key", "industry_code", "bad", "weight", "size", "client"
OWN: Mapping[str, pyarrow.DataType] = {
    KEY: pyarrow.string(),
    INDUSTRY_CODE: pyarrow.string(),
    BAD: pyarrow.bool_(),
    WEIGHT: pyarrow.int64(),
    SIZE: pyarrow.string(),
    CLIENT: pyarrow.string(),
}
"""Columns that are not facts; rows are told apart by the key."""
TAKEN = frozenset({*OWN, "outcome", "limit_cap", "limit_factor", "rate_spread_bp"})
"""What columns of a table and of its results are called; a fact of such a name would be taken for them."""
REQUIRED = (KEY, INDUSTRY_CODE, "product", "amount")
OF_INDUSTRY = "industry."
SCOPES = ("policy.", "product.", OF_INDUSTRY)
BATCH = 65_536
LARGEST = pyarrow.scalar(INT64_MAX, pyarrow.uint64())
TOLD = 20
"""So many bad values are told one by one; all are counted."""
HEAVIEST = 10**9
TOO_HEAVY = f"is not from 1 to {HEAVIEST}"
Tick = Callable[[int], object]


@dataclass
class Checked:
    """What came of a file: rows that were kept, rows that were left out, and the first of their mistakes."""

    rows: int = 0
    left_out: int = 0
    mistakes: list[str] = field(default_factory=list)


def given_facts(catalogue: FactCatalogue) -> dict[str, Fact]:
    """The facts that a table may hold: all but parameters and those that are computed.

    Raises ``InputError`` for a fact that is called as a column that is none.
    """
    for name in sorted(TAKEN & catalogue.keys()):
        what = "a column of tables of facts or of their results has this name already"
        raise InputError(what, where=f"fact {name}", remedy="give the fact another name")
    return {name: fact for name, fact in catalogue.items() if _why_not(fact) is None}


def merged_facts(old: FactCatalogue, new: FactCatalogue) -> dict[str, Fact]:
    """The given facts of two rulesets. Raises ``InputError`` for one that is held in different units by each."""
    one, other = given_facts(old), given_facts(new)
    for name in sorted({*_held(old, one)} & {*_held(new, other)}):
        if old[name].type is not new[name].type:
            what = f"this fact is {old[name].type.value} in OLD and {new[name].type.value} in NEW"
            raise InputError(what, where=f"fact {name}", remedy="give the changed fact a name of its own")
    return {**other, **one}


def _held(catalogue: FactCatalogue, given: Iterable[str]) -> Iterator[str]:
    """What may stand in a table: given facts, and the industry parameters of decisions without an industry's code."""
    yield from given
    yield from (name for name in catalogue if name.startswith(OF_INDUSTRY))


def schema(facts: Iterable[Fact], *, own: Iterable[str] = (KEY, INDUSTRY_CODE)) -> pyarrow.Schema:
    """Columns of a table of facts as this project writes it."""
    return pyarrow.schema([*((name, OWN[name]) for name in own), *((fact.name, _kept_as(fact)) for fact in facts)])


def checked(
    path: Path, out: Path, *, old: FactCatalogue, new: FactCatalogue, tick: Tick = lambda rows: None
) -> Checked:
    """Copy the usable rows of a file in exact units; ``tick(rows)`` is called as it goes.

    Raises ``InputError`` for a file that is no Parquet, and for columns that are unknown, missing or of another type,
    all at once. A row with a bad value is left out and told.
    """
    facts = merged_facts(old, new)
    source = _opened(path)
    columns = _columns(path, source.schema_arrow, facts, {**new, **old})
    found, seen = Checked(), _Keys()
    with pyarrow.parquet.ParquetWriter(out, pyarrow.schema(columns.items())) as writer:
        for batch in _batches(path, source, list(columns)):
            table, unreadable = _converted(batch, columns)
            writer.write_table(_good(table, unreadable, facts, seen, found))
            tick(batch.num_rows)
    return found


def _why_not(fact: Fact) -> str | None:
    """Why a table may not hold a fact."""
    if fact.name.startswith(SCOPES):
        return "is a parameter; the rulesets supply it"
    if fact.derived is not None or fact.combine is not None or fact.source == "lending":
        return "is computed from other facts"
    return None


def _kept_as(fact: Fact) -> pyarrow.DataType:
    return pyarrow.string() if fact.type is FactType.CHOICE else pyarrow.int64()


def _opened(path: Path) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"this is no Parquet file: {error}", where=str(path)) from error


def _batches(path: Path, source: pyarrow.parquet.ParquetFile, columns: list[str]) -> Iterator[pyarrow.Table]:
    batches = source.iter_batches(BATCH, columns=columns)
    while True:
        try:
            batch = next(batches, None)
        except (pyarrow.ArrowException, OSError) as error:
            what = f"this Parquet file is damaged: {error}"
            raise InputError(what, where=str(path), remedy="write it again from where it comes from") from error
        if batch is None:
            return
        yield pyarrow.Table.from_batches([batch])


def _columns(
    path: Path, given: pyarrow.Schema, facts: Mapping[str, Fact], declared: Mapping[str, Fact]
) -> dict[str, pyarrow.DataType]:
    """The columns with the types that they are kept as. Raises ``InputError`` with every mistake."""
    wrong = [f"column '{name}' is missing" for name in REQUIRED if name not in given.names]
    wrong += [f"column '{name}' stands twice" for name in sorted(set(given.names)) if given.names.count(name) > 1]
    columns: dict[str, pyarrow.DataType] = {}
    for column in given:
        if column.name in OWN:
            columns[column.name] = OWN[column.name]
            fits = _own_fits(column)
        elif column.name in facts:
            columns[column.name] = _kept_as(facts[column.name])
            fits = _fits(column.type, facts[column.name])
        else:
            wrong.append(_unusable(column.name, facts, declared))
            continue
        if fits is not None:
            wrong.append(f"column '{column.name}' holds {column.type}; {fits}")
    if wrong:
        raise InputError("; ".join(wrong), where=str(path), remedy="see docs/backtest.md for the columns")
    return columns


def _unusable(name: str, facts: Mapping[str, Fact], declared: Mapping[str, Fact]) -> str:
    why = _why_not(declared[name]) if name in declared else None
    if why is not None:
        return f"column '{name}' {why}; leave it out"
    hint = did_you_mean(name, [*OWN, *facts], otherwise="leave it out or declare the fact")
    return f"column '{name}' is no declared fact: {hint}"


def _own_fits(column: pyarrow.Field) -> str | None:
    kind, wanted = column.type, OWN[column.name]
    if types.is_null(kind):  # a column in which nothing stands, or a table without rows
        return None
    if types.is_string(wanted):
        return None if _is_text(kind) or (column.name == KEY and types.is_integer(kind)) else "give text"
    if types.is_boolean(wanted):
        return None if types.is_boolean(kind) else "give true, false or null"
    return None if types.is_integer(kind) else "give whole numbers"


def _fits(kind: pyarrow.DataType, fact: Fact) -> str | None:
    if fact.type is FactType.CHOICE:
        fits = _is_text(kind) or types.is_null(kind)
        return None if fits else f"give text: one of {', '.join(fact.choices)}"
    if types.is_integer(kind) or types.is_null(kind):
        return None
    if fact.type is FactType.FLAG and types.is_boolean(kind):
        return None
    if fact.type is FactType.DATE and types.is_date32(kind):
        return None
    return f"give whole numbers: {UNITS[fact.type]}"


def _is_text(kind: pyarrow.DataType) -> bool:
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(types.is_string(kind) or types.is_large_string(kind))


UNITS: Mapping[FactType, str] = {
    FactType.MONEY: "fen",
    FactType.RATIO: "millionths",
    FactType.COUNT: "the count",
    FactType.DAYS: "days",
    FactType.FLAG: "0 or 1",
    FactType.DATE: "days since 1970-01-01",
}


Mistakes = list[tuple[int, str]]
"""Places in a batch and what is wrong there."""


def _converted(
    table: pyarrow.Table, columns: Mapping[str, pyarrow.DataType]
) -> tuple[pyarrow.Table, dict[str, Mistakes]]:
    """The columns as they are kept, NULL where a value cannot be, and those mistakes."""
    arrays, unreadable = [], {}
    for name, kind in columns.items():
        column = table.column(name)
        if types.is_date32(column.type):
            column = column.cast(pyarrow.int32())
        if types.is_string(kind) and not types.is_integer(column.type):
            column, unreadable[name] = _decoded(column.cast(kind))
        elif types.is_uint64(column.type):
            column, unreadable[name] = _in_64_bits(column)
        arrays.append(column.cast(kind))
    return pyarrow.table(arrays, schema=pyarrow.schema(columns.items())), unreadable


def _decoded(column: pyarrow.ChunkedArray) -> tuple[pyarrow.ChunkedArray, Mistakes]:
    try:
        column.validate(full=True)
        return column, []
    except pyarrow.ArrowInvalid:
        values = column.cast(pyarrow.binary()).to_pylist()
    bad = [(place, "is not UTF-8 text") for place, value in enumerate(values) if not _is_utf8(value)]
    for place, _ in bad:
        values[place] = None
    return pyarrow.chunked_array([pyarrow.array(values, pyarrow.binary()).cast(pyarrow.string())]), bad


def _is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or value.decode() is not None
    except UnicodeDecodeError:
        return False


def _in_64_bits(column: pyarrow.ChunkedArray) -> tuple[pyarrow.ChunkedArray, Mistakes]:
    too_large = pyarrow.compute.fill_null(pyarrow.compute.greater(column, LARGEST), False)
    places = pyarrow.compute.indices_nonzero(too_large).to_pylist()
    bad = [(place, f"{column[place].as_py()} does not fit 64 bits") for place in places]
    return pyarrow.compute.if_else(too_large, None, column), bad


class _Keys:
    """Keys seen so far; two rows of one key would be counted twice."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def repeated(self, keys: Sequence[str | None]) -> list[bool]:
        """Whether each key was there before."""
        found = []
        for key in keys:
            found.append(key is not None and key in self._seen)
            if key is not None:
                self._seen.add(key)
        return found


def _good(
    table: pyarrow.Table,
    unreadable: Mapping[str, Mistakes],
    facts: Mapping[str, Fact],
    seen: _Keys,
    found: Checked,
) -> pyarrow.Table:
    """The rows without a mistake; the others are counted and the first of them told."""
    first = found.rows + found.left_out
    bad: dict[int, str] = {}
    for name, mistakes in (*unreadable.items(), *_mistakes(table, facts, seen)):
        for place, what in mistakes:
            bad.setdefault(place, f"row {first + place + 1}, column '{name}': {what}")
    found.mistakes += [bad[place] for place in sorted(bad)][: TOLD - len(found.mistakes)]
    found.left_out += len(bad)
    found.rows += table.num_rows - len(bad)
    if not bad:
        return table
    return table.filter(pyarrow.array([place not in bad for place in range(table.num_rows)]))


def _mistakes(table: pyarrow.Table, facts: Mapping[str, Fact], seen: _Keys) -> Iterator[tuple[str, Mistakes]]:
    keys = table.column(KEY).to_pylist()
    repeated = seen.repeated(keys)
    yield KEY, [(place, "there is no key") for place, key in enumerate(keys) if key is None]
    yield KEY, [(place, f"'{keys[place]}' stands twice") for place, again in enumerate(repeated) if again]
    if WEIGHT in table.column_names:
        weights = table.column(WEIGHT)
        yield WEIGHT, _outside(weights, lambda column: _between(column, 1, HEAVIEST), TOO_HEAVY, must=True)
    for name in table.column_names:
        if name in facts:
            fact = facts[name]
            yield name, _outside(table.column(name), lambda column: _inside(column, fact), _range(fact))


def _outside(
    column: pyarrow.ChunkedArray, inside: Callable[[Any], Any], what: str, *, must: bool = False
) -> Mistakes:
    fine = pyarrow.compute.fill_null(inside(column), not must)
    places = pyarrow.compute.indices_nonzero(pyarrow.compute.invert(fine)).to_pylist()
    return [(place, f"{column[place].as_py()} {what}") for place in places]


def _inside(column: Any, fact: Fact) -> Any:
    if fact.type is FactType.CHOICE:
        known = pyarrow.compute.is_in(column, value_set=pyarrow.array(fact.choices, pyarrow.string()))
        return pyarrow.compute.or_(known, pyarrow.compute.is_null(column))
    return _between(column, *bounds(fact))


def _between(column: Any, low: int, high: int) -> Any:
    return pyarrow.compute.and_(pyarrow.compute.greater_equal(column, low), pyarrow.compute.less_equal(column, high))


def bounds(fact: Fact) -> tuple[int, int]:
    """The least and greatest exact value; a flag is 0 or 1 whatever its declaration says."""
    return (0, 1) if fact.type is FactType.FLAG else (fact.minimum, fact.maximum)


def _range(fact: Fact) -> str:
    if fact.type is FactType.CHOICE:
        return f"is not one of {', '.join(fact.choices)}"
    low, high = bounds(fact)
    return f"is not from {low} to {high} ({UNITS[fact.type]})"
