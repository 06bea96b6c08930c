"""A deadline shortens work by what work has taken; without one nothing is shortened."""

from __future__ import annotations

import pytest

from ml import deadline
from ml.deadline import Deadline, Pace


class Clock:
    """Stands in for ``time``: moves when told."""

    def __init__(self) -> None:
        self.now, self.used = 100.0, 1.0

    def monotonic(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.used


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(deadline, "time", made)
    return made


def test_without_minutes_there_is_time_for_everything(clock: Clock) -> None:
    endless = Deadline()
    assert endless.endless and endless.after(1e9).endless and endless.part(0.1).endless
    pace = Pace(endless, expected=1e9)
    assert pace.allows(1e9) and pace.averages(times=100) == 4


def test_minutes_run_from_when_the_command_was_called(clock: Clock) -> None:
    one = Deadline(1, began=70.0)
    assert one.left() == 30.0 and one.after(10).left() == 20.0 and one.part(0.5).left() == 15.0
    clock.now = 131.0
    assert one.left() == -1.0 and one.part(0.5).left() == 0.0


@pytest.mark.parametrize(("left", "averages"), [(40.0, 4), (39.9, 2), (20.0, 2), (19.9, 1), (0.0, 1)])
def test_so_many_fits_are_averaged_as_can_end(clock: Clock, left: float, averages: int) -> None:
    pace = Pace(Deadline(left / 60), expected=10.0)
    assert pace.averages() == averages


def test_what_a_fit_took_here_replaces_what_was_expected_and_the_slowest_counts(clock: Clock) -> None:
    pace = Pace(Deadline(10), expected=1.0)
    for took, told in ((6.0, 12.0), (1.0, 12.0), (9.0, 18.0)):
        with pace.measured(0.5):
            clock.now += took
        assert pace.seconds == told


def test_waiting_is_how_much_slower_than_the_processor_the_clock_runs(clock: Clock) -> None:
    one = Deadline(3)
    clock.now, clock.used = 130.0, 11.0
    assert one.waiting() == 3.0
    clock.used = 61.0  # two threads
    assert one.waiting() == 1.0
