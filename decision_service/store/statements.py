"""Core statements as a driver takes them: text and the order of its values, compiled once per dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
_DIALECTS = {SQLITE: sqlite.dialect(), POSTGRESQL: PGDialect_psycopg(paramstyle="numeric_dollar")}

Build = Callable[..., Any]
"""Makes a Core statement from the dialect's name and the lengths of the lists in it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement's text, and the names of its values in their order: ``?`` for each in SQLite, $1, $2, … elsewhere."""

    text: str
    names: tuple[str, ...]


@lru_cache(maxsize=1_000)
def prepared(build: Build, dialect: str, *lengths: int) -> Prepared:
    """Every value of the statement must be a bound parameter with a name, and is given as the database keeps it."""
    compiled = build(dialect, *lengths).compile(dialect=_DIALECTS[dialect])
    return Prepared(str(compiled), tuple(compiled.positiontup or ()))


def is_any(column: ColumnElement[Any], name: str, length: int) -> ColumnElement[bool]:
    """``column IN (name_0, name_1, …)``; ``spread`` gives the values."""
    return column.in_([bindparam(f"{name}_{place}", type_=column.type) for place in range(length)])


def padded(values: Sequence[Any]) -> list[Any]:
    """The values with the last one repeated up to a power of two: of all lengths few statements are prepared."""
    length = 1 << max(0, len(values) - 1).bit_length()
    return [*values, *([values[-1]] * (length - len(values)) if values else [])]


def spread(name: str, values: Iterable[Any]) -> Mapping[str, Any]:
    """The values of ``is_any``."""
    return {f"{name}_{place}": value for place, value in enumerate(values)}


def insert_into(table: Table, dialect: str) -> Any:
    """The dialect's INSERT, which knows what to do about a row that exists."""
    return sqlite.insert(table) if dialect == SQLITE else postgresql.insert(table)
