"""Requests that are answered together: each runs until it asks something of the store, and what they ask goes as one.

A worker answers its requests in turn, and most of a request's time goes by in waiting for a database and in finding
its place again afterwards. So those that wait are run side by side: each in a greenlet of one thread, which gives way
only where it asks by ``errand``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from greenlet import getcurrent, greenlet

Perform = Callable[[Sequence[Any]], Sequence[Any]]
"""Does several errands of a kind at once: for each its result, or the exception that it ended with."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a work ended: with a value or an exception."""

    value: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Errand:
    perform: Perform
    given: Any
    patient: bool


class _Member(greenlet):
    """One work among several."""


def errand(perform: Perform, given: Any, *, patient: bool = False) -> Any:
    """What ``perform`` makes of ``given``, done with the same errands of those that are answered together.

    A ``patient`` one waits until nobody has an errand of another kind. Nothing may be locked meanwhile that another
    of them could wait for. Raises what ``perform`` gives as an exception.
    """
    current = getcurrent()
    if isinstance(current, _Member) and current.parent is not None:
        done = current.parent.switch(_Errand(perform, given, patient))
    else:
        [done] = perform([given])
    if isinstance(done, BaseException):
        raise done
    return done


def together(works: Sequence[Callable[[], Any]]) -> list[Outcome]:
    """Run several works side by side; how each ended, in their order."""
    if len(works) == 1:
        return [_alone(works[0])]
    outcomes: list[Outcome] = [Outcome()] * len(works)
    waiting: dict[int, tuple[_Member, _Errand]] = {}

    def go_on(place: int, member: _Member, *given: Any) -> None:
        said = member.switch(*given)
        if member.dead:
            outcomes[place] = said
        else:
            waiting[place] = member, said

    for place, work in enumerate(works):
        go_on(place, _Member(_alone), work)
    while waiting:
        perform = _next([one for _, one in waiting.values()])
        chosen = [place for place, (_, one) in waiting.items() if one.perform == perform]
        done = _performed(perform, [waiting[place][1].given for place in chosen])
        for place, answer in zip(chosen, done, strict=True):
            go_on(place, waiting.pop(place)[0], answer)
    return outcomes


def _performed(perform: Perform, given: Sequence[Any]) -> Sequence[Any]:
    try:
        return perform(given)
    except Exception as error:  # whatever it is, each of them must come to its end
        return [error] * len(given)


def _next(errands: Sequence[_Errand]) -> Perform:
    return next((one.perform for one in errands if not one.patient), errands[0].perform)


def _alone(work: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(work())
    except Exception as error:  # whoever asked for the work raises it
        return Outcome(error=error)


def one_by_one(perform: Callable[[Any], Any], given: Sequence[Any]) -> list[Any]:
    """Each errand by itself: its result, or the exception that it ended with."""
    outcomes = [_alone(lambda one=one: perform(one)) for one in given]  # type: ignore[misc]
    return [one.error if one.error is not None else one.value for one in outcomes]
