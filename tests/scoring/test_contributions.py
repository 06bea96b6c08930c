"""Contributions name the features and sum to the margin; the most adverse come first."""

from __future__ import annotations

import pytest
from models_for_tests import application, trees

from decision_service.scoring.contributions import top_adverse
from decision_service.scoring.models import XgboostModel
from decision_service.scoring.rows import feature_row


def test_contributions_sum_to_the_margin_and_name_every_feature() -> None:
    fitted = trees()
    model = XgboostModel(fitted.weights, fitted.spec)
    features = application()[0]
    found = model.contributions(features)
    assert set(found) == {"leverage", "growth", "idle", "industry", "base"}
    assert sum(found.values()) == pytest.approx(model.margin(feature_row(features, fitted.spec)), abs=1e-5)


@pytest.mark.parametrize(
    ("contributions", "most", "expected"),
    [
        pytest.param({"a": 0.1, "b": 0.3, "c": -1.0}, 4, ("b", "a"), id="largest first, helpful ones left out"),
        pytest.param({"a": 0.1, "b": 0.3, "c": 0.2}, 2, ("b", "c"), id="not more than asked for"),
        pytest.param({"b": 0.1, "a": 0.1}, 4, ("a", "b"), id="ties by name"),
        pytest.param({"base": 2.0, "a": 0.0}, 4, (), id="the base and nothing at all are no reasons"),
        pytest.param({}, 4, (), id="none computed"),
    ],
)
def test_top_adverse(contributions: dict[str, float], most: int, expected: tuple[str, ...]) -> None:
    assert top_adverse(contributions, most=most) == expected
