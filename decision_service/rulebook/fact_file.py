"""Reads ``facts.yaml``: the declarations become a catalogue."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from decision_service.errors import FactError
from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN, Fact, FactType
from decision_service.rulebook.facts import CIRCLE, FactCatalogue
from decision_service.rulebook.formulas import Formula, parse_formula
from decision_service.rulebook.literals import is_reserved, parse_number
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.syntax import did_you_mean
from decision_service.rulebook.yamltree import Branch, Node

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}(\.[a-z][a-z0-9_]{0,59})?")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
KEYWORDS = frozenset({"and", "or", "not", "in"})
REQUIRED = ("name", "type", "source", "level", "label")
OPTIONAL = ("unit", "range", "derived", "combine", "default")


@dataclass(frozen=True, slots=True)
class _Kind:
    type: FactType
    choices: tuple[str, ...] = ()


def read_facts(text: str, sheet: Sheet) -> FactCatalogue:
    """The catalogue of all declarations that can be used; everything wrong is reported to ``sheet``."""
    root = sheet.branch(sheet.tree(text), "the file", required=("facts",))
    facts: dict[str, Fact] = {}
    lines: dict[str, int] = {}
    for node in sheet.items(root.entries.get("facts") if root else None, "facts"):
        fact = _fact(node, sheet)
        if fact is None:
            continue
        if fact.name in facts:
            sheet.report(node.line, f"fact {fact.name} is declared twice, first in line {lines[fact.name]}", "keep one")
            continue
        facts[fact.name], lines[fact.name] = fact, node.line
    return _catalogue(facts, lines, sheet)


def _fact(node: Node, sheet: Sheet) -> Fact | None:
    branch = sheet.branch(node, "a fact", required=REQUIRED, optional=OPTIONAL)
    name = sheet.text(branch.entries.get("name"), "name") if branch else None
    if branch is None or name is None:
        return None
    what = f"fact {name}"
    if not NAME.fullmatch(name) or name in KEYWORDS or is_reserved(name):
        sheet.report(node.line, f"{what} has an unusable name", "use lower-case letters, digits, _ and at most one dot")
        return None
    kind = _kind(branch, what, sheet)
    if kind is None:
        return None
    low, high = _range(branch, kind.type, what, sheet)
    fact = Fact(
        name=name,
        type=kind.type,
        label=sheet.texts(branch.entries.get("label"), f"{what}: label") or {},
        source=sheet.text(branch.entries.get("source"), f"{what}: source") or "",
        level=_level(branch, what, sheet),
        unit=sheet.text(branch.entries.get("unit"), f"{what}: unit") or "",
        choices=kind.choices,
        minimum=low,
        maximum=high,
        derived=_formula(branch, kind.type, what, sheet),
        combine=_combine(branch, what, sheet),
    )
    return _with_default(fact, branch, sheet)


def _kind(branch: Branch, what: str, sheet: Sheet) -> _Kind | None:
    node = branch.entries.get("type")
    text = sheet.text(node, f"{what}: type")
    if text is None or node is None:
        return None
    if text.startswith("choice["):
        return _choices(text, node, what, sheet)
    words = [kind.value for kind in FactType if kind is not FactType.CHOICE]
    if text in words:
        return _Kind(FactType(text))
    hint = did_you_mean(text, words, otherwise=f"use {', '.join(words)} or choice[first, second]")
    sheet.report(node.line, f"{what}: unknown type '{text}'", hint)
    return None


def _choices(text: str, node: Node, what: str, sheet: Sheet) -> _Kind | None:
    words = tuple(word.strip() for word in text[len("choice[") : -1].split(","))
    bad = [word for word in words if not WORD.fullmatch(word) or word in KEYWORDS or is_reserved(word)]
    if not text.endswith("]") or bad or len(set(words)) < len(words):
        sheet.report(node.line, f"{what}: unusable choices in '{text}'", "list different words: choice[first, second]")
        return None
    return _Kind(FactType.CHOICE, words)


def _level(branch: Branch, what: str, sheet: Sheet) -> int:
    node = branch.entries.get("level")
    level = sheet.whole(node, f"{what}: level")
    if level is not None and node is not None and level not in (1, 2, 3):
        sheet.report(node.line, f"{what}: level {level} does not exist", "use 1, 2 or 3")
    return level or 1


def _range(branch: Branch, kind: FactType, what: str, sheet: Sheet) -> tuple[int, int]:
    node = branch.entries.get("range")
    if node is None:
        return INT64_MIN, INT64_MAX
    ends = [_end(item, kind, what, sheet) for item in sheet.items(node, f"{what}: range")]
    if not kind.numeric or len(ends) != 2:
        sheet.report(node.line, f"{what}: the range is unusable", "give numbers only a range: [least, greatest]")
    elif ends[0] is not None and ends[1] is not None:
        if ends[0] <= ends[1]:
            return ends[0], ends[1]
        sheet.report(node.line, f"{what}: the range ends before it begins", "write [least, greatest]")
    return INT64_MIN, INT64_MAX


def _end(node: Node, kind: FactType, what: str, sheet: Sheet) -> int | None:
    text = sheet.text(node, f"{what}: range")
    number = None if text is None else sheet.attempt(node.line, f"{what}: range", lambda: parse_number(text))
    if number is None:
        return None
    exact = number * kind.scale
    if exact != int(exact) or not INT64_MIN <= exact <= INT64_MAX:
        sheet.report(node.line, f"{what}: {text} is not exact in type {kind.value}", "use fewer digits")
        return None
    return int(exact)


def _formula(branch: Branch, kind: FactType, what: str, sheet: Sheet) -> Formula | None:
    node = branch.entries.get("derived")
    text = sheet.text(node, f"{what}: derived")
    if text is None or node is None:
        return None
    if not kind.numeric:
        sheet.report(node.line, f"{what}: a {kind.value} cannot be derived", "derive money, ratio, count or days")
        return None
    return sheet.attempt(node.line, f"{what}: derived", lambda: parse_formula(text))


def _combine(branch: Branch, what: str, sheet: Sheet) -> str | None:
    node = branch.entries.get("combine")
    text = sheet.text(node, f"{what}: combine")
    if node is not None and text not in (None, "strongest"):
        sheet.report(node.line, f"{what}: unknown combination '{text}'", "use strongest")
        return None
    return text


def _with_default(fact: Fact, branch: Branch, sheet: Sheet) -> Fact:
    node = branch.entries.get("default")
    what = f"fact {fact.name}"
    if (fact.combine is None) != (node is None):
        line = node.line if node else branch.line
        sheet.report(line, f"{what}: combine and default belong together", "give both, or neither")
    if fact.combine is not None and fact.type not in (FactType.CHOICE, FactType.FLAG):
        sheet.report(branch.line, f"{what}: only a choice or a flag can be set by rules", "change its type")
        return fact
    default = sheet.value(node, fact.name, FactCatalogue([fact])) if fact.derived is None else None
    return replace(fact, default=default)


def _catalogue(facts: dict[str, Fact], lines: dict[str, int], sheet: Sheet) -> FactCatalogue:
    """Formulas are checked against the other declarations; facts whose formula is wrong are taken as given ones.

    Rules that read them are then judged by their own mistakes only; the ruleset is refused anyway.
    """
    for fact in facts.values():
        for name in fact.derived.inputs if fact.derived else ():
            _check_input(fact, name, facts, lines[fact.name], sheet)
    usable = {
        fact.name: fact if _computable(fact, facts) else replace(fact, derived=None) for fact in facts.values()
    }
    while True:
        try:
            return FactCatalogue(usable.values())
        except FactError as error:
            circle = error.what.partition(CIRCLE)[2].split(" → ")
            if circle[0] not in usable:
                raise
            sheet.report(min(lines[name] for name in circle), error.what, error.remedy)
            usable.update({name: replace(usable[name], derived=None) for name in circle})


def _computable(fact: Fact, facts: dict[str, Fact]) -> bool:
    inputs = fact.derived.inputs if fact.derived is not None else ()
    return all(name in facts and facts[name].type.numeric for name in inputs)


def _check_input(fact: Fact, name: str, facts: dict[str, Fact], line: int, sheet: Sheet) -> None:
    what = f"fact {fact.name}: derived"
    if name not in facts:
        hint = did_you_mean(name, facts, otherwise="declare it")
        sheet.report(line, f"{what} reads '{name}', which is not declared", hint)
    elif not facts[name].type.numeric:
        sheet.report(line, f"{what} reads '{name}', a {facts[name].type.value}", "use numbers only")
    elif (facts[name].type is FactType.MONEY) != (fact.type is FactType.MONEY):
        sheet.report(line, f"{what} mixes money with other numbers ('{name}')", "use facts of one kind")
