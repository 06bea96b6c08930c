"""spec.json says everything about a model, and nothing but a complete, consistent one is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from models_for_tests import network, scorecard, trees

from decision_service.errors import ModelError
from decision_service.scoring.spec import Calibration, PointScale, from_json, to_json

TREES, NETWORK, CARD = trees().spec, network().spec, scorecard().spec
BENT = replace(TREES, calibration=Calibration(0.5, -1.0, 0.03, ((-2.0, 0.3), (0.5, 0.1), (4.0, 0.1))))


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(TREES, id="trees"),
        pytest.param(NETWORK, id="network"),
        pytest.param(CARD, id="scorecard"),
        pytest.param(BENT, id="bent calibration"),
    ],
)
def test_a_spec_that_is_written_and_read_is_the_same_spec(spec: Any) -> None:
    assert to_json(from_json(to_json(spec))) == to_json(spec)


def broken(spec: Any, change: Callable[[dict[str, Any]], Any]) -> bytes:
    data = json.loads(to_json(spec))
    change(data)
    return json.dumps(data).encode()


def test_a_spec_from_before_there_were_knots_is_read() -> None:
    old = broken(TREES, lambda data: data["calibration"].pop("knots"))
    assert from_json(old.replace(b'"format": 2', b'"format": 1')) == from_json(to_json(TREES))


@pytest.mark.parametrize(
    ("margin", "log_odds"),
    [
        pytest.param(-9.0, -4.5 - 1.0 + 0.3, id="below the first knot the line goes on"),
        pytest.param(-2.0, -1.0 - 1.0 + 0.3, id="on the first knot"),
        pytest.param(-0.75, -0.375 - 1.0 + 0.2, id="half-way between two"),
        pytest.param(0.5, 0.25 - 1.0 + 0.1, id="on a knot"),
        pytest.param(9.0, 4.5 - 1.0 + 0.1, id="above the last knot the line goes on"),
    ],
)
def test_calibration_bends_its_line_between_knots(margin: float, log_odds: float) -> None:
    assert BENT.calibration.log_odds(margin) == pytest.approx(log_odds)


def test_the_standard_scale_is_600_at_50_to_one_and_20_to_double() -> None:
    scale = PointScale()
    assert scale.factor == pytest.approx(28.853900817779268, abs=1e-12)
    assert scale.offset == pytest.approx(487.122876204505506, abs=1e-12)


def with_knots(*knots: Any) -> bytes:
    return broken(TREES, lambda data: data["calibration"].update(slope=0.5, knots=list(knots)))


BAD = {
    "it is not JSON": b"{",
    "it is a list": b"[]",
    "it is empty": b"",
    "it is not UTF-8": b"\xff\xfe",
    "it nests without end": b"[" * 100_000,
    "its format is another": broken(TREES, lambda data: data.update(format=3)),
    "its kind is unknown": broken(TREES, lambda data: data.update(kind="forest")),
    "a field is missing": broken(TREES, lambda data: data.pop("features")),
    "a field is unknown": broken(TREES, lambda data: data.update(loader_module="os")),
    "a feature is named twice": broken(TREES, lambda data: data["features"].append(data["features"][0])),
    "there are no features": broken(TREES, lambda data: data.update(features=[], section_order=[], sections={})),
    "an industry is in a section that is not listed": broken(TREES, lambda data: data["sections"].update({"99": "Z"})),
    "there are no canaries": broken(TREES, lambda data: data.update(canaries=[])),
    "calibration turns the score round": broken(TREES, lambda data: data["calibration"].update(slope=-1.0)),
    "calibration is not finite": broken(TREES, lambda data: data["calibration"].update(offset=float("nan"))),
    "the base rate is one": broken(TREES, lambda data: data["calibration"].update(base_rate=1.0)),
    "there is one knot": with_knots([0, 0]),
    "a knot is no pair": with_knots([0, 0], [1, 0, 2]),
    "knots run backwards": with_knots([1, 0], [0, 0]),
    "two knots are one margin": with_knots([0, 0], [0, 1]),
    "a knot turns the score round": with_knots([0, 0], [1, -0.5]),
    "a knot is not finite": with_knots([0, 0], [float("inf"), 1]),
    "there are knots without end": with_knots(*([number, 0] for number in range(1001))),
    "a scorecard is bent": broken(CARD, lambda data: data["calibration"].update(knots=[[0, 0], [1, 0]])),
    "a scorecard has no features": broken(CARD, lambda data: data.update(features=[])),
    "a scorecard's points never double the odds": broken(CARD, lambda data: data["scale"].update(double=0)),
    "a scorecard's scale has another field": broken(CARD, lambda data: data["scale"].update(offset=1)),
    "the network is huge": broken(NETWORK, lambda data: data.update(hidden=100_000)),
    "hidden is text": broken(NETWORK, lambda data: data.update(hidden="4")),
    "more months are needed than read": broken(NETWORK, lambda data: data.update(min_months=25)),
    "a scale is missing": broken(NETWORK, lambda data: data["spread"].pop()),
    "a spread is zero": broken(NETWORK, lambda data: data["spread"].__setitem__(0, 0.0)),
    "a level is infinite": broken(NETWORK, lambda data: data["level_mean"].__setitem__(0, float("inf"))),
}


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in BAD.items()])
def test_a_spec_is_refused_when(content: bytes) -> None:
    with pytest.raises(ModelError, match="spec.json"):
        from_json(content)
