"""Facts: what may be known about an application, declared once, and held as exact integers or choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Context, Decimal, Inexact
from enum import Enum
from graphlib import CycleError, TopologicalSorter
from typing import Any

from decision_service.errors import FactError
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.formulas import Formula, compile_formula
from decision_service.rulebook.literals import parse_date, parse_number, shown

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EPOCH = date(1970, 1, 1).toordinal()
CIRCLE = "derived facts form a circle: "
MAX_MAGNITUDE = 20  # decimal digits before the point; 64 bits hold 19


class FactType(Enum):
    """The seven types of a fact."""

    MONEY = "money"
    RATIO = "ratio"
    COUNT = "count"
    DAYS = "days"
    FLAG = "flag"
    DATE = "date"
    CHOICE = "choice"

    @property
    def places(self) -> int:
        """Decimal places that the exact integer holds: fen for money, millionths for a ratio."""
        return _PLACES.get(self, 0)

    @property
    def scale(self) -> int:
        """Exact units in one natural unit."""
        return 10**self.places

    @property
    def numeric(self) -> bool:
        """Whether values are numbers, which formulas may use."""
        return self in (FactType.MONEY, FactType.RATIO, FactType.COUNT, FactType.DAYS)

    @property
    def ordered(self) -> bool:
        """Whether ``<`` and its kin mean something."""
        return self not in (FactType.CHOICE, FactType.FLAG)


_PLACES = {FactType.MONEY: 2, FactType.RATIO: 6}


@dataclass(frozen=True, slots=True)
class Fact:
    """One declared fact. ``minimum`` and ``maximum`` are exact and both belong to the range."""

    name: str
    type: FactType
    label: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    level: int = 1
    unit: str = ""
    choices: tuple[str, ...] = ()
    minimum: int = INT64_MIN
    maximum: int = INT64_MAX
    derived: Formula | None = None
    combine: str | None = None
    default: Exact | None = None

    def rank(self, exact: Exact) -> int:
        """The place of a value in the declared order, weakest first: choices as listed, false before true."""
        return self.choices.index(exact) if isinstance(exact, str) else exact


class FactCatalogue(Mapping[str, Fact]):
    """Every fact that a rule may name, by name, in the order declared; ``settable`` are those that rules set.

    Raises ``FactError`` when derived facts depend on each other in a circle or on facts that are not declared.
    """

    __slots__ = ("_facts", "blank", "derivations", "settable")

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._facts = {fact.name: fact for fact in facts}
        self.blank: dict[str, Exact | None] = dict.fromkeys(self._facts)
        self.settable = tuple(fact for fact in self._facts.values() if fact.combine is not None)
        self.derivations = tuple(
            (name, self._computation(self._facts[name])) for name in derivation_order(self._facts)
        )

    def __getitem__(self, name: str) -> Fact:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def encode(self, name: str, value: Any) -> Exact:
        """The exact value of a fact; accepts Decimal, int, bool, date and str.

        Raises ``FactError`` naming fact, value, reason and remedy: undeclared, wrong type, not exact, out of range.
        """
        fact = self._facts.get(name)
        if fact is None:
            raise FactError("this fact is not declared", where=name, remedy="declare it or correct the name")
        try:
            exact: Exact = _ENCODERS[fact.type](fact, value)
        except FactError as error:
            raise FactError(error.what, where=f"fact {name}", remedy=error.remedy) from error
        if isinstance(exact, int) and not fact.minimum <= exact <= fact.maximum:
            low, high = (self.text(name, end) for end in (fact.minimum, fact.maximum))
            raise FactError(
                f"{shown(str(value))} is out of range",
                where=f"fact {name}",
                remedy=f"give a value from {low} to {high}",
            )
        return exact

    def decode(self, name: str, exact: Exact) -> Any:
        """Back to Decimal (money in CNY, ratio), int (count, days), bool, date or str."""
        kind = self._facts[name].type
        if kind.places:
            return Decimal(exact).scaleb(-kind.places)
        if kind is FactType.FLAG:
            return bool(exact)
        if kind is FactType.DATE:
            return date.fromordinal(int(exact) + EPOCH)
        return exact

    def text(self, name: str, exact: Exact | None, lang: str = "en") -> str:
        """A value as people read it, in ``zh`` or ``en``; ``None`` is 未知 or unknown."""
        if exact is None:
            return "未知" if lang == "zh" else "unknown"
        kind = self._facts[name].type
        if kind is FactType.FLAG:
            return (("否", "是") if lang == "zh" else ("no", "yes"))[bool(exact)]
        if kind is FactType.DATE and not 1 - EPOCH <= int(exact) <= date.max.toordinal() - EPOCH:
            return f"{exact} days after 1970-01-01"
        value = self.decode(name, exact)
        if kind is FactType.RATIO:
            return f"{value:f}".rstrip("0").rstrip(".")
        return f"{value:,f}" if kind is FactType.MONEY else str(value)

    def _computation(self, fact: Fact) -> Any:
        """A derived value outside the fact's range is unknown: nothing is clipped or wrapped."""
        if fact.derived is None:
            raise FactError("this fact has no formula", where=fact.name)
        scales = {name: self._facts[name].type.scale for name in fact.derived.inputs}
        compute = compile_formula(fact.derived, scales=scales, scale=fact.type.scale)
        low, high = fact.minimum, fact.maximum

        def bounded(values: Mapping[str, Any]) -> int | None:
            exact = compute(values)
            return exact if exact is not None and low <= exact <= high else None

        return bounded


def derivation_order(facts: Mapping[str, Fact]) -> tuple[str, ...]:
    """Derived facts, each after those it reads. Raises ``FactError`` for a circle or an undeclared input."""
    reads: dict[str, tuple[str, ...]] = {}
    for fact in facts.values():
        if fact.derived is not None:
            reads[fact.name] = fact.derived.inputs
            for name in fact.derived.inputs:
                if name not in facts:
                    raise FactError(f"the formula reads '{name}', which is not declared", where=f"fact {fact.name}")
    try:
        order = tuple(TopologicalSorter(reads).static_order())
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise FactError(f"{CIRCLE}{circle}", remedy="derive them from given facts") from error
    return tuple(name for name in order if name in reads)


class Facts(Mapping[str, "Exact | None"]):
    """One application's facts: an immutable table of every declared fact; ``None`` is unknown.

    ``Facts(catalogue, {name: exact or None})`` trusts its values (``Facts.of`` encodes them). Facts not given are
    unknown; derived facts are always computed here, whatever was given. Raises ``FactError`` for undeclared names.
    """

    __slots__ = ("catalogue", "table")

    def __init__(self, catalogue: FactCatalogue, values: Mapping[str, Exact | None]) -> None:
        self.catalogue = catalogue
        self.table = self._derive({**catalogue.blank, **values})

    @classmethod
    def of(cls, catalogue: FactCatalogue, values: Mapping[str, Any]) -> "Facts":
        """From Decimal, int, bool, date and str; ``None`` stays unknown. Raises ``FactError``."""
        exact = {name: None if value is None else catalogue.encode(name, value) for name, value in values.items()}
        for name in exact:
            if name in catalogue and catalogue[name].derived is not None:
                raise FactError("this fact is derived", where=f"fact {name}", remedy="give the facts it comes from")
        return cls(catalogue, exact)

    def with_values(self, values: Mapping[str, Exact | None]) -> "Facts":
        """The same facts with some exact values replaced, derived facts computed again."""
        changed = Facts.__new__(Facts)
        changed.catalogue = self.catalogue
        changed.table = changed._derive({**self.table, **values})
        return changed

    def known(self) -> dict[str, Exact]:
        """Only the facts that are known, in the order declared."""
        return {name: value for name, value in self.table.items() if value is not None}

    def __getitem__(self, name: str) -> Exact | None:
        return self.table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"Facts({self.known()!r})"

    def _derive(self, table: dict[str, Exact | None]) -> dict[str, Exact | None]:
        if len(table) != len(self.catalogue):
            extra = sorted(set(table) - set(self.catalogue))
            raise FactError(f"undeclared facts: {', '.join(extra)}", remedy="declare them in facts.yaml")
        for name, compute in self.catalogue.derivations:
            table[name] = compute(table)
        return table


_SCALING = Context(prec=64, traps=[Inexact])
QUICK_MAGNITUDE = 24
"""Decimals of this many digits before the point are scaled by the decimal library; anything else digit by digit."""


def encode_number(kind: FactType, value: Any) -> int:
    """The exact integer of a Decimal, int or decimal text; raises ``FactError``.

    Scales without ever building a number that is larger than the check needs (``1e999999999`` costs nothing).
    """
    if isinstance(value, str):
        value = parse_number(value)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise FactError(f"{shown(value)} is not an exact number", remedy="give a decimal number, not a float or a flag")
    if isinstance(value, int):
        return _bounded(value * kind.scale if abs(value) <= INT64_MAX else INT64_MAX + 1, value)
    if not value.is_finite():
        raise FactError(f"{value} is not a number", remedy="leave the fact out if it is unknown")
    if value.is_zero():
        return 0
    if abs(value.adjusted()) < QUICK_MAGNITUDE:
        try:
            scaled = _SCALING.scaleb(value, kind.places)
        except Inexact:
            scaled = None
        if scaled is not None and scaled == (exact := int(scaled)):
            return _bounded(exact, value)
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + kind.places
    magnitude = len(digits) + int(exponent)
    if magnitude > MAX_MAGNITUDE:
        return _bounded(INT64_MAX + 1, value)
    whole = int("".join(map(str, digits)))
    if shift >= 0:
        exact = whole * 10**shift
    else:
        exact, rest = divmod(whole, 10 ** -shift) if -shift <= len(digits) else (0, whole)
        if rest:
            raise FactError(
                f"{shown(str(value))} has more than {kind.places} decimal places",
                remedy=f"round it to {kind.places} places",
            )
    return _bounded(-exact if sign else exact, value)


def _bounded(exact: int, value: Any) -> int:
    if not INT64_MIN <= exact <= INT64_MAX:
        raise FactError(f"{shown(str(value))} is too large", remedy="check the unit; values fit 64 bits")
    return exact


def _encode_number(fact: Fact, value: Any) -> int:
    return encode_number(fact.type, value)


def _encode_flag(fact: Fact, value: Any) -> int:
    if value in ("true", "false"):
        return int(value == "true")
    if not isinstance(value, bool):
        raise FactError(f"{shown(value)} is not a flag", remedy="give true or false")
    return int(value)


def _encode_date(fact: Fact, value: Any) -> int:
    if isinstance(value, str):
        value = parse_date(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise FactError(f"{shown(value)} is not a date", remedy="give a business date such as 2024-01-31")
    return value.toordinal() - EPOCH


def _encode_choice(fact: Fact, value: Any) -> str:
    if not isinstance(value, str) or value not in fact.choices:
        raise FactError(f"{shown(value)} is not a choice", remedy=f"use one of {', '.join(fact.choices)}")
    return value


_ENCODERS: Mapping[FactType, Callable[[Fact, Any], Exact]] = {
    FactType.MONEY: _encode_number,
    FactType.RATIO: _encode_number,
    FactType.COUNT: _encode_number,
    FactType.DAYS: _encode_number,
    FactType.FLAG: _encode_flag,
    FactType.DATE: _encode_date,
    FactType.CHOICE: _encode_choice,
}
