"""Traces: off by default; what a request and the steps of its decision are told as, and what is never told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from decision_service import tracing
from tests.api.test_lives import City

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.configure("http://127.0.0.1:4318/v1/traces", "1", exporter)
    yield exporter
    tracing.off()


def test_without_an_address_nothing_is_traced(tmp_path: Path) -> None:
    assert not tracing.is_on()
    with tracing.span("rules") as begun:
        assert begun is None


def test_a_decision_is_a_span_with_its_steps_in_the_caller_s_trace(
    exported: InMemorySpanExporter, tmp_path: Path
) -> None:
    city = City(tmp_path)
    application = city.shows["approve"]["application"]
    headers = {"Authorization": f"Bearer {city.keys['bank']}", "Idempotency-Key": "k", "traceparent": PARENT}
    answer = city.app.test_client().post("/v1/decisions", json=application, headers=headers)
    assert answer.status_code == 201
    assert tracing.flush()
    spans = {one.name: one for one in exported.get_finished_spans()}
    top = spans.pop("POST /v1/decisions")
    assert f"{top.context.trace_id:032x}" == PARENT[3:35] and f"{top.parent.span_id:016x}" == PARENT[36:52]
    assert spans.keys() == {"read records", "portrait", "scores", "rules", "commit"}
    assert all(one.parent.span_id == top.context.span_id for one in spans.values())
    assert top.attributes["http.response.status_code"] == 201
    told = json.dumps([one.to_json() for one in exported.get_finished_spans()])
    for secret in (city.uscc("approve"), city.keys["bank"], application["application_id"], city.ids["bank"]):
        assert secret not in told
    city.platform.store.close()


def test_refusals_and_unknown_addresses_are_traced_without_what_they_held(
    exported: InMemorySpanExporter, tmp_path: Path
) -> None:
    city = City(tmp_path)
    assert city.get("/v1/decisions/nobody-knows").status_code == 404
    assert city.app.test_client().open("/secret-path", method="BREW").status_code in (404, 405)
    assert tracing.flush()
    names = [one.name for one in exported.get_finished_spans()]
    assert names == ["GET /v1/decisions/<decision_id>", "other none"]
    assert "secret-path" not in json.dumps([one.to_json() for one in exported.get_finished_spans()])
    city.platform.store.close()
