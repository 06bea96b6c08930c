"""Requests that are answered together: each runs until it asks something of the store, and what they ask goes as one.

A worker answers its requests in turn, and most of a request's time goes by in waiting for a database and in finding
its place again afterwards. So those that wait are run side by side: each in a greenlet of one thread, which gives way
only where it asks by ``errand``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
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


@dataclass(frozen=True, slots=True)
class _Gate:
    name: str


class _Member(greenlet):
    """One work among several."""


def errand(perform: Perform, given: Any, *, patient: bool = False) -> Any:
    """What ``perform`` makes of ``given``, done with the same errands of those that are answered together.

    A ``patient`` one waits until nobody has an errand of another kind. Nothing may be locked meanwhile that another
    of them could wait for. Raises what ``perform`` gives as an exception.
    """
    done = _said(_Errand(perform, given, patient))
    if done is None:
        [done] = perform([given])
    else:
        [done] = done
    if isinstance(done, BaseException):
        raise done
    return done


def single_file(name: str) -> None:
    """Wait until no other of those that are answered together has gone by a name, or all that have are at their end."""
    _said(_Gate(name))


def _said(said: _Errand | _Gate) -> Any:
    """What the others' keeper answers; ``None`` to who is alone."""
    current = getcurrent()
    return current.parent.switch(said) if isinstance(current, _Member) and current.parent is not None else None


def together(works: Sequence[Callable[[], Any]]) -> list[Outcome]:
    """Run several works side by side; how each ended, in their order. None sees what another sets in a context."""
    if len(works) == 1:
        return [copy_context().run(_alone, works[0])]
    return _Company(works).outcomes()


class _Company:
    def __init__(self, works: Sequence[Callable[[], Any]]) -> None:
        self._outcomes = [Outcome()] * len(works)
        self._works = works
        self._asking: dict[int, tuple[_Member, _Errand]] = {}
        self._at_gates: dict[int, tuple[_Member, str]] = {}
        self._passed: dict[str, int] = {}

    def outcomes(self) -> list[Outcome]:
        for place, work in enumerate(self._works):
            self._go_on(place, _Member(_alone), work)
        while self._asking or self._at_gates:
            if not self._asking:  # each waits for another: the first goes by all the same
                place = next(iter(self._at_gates))
                self._go_on(place, self._at_gates.pop(place)[0], ())
                continue
            perform = _next([one for _, one in self._asking.values()])
            chosen = [place for place, (_, one) in self._asking.items() if one.perform == perform]
            done = _performed(perform, [self._asking[place][1].given for place in chosen])
            for place, answer in zip(chosen, done, strict=True):
                self._go_on(place, self._asking.pop(place)[0], (answer,))
        return self._outcomes

    def _go_on(self, place: int, member: _Member, *given: Any) -> None:
        """Let a member run until it asks something, waits at a gate or ends, by which another may pass."""
        said = member.switch(*given)
        while isinstance(said, _Gate) and self._passed.setdefault(said.name, place) == place:
            said = member.switch(())
        if isinstance(said, _Gate):
            self._at_gates[place] = member, said.name
        elif isinstance(said, _Errand):
            self._asking[place] = member, said
        else:
            self._outcomes[place] = said
            self._open_gates(place)

    def _open_gates(self, place: int) -> None:
        for name in [name for name, passed in self._passed.items() if passed == place]:
            del self._passed[name]
            first = next((other for other, (_, gate) in self._at_gates.items() if gate == name), None)
            if first is not None:
                self._passed[name] = first
                self._go_on(first, self._at_gates.pop(first)[0], ())


def _performed(perform: Perform, given: Sequence[Any]) -> Sequence[Any]:
    try:
        return perform(given)
    except BaseException as error:  # whatever it is, each of them must come to its end
        return [error] * len(given)


def _next(errands: Sequence[_Errand]) -> Perform:
    return next((one.perform for one in errands if not one.patient), errands[0].perform)


def _alone(work: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(work())
    except BaseException as error:  # whoever asked for the work raises it
        return Outcome(error=error)


def one_by_one(perform: Callable[[Any], Any], given: Sequence[Any]) -> list[Any]:
    """Each errand by itself: its result, or the exception that it ended with."""
    outcomes = [_alone(lambda one=one: perform(one)) for one in given]  # type: ignore[misc]
    return [one.error if one.error is not None else one.value for one in outcomes]
