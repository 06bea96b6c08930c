"""What a backtest runs over: stored decisions, the portfolio as if it applied, tables of facts that were given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from decision_service.audit.replay import Recorded, read_record
from decision_service.decide import Platform
from decision_service.errors import AuditError, NotFound
from decision_service.recorded import answer
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.store import StoredDecision
from decision_service.workbench.fact_tables import (
    BAD,
    CLIENT,
    INDUSTRY_CODE,
    KEY,
    TOLD,
    Tick,
    bounds,
    checked,
    merged_facts,
    schema,
)

PORTFOLIO, DECISIONS = "portfolio", "decisions"
CHUNK = 2_000
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Population:
    """A table of facts in exact units, and what must be told about it.

    ``notes`` are sentences (zh, en); ``left_out`` counts rows that could not be used, ``mistakes`` tells the first.
    ``remade`` are the same rows as NEW makes them, where facts depend on the rules and NEW's are otherwise.
    """

    name: str
    path: Path
    rows: int
    left_out: int = 0
    mistakes: tuple[str, ...] = ()
    notes: tuple[Mapping[str, str], ...] = ()
    remade: Path | None = None


def from_file(path: Path, out: Path, *, old: FactCatalogue, new: FactCatalogue, tick: Tick) -> Population:
    """The usable rows of a table that was given. Raises ``InputError`` (see ``fact_tables.checked``)."""
    found = checked(path, out, old=old, new=new, tick=tick)
    return Population(path.name, out, found.rows, found.left_out, tuple(found.mistakes))


def from_decisions(
    platform: Platform,
    out: Path,
    *,
    old: FactCatalogue,
    new: FactCatalogue,
    stored: Iterable[StoredDecision],
    bad: Mapping[str, bool],
) -> Population:
    """The facts of stored decisions as recorded; each is also taken again under its own rules, of its own day.

    ``bad`` says of decisions, by id, how they turned out, as far as that is known.

    Erased ones are left out. Raises ``InputError`` for a fact that the two rulesets hold in different units.
    """
    reading = _Reading(platform, merged_facts(old, new), {**new, **old}, bad)
    write_rows(out, reading.schema, reading.rows(stored))
    return Population(
        DECISIONS, out, reading.read, reading.erased + reading.unreadable, tuple(reading.mistakes), reading.notes()
    )


class _Reading:
    """Stored decisions read one by one, and what was seen."""

    def __init__(
        self, platform: Platform, facts: Mapping[str, Fact], declared: Mapping[str, Fact], bad: Mapping[str, bool]
    ) -> None:
        self._platform = platform
        self._bad = bad
        self._facts = facts
        self._kept = {name: fact for name, fact in declared.items() if name in facts or name.startswith("industry.")}
        self.schema = schema(self._kept.values(), own=(KEY, INDUSTRY_CODE, BAD, CLIENT))
        self.read = self.erased = self.unreadable = self.without_code = self.otherwise = 0
        self.mistakes: list[str] = []

    def rows(self, stored: Iterable[StoredDecision]) -> Iterator[Values]:
        """One row per decision that can be read."""
        for one in stored:
            if one.private is None:
                self.erased += 1
                continue
            try:
                recorded = read_record(one)
                yield self._row(one, recorded)
            except (AuditError, NotFound) as error:
                self.unreadable += 1
                self._tell(str(error))

    def _row(self, stored: StoredDecision, recorded: Recorded) -> Values:
        again = answer(self._platform, recorded)
        if not recorded.alarms and (again.outcome, again.limit) != (recorded.answer.outcome, recorded.answer.limit):
            self.otherwise += 1
            self._tell(f"decision {stored.decision_id}: was {recorded.answer.outcome}, is {again.outcome}")
        self.read += 1
        code = recorded.features.get(INDUSTRY_CODE)
        code = code if isinstance(code, str) else None
        self.without_code += code is None
        declared = self._platform.policies.by_digest(recorded.ruleset_digest).ruleset.catalogue
        values = {
            name: recorded.facts.get(name)
            for name, fact in self._kept.items()
            if name in declared and declared[name].type is fact.type and _admits(fact, recorded.facts.get(name))
        }
        own = {KEY: stored.decision_id, INDUSTRY_CODE: code, BAD: self._bad.get(stored.decision_id)}
        return {**own, CLIENT: stored.client_id, **values}

    def _tell(self, what: str) -> None:
        if len(self.mistakes) < TOLD:
            self.mistakes.append(what)

    def notes(self) -> tuple[Mapping[str, str], ...]:
        """What a reader of the numbers must know."""
        same, other = self.read - self.otherwise, self.otherwise
        told = [
            {
                "zh": f"{same} 笔按各自规则版本与当日重算，结果与记录一致；{other} 笔不一致",
                "en": f"{same} decisions come out as recorded under their own rules of their own day; {other} do not",
            }
        ]
        if count := self.erased:
            told.append({"zh": f"{count} 笔的数值已被删除，未计入", "en": f"{count} are left out: their values are erased"})
        if count := self.without_code:
            zh = f"{count} 笔记录不含行业代码，沿用决策当时的行业参数"
            en = f"{count} have no industry code in their record and keep the industry parameters of their day"
            told.append({"zh": zh, "en": en})
        return tuple(told)


def _admits(fact: Fact, value: int | str | None) -> bool:
    if value is None or isinstance(value, str):
        return value is None or value in fact.choices
    low, high = bounds(fact)
    return low <= value <= high


def write_rows(out: Path, schema: pyarrow.Schema, rows: Iterable[Values]) -> None:
    """Rows to a Parquet file, a chunk at a time; a column that a row lacks is NULL."""
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        chunk: list[Values] = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == CHUNK:
                writer.write_table(pyarrow.Table.from_pylist(chunk, schema=schema))
                chunk = []
        writer.write_table(pyarrow.Table.from_pylist(chunk, schema=schema))
