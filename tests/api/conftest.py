"""A Flask test client over the fake platform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from decision_service.api.application import http_application
from decision_service.api.service import Runtime
from tests.api.fakes import NOW, FakeService, application


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def app(service: FakeService) -> Flask:
    return http_application(Runtime(service, lambda: NOW), version="1")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


Post = Callable[..., Any]


@pytest.fixture
def post(client: FlaskClient) -> Post:
    """Send a decision request: ``body`` bytes as they are, or fields that differ from a sound application."""

    def send(
        body: bytes | None = None, *, key: str = "bank-key", headers: dict[str, str] | None = None, **changes: Any
    ) -> Any:
        given = {"Authorization": f"Bearer {key}", "Idempotency-Key": "key-1", "Content-Type": "application/json"}
        merged = {name: value for name, value in {**given, **(headers or {})}.items() if value is not None}
        if body is None:
            return client.post("/v1/decisions", json=application(**changes), headers=merged)
        return client.post("/v1/decisions", data=body, headers=merged)

    return send
