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
from decision_service.rulebook.encoding import Fact, FactType
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
REQUIRED = (KEY, INDUSTRY_CODE, "product", "amount")
SCOPES = ("policy.", "product.", "industry.")
BATCH = 65_536
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
    """The facts that a table may hold: all but parameters and those that are computed."""
    return {name: fact for name, fact in catalogue.items() if _why_not(fact) is None}


def merged_facts(old: FactCatalogue, new: FactCatalogue) -> dict[str, Fact]:
    """The given facts of two rulesets. Raises ``InputError`` for one that is held in different units by each."""
    one, other = given_facts(old), given_facts(new)
    for name in one.keys() & other.keys():
        if one[name].type is not other[name].type:
            what = f"this fact is {one[name].type.value} in OLD and {other[name].type.value} in NEW"
            raise InputError(what, where=f"fact {name}", remedy="give the changed fact a name of its own")
    return {**other, **one}


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
        for batch in source.iter_batches(BATCH, columns=list(columns)):
            table = _converted(path, pyarrow.Table.from_batches([batch]), columns)
            kept = _good(table, facts, seen, found)
            writer.write_table(kept)
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
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"this is no Parquet file: {error}", where=str(path)) from error


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
    if types.is_string(wanted):
        plain = types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind)
        return None if plain or (column.name == KEY and types.is_integer(kind)) else "give text"
    if types.is_boolean(wanted):
        return None if types.is_boolean(kind) else "give true, false or null"
    return None if types.is_integer(kind) else "give whole numbers"


def _fits(kind: pyarrow.DataType, fact: Fact) -> str | None:
    if fact.type is FactType.CHOICE:
        is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind)
        return None if is_text else f"give text: one of {', '.join(fact.choices)}"
    if types.is_integer(kind) or types.is_null(kind):
        return None
    if fact.type is FactType.FLAG and types.is_boolean(kind):
        return None
    if fact.type is FactType.DATE and types.is_date32(kind):
        return None
    return f"give whole numbers: {UNITS[fact.type]}"


UNITS: Mapping[FactType, str] = {
    FactType.MONEY: "fen",
    FactType.RATIO: "millionths",
    FactType.COUNT: "the count",
    FactType.DAYS: "days",
    FactType.FLAG: "0 or 1",
    FactType.DATE: "days since 1970-01-01",
}


def _converted(path: Path, table: pyarrow.Table, columns: Mapping[str, pyarrow.DataType]) -> pyarrow.Table:
    arrays = []
    for name, kind in columns.items():
        column = table.column(name)
        try:
            if types.is_date32(column.type):
                column = column.cast(pyarrow.int32())
            arrays.append(column.cast(kind))
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"column '{name}': {error}", where=str(path), remedy="values fit 64 bits") from error
    return pyarrow.table(arrays, schema=pyarrow.schema(columns.items()))


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


def _good(table: pyarrow.Table, facts: Mapping[str, Fact], seen: _Keys, found: Checked) -> pyarrow.Table:
    """The rows without a mistake; the others are counted and the first of them told."""
    first = found.rows + found.left_out
    bad: dict[int, str] = {}
    for name, mistakes in _mistakes(table, facts, seen):
        for place, what in mistakes:
            bad.setdefault(place, f"row {first + place + 1}, column '{name}': {what}")
    found.mistakes += [bad[place] for place in sorted(bad)][: TOLD - len(found.mistakes)]
    found.left_out += len(bad)
    found.rows += table.num_rows - len(bad)
    if not bad:
        return table
    return table.filter(pyarrow.array([place not in bad for place in range(table.num_rows)]))


def _mistakes(
    table: pyarrow.Table, facts: Mapping[str, Fact], seen: _Keys
) -> Iterator[tuple[str, list[tuple[int, str]]]]:
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
) -> list[tuple[int, str]]:
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
