"""What the files of two versions of the rules say differently, part by part; order, comments and spelling are none."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from decision_service.errors import FactError
from decision_service.portrait.tables import rows
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.formulas import Formula
from decision_service.rulebook.invariants import Invariant, with_outcome
from decision_service.rulebook.parameters import ParameterRow
from decision_service.rulebook.regions import bare
from decision_service.rulebook.rules import Product, ReasonCode, Rule
from decision_service.rulebook.ruleset import Ruleset
from decision_service.rulebook.syntax import condition_text
from decision_service.workbench.rule_words import exact_text

PORTRAIT_FILES = {"lists.yaml": "lists", "indicators.csv": "indicators"}
ROW = "row from "
INDUSTRY_ROW = ("code", "effective_from")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an entry, before and after; an empty text is a part that is not there."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the files that was added, removed or changed.

    ``kind`` is rule, parameter, industry, excluded industry, product, fact, reason, invariant or portrait; ``name`` its
    id. The place is that of the new entry, or of the old one if it was removed. ``label`` is in zh and en.
    """

    kind: str
    name: str
    how: str
    parts: tuple[Part, ...]
    file: str = ""
    line: int = 0
    label: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Value:
    """A part as it is shown, and what tells it from another."""

    text: str
    key: Hashable


@dataclass(slots=True)
class _Entry:
    """One entry of the files; ``rows`` are the cells of an industry by column, by the day from which they hold."""

    parts: dict[str, _Value]
    file: str = ""
    line: int = 0
    label: Mapping[str, str] = field(default_factory=dict)
    rows: dict[str, dict[str, _Value]] = field(default_factory=dict)


_Key = tuple[str, str]
_Entries = dict[_Key, _Entry]


def changes(old: Ruleset, new: Ruleset) -> tuple[Change, ...]:
    """Every entry that differs, by kind and name."""
    before, after = dict(_entries(old)), dict(_entries(new))
    found = (_change(key, before.get(key), after.get(key)) for key in dict.fromkeys((*before, *after)))
    return tuple(one for one in found if one is not None)


def _change(key: _Key, before: _Entry | None, after: _Entry | None) -> Change | None:
    here = after or before
    assert here is not None
    old, new = (entry.parts if entry is not None else {} for entry in (before, after))
    if before is not None and after is not None:
        old, new = _beside(before, after), _beside(after, before)
    parts = tuple(
        Part(name, *(values[name].text if name in values else "" for values in (old, new)))
        for name in sorted(dict.fromkeys((*old, *new)), key=lambda name: not name.startswith(ROW))
        if _key(old.get(name)) != _key(new.get(name))
    )
    how = "added" if before is None else "removed" if after is None else "changed"
    return Change(*key, how, parts, here.file, here.line, here.label) if parts else None


def _beside(mine: _Entry, theirs: _Entry) -> dict[str, _Value]:
    """The parts of an entry so that a row which only one version has differs by what tells it from the row nearby."""
    parts = dict(mine.parts)
    for begins in sorted(mine.rows.keys() - theirs.rows.keys()):
        if (near := _nearby(begins, mine.rows)) is not None:
            parts[f"{ROW}{begins}"] = _word(f"like that from {near}")
    for begins in sorted(theirs.rows.keys() - mine.rows.keys()):
        if (near := _nearby(begins, theirs.rows)) is not None:
            cells = theirs.rows[near].items()
            parts |= {f"{column} from {begins}": value for column, value in cells if column != "effective_to"}
    return parts


def _nearby(begins: str, rows_by_day: Iterable[str]) -> str | None:
    """The day of the row before one, or else of the row after it."""
    others = [day for day in rows_by_day if day != begins]
    earlier = [day for day in others if day < begins]
    return max(earlier) if earlier else min(others, default=None)


def _key(value: _Value | None) -> Hashable:
    return None if value is None else (value.key,)


def _entries(ruleset: Ruleset) -> Iterator[tuple[_Key, _Entry]]:
    catalogue = ruleset.catalogue
    for rule in ruleset.every_rule():
        yield ("rule", rule.name), _rule(rule, catalogue)
    yield from _parameters(ruleset)
    yield from _industries(ruleset)
    for code, reason in ruleset.excluded_industries.items():
        yield ("excluded industry", code), _Entry({"reason": _word(reason)}, "industries_excluded.csv")
    for product in ruleset.products.values():
        yield ("product", product.name), _product(product)
    for fact in catalogue.values():
        yield ("fact", fact.name), _fact(fact, catalogue)
    for client, reasons in _reasons(ruleset):
        for reason_code in reasons.values():
            yield ("reason", f"{client}{reason_code.code}"), _reason(reason_code)
    words = with_outcome(catalogue)
    for invariant in ruleset.invariants:
        yield ("invariant", invariant.id), _invariant(invariant, words)
    for path, name in PORTRAIT_FILES.items():
        yield ("portrait", path), _Entry(_lines_of(getattr(ruleset, name)), path)


def _rule(rule: Rule, catalogue: FactCatalogue) -> _Entry:
    parts = {
        "stage": _word(rule.stage.value),
        "when": _Value(condition_text(rule.when, catalogue), bare(rule.when)),
        **_given("outcome", None if rule.outcome is None else rule.outcome.name),
        **{f"sets {name}": _word(catalogue.text(name, value)) for name, value in rule.sets},
        **_effects(rule, catalogue),
        **_given("reason", rule.reason),
        **_texts("title", rule.title),
        **_period(rule),
        "reference": _word(rule.reference),
    }
    return _Entry(parts, rule.file, rule.line, rule.title)


def _effects(rule: Rule, catalogue: FactCatalogue) -> dict[str, _Value]:
    effects = rule.effects
    if effects is None:
        return {}
    numbers: dict[str, int | str | None] = {"limit_cap": effects.limit_cap, "limit_factor": effects.limit_factor}
    kinds = {"limit_cap": "money", "limit_factor": "ratio"}
    parts = {
        name: _word(value if isinstance(value, str) else exact_text(kinds[name], value))
        for name, value in numbers.items()
        if value is not None
    }
    if effects.rate_spread_bp is not None:
        parts["rate_spread_bp"] = _word(str(effects.rate_spread_bp))
    if effects.conditions:
        parts["conditions"] = _words(effects.conditions)
    return parts


def _parameters(ruleset: Ruleset) -> Iterator[tuple[_Key, _Entry]]:
    """One entry per parameter, with a part per row."""
    found: _Entries = {}
    tables = [("", ruleset.policy.rows), ("", ruleset.product_parameters.rows)]
    tables += [(f"{overlay.client}/", overlay.policy.rows) for overlay in ruleset.overlays.values()]
    for client, dated in tables:
        for row in dated:
            ((name, exact),) = row.values.items()
            product = f" of {row.key}" if name.startswith("product.") else ""
            label = ruleset.catalogue[name].label
            entry = found.setdefault(
                ("parameter", f"{client}{name}{product}"), _Entry({}, row.file, row.line, label)
            )
            text = f"{ruleset.catalogue.text(name, exact)}{_until(row)} ({row.reference})"
            key = (exact, row.effective_to, row.reference)
            entry.parts[f"from {row.effective_from}"] = _Value(text, key)
    yield from found.items()


def _until(row: ParameterRow) -> str:
    return "" if row.effective_to is None else f" until {row.effective_to}"


def _industries(ruleset: Ruleset) -> Iterator[tuple[_Key, _Entry]]:
    """One entry per code, with a part per column and row; columns for people and for the portrait among them."""
    found: _Entries = {}
    for line, cells in rows(ruleset.sources["industries.csv"], "industries.csv"):
        entry = found.setdefault(("industry", cells["code"].strip()), _Entry({}, "industries.csv", line))
        entry.label = {"zh": cells.get("name_zh") or "", "en": cells.get("name_en") or ""}
        begins = cells["effective_from"].strip()
        row = entry.rows[begins] = {
            column: _cell(column, cell, ruleset.catalogue)
            for column, cell in cells.items()
            if column not in INDUSTRY_ROW and cell and cell.strip()
        }
        entry.parts |= {f"{column} from {begins}": value for column, value in row.items()}
    yield from found.items()


def _cell(column: str, cell: str, catalogue: FactCatalogue) -> _Value:
    name, text = f"industry.{column}", cell.strip()
    try:
        return _Value(text, catalogue.encode(name, text)) if name in catalogue else _word(text)
    except FactError:
        return _word(text)


def _product(product: Product) -> _Entry:
    assumptions = {f"assumption {number}": texts for number, texts in enumerate(product.assumptions, 1)}
    parts = {
        "required": _words(product.required_facts),
        "xgboost": _word(product.xgb_model),
        "lstm": _word(product.lstm_model),
        **_given("scorecard", product.scorecard_model),
        **_given("single_model_blend", product.single_model_blend),
        **_texts("label", product.label),
    }
    for name, texts in assumptions.items():
        parts |= _texts(name, texts)
    return _Entry(parts, f"products/{product.name}.yaml", 1, product.label)


def _fact(fact: Fact, catalogue: FactCatalogue) -> _Entry:
    low, high = (exact_text(fact.type.value, end) for end in (fact.minimum, fact.maximum))
    parts = {
        "type": _word(fact.type.value),
        "source": _word(fact.source),
        "level": _word(str(fact.level)),
        **_given("unit", fact.unit),
        **({"choices": _words(fact.choices)} if fact.choices else {"range": _word(f"[{low}, {high}]")}),
        **({} if fact.derived is None else {"derived": _formula(fact.derived)}),
        **_given("combine", fact.combine),
        **({} if fact.default is None else {"default": _word(catalogue.text(fact.name, fact.default))}),
        **_texts("label", fact.label),
    }
    return _Entry(parts, "facts.yaml", 0, fact.label)


def _formula(formula: Formula) -> _Value:
    return _Value(formula.text, formula.term)


def _reasons(ruleset: Ruleset) -> Iterator[tuple[str, Mapping[str, ReasonCode]]]:
    yield "", ruleset.reasons
    for overlay in ruleset.overlays.values():
        yield f"{overlay.client}/", overlay.reasons


def _reason(reason: ReasonCode) -> _Entry:
    return _Entry({**_texts("customer", reason.customer), **_texts("officer", reason.officer)}, "reasons.yaml")


def _invariant(invariant: Invariant, catalogue: FactCatalogue) -> _Entry:
    conditions = {"if": invariant.given, "then": invariant.then}
    parts = {
        "claim": _word(invariant.claim.value),
        **{name: _Value(condition_text(one, catalogue), bare(one)) for name, one in conditions.items() if one},
        **_given("fact", invariant.fact),
        **({"worse": _word(invariant.worse), "of": _word(invariant.of)} if invariant.fact else {}),
        **_texts("title", invariant.title),
        "reference": _word(invariant.reference),
    }
    return _Entry(parts, invariant.file, invariant.line, invariant.title)


def _lines_of(text: str) -> dict[str, _Value]:
    """The lines of a file that only the portrait reads, without comments and blank ones."""
    lines = [line.rstrip() for line in text.splitlines()]
    return {line: _word(line) for line in lines if line.strip() and not line.lstrip().startswith("#")}


def _period(rule: Rule) -> dict[str, _Value]:
    ends: date | None = rule.effective_to
    return {"effective_from": _word(str(rule.effective_from)), **_given("effective_to", ends)}


def _texts(name: str, texts: Mapping[str, str]) -> dict[str, _Value]:
    return {f"{name} {lang}": _word(text) for lang, text in texts.items()}


def _given(name: str, value: Any) -> dict[str, _Value]:
    return {name: _word(str(value))} if value else {}


def _word(text: str) -> _Value:
    return _Value(text, text)


def _words(words: Iterable[str]) -> _Value:
    shown = tuple(words)
    return _Value(", ".join(shown), frozenset(shown))
