"""The colours of a warning: raised at once, lowered only after the value was well below for some evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NONE, *COLOURS = ("none", "yellow", "orange", "red")
RED = COLOURS[-1]
WELL_BELOW = 0.9
EVALUATIONS = 3
CLOSED = -1


@dataclass(frozen=True, slots=True)
class Alert:
    """By level, the lowest first: how many evaluations in a row were well below it; ``CLOSED`` where none is open."""

    calm: tuple[int, ...] = (CLOSED,) * len(COLOURS)

    @property
    def colour(self) -> str:
        """The highest level that is open."""
        return colour([calm != CLOSED for calm in self.calm])

    def after(self, over: Sequence[bool], below: Sequence[bool]) -> Alert:
        """The alert after one more evaluation: by level, whether it was crossed, and whether the value is well below.

        Neither (a value that chance may explain, or one just below a level) keeps an open level open.
        """
        return Alert(tuple(map(_after, self.calm, over, below)))


def _after(calm: int, over: bool, below: bool) -> int:
    if over:
        return 0
    if calm == CLOSED or not below:
        return min(calm, 0)
    return CLOSED if calm + 1 >= EVALUATIONS else calm + 1


def colour(over: Sequence[bool]) -> str:
    """The name of the highest level that holds."""
    return next((name for name, one in zip(reversed(COLOURS), reversed(over), strict=True) if one), NONE)


def worst(colours: Sequence[str]) -> str:
    """The most urgent of some colours."""
    return max(colours, key=(NONE, *COLOURS).index, default=NONE)


def crossed(value: float, limits: Sequence[float]) -> tuple[bool, ...]:
    """By level, whether a value exceeds it; equal does not."""
    return tuple(value > limit for limit in limits)


def well_below(value: float, limits: Sequence[float]) -> tuple[bool, ...]:
    """By level, whether a value is below nine tenths of it."""
    return tuple(value < WELL_BELOW * limit for limit in limits)
