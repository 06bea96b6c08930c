"""Simulations: an application with facts changed, or facts alone."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.fakes import application


def simulate(client: FlaskClient, body: Any, key: str = "bank-key") -> Any:
    return client.post("/v1/simulations", json=body, headers={"Authorization": f"Bearer {key}"})


SOUND = {
    "an application alone": application(),
    "an application with facts changed": application(facts={"stale_feeds": 1, "pd_12m": "0.02", "grade": None}),
    "facts alone": {"facts": {"product": "working_capital", "amount": "1.00"}},
    "facts alone in an industry on a date": {
        "facts": {"product": "invoice_loan"},
        "industry": "51",
        "as_of": "2024-02-29",
    },
}


@pytest.mark.parametrize("body", SOUND.values(), ids=SOUND.keys())
def test_a_sound_simulation_is_a_200_that_is_marked_as_one(client: FlaskClient, body: dict) -> None:
    response = simulate(client, body)
    assert response.status_code == 200
    assert response.get_json()["simulation"] is True


BAD = {
    "nothing": ({}, "facts"),
    "no facts": ({"facts": {}}, "facts"),
    "facts as a list": ({"facts": []}, "facts"),
    "half an application": (application(amount=...), "amount"),
    "an industry beside an application": (application(industry="51"), "industry"),
    "an industry in words": ({"facts": {"a": 1}, "industry": "软件"}, "industry"),
    "a date that no calendar has": ({"facts": {"a": 1}, "as_of": "2026-02-30"}, "as_of"),
    "a date as a number": ({"facts": {"a": 1}, "as_of": 20260101}, "as_of"),
    "a time instead of a date": ({"facts": {"a": 1}, "as_of": "2026-01-01T00:00:00"}, "as_of"),
    "401 facts": ({"facts": {f"f{number}": 1 for number in range(401)}}, "facts"),
    "a field nobody knows": ({"facts": {"a": 1}, "colour": "red"}, "colour"),
}


@pytest.mark.parametrize(("body", "field"), BAD.values(), ids=BAD.keys())
def test_a_simulation_that_is_not_acceptable_names_the_field(client: FlaskClient, body: dict, field: str) -> None:
    response = simulate(client, body)
    assert response.status_code == 422
    assert field in [error["field"] for error in response.get_json()["errors"]]


@pytest.mark.parametrize(("key", "status"), [("fintech-key", 200), ("risk-key", 200), ("auditor-key", 403),
                                             ("steward-key", 403), ("nobody", 401)])  # fmt: skip
def test_who_may_simulate(client: FlaskClient, key: str, status: int) -> None:
    assert simulate(client, SOUND["facts alone"], key).status_code == status
