"""Until when a command may take: what is left of its minutes, and what work that still allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

AVERAGES = (4, 2, 1)
"""How many fits become one model, the most first: powers of two, so that leaves divide exactly."""


class Deadline:
    """``minutes`` from ``began`` (``time.monotonic``); none: there is time for everything."""

    def __init__(self, minutes: float | None = None, *, began: float | None = None) -> None:
        self._began, self._processor = time.monotonic(), time.process_time()
        start = self._began if began is None else began
        self._ends = float("inf") if minutes is None else start + 60 * minutes

    def left(self) -> float:
        """Seconds until the end, below zero once it has passed; infinite without one."""
        return self._ends - time.monotonic()

    @property
    def endless(self) -> bool:
        """Whether there is no end."""
        return self._ends == float("inf")

    def waiting(self) -> float:
        """Seconds that go by for each of the processor's in this run: 1 alone on the machine, more where others run."""
        used = time.process_time() - self._processor
        return max(1.0, (time.monotonic() - self._began) / used) if used > 1 else 1.0

    def after(self, seconds: float) -> Deadline:
        """The deadline so much earlier: what comes afterwards needs the seconds."""
        return self._until(self._ends - seconds)

    def part(self, share: float) -> Deadline:
        """The end of a share of what is left."""
        return self if self.endless else self._until(time.monotonic() + share * max(self.left(), 0.0))

    def _until(self, ends: float) -> Deadline:
        other = Deadline()
        other._began, other._processor, other._ends = self._began, self._processor, ends
        return other


class Pace:
    """What one fit on all units takes, as the slowest one so far tells, and what a deadline allows of further fits."""

    def __init__(self, deadline: Deadline, *, expected: float) -> None:
        self._deadline, self.seconds, self._measured = deadline, expected, False

    @contextmanager
    def measured(self, share: float) -> Iterator[None]:
        """A fit on a share of the units (or so many fits on all): the first measured one replaces what was expected."""
        began = time.monotonic()
        yield
        seconds = (time.monotonic() - began) / max(share, 1e-9)
        self.seconds, self._measured = max(self.seconds, seconds) if self._measured else seconds, True

    def allows(self, fits: float) -> bool:
        """Whether so many fits can still end in time."""
        return fits * self.seconds <= self._deadline.left()

    def averages(self, *, times: int = 1) -> int:
        """How many fits there is time to average, ``times`` over: the most that can end, at least one."""
        return next((count for count in AVERAGES if self.allows(times * count)), 1)
