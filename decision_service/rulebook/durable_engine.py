"""The durable-rules engine: executes the rules of a stage on one application's facts, with the reference's meaning.

Every rule becomes two sets of patterns: one that fires when the condition is true, one that fires when it is false.
Unknown facts are left out of the message and an absent property satisfies no test, so a rule that fires neither is
unknown. Falsehood is asked only of rules that read an unknown fact: for all others silence means false.

The compiled module of durable-rules is called directly, because its Python ``Host`` starts threads that steal results.
Its measured limits are kept out of reach: exact 64-bit integers only, short property names, bounded rulesets, facts
(an event fires one rule only), one lock per ruleset and one state that lives as long as the ruleset.
An engine belongs to the process that made it: create it after a fork.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import durable_rules_engine as library

from decision_service.errors import EngineError
from decision_service.rulebook.conditions import Exact, facts_named
from decision_service.rulebook.durable_terms import Every, Formula, Test, Vocabulary, joined, pattern, terms, width
from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import Rule, Stage, StageResult
from decision_service.rulebook.ruleset import RulesInForce

MAX_WAITING = 60  # durable-rules keeps 64 matching tests waiting; one more is its error 303
MAX_FACTS = 180  # a message holds 252 properties: facts, and one guard for each rule whose falsehood is asked
_MATCHED, _UNMATCHED = 0, 1  # outcomes of assert_fact
_SID = "0"
_ENVELOPE = f'"sid":"{_SID}","id":"1"'
_RETRACTION = f"{{{_ENVELOPE}}}"
_FIRST_MESSAGE = f'{{{_ENVELOPE},"first":1}}'


class DurableEngine:
    """All stages of the rules in force, loaded into durable-rules. Safe to share between threads; close it after use.

    Raises ``EngineError`` when a condition exceeds what durable-rules can hold.
    """

    def __init__(self, rules: RulesInForce) -> None:
        self._stages: dict[Stage, _StageRules] = {}
        try:
            for stage in Stage:
                self._stages[stage] = _StageRules(rules, stage)
        except EngineError:
            self.close()
            raise

    def evaluate(self, stage: Stage, facts: Mapping[str, Exact | None]) -> StageResult:
        """Which rules of a stage match and which are unknown, by id, sorted.

        Raises ``EngineError`` for a fact that is missing or not exact, after ``close``, and when the library fails.
        """
        if stage not in self._stages:
            raise EngineError("the engine is closed", remedy="create a new one")
        return self._stages[stage].evaluate(facts.table if isinstance(facts, Facts) else facts)

    def close(self) -> None:
        """Unload every ruleset: durable-rules frees nothing by itself. Calling it again does nothing."""
        for stage in list(self._stages):
            self._stages.pop(stage).close()


class _StageRules:
    """One stage: its facts as properties, and the rulesets that tell truth and falsehood."""

    def __init__(self, rules: RulesInForce, stage: Stage) -> None:
        self._readers: dict[str, set[str]] = {}
        for rule in rules.rules(stage):
            for name in facts_named(rule.when):
                self._readers.setdefault(name, set()).add(rule.id)
        words = Vocabulary(rules.catalogue, self._readers)
        self._columns = [_column(name, words) for name in words.properties]
        self._truths: list[_Ruleset] = []
        self._falsehoods: list[_Ruleset] = []
        try:
            for truth, rulesets in ((True, self._truths), (False, self._falsehoods)):
                patterns = [one for rule in rules.rules(stage) for one in _patterns(rule, words, truth=truth)]
                for group in _groups(patterns, guarded=not truth):
                    rulesets.append(_Ruleset(group, guarded=not truth))
        except EngineError:
            self.close()
            raise

    def evaluate(self, values: Mapping[str, Exact | None]) -> StageResult:
        known, unknown = self._written(values)
        matched: set[str] = set()
        for ruleset in self._truths:
            matched.update(ruleset.fired(known))
        undecided: set[str] = set()
        if unknown:
            undecided.update(*(self._readers[name] for name in unknown))
            undecided -= matched
        for ruleset in self._falsehoods if undecided else ():
            undecided.difference_update(ruleset.fired(known, asked=undecided))
        return StageResult(tuple(sorted(matched)), tuple(sorted(undecided)))

    def close(self) -> None:
        for ruleset in (*self._truths, *self._falsehoods):
            ruleset.close()

    def _written(self, values: Mapping[str, Exact | None]) -> tuple[dict[str, str], list[str]]:
        """Known facts as JSON members by property, and the names of the unknown facts."""
        known: dict[str, str] = {}
        unknown = []
        try:
            for name, key, prefix, choices in self._columns:
                value = values[name]
                if value is None:
                    unknown.append(name)
                elif choices is not None:
                    known[key] = choices[value]
                elif type(value) is int and INT64_MIN <= value <= INT64_MAX:
                    known[key] = f"{prefix}{value}"
                else:
                    raise KeyError(value)
        except (KeyError, TypeError):
            raise EngineError(
                "the fact is missing or its value not exact",
                where=f"fact {name}",
                remedy="give what the catalogue encodes, None for unknown",
            ) from None
        return known, unknown


_Column = tuple[str, str, str, "dict[Exact, str] | None"]
"""How one fact is written into a message: its name, its property, the beginning of its member, choices as members."""


def _column(name: str, words: Vocabulary) -> _Column:
    prefix = f'"{words.properties[name]}":'
    choices: dict[Exact, str] = {text: f"{prefix}{code}" for text, code in words.choices.get(name, {}).items()}
    return name, words.properties[name], prefix, choices or None


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One pattern that fires for a rule."""

    rule_id: str
    term: Formula
    properties: frozenset[str]


def _patterns(rule: Rule, words: Vocabulary, *, truth: bool) -> list[_Pattern]:
    """The patterns of one rule. Raises ``EngineError`` naming the rule when its condition cannot be held."""
    names = facts_named(rule.when)
    try:
        if len(names) > MAX_FACTS:
            raise EngineError(f"the condition reads more than {MAX_FACTS} facts", remedy="split the rule")
        found = terms(words.formula(rule.when, truth=truth))
    except EngineError as error:
        where = f"rule {rule.id}, {error.where}" if error.where else f"rule {rule.id}"
        raise EngineError(error.what, where=where, remedy=error.remedy) from error
    properties = frozenset(words.properties[name] for name in names)
    return [_Pattern(rule.id, term, properties) for term in found]


def _groups(patterns: Iterable[_Pattern], *, guarded: bool) -> list[list[_Pattern]]:
    """Patterns in groups, each of which stays below the library's limits even when every test holds at once."""
    groups: list[list[_Pattern]] = []
    for one in patterns:
        if not groups or not _fits([*groups[-1], one], guarded=guarded):
            groups.append([])
        groups[-1].append(one)
    return groups


def _fits(patterns: list[_Pattern], *, guarded: bool) -> bool:
    """The guards of different rules differ, so the tests of only one rule wait at a time, beside the other guards."""
    waiting: Counter[str] = Counter()
    for one in patterns:
        waiting[one.rule_id] += width(one.term)
    most = max(waiting.values()) + len(waiting) if guarded else waiting.total()
    return most <= MAX_WAITING and len(frozenset().union(*(one.properties for one in patterns))) <= MAX_FACTS


class _Ruleset:
    """One ruleset of durable-rules: known facts in, the rules that fired out."""

    def __init__(self, patterns: list[_Pattern], *, guarded: bool) -> None:
        self._rules = {str(index): one.rule_id for index, one in enumerate(patterns)}
        self._properties = frozenset().union(*(one.properties for one in patterns))
        self._read_by = {one.rule_id: one.properties for one in patterns}
        ids = sorted(self._read_by)
        self._guards = {rule_id: f"g{index}" for index, rule_id in enumerate(ids)} if guarded else {}
        formulas = {str(index): self._guarded(one) for index, one in enumerate(patterns)}
        formulas["first"] = Test("first", "==", 1)
        self._definition = json.dumps({name: {"all": [{"m": pattern(one)}]} for name, one in formulas.items()})
        self._lock = threading.Lock()
        self._underway = False
        self._handle: int | None = self._load()

    def _guarded(self, one: _Pattern) -> Formula:
        if one.rule_id not in self._guards:
            return one.term
        return joined(Every, [Test(self._guards[one.rule_id], "==", 1), one.term])

    def fired(self, known: Mapping[str, str], *, asked: set[str] | None = None) -> list[str]:
        """The rules that fire on known facts; of guarded rules only those asked for. A rule may be named twice.

        A message holds no facts but those that the rules asked for read: the library looks at every property.
        """
        read, guards = self._properties, []
        if asked is not None:
            here = asked.intersection(self._guards)
            if not here:
                return []
            read = frozenset().union(*[self._read_by[rule_id] for rule_id in here])
            guards = [f'"{guard}":1' for rule_id, guard in self._guards.items() if rule_id in here]
        members = [text for key, text in known.items() if key in read] + guards
        if not members:
            return []
        message = f"{{{_ENVELOPE},{','.join(members)}}}"
        with self._lock:
            return [self._rules[name] for name in self._run(message)]

    def close(self) -> None:
        """Free the ruleset and its state, which the library does only when told."""
        with self._lock:
            self._unload()

    def _run(self, message: str) -> list[str]:
        """All firings for a message. What an interrupted run leaves behind must not reach the next: load again."""
        if self._handle is None:
            raise EngineError("the engine is closed", remedy="create a new one")
        if self._underway:
            self._unload()
            self._handle = self._load()
        self._underway = True
        try:
            names = _collect(self._handle, message)
        except (library.error, MemoryError) as error:
            raise EngineError(f"durable-rules failed: {error}", remedy="the decision refers to a person") from error
        self._underway = False
        return names

    def _load(self) -> int:
        """One state serves every evaluation. Until its first action has run, its memory cannot be freed safely."""
        try:
            handle: int = library.create_ruleset("rules", self._definition)
            _collect(handle, _FIRST_MESSAGE)
        except (library.error, MemoryError) as error:
            raise EngineError(f"durable-rules does not accept the rules: {error}") from error
        return handle

    def _unload(self) -> None:
        """The library frees neither a ruleset nor its state; freeing only the ruleset would leak about 0.5 MB."""
        handle, self._handle = self._handle, None  # first, because a freed handle may soon be another ruleset's
        if handle is not None:
            library.delete_state(handle, _SID)
            library.delete_ruleset(handle)


def _collect(handle: int, message: str) -> list[str]:
    """The names of all patterns that fire. The library answers ``{"name":…}``; the rest of it is our own message."""
    outcome, state = library.assert_fact(handle, message)
    if outcome == _UNMATCHED:
        return []
    if outcome != _MATCHED:
        raise EngineError(f"durable-rules did not take the message, outcome {outcome}")
    started = library.start_action_for_state(handle, state)
    if not started:
        raise EngineError("durable-rules matched a rule and withholds it")
    names = []
    action: str | None = started[1]
    while action:
        names.append(action[2 : action.index('"', 2)])
        action = library.complete_and_start_action(handle, state)
    library.retract_fact(handle, _RETRACTION)
    return names
