"""Two probabilities become one on the logit scale; what leaves the scorer has six decimals."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision_service.errors import ModelError
from decision_service.scoring.blend import blended, clipped, expit, logit, rounded

HALVES = (Decimal("0.5"), Decimal("0.5"))


@pytest.mark.parametrize(
    ("first", "second", "weights", "expected"),
    [
        pytest.param(0.01, 0.01, HALVES, 0.01, id="two equal probabilities stay what they are"),
        pytest.param(0.2, 0.8, HALVES, 0.5, id="opposite log-odds cancel out"),
        pytest.param(0.01, 0.9, (Decimal(1), Decimal(0)), 0.01, id="all weight on the first leaves the first"),
        pytest.param(0.01, 0.9, (Decimal(0), Decimal(1)), 0.9, id="all weight on the second leaves the second"),
        pytest.param(0.0, 0.0, HALVES, 1e-6, id="certainty of payment is held at one in a million"),
        pytest.param(1.0, 1.0, HALVES, 1 - 1e-6, id="certainty of default is held short of one"),
        pytest.param(0.011, 0.014, (Decimal("0.6"), Decimal("0.4")), 0.012115, id="weights act on log-odds"),
    ],
)
def test_blend(first: float, second: float, weights: tuple[Decimal, Decimal], expected: float) -> None:
    assert blended(first, second, weights) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param((Decimal("0.5"), Decimal("0.4")), id="weights below one in sum"),
        pytest.param((Decimal("0.6"), Decimal("0.5")), id="weights above one in sum"),
        pytest.param((Decimal("1.5"), Decimal("-0.5")), id="a negative weight"),
    ],
)
def test_weights_that_are_no_shares_are_refused(weights: tuple[Decimal, Decimal]) -> None:
    with pytest.raises(ModelError, match="do not sum to 1"):
        blended(0.1, 0.1, weights)


@pytest.mark.parametrize("probability", [math.nan, math.inf, -0.001, 1.001])
def test_what_is_no_probability_is_refused(probability: float) -> None:
    with pytest.raises(ModelError, match="for a probability"):
        clipped(probability)


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        pytest.param(0.0123454999, "0.012345", id="just below a half rounds down"),
        pytest.param(0.0123455001, "0.012346", id="just above a half rounds up"),
        pytest.param(0.5 + 2.0**-21, "0.500000", id="an exact binary value below a half rounds down"),
        pytest.param(0.0, "0.000001", id="zero is held at the least"),
        pytest.param(1.0, "0.999999", id="one is held at the most"),
    ],
)
def test_rounding(probability: float, text: str) -> None:
    assert str(rounded(probability)) == text


@given(first=st.floats(0, 1), second=st.floats(0, 1), share=st.integers(0, 100))
def test_a_blend_lies_between_its_parts(first: float, second: float, share: int) -> None:
    weights = (Decimal(share) / 100, 1 - Decimal(share) / 100)
    held = sorted((clipped(first), clipped(second)))
    assert held[0] - 1e-9 <= blended(first, second, weights) <= held[1] + 1e-9


@given(st.floats(1e-6, 1 - 1e-6))
def test_expit_undoes_logit(probability: float) -> None:
    assert expit(logit(probability)) == pytest.approx(probability, rel=1e-9)


@pytest.mark.parametrize(("log_odds", "expected"), [(1000.0, 1.0), (-1000.0, 0.0), (0.0, 0.5)])
def test_expit_does_not_overflow(log_odds: float, expected: float) -> None:
    assert expit(log_odds) == expected
