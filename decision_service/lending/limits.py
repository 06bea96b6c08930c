"""Limit formulas: the initial limit by product, leverage headroom, the quarterly limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from typing import Protocol, TypeVar

Exact = int | str
Exacts = Mapping[str, Exact | None]
N = TypeVar("N")

MILLION = 1_000_000
GRADE_PERCENT: Mapping[str, int] = {"P1": 120, "P2": 100, "P3": 80, "P4": 50, "P5": 0}
"""The grade's factor on the revenue multiple, in percent; a grade that is not here gives no limit."""

FEN_10K = 1_000_000
"""Limits are floored to ten thousand CNY, in fen."""


class Numbers(Protocol[N]):
    """What a limit is computed with: whole numbers of one application, columns of a table, or terms of a proof.

    Each formula stands once and means the same in all three. A number may be unknown, and what comes of it is unknown.
    """

    def constant(self, value: int) -> N:
        """A number that is always known."""

    def fact(self, name: str) -> N:
        """The exact value of a fact (fen, millionths)."""

    def by_choice(self, name: str, numbers: Mapping[str, Callable[[], N]]) -> N:
        """The number that belongs to a fact's choice; unknown for a choice without one."""

    def minus(self, one: N, other: N) -> N:
        """one − other"""

    def times(self, one: N, other: N) -> N:
        """one × other"""

    def floor(self, one: N, other: N) -> N:
        """⌊one ÷ other⌋; unknown unless ``other`` is above zero."""

    def least(self, numbers: Sequence[N]) -> N:
        """The least; unknown if one of them is."""

    def most(self, numbers: Sequence[N]) -> N:
        """The greatest; unknown if one of them is."""


BoundOf = Callable[[Numbers[N]], N]


class Caps(Protocol):
    """The combined effects of the limit stage: factor in millionths, cap in fen or none."""

    @property
    def limit_factor(self) -> int: ...
    @property
    def limit_cap(self) -> int | None: ...


def limit_max(facts: Exacts, effects: Caps) -> int | None:
    """The initial limit in fen of one application; ``facts`` are exact (money in fen, ratios in millionths).

    ``None`` is unknown: a fact that matters is unknown, or the product has no formula.
    """
    cap = effects.limit_cap
    return limit(Whole(facts), cap=cap, factor=effects.limit_factor)


def limit(numbers: Numbers[N], *, cap: N | None, factor: N) -> N:
    """Floor to 10,000 CNY of (the product's own bound, at most the cap) times the factor; never below zero.

    ``cap`` (fen; ``None`` for no cap) and ``factor`` (millionths) come from the rules.
    """
    return floor_10k(numbers, before_rounding(numbers, own_bound(numbers), cap=cap, factor=factor))


def own_bound(numbers: Numbers[N]) -> N:
    """The product's own bound: the least of its bounds. A product without formula has none, and its limit is unknown.

    Were an unknown bound left out, hiding it could raise the limit and so turn a referral into an approval.
    """
    return numbers.by_choice("product", {name: partial(_least_of, numbers, bounds) for name, bounds in BOUNDS.items()})


def _least_of(numbers: Numbers[N], bounds: Sequence[BoundOf]) -> N:
    return numbers.least([bound(numbers) for bound in bounds])


def before_rounding(numbers: Numbers[N], bound: N, *, cap: N | None, factor: N) -> N:
    """At most the cap, times the factor."""
    capped = bound if cap is None else numbers.least([bound, cap])
    return numbers.floor(numbers.times(capped, factor), numbers.constant(MILLION))


def floor_10k(numbers: Numbers[N], fen: N) -> N:
    """An amount in fen floored to whole ten thousand CNY; never below zero."""
    step = numbers.constant(FEN_10K)
    return numbers.most([numbers.constant(0), numbers.times(numbers.floor(fen, step), step)])


def revenue_multiple(numbers: Numbers[N]) -> N:
    """Multiple of the industry · revenue of 12 months · factor of the portrait grade."""
    revenue = _scaled(numbers, "revenue_12m", "industry.limit_multiple_of_revenue")
    percent = numbers.by_choice(
        "grade", {grade: partial(numbers.constant, value) for grade, value in GRADE_PERCENT.items()}
    )
    return numbers.floor(numbers.times(revenue, percent), numbers.constant(100))


def headroom(numbers: Numbers[N]) -> N:
    """How much debt (fen) may be added before liabilities / assets passes the ceiling m: ⌊(m·A − D) / (1 − m)⌋.

    A loan raises assets and debt alike. Unknown when the ceiling is no share of the assets (m ≥ 1).
    """
    million, ceiling = numbers.constant(MILLION), numbers.fact("industry.max_leverage")
    owed = numbers.times(million, numbers.fact("total_liabilities"))
    room = numbers.minus(numbers.times(ceiling, numbers.fact("total_assets")), owed)
    return numbers.floor(room, numbers.minus(million, ceiling))


def loan_need(numbers: Numbers[N]) -> N:
    """The working-capital loan need as computed."""
    return numbers.fact("working_capital_need")


def sales_multiple(numbers: Numbers[N]) -> N:
    """The product's multiple of a year's net invoiced sales; an invoice loan needs no grade."""
    return _scaled(numbers, "inv_sales_12m", "product.limit_multiple_of_revenue")


BOUNDS: Mapping[str, tuple[BoundOf, ...]] = {
    "working_capital": (revenue_multiple, headroom, loan_need),
    "invoice_loan": (sales_multiple,),
}
"""What bounds each product."""


def _scaled(numbers: Numbers[N], fen: str, millionths: str) -> N:
    """An amount times a ratio, floored to the fen."""
    product = numbers.times(numbers.fact(fen), numbers.fact(millionths))
    return numbers.floor(product, numbers.constant(MILLION))


class Whole:
    """The whole numbers of one application; ``None`` is unknown."""

    __slots__ = ("_facts",)

    def __init__(self, facts: Exacts) -> None:
        self._facts = facts

    def constant(self, value: int) -> int | None:
        """See ``Numbers``, as for all that follows."""
        return value

    def fact(self, name: str) -> int | None:
        """The value of a fact that is a number."""
        value = self._facts[name]
        return value if isinstance(value, int) else None

    def by_choice(self, name: str, numbers: Mapping[str, Callable[[], int | None]]) -> int | None:
        """Only the number that is asked for is computed."""
        number = numbers.get(str(self._facts[name]))
        return None if number is None else number()

    def minus(self, one: int | None, other: int | None) -> int | None:
        """Exact."""
        return None if one is None or other is None else one - other

    def times(self, one: int | None, other: int | None) -> int | None:
        """Exact."""
        return None if one is None or other is None else one * other

    def floor(self, one: int | None, other: int | None) -> int | None:
        """Exact."""
        return None if one is None or other is None or other <= 0 else one // other

    def least(self, numbers: Sequence[int | None]) -> int | None:
        """Of none, unknown."""
        known = [number for number in numbers if number is not None]
        return min(known) if known and len(known) == len(numbers) else None

    def most(self, numbers: Sequence[int | None]) -> int | None:
        """Of none, unknown."""
        known = [number for number in numbers if number is not None]
        return max(known) if known and len(known) == len(numbers) else None


def quarterly_limit(
    old: int, *, score_change: Decimal, utilisation: Decimal, overdue_days: int, card: str, cap: int
) -> int:
    """The limit of the next quarter in fen: old · f_score · f_util · f_behaviour · f_card, bounded −50 %..+30 %.

    A red card or more than 30 days overdue forces zero; a yellow card never lets the limit rise.
    """
    if card == "red" or overdue_days > 30:
        return 0
    f_score = min(Decimal("1.2"), max(Decimal("0.8"), 1 + Decimal("0.02") * score_change))
    f_util = Decimal("1.1") if utilisation >= Decimal("0.8") else Decimal("1.0")
    if utilisation < Decimal("0.3"):
        f_util = Decimal("0.9")
    f_behaviour = Decimal("0.7") if overdue_days > 0 else Decimal(1)
    f_card = Decimal("0.5") if card == "yellow" else Decimal(1)
    highest = Decimal(1) if card == "yellow" else Decimal("1.3")
    factor = min(highest, max(Decimal("0.5"), f_score * f_util * f_behaviour * f_card))
    return max(0, min(cap, int((old * factor).to_integral_value(ROUND_FLOOR))) // FEN_10K * FEN_10K)
