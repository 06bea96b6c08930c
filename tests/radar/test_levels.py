"""Colours of warnings: strict comparison, raised at once, lowered with hysteresis."""

from __future__ import annotations

import pytest

from decision_service.radar.levels import Alert, colour, crossed, well_below, worst

LIMITS = (0.10, 0.20, 0.25)


def after(*values: float, start: Alert = Alert()) -> list[str]:
    """The colour after each value."""
    found, alert = [], start
    for value in values:
        alert = alert.after(crossed(value, LIMITS), well_below(value, LIMITS))
        found.append(alert.colour)
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.10, "none"), (0.100001, "yellow"), (0.20, "yellow"), (0.2000001, "orange"), (0.25, "orange"), (0.26, "red")],
)
def test_a_level_is_crossed_only_above_it(value: float, expected: str) -> None:
    assert colour(crossed(value, LIMITS)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param((0.3,), ["red"], id="raised at once over all levels"),
        pytest.param((0.3, 0.0, 0.0, 0.0), ["red", "red", "red", "none"], id="lowered after three evaluations"),
        pytest.param((0.3, 0.0, 0.0, 0.23, 0.0), ["red"] * 5, id="just below begins the count again"),
        pytest.param((0.3, 0.0, 0.0, 0.3, 0.0, 0.0), ["red"] * 6, id="crossed again begins the count again"),
        pytest.param((0.3, 0.19, 0.19, 0.19), ["red", "red", "red", "orange"], id="0.19 is well below red only"),
        pytest.param((0.3, 0.225, 0.225, 0.225), ["red"] * 4, id="nine tenths itself is not below"),
        pytest.param((0.15, 0.3, 0.0, 0.0, 0.0), ["yellow", "red", "red", "red", "none"], id="raised further"),
        pytest.param((0.05, 0.05, 0.05), ["none"] * 3, id="never raised"),
    ],
)
def test_lowering_takes_three_evaluations_well_below(values: tuple[float, ...], expected: list[str]) -> None:
    assert after(*values) == expected


def test_a_value_that_chance_may_explain_keeps_what_is_open() -> None:
    (alert,) = {Alert().after(crossed(0.3, LIMITS), well_below(0.3, LIMITS))}
    for _ in range(5):
        alert = alert.after((False,) * 3, well_below(0.3, LIMITS))
    assert alert.colour == "red"


def test_the_worst_of_several() -> None:
    assert (worst([]), worst(["yellow", "none"]), worst(["orange", "red", "yellow"])) == ("none", "yellow", "red")
