"""What applications may bring: a symbol for every given fact, shared by all worlds that see the same applications."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import z3

from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.proof.symbols import TRUE, Symbol
from decision_service.rulebook.ruleset import RulesInForce

PRODUCT, INDUSTRY_STATUS, LIMIT = "product", "industry_status", "limit_max"


@dataclass
class Inputs:
    """What an application may bring: a symbol per given fact, and the place of its industry among ``codes``.

    Two worlds over the same inputs see the same applications. ``variant`` makes inputs that differ in some facts only.
    """

    catalogue: FactCatalogue
    codes: tuple[str, ...]
    tag: str = ""
    constraints: list[z3.BoolRef] = field(default_factory=list)
    _symbols: dict[str, Symbol] = field(default_factory=dict)
    _bounds: dict[Hashable, z3.ArithRef] = field(default_factory=dict)
    _parent: "Inputs | None" = None
    _own: frozenset[str] = frozenset()
    _hiding: bool = False

    def __post_init__(self) -> None:
        if self._parent is None:
            self.industry = z3.Int(f"industry{self.tag}")
            self.constraints += [self.industry >= -1, self.industry < len(self.codes)]
        else:
            self.industry = self._parent.industry

    def symbol(self, name: str) -> Symbol:
        """The symbol of a given fact, within its declared range."""
        if name not in self._symbols:
            self._symbols[name] = self._make(name)
        return self._symbols[name]

    def shown(self, name: str) -> z3.BoolRef:
        """Whether a fact that would be known is not hidden: only ``hidden`` inputs hide."""
        return z3.Bool(f"shown{self.tag}!{name}") if self._hiding else TRUE

    def names(self) -> tuple[str, ...]:
        """The given facts that anything has read so far."""
        own = tuple(self._symbols)
        return own if self._parent is None else tuple(dict.fromkeys((*self._parent.names(), *own)))

    def bound(self, reads: frozenset[str], parameters: Hashable) -> z3.ArithRef:
        """A product's own bound on the limit where it is known: any number, the same wherever it reads the same.

        ``reads`` are the facts of the formula and all behind them, ``parameters`` the numbers of the ruleset in it.
        Hiding facts can make a bound unknown, and changes nothing else.
        """
        if self._parent is not None and not self._own & reads:
            return self._parent.bound(reads, parameters)
        return self._bounds.setdefault(parameters, z3.FreshInt("bound"))

    def source(self, name: str) -> "Inputs":
        """The inputs whose symbol, or whose hiding, of a given fact or parameter these have."""
        inherits = self._parent is not None and not self._hiding and name not in self._own
        return self._parent.source(name) if inherits and self._parent is not None else self

    def differing(self, names: Iterable[str], *, tag: str) -> "Inputs":
        """The same application, except that these facts may have other values (known or not as before)."""
        return Inputs(self.catalogue, self.codes, tag, self.constraints, _parent=self, _own=frozenset(names))

    def hidden(self, *, tag: str) -> "Inputs":
        """The same application with any facts made unknown."""
        return Inputs(self.catalogue, self.codes, tag, self.constraints, _parent=self, _hiding=True)

    def _make(self, name: str) -> Symbol:
        if self._parent is not None and name not in self._own:
            before = self._parent.symbol(name)
            return Symbol(before.value, z3.And(before.known, self.shown(name))) if self._hiding else before
        fact = self.catalogue[name]
        value = z3.Int(f"{name}{self.tag}")
        low, high = (0, len(fact.choices) - 1) if fact.choices else bounds(fact)
        self.constraints += [value >= low, value <= high]
        known = z3.Bool(f"known!{name}") if self._parent is None else self._parent.symbol(name).known
        return Symbol(value, known)


def bounds(fact: Fact) -> tuple[int, int]:
    """The least and the greatest exact value of a fact that is no choice; a flag is 0 or 1."""
    return (0, 1) if fact.type.value == "flag" else (fact.minimum, fact.maximum)


def inputs_of(*rulesets: RulesInForce) -> Inputs:
    """Inputs that several rulesets share: their facts together, every industry that one of them knows."""
    facts = {name: fact for rules in reversed(rulesets) for name, fact in rules.catalogue.items()}
    codes = sorted({code for rules in rulesets for code in rules.industry_codes()})
    return Inputs(FactCatalogue(facts.values()), tuple(codes))
