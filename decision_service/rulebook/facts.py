"""Facts: what may be known about an application, declared once, and held as exact integers or choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any

from decision_service.errors import FactError
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.encoding import ENCODERS, EPOCH, Encoder, Fact, FactType, encoder
from decision_service.rulebook.formulas import compile_formula
from decision_service.rulebook.literals import shown
from decision_service.rulebook.words import chinese

CIRCLE = "derived facts form a circle: "
Computation = Callable[[Mapping[str, Any]], "int | None"]


class FactCatalogue(Mapping[str, Fact]):
    """Every fact that a rule may name, by name, in the order declared; ``settable`` are those that rules set.

    ``encoders`` are ``encode`` by name of the fact. Raises ``FactError`` when derived facts depend on each other in a
    circle or on facts that are not declared.
    """

    __slots__ = ("_facts", "_derived_from", "blank", "derivations", "encoders", "settable")

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._facts = {fact.name: fact for fact in facts}
        self.encoders: Mapping[str, Encoder] = {
            fact.name: encoder(fact, partial(self._checked, fact)) for fact in self._facts.values()
        }
        self.blank: dict[str, Exact | None] = dict.fromkeys(self._facts)
        self.settable = tuple(fact for fact in self._facts.values() if fact.combine is not None)
        self.derivations = tuple(
            (name, self._computation(self._facts[name])) for name in derivation_order(self._facts)
        )
        self._derived_from = self._dependants()

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
        encode = self.encoders.get(name)
        if encode is None:
            raise FactError("this fact is not declared", where=name, remedy="declare it or correct the name")
        return encode(value)

    def _checked(self, fact: Fact, value: Any) -> Exact:
        """Any value whatever, with a full account of what is wrong with it."""
        try:
            exact: Exact = ENCODERS[fact.type](fact, value)
        except FactError as error:
            raise FactError(error.what, where=f"fact {fact.name}", remedy=error.remedy) from error
        if isinstance(exact, int) and not fact.minimum <= exact <= fact.maximum:
            low, high = (self.text(fact.name, end) for end in (fact.minimum, fact.maximum))
            raise FactError(
                f"{shown(str(value))} is out of range",
                where=f"fact {fact.name}",
                remedy=f"give a value from {low} to {high}",
            )
        return exact

    def derived_from(self, names: Iterable[str]) -> Iterable[tuple[str, Computation]]:
        """The derived facts that change with facts of these names (or bear them), in the order to compute them."""
        stale = frozenset().union(*(self._derived_from[name] for name in names))
        return [one for one in self.derivations if one[0] in stale] if stale else ()

    def _dependants(self) -> Mapping[str, frozenset[str]]:
        """By fact, the derived facts that come from it by however many steps, a derived fact itself among them."""
        found: dict[str, frozenset[str]] = dict.fromkeys(self._facts, frozenset())
        for name, _ in reversed(self.derivations):
            found[name] |= {name}
            formula = self._facts[name].derived
            for read in formula.inputs if formula is not None else ():
                found[read] |= found[name]
        return found

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
        """A value as people read it, in ``zh`` or ``en`` (there a choice is its code); ``None`` is 未知 or unknown."""
        if exact is None:
            return "未知" if lang == "zh" else "unknown"
        kind = self._facts[name].type
        if kind is FactType.FLAG:
            return (("否", "是") if lang == "zh" else ("no", "yes"))[bool(exact)]
        if kind is FactType.DATE and not 1 - EPOCH <= int(exact) <= date.max.toordinal() - EPOCH:
            return f"{exact} days after 1970-01-01"
        if kind is FactType.CHOICE and lang == "zh":
            return chinese(name, str(exact))
        value = self.decode(name, exact)
        if kind is FactType.RATIO:
            return f"{value:f}".rstrip("0").rstrip(".")
        return f"{value:,f}" if kind is FactType.MONEY else str(value)

    def _computation(self, fact: Fact) -> Computation:
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
        self.table = self._declared({**catalogue.blank, **values})
        self._derive(catalogue.derivations)

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
        changed.table = changed._declared({**self.table, **values})
        changed._derive(self.catalogue.derived_from(values))
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

    def _declared(self, table: dict[str, Exact | None]) -> dict[str, Exact | None]:
        if len(table) != len(self.catalogue):
            extra = sorted(set(table) - set(self.catalogue))
            raise FactError(f"undeclared facts: {', '.join(extra)}", remedy="declare them in facts.yaml")
        return table

    def _derive(self, derivations: Iterable[tuple[str, Computation]]) -> None:
        table = self.table
        for name, compute in derivations:
            table[name] = compute(table)
