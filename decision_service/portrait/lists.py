"""The public lists behind the cards: which entries count on a date, disputed or not, by a dated table of terms."""

from __future__ import annotations

import re
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
LANGUAGES = ("zh", "en")
LIST_KEYS = ("name", "card", "label", "feed", "periods")
TERM_KEYS = ("severity", "min_months", "max_months", "effective_from", "effective_to", "reference")
_WHOLE = re.compile(r"[0-9]{1,4}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
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
        force on ``listed_on``. A severity without a term has no scheduled end. An end before ``listed_on`` is
        wrong and ends nothing.
        """
        scheduled = entry.ends_on or self._scheduled(entry)
        ends = [day for day in (scheduled, entry.ended_on) if day is not None and day >= entry.listed_on]
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
        rows = _tree(text)
        problems: list[Problem] = []
        definitions: dict[str, ListDefinition] = {}
        for row in rows:
            found = _definition(row, problems)
            if found is None:
                continue
            if found.name in definitions:
                problems.append(Problem(FILE, row["__line__"], f"{found.name} stands twice", "keep one"))
            definitions[found.name] = found
        if problems:
            raise RulebookError(tuple(problems))
        return cls(definitions.values())

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


class _Lined(yaml.BaseLoader):
    """Keeps every scalar as its text, and each mapping's line under the key ``__line__``."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return {**super().construct_mapping(node, deep=True), "__line__": node.start_mark.line + 1}


def _tree(text: str) -> list[Any]:
    """What stands under the key ``lists``. Raises ``RulebookError``."""
    try:
        tree = yaml.load(text, Loader=_Lined)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise RulebookError((Problem(FILE, line, "is not YAML", "correct the syntax"),)) from error
    rows = tree.get("lists") if isinstance(tree, dict) else None
    if not isinstance(rows, list):
        raise RulebookError((Problem(FILE, 1, "the key 'lists' with a list is missing", "declare the lists"),))
    return rows


def _definition(row: Any, problems: list[Problem]) -> ListDefinition | None:
    if not isinstance(row, dict):
        problems.append(Problem(FILE, 1, f"{row!r} declares no list", f"write {', '.join(LIST_KEYS)}"))
        return None
    before = len(problems)
    name, label, periods = row.get("name"), row.get("label"), row.get("periods")
    for what, remedy in _mistakes(row):
        problems.append(Problem(FILE, row["__line__"], what, remedy))
    terms = [_term(one, row["__line__"], str(name), problems) for one in (periods if isinstance(periods, list) else ())]
    if len(problems) > before or not isinstance(label, dict):
        return None
    texts = {language: label[language] for language in LANGUAGES}
    return ListDefinition(
        str(name), row["card"], texts, row.get("feed", "lists"), tuple(term for term in terms if term is not None)
    )


def _mistakes(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a list's own keys, and the remedy."""
    name, label, periods = row.get("name"), row.get("label"), row.get("periods")
    yield from _unknown_keys(row, LIST_KEYS, str(name))
    if not isinstance(name, str) or not name:
        yield "a list has no name", "give it one"
    if row.get("card") not in (RED, YELLOW):
        yield f"{name}: card is {_shown(row.get('card'))}", "use red or yellow"
    if not isinstance(label, dict) or not all(isinstance(label.get(one), str) and label[one] for one in LANGUAGES):
        yield f"{name}: the label needs zh and en", "write both, as texts"
    if not isinstance(row.get("feed", ""), str):
        yield f"{name}: feed is {_shown(row['feed'])}", "name the feed, such as lists"
    if not periods:
        yield f"{name}: no periods", "declare at least one period"
    elif not isinstance(periods, list):
        yield f"{name}: periods is {_shown(periods)}", "write a list of periods"


def _term(row: Any, line: int, name: str, problems: list[Problem]) -> Term | None:
    line = row["__line__"] if isinstance(row, dict) else line
    try:
        term = _read_term(row)
    except ValueError as error:
        what = f"{name}: a period is not usable: {error}"
        problems.append(Problem(FILE, line, what, "give severity, effective_from and whole months"))
        return None
    for what, remedy in (*_unknown_keys(row, TERM_KEYS, f"{name}: a period"), *_order(term, name)):
        problems.append(Problem(FILE, line, what, remedy))
    return term


def _read_term(row: Any) -> Term:
    if not isinstance(row, dict):
        raise ValueError(f"{_shown(row)} is not a mapping")
    return Term(
        severity=_text(row, "severity"),
        min_months=_months(row.get("min_months", "0")),
        max_months=_months(row["max_months"]) if "max_months" in row else None,
        effective_from=_day(row.get("effective_from")),
        effective_to=_day(row["effective_to"]) if "effective_to" in row else None,
        reference=_text(row, "reference") if "reference" in row else "",
    )


def _order(term: Term, name: str) -> Iterator[tuple[str, str]]:
    if term.max_months is not None and term.max_months < term.min_months:
        yield f"{name}: max_months lies below min_months", "correct the period"
    if term.effective_to is not None and term.effective_to <= term.effective_from:
        yield f"{name}: effective_to {term.effective_to} is not after effective_from", "correct the period"


def _unknown_keys(row: dict[str, Any], known: tuple[str, ...], name: str) -> Iterator[tuple[str, str]]:
    """A key that is not read, such as a misspelt ``max_months``, would change the meaning without a word."""
    for key in row:
        if key not in (*known, "__line__"):
            yield f"{name}: unknown key {_shown(key)}", f"use {', '.join(known)}"


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing or no text")
    return value


def _months(value: Any) -> int:
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise ValueError(f"{_shown(value)} is not a number of months")
    return int(value)


def _day(value: Any) -> date:
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass  # the right form, but no day of the calendar
    raise ValueError(f"{_shown(value)} is not a date")


def _shown(value: Any) -> str:
    """A value as it may stand in a message."""
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)
