"""The public lists behind the cards: which entries count on a date, disputed or not, by a dated table of terms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from decision_service.errors import Problem, RulebookError
from decision_service.portrait.calendar import add_months
from decision_service.portrait.records import ListEntry

FILE = "lists.yaml"
ANY = "any"
NONE, ACTIVE, DISPUTED = "none", "active", "disputed"
RED, YELLOW = "red", "yellow"
COURT_DISHONEST = "list_court_dishonest"


@dataclass(frozen=True, slots=True)
class Term:
    """How long an entry of a severity listed within [effective_from, effective_to) is published."""

    severity: str
    min_months: int
    max_months: int | None
    effective_from: date
    effective_to: date | None
    reference: str

    def covers(self, entry: ListEntry) -> bool:
        """Whether this term was in force for the entry's severity on the day it was listed."""
        if self.severity not in (ANY, entry.severity) or entry.listed_on < self.effective_from:
            return False
        return self.effective_to is None or entry.listed_on < self.effective_to


@dataclass(frozen=True, slots=True)
class ListDefinition:
    """One list: the card its entries give, its label, the feed that brings it, its dated terms."""

    name: str
    card: str
    label: Mapping[str, str]
    feed: str
    terms: tuple[Term, ...]

    def ends_on(self, entry: ListEntry) -> date | None:
        """The first day on which an entry no longer counts; ``None`` while no end is known.

        The earlier of its actual end and its scheduled end; the schedule is the source's own date, else the term in
        force on ``listed_on``. A severity without a term has no scheduled end.
        """
        scheduled = entry.ends_on or self._scheduled(entry)
        ends = [day for day in (scheduled, entry.ended_on) if day is not None]
        return min(ends, default=None)

    def counts(self, entry: ListEntry, as_of: date) -> bool:
        """Whether an entry is in force on a business date: [listed_on, end)."""
        if as_of < entry.listed_on:
            return False
        end = self.ends_on(entry)
        return end is None or as_of < end

    def _scheduled(self, entry: ListEntry) -> date | None:
        for term in self.terms:
            if term.covers(entry):
                return None if term.max_months is None else add_months(entry.listed_on, term.max_months)
        return None


def disputed(entry: ListEntry, as_of: date) -> bool:
    """Whether a dispute of the entry was accepted and is not ruled on yet."""
    if entry.disputed_on is None or as_of < entry.disputed_on:
        return False
    return entry.dispute_ruled_on is None or as_of < entry.dispute_ruled_on


class Lists(Mapping[str, ListDefinition]):
    """All declared lists by name."""

    def __init__(self, definitions: Iterable[ListDefinition]) -> None:
        self._definitions = {definition.name: definition for definition in definitions}

    @classmethod
    def from_yaml(cls, text: str) -> Lists:
        """The lists of ``lists.yaml``. Raises ``RulebookError`` with every mistake, each with its line."""
        problems: list[Problem] = []
        try:
            tree = yaml.load(text, Loader=_Lined)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            raise RulebookError((Problem(FILE, line, "is not YAML", "correct the syntax"),)) from error
        rows = tree.get("lists") if isinstance(tree, dict) else None
        if not isinstance(rows, list):
            raise RulebookError((Problem(FILE, 1, "the key 'lists' with a list is missing", "declare the lists"),))
        definitions = [found for row in rows if (found := _definition(row, problems)) is not None]
        if problems:
            raise RulebookError(tuple(problems))
        return cls(definitions)

    def __getitem__(self, name: str) -> ListDefinition:
        return self._definitions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)

    def statuses(self, entries: Iterable[ListEntry], as_of: date, *, fresh: bool) -> dict[str, str | None]:
        """``none``, ``active`` or ``disputed`` of every list; unknown where the feed is silent and not fresh.

        An entry known to be active stays active however old the feed is. An entry of a list that is not declared
        leaves every silent list unknown: what it means cannot be known.
        """
        seen: dict[str, str] = {}
        understood = True
        for entry in entries:
            definition = self._definitions.get(entry.list_name)
            if definition is None:
                understood = False
            elif definition.counts(entry, as_of) and seen.get(entry.list_name) != ACTIVE:
                seen[entry.list_name] = DISPUTED if disputed(entry, as_of) else ACTIVE
        silent = NONE if fresh and understood else None
        known = {ACTIVE, DISPUTED} if fresh else {ACTIVE}
        return {name: status if (status := seen.get(name)) in known else silent for name in self._definitions}

    def card(self, entries: Iterable[ListEntry], as_of: date) -> str | None:
        """The strongest card that lists give: red, yellow or ``None``. A disputed red entry gives yellow."""
        strongest = None
        for entry in entries:
            definition = self._definitions.get(entry.list_name)
            if definition is None or not definition.counts(entry, as_of):
                continue
            if definition.card == RED and not disputed(entry, as_of):
                return RED
            strongest = YELLOW
        return strongest

    def active_reds(self, entries: Iterable[ListEntry], as_of: date) -> frozenset[str]:
        """The names of red lists with an undisputed entry in force."""
        return frozenset(
            entry.list_name
            for entry in entries
            if (definition := self._definitions.get(entry.list_name)) is not None
            and definition.card == RED
            and definition.counts(entry, as_of)
            and not disputed(entry, as_of)
        )

    def any_disputed(self, entries: Iterable[ListEntry], as_of: date) -> bool:
        """Whether an entry in force is under an accepted dispute."""
        for entry in entries:
            definition = self._definitions.get(entry.list_name)
            if disputed(entry, as_of) and (definition is None or definition.counts(entry, as_of)):
                return True
        return False


class _Lined(yaml.SafeLoader):
    """Keeps each mapping's line under the key ``__line__``."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return {**super().construct_mapping(node, deep=True), "__line__": node.start_mark.line + 1}


def _definition(row: Any, problems: list[Problem]) -> ListDefinition | None:
    if not isinstance(row, dict):
        problems.append(Problem(FILE, 1, f"{row!r} declares no list", "write name, card, label, feed, periods"))
        return None
    line, name = row["__line__"], row.get("name")
    before = len(problems)
    if not isinstance(name, str):
        problems.append(Problem(FILE, line, "a list has no name", "give it one"))
    if row.get("card") not in (RED, YELLOW):
        problems.append(Problem(FILE, line, f"{name}: card is {row.get('card')!r}", "use red or yellow"))
    given = row.get("label")
    label: dict[str, Any] = given if isinstance(given, dict) else {}
    if not {"zh", "en"} <= label.keys():
        problems.append(Problem(FILE, line, f"{name}: the label needs zh and en", "write both"))
    terms = [term for one in row.get("periods") or () if (term := _term(one, str(name), problems)) is not None]
    if not row.get("periods"):
        problems.append(Problem(FILE, line, f"{name}: no periods", "declare at least one period"))
    if len(problems) > before:
        return None
    texts = {language: str(label[language]) for language in ("zh", "en")}
    return ListDefinition(str(name), row["card"], texts, row.get("feed", "lists"), tuple(terms))


def _term(row: Any, name: str, problems: list[Problem]) -> Term | None:
    line = row.get("__line__", 1) if isinstance(row, dict) else 1
    try:
        term = Term(
            severity=str(row["severity"]),
            min_months=_months(row.get("min_months", 0)),
            max_months=None if row.get("max_months") is None else _months(row["max_months"]),
            effective_from=_day(row["effective_from"]),
            effective_to=None if row.get("effective_to") is None else _day(row["effective_to"]),
            reference=str(row.get("reference", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        what = f"{name}: a period is not usable: {error}"
        problems.append(Problem(FILE, line, what, "give severity, effective_from and whole months"))
        return None
    if term.max_months is not None and term.max_months < term.min_months:
        problems.append(Problem(FILE, line, f"{name}: max_months lies below min_months", "correct the period"))
    return term


def _months(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a number of months")
    return value


def _day(value: Any) -> date:
    if type(value) is not date:
        raise ValueError(f"{value!r} is not a date")
    return value
