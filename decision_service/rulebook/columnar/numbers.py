"""Exact whole numbers in columns: how wide a result can be is known beforehand, so that nothing overflows or rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import ibis
from ibis.common.deferred import const

from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN
from decision_service.rulebook.facts import FactCatalogue

WIDE = "decimal(38, 0)"
"""Holds the product of two 64-bit numbers. What is larger still stops both databases with an error; nothing wraps."""
NARROW = 2**62
"""Results below fit 64 bits, with the room that a division needs inside."""
SURE = 2**50
"""Quotients below are estimated by floating point, and cut or rounded, to less than one and a half."""


@dataclass(frozen=True, slots=True)
class Number:
    """A column of whole numbers between ``low`` and ``high``, or unknown; ``level`` is the step after which it stands.

    ``wide`` columns hold 38 digits, others 64 bits. What is ``plain`` costs nothing to name again.
    """

    value: Any
    low: int
    high: int
    wide: bool = False
    level: int = 0
    plain: bool = False

    @property
    def size(self) -> int:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))

    def widened(self) -> Any:
        """The value with 38 digits."""
        return self.value if self.wide else self.value.cast(WIDE)


class Sheet:
    """Columns computed from a table's columns, step by step; what is used more than once is computed once.

    Gives the ``Numbers`` in which the formulas of a limit are stated (see ``lending.limits``).
    """

    def __init__(self, catalogue: FactCatalogue, **computed: Number) -> None:
        """``computed`` are facts whose columns may hold more than their declaration says."""
        self._catalogue = catalogue
        self._steps: list[dict[str, Any]] = []
        self._named: dict[str, Number] = dict(computed)

    def apply(self, table: ibis.Table) -> ibis.Table:
        """The table with every column of the sheet."""
        for step in self._steps:
            table = table.mutate(**step)
        return table

    def let(self, number: Number, name: str | None = None) -> Number:
        """The same number as a column of its own."""
        if number.plain and name is None:
            return number
        while len(self._steps) <= number.level:
            self._steps.append({})
        step = self._steps[number.level]
        name = name or f"~{number.level}.{len(step)}"
        step[name] = number.value
        found = self._named[name] = replace(number, value=ibis._[name], level=number.level + 1, plain=True)
        return found

    def constant(self, value: int) -> Number:
        """A number that is always known."""
        wide = not INT64_MIN <= value <= INT64_MAX
        literal = ibis.literal(Decimal(value), type=WIDE) if wide else ibis.literal(value, type="int64")
        return Number(const(literal), value, value, wide, plain=True)

    def fact(self, name: str) -> Number:
        """The column of a fact."""
        if name in self._named:
            return self._named[name]
        fact = self._catalogue[name]
        return Number(ibis._[name], fact.minimum, fact.maximum, plain=True)

    def by_choice(self, name: str, numbers: Mapping[str, Callable[[], Number]]) -> Number:
        """The number that belongs to a fact's choice; unknown for a choice without one."""
        found = {choice: number() for choice, number in numbers.items()}
        merged = _merged(list(found.values()), low=min, high=max)
        branches = [(ibis._[name] == choice, _as(number, merged.wide)) for choice, number in found.items()]
        return self.let(replace(merged, value=ibis.cases(*branches)))

    def plus(self, one: Number, other: Number) -> Number:
        """one + other"""
        return self._result(one, other, lambda a, b: a + b, (one.low + other.low, one.high + other.high))

    def minus(self, one: Number, other: Number) -> Number:
        """one − other"""
        return self._result(one, other, lambda a, b: a - b, (one.low - other.high, one.high - other.low))

    def times(self, one: Number, other: Number) -> Number:
        """one × other"""
        corners = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
        return self._result(one, other, lambda a, b: a * b, (min(corners), max(corners)))

    def floor(self, one: Number, other: Number) -> Number:
        """⌊one ÷ other⌋; unknown unless ``other`` is above zero.

        Databases divide whole numbers by way of floating point. So that is only the estimate; what it leaves over is
        exact, is divided again until less than one divisor is left, and corrects the quotient.
        """
        above, one = self._above_zero(other), self.let(one)
        exact = one.size + above.high >= NARROW
        bound = one.size // above.low + 1
        whole = self._estimate(one, above, exact)
        rest = self._rest(one, whole, above)
        while bound > SURE:
            bound = bound // 2**45 + 2
            more = self._estimate(rest, above, exact)
            whole = self.let(Number(whole.value + more.value, whole.low, whole.high, exact, more.level))
            rest = self._rest(one, whole, above)
        divisor = _as(above, exact)
        step = ibis.cases((rest.value < -divisor, -2), (rest.value < 0, -1), (rest.value >= divisor, 1), else_=0)
        ends = [a // b for a in (one.low, one.high) for b in (above.low, above.high)]
        return self._settled(Number(whole.value + step, min(ends), max(ends), exact, rest.level))

    def least(self, numbers: Sequence[Number]) -> Number:
        """The least; unknown if one of them is."""
        return self._chosen(numbers, ibis.least, min)

    def most(self, numbers: Sequence[Number]) -> Number:
        """The greatest; unknown if one of them is."""
        return self._chosen(numbers, ibis.greatest, max)

    def within(self, number: Number, low: int, high: int) -> Number:
        """The number where it lies within 64-bit bounds, both included; else unknown."""
        if low <= number.low and number.high <= high and not number.wide:
            return number
        number = self.let(number)
        inside = ibis.cases(((number.value >= low) & (number.value <= high), number.value)).cast("int64")
        return Number(inside, max(low, number.low), min(high, number.high), level=number.level)

    def absolute(self, one: Number) -> Number:
        """one, or −one where it is below zero"""
        return self.most([one, self.minus(self.constant(0), one)])

    def _above_zero(self, other: Number) -> Number:
        other = self.let(other)
        if other.low > 0:
            return other
        above = ibis.cases((other.value > 0, other.value))
        return self.let(replace(other, value=above, low=1, high=max(1, other.high), plain=False))

    def _estimate(self, one: Number, other: Number, wide: bool) -> Number:
        quotient = one.value.cast("float64") / other.value.cast("float64")
        value = quotient.cast(WIDE if wide else "int64")
        return self.let(Number(value, -one.size, one.size, wide, max(one.level, other.level)))

    def _rest(self, one: Number, whole: Number, other: Number) -> Number:
        value = _as(one, whole.wide) - whole.value * _as(other, whole.wide)
        return self.let(Number(value, -one.size, one.size, whole.wide, max(whole.level, other.level)))

    def _chosen(self, numbers: Sequence[Number], choose: Callable[..., Any], bound: Callable[..., int]) -> Number:
        """Databases leave unknowns out of the least and the greatest; here they make the result unknown."""
        if len(numbers) == 1:  # of one number, Spark knows no least
            return numbers[0]
        kept = [self.let(number) for number in numbers]
        merged = _merged(kept, low=bound, high=bound)
        values = [_as(number, merged.wide) for number in kept]
        known = kept[0].value.notnull()
        for number in kept[1:]:
            known = known & number.value.notnull()
        return self._settled(replace(merged, value=ibis.cases((known, choose(*values)))))

    def _result(self, one: Number, other: Number, compute: Callable[[Any, Any], Any], ends: tuple[int, int]) -> Number:
        low, high = ends
        wide = one.wide or other.wide or max(abs(low), abs(high)) >= NARROW
        return Number(compute(_as(one, wide), _as(other, wide)), low, high, wide, max(one.level, other.level))

    def _settled(self, number: Number) -> Number:
        """A result in a column of its own, in 64 bits if it surely fits."""
        if number.wide and number.size < NARROW:
            number = replace(number, value=number.value.cast("int64"), wide=False, plain=False)
        return self.let(number)


def _as(number: Number, wide: bool) -> Any:
    return number.widened() if wide else number.value


def _merged(numbers: Sequence[Number], *, low: Callable[..., int], high: Callable[..., int]) -> Number:
    """Bounds and width that hold for whichever of the numbers is taken."""
    return Number(
        None,
        low(number.low for number in numbers),
        high(number.high for number in numbers),
        any(number.wide for number in numbers),
        max(number.level for number in numbers),
    )
