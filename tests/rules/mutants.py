"""Mutants of rule files: the same texts with one thing wrong, as a slip of the hand or of the mind would make it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import yaml

from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.facts import FactCatalogue

UNITS = {FactType.MONEY: Decimal("0.01"), FactType.RATIO: Decimal("0.000001")}
BESIDE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
AGAINST = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
OUTCOMES = ("APPROVE", "REFER", "DECLINE")
READ_COLUMNS = (
    "policy_class",
    "pd_cutoff_auto",
    "pd_cutoff_review",
    "max_leverage",
    "cashflow_volatility_cap",
    "min_tax_continuity",
    "limit_multiple_of_revenue",
    "max_limit_cny",
    "auto_limit_cap_cny",
    "min_years_in_operation",
)
"""The columns of industries.csv that rules and the limit read."""
STRIDE = 23
"""Every so-manieth industry of a column is mutated, another first one for each column."""
LATER = "2099-01-01"

_COMPARISON = re.compile(
    r"(?P<fact>[a-z_][a-z0-9_.]*)\s*(?P<operator><=|>=|==|!=|<|>|\bin\b)\s*(?P<operand>\[[^\]]*\]|[\w.\-]+)"
)
_CELL = re.compile(r'(?:(?<=,)|^)(?:"(?:[^"]|"")*"|[^,]*)')
_NUMBER = re.compile(r"-?[0-9][0-9_]*(\.[0-9_]+)?")


@dataclass(frozen=True, slots=True)
class Mutant:
    """Rule files with one text replaced; ``kind`` is what was done, ``what`` the words before and after."""

    kind: str
    path: str
    line: int
    what: str
    sources: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.what}"


@dataclass(frozen=True, slots=True)
class _Edit:
    """A stretch of a text, by its offsets, and what stands there instead."""

    kind: str
    begins: int
    ends: int
    text: str


def mutants(sources: Mapping[str, str], catalogue: FactCatalogue) -> Iterator[Mutant]:
    """Every mutant, always the same ones in the same order."""
    for path, text in sorted(sources.items()):
        for edit in _edits(path, text, catalogue):
            changed = text[: edit.begins] + edit.text + text[edit.ends :]
            line = text[: edit.begins].count("\n") + 1
            what = f"{_short(text[edit.begins:edit.ends])} → {_short(edit.text)}"
            yield Mutant(edit.kind, path, line, what, {**sources, path: changed})


def sample(found: Iterable[Mutant], per_kind: int) -> list[Mutant]:
    """At most so many of each kind, spread evenly over the files."""
    kinds: dict[str, list[Mutant]] = {}
    for mutant in found:
        kinds.setdefault(mutant.kind, []).append(mutant)
    return [one for same in kinds.values() for one in same[:: max(1, -(-len(same) // per_kind))]]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return (line if len(line) <= 60 else f"{line[:57]}…") or "nothing"


def _edits(path: str, text: str, catalogue: FactCatalogue) -> Iterator[_Edit]:
    if path == "industries.csv":
        yield from _industries(text, catalogue)
    elif path == "industries_excluded.csv":
        yield from _excluded(text)
    elif path.endswith(".yaml"):
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        entries = dict(_entries(root))
        if "stage" in entries:
            yield from _rules(text, entries["rules"], catalogue)
        elif path == "facts.yaml":
            yield from _formulas(text, entries["facts"])
        elif "parameters" in entries:
            scope = "product" if path.startswith("products/") else "policy"
            yield from _parameters(text, entries["parameters"], scope, catalogue)
            yield from _members(entries["required"], "required fact dropped") if "required" in entries else ()


def _entries(node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    return [(key.value, value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []


def _rules(text: str, rules: yaml.Node, catalogue: FactCatalogue) -> Iterator[_Edit]:
    yield from _members(rules, "rule deleted")
    codes = [dict(_entries(rule)).get("reason") for rule in rules.value]
    others = [code.value for code in codes if code is not None]
    for rule in rules.value:
        parts = dict(_entries(rule))
        yield from _conditions(text, parts["when"], catalogue)
        yield from _swapped(parts.get("outcome"), OUTCOMES, "outcome swapped")
        yield from _swapped(parts.get("reason"), _next(others, parts.get("reason")), "reason swapped")
        yield from _sets(parts.get("sets"), catalogue)
        yield from _effects(parts.get("effects"))
        yield _replaced(parts["effective_from"], LATER, "not yet in force")


def _next(codes: list[str], mine: yaml.Node | None) -> list[str]:
    """The first other reason code after a rule's own in its file."""
    if mine is None:
        return []
    behind = codes[codes.index(mine.value) :] + codes
    return [code for code in behind if code != mine.value][:1]


def _swapped(node: yaml.Node | None, words: Iterable[str], kind: str) -> Iterator[_Edit]:
    if node is not None:
        yield from (_replaced(node, word, kind) for word in words if word != node.value)


def _replaced(node: yaml.Node, text: str, kind: str) -> _Edit:
    return _Edit(kind, node.start_mark.index, node.end_mark.index, text)


def _members(node: yaml.Node, kind: str) -> Iterator[_Edit]:
    """Each member of a list or mapping taken out, in block or flow style; a list of one stays."""
    spans = [_span(member) for member in node.value]
    if len(spans) < 2:
        return
    for (begins, _), (follows, _) in pairwise(spans):
        yield _Edit(kind, begins, follows, "")
    yield _Edit(kind, spans[-2][1], spans[-1][1], "")


def _span(member: yaml.Node | tuple[yaml.Node, yaml.Node]) -> tuple[int, int]:
    first, last = member if isinstance(member, tuple) else (member, member)
    while last.value and isinstance(last, (yaml.MappingNode, yaml.SequenceNode)) and not last.flow_style:
        last = last.value[-1][1] if isinstance(last, yaml.MappingNode) else last.value[-1]  # a block ends with its last
    return first.start_mark.index, last.end_mark.index


def _conditions(text: str, node: yaml.Node, catalogue: FactCatalogue) -> Iterator[_Edit]:
    if isinstance(node, yaml.ScalarNode):
        begins, ends = node.start_mark.index, node.end_mark.index
        for edit in _text_edits(text[begins:ends], catalogue):
            yield _Edit(edit.kind, edit.begins + begins, edit.ends + begins, edit.text)
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in ("all", "any"):
                yield _replaced(key, "any" if key.value == "all" else "all", "and/or swapped")
            yield from _conditions(text, value, catalogue)
        return
    yield from _members(node, "condition dropped")
    for part in node.value:
        yield from _conditions(text, part, catalogue)


def _text_edits(text: str, catalogue: FactCatalogue) -> Iterator[_Edit]:
    for found in _COMPARISON.finditer(text):
        yield from _comparison(found, catalogue[found["fact"]])
    if text.startswith("not "):
        yield _Edit("not dropped", 0, len("not "), "")
    for joint in re.finditer(r" and | or ", text):
        other = " or " if joint.group() == " and " else " and "
        yield _Edit("and/or swapped", joint.start(), joint.end(), other)
    for left in re.finditer(_COMPARISON.pattern + " and ", text):
        yield _Edit("condition dropped", left.start(), left.end(), "")
    for right in re.finditer(" and (?:" + _COMPARISON.pattern.replace("?P<", "?P<right_") + ")", text):
        yield _Edit("condition dropped", right.start(), right.end(), "")


def _comparison(found: re.Match[str], fact: Fact) -> Iterator[_Edit]:
    at, operator = found.span("operator"), found["operator"]
    if operator in BESIDE:
        yield _Edit("boundary opened or closed", *at, BESIDE[operator])
    if operator in AGAINST:
        yield _Edit("comparison reversed", *at, AGAINST[operator])
    begins, ends = found.span("operand")
    for kind, text in _other_literals(found["operand"], fact):
        yield _Edit(kind, begins, ends, text)


def _other_literals(text: str, fact: Fact) -> Iterator[tuple[str, str]]:
    if text.startswith("["):
        members = [member.strip() for member in text[1:-1].split(",")]
        for member in members:
            yield "member dropped", f"[{', '.join(one for one in members if one != member)}]"
    elif _NUMBER.fullmatch(text):
        yield from (("boundary moved by one unit", moved) for moved in _moved(text, fact))
    elif text in ("true", "false"):
        yield "another choice", "false" if text == "true" else "true"
    elif text in fact.choices:
        yield "another choice", fact.choices[(fact.choices.index(text) + 1) % len(fact.choices)]


def _moved(text: str, fact: Fact) -> Iterator[str]:
    unit = UNITS.get(fact.type, Decimal(1))
    number = Decimal(text.replace("_", ""))
    yield from (f"{number + step:f}" for step in (unit, -unit))


def _sets(node: yaml.Node | None, catalogue: FactCatalogue) -> Iterator[_Edit]:
    for name, value in _entries(node) if node is not None else ():
        words = catalogue[name].choices or ("true", "false")
        yield from _swapped(value, words, "card swapped" if catalogue[name].choices else "status swapped")


def _effects(node: yaml.Node | None) -> Iterator[_Edit]:
    if node is None:
        return
    yield from _members(node, "effect dropped")
    for name, value in _entries(node):
        if name == "limit_cap":
            yield from _swapped(value, ("product.max_amount", "industry.auto_limit_cap_cny"), "effect changed")
        elif name == "limit_factor":
            yield from (_replaced(value, moved, "effect changed") for moved in ("0.499999", "0.500001", "1"))
        elif name == "rate_spread_bp":
            yield from (_replaced(value, moved, "effect changed") for moved in ("49", "51"))
        else:
            yield _replaced(value, "[another_condition]", "effect changed")


def _parameters(text: str, rows: yaml.Node, scope: str, catalogue: FactCatalogue) -> Iterator[_Edit]:
    for row in rows.value:
        parts = dict(_entries(row))
        fact, value = catalogue[f"{scope}.{parts['name'].value}"], parts["value"]
        if fact.choices:
            yield from _swapped(value, fact.choices, "parameter moved by one unit")
        else:
            yield from (_replaced(value, moved, "parameter moved by one unit") for moved in _moved(value.value, fact))
        yield _replaced(parts["effective_from"], LATER, "not yet in force")


def _formulas(text: str, facts: yaml.Node) -> Iterator[_Edit]:
    for declared in facts.value:
        formula = dict(_entries(declared)).get("derived")
        if formula is None:
            continue
        begins = formula.start_mark.index
        raw = text[begins : formula.end_mark.index]
        others: Mapping[str, Callable[[str], str]] = {
            r"(?<= )[+-](?= )": lambda sign: "-" if sign == "+" else "+",
            r"[0-9]+\.[0-9]+": lambda number: f"{Decimal(number) + Decimal('0.000001')}",
            r"abs": lambda _: "",
        }
        for pattern, other in others.items():
            for found in re.finditer(pattern, raw):
                yield _Edit("formula changed", begins + found.start(), begins + found.end(), other(found.group()))


def _industries(text: str, catalogue: FactCatalogue) -> Iterator[_Edit]:
    """Cells of the columns that are read, each moved."""
    lines = text.splitlines(keepends=True)
    header = lines[0].strip().split(",")
    for place, column in enumerate(READ_COLUMNS):
        fact = catalogue[f"industry.{column}"]
        for number in range(1 + place * 7 % STRIDE, len(lines), STRIDE):
            cell = list(_CELL.finditer(lines[number].rstrip()))[header.index(column)]
            others = [one for one in fact.choices if one != cell.group()] or list(_moved(cell.group(), fact))
            begins, ends = (sum(map(len, lines[:number])) + offset for offset in cell.span())
            yield from (_Edit("industry's cell changed", begins, ends, other) for other in others)


def _excluded(text: str) -> Iterator[_Edit]:
    lines = text.splitlines(keepends=True)
    for number in range(1, len(lines), 6):
        begins = sum(map(len, lines[:number]))
        yield _Edit("excluded industry deleted", begins, begins + len(lines[number]), "")
