"""The condition language: text or YAML nodes become a checked condition tree, and a tree becomes text again."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from decision_service.errors import FactError, Problem, RulebookError
from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.facts import Fact, FactCatalogue, FactType
from decision_service.rulebook.literals import is_reserved, parse_literal
from decision_service.rulebook.yamltree import Listing, Node, Scalar

OPERATORS = ("<", "<=", "==", "!=", ">=", ">", "in")
MAX_LENGTH = 4_000
MAX_NESTING = 60

GRAMMAR = r"""
    ?start: disjunction
    ?disjunction: conjunction | conjunction ("or" conjunction)+ -> any_of
    ?conjunction: negation | negation ("and" negation)+ -> all_of
    ?negation: "not" negation -> negated | "(" disjunction ")" | comparison
    comparison: NAME OPERATOR LITERAL | NAME OPERATOR NAME
        | NAME IN listing | NAME IN LITERAL | NAME IN NAME | NAME OPERATOR listing
    listing: "[" [item ("," item)*] "]"
    ?item: LITERAL | NAME
    IN: "in"
    OPERATOR: /[<>=!~&|^%]+/
    NAME: /[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/
    LITERAL: /[-+]?\.?[0-9][A-Za-z0-9_.\-]*/
    %ignore /[ \t\r\n]+/
"""


def parse_condition(source: str | Node, catalogue: FactCatalogue, *, file: str = "", line: int = 0) -> Condition:
    """A condition from text or a YAML node (text, all/any/none, list); raises ``RulebookError`` with every mistake."""
    node = Scalar(source, line) if isinstance(source, str) else source
    problems: list[Problem] = []
    condition = read_condition(
        node, catalogue, report=lambda at, what, remedy: problems.append(Problem(file, at, what, remedy))
    )
    if condition is None or problems:
        raise RulebookError(tuple(problems))
    return condition


Report = Callable[[int, str, str], None]
"""Called as ``report(line, what, remedy)`` for each mistake."""


def read_condition(node: Node, catalogue: FactCatalogue, *, report: Report) -> Condition | None:
    """Like ``parse_condition``, but hands each mistake to ``report`` and then returns ``None``."""
    if isinstance(node, Scalar):
        return _read_text(node, catalogue, report)
    if isinstance(node, Listing):
        return _read_parts("all", node, catalogue, report)
    if not node.entries:
        report(node.line, "a condition is empty", "write a comparison, or all, any or none")
        return None
    parts: list[Condition | None] = []
    for key, part in node.entries.items():
        if key in ("all", "any", "none"):
            parts.append(_read_parts(key, part, catalogue, report))
        else:
            report(node.key_lines[key], f"unknown key '{key}' in a condition", "use all, any or none")
            parts.append(None)
    return _joined("all", parts)


def _read_parts(key: str, node: Node, catalogue: FactCatalogue, report: Report) -> Condition | None:
    if not isinstance(node, Listing) or not node.items:
        report(node.line, f"'{key}' is not a list of conditions", f"write {key}: [first, second]")
        return None
    return _joined(key, [read_condition(part, catalogue, report=report) for part in node.items])


def _joined(key: str, parts: Sequence[Condition | None]) -> Condition | None:
    good = tuple(part for part in parts if part is not None)
    if len(good) < len(parts):
        return None
    if key == "all":
        return good[0] if len(good) == 1 else AllOf(good)
    either = good[0] if len(good) == 1 else AnyOf(good)
    return Not(either) if key == "none" else either


def _read_text(node: Scalar, catalogue: FactCatalogue, report: Report) -> Condition | None:
    text = node.text
    fault = _oversized(text)
    if fault:
        report(node.line, fault, "split the rule, or use YAML all/any/none")
        return None
    try:
        draft: Any = _PARSER.parse(text)
    except UnexpectedInput as error:
        report(node.line, *_syntax_message(text, error))
        return None
    except (LarkError, VisitError) as error:
        report(node.line, f"the condition '{text}' cannot be read: {error}", "see docs/rule-language.md")
        return None
    mistakes: list[tuple[str, str]] = []
    condition = _checked(draft, catalogue, mistakes)
    for what, remedy in mistakes:
        report(node.line, what, remedy)
    return None if mistakes else condition


def _oversized(text: str) -> str:
    if len(text) > MAX_LENGTH:
        return f"a condition is {len(text)} characters long, more than {MAX_LENGTH}"
    if text.count("(") + text.split().count("not") > MAX_NESTING:
        return f"a condition has more than {MAX_NESTING} parentheses and negations"
    return ""


def _syntax_message(text: str, error: UnexpectedInput) -> tuple[str, str]:
    quoted = text if len(text) <= 80 else f"{text[:77]}…"
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return f"the condition '{quoted}' ends too early", "complete it: fact operator value"
    if isinstance(error, UnexpectedToken) and str(error.token) in ("is", "has", "equals", "between", "like"):
        return f"unknown operator '{error.token}' in '{quoted}'", f"use one of {', '.join(OPERATORS)}"
    if isinstance(error, UnexpectedToken):
        found = str(error.token)
    elif isinstance(error, UnexpectedCharacters):
        found = text[error.pos_in_stream or 0]
    else:
        found = quoted
    what = f"unexpected '{found}' at column {error.column} of the condition '{quoted}'"
    return what, "write fact operator value, joined by and, or, not; choices without quotes, a flag as 'fact == true'"


@dataclass(frozen=True, slots=True)
class _Draft:
    """A comparison as written, not yet checked against the declared facts."""

    fact: str
    operator: str
    operand: Token | tuple[Token, ...]


@v_args(inline=True)
class _Build(Transformer):
    def comparison(self, fact: Token, operator: Token, operand: Token | tuple[Token, ...]) -> _Draft:
        return _Draft(str(fact), str(operator), operand)

    def listing(self, *items: Token | None) -> tuple[Token, ...]:
        return tuple(item for item in items if item is not None)

    def negated(self, part: Any) -> Not:
        return Not(part)

    def all_of(self, *parts: Any) -> AllOf:
        return AllOf(parts)

    def any_of(self, *parts: Any) -> AnyOf:
        return AnyOf(parts)


_PARSER = Lark(GRAMMAR, parser="lalr", transformer=_Build())

Mistakes = list[tuple[str, str]]


def _checked(draft: Any, catalogue: FactCatalogue, mistakes: Mistakes) -> Condition:
    """The tree with every comparison checked and encoded; mistakes are collected, so that all are reported."""
    if isinstance(draft, _Draft):
        try:
            return _comparison(draft, catalogue)
        except FactError as error:
            head = f"{error.where}: " if error.where else ""
            mistakes.append((f"{head}{error.what}", error.remedy))
            return Comparison(draft.fact, draft.operator, 0)
    if isinstance(draft, Not):
        return Not(_checked(draft.part, catalogue, mistakes))
    return type(draft)(tuple(_checked(part, catalogue, mistakes) for part in draft.parts))


def _comparison(draft: _Draft, catalogue: FactCatalogue) -> Comparison:
    fact = _declared(draft.fact, catalogue)
    _check_operator(fact, draft)
    operand: Exact | FactName | tuple[Exact, ...]
    if isinstance(draft.operand, tuple):
        operand = _members(fact, draft.operand, catalogue)
    else:
        operand = _operand(fact, draft.operand, catalogue)
    text = f"{fact.name} {draft.operator} {_operand_text(fact, operand, catalogue)}"
    return Comparison(fact.name, draft.operator, operand, text)


def _check_operator(fact: Fact, draft: _Draft) -> None:
    if draft.operator not in OPERATORS:
        raise FactError(f"unknown operator '{draft.operator}'", remedy=f"use one of {', '.join(OPERATORS)}")
    if (draft.operator == "in") != isinstance(draft.operand, tuple):
        raise FactError(f"'{draft.fact} {draft.operator}' has the wrong kind of right side", remedy=_IN_REMEDY)
    if draft.operator in ("<", "<=", ">=", ">") and not fact.type.ordered:
        raise FactError(
            f"'{fact.name}' is a {fact.type.value} and has no order for '{draft.operator}'", remedy="use ==, != or in"
        )


_IN_REMEDY = "'in' takes a list such as [yellow, red]; every other operator takes one value"


def _members(fact: Fact, tokens: tuple[Token, ...], catalogue: FactCatalogue) -> tuple[Exact, ...]:
    if not tokens:
        raise FactError(f"the list after '{fact.name} in' is empty", remedy="name at least one value")
    values = []
    for token in tokens:
        value = _operand(fact, token, catalogue)
        if isinstance(value, FactName):
            raise FactError(f"the list after '{fact.name} in' names the fact '{value.name}'", remedy="use literals")
        if value in values:
            raise FactError(f"the list after '{fact.name} in' names {token} twice", remedy="name it once")
        values.append(value)
    return tuple(values)


def _operand(fact: Fact, token: Token, catalogue: FactCatalogue) -> Exact | FactName:
    text = str(token)
    if token.type == "LITERAL" or fact.type is FactType.CHOICE or is_reserved(text):
        return _literal(fact, text, catalogue)
    other = _declared(text, catalogue)
    if other.type is not fact.type:
        raise FactError(
            f"'{fact.name}' is a {fact.type.value} and '{other.name}' a {other.type.value}",
            remedy="compare facts of the same type",
        )
    return FactName(other.name)


def _literal(fact: Fact, text: str, catalogue: FactCatalogue) -> Exact:
    """Choices are looked up as written; every other literal must spell a value of the fact's own kind."""
    if fact.type is FactType.CHOICE:
        return catalogue.encode(fact.name, text)
    return catalogue.encode(fact.name, parse_literal(text))


def _declared(name: str, catalogue: FactCatalogue) -> Fact:
    if name in catalogue:
        return catalogue[name]
    remedy = did_you_mean(name, catalogue, otherwise="declare it in facts.yaml")
    raise FactError(f"unknown fact '{name}'", remedy=remedy)


def did_you_mean(name: str, names: Iterable[str], *, otherwise: str) -> str:
    """A remedy that names the nearest known words."""
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def condition_text(condition: Condition, catalogue: FactCatalogue) -> str:
    """The condition in one line of the language; reading it again gives a condition of the same meaning."""
    if isinstance(condition, Comparison):
        fact = catalogue[condition.fact]
        return f"{fact.name} {condition.operator} {_operand_text(fact, condition.operand, catalogue)}"
    if isinstance(condition, Not):
        return f"not ({condition_text(condition.part, catalogue)})"
    joiner = " and " if isinstance(condition, AllOf) else " or "
    return joiner.join(_part_text(part, catalogue) for part in condition.parts)


def _part_text(part: Condition, catalogue: FactCatalogue) -> str:
    text = condition_text(part, catalogue)
    return f"({text})" if isinstance(part, (AllOf, AnyOf)) else text


def _operand_text(fact: Fact, operand: Exact | FactName | tuple[Exact, ...], catalogue: FactCatalogue) -> str:
    if isinstance(operand, FactName):
        return operand.name
    if isinstance(operand, tuple):
        return f"[{', '.join(_operand_text(fact, item, catalogue) for item in operand)}]"
    return literal_text(fact, operand, catalogue)


def literal_text(fact: Fact, exact: Exact, catalogue: FactCatalogue) -> str:
    """An exact value as a literal of the language."""
    value = catalogue.decode(fact.name, exact)
    if fact.type is FactType.FLAG:
        return "true" if value else "false"
    if fact.type is FactType.RATIO:
        return f"{value:,f}".replace(",", "_").rstrip("0").rstrip(".")
    if fact.type.numeric:
        return f"{value:,}".replace(",", "_")
    return str(value)
