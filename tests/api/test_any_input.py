"""Properties: whatever bytes or JSON come to any endpoint, the answer is never a 5xx."""

from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.api.application import http_application
from decision_service.api.service import Runtime
from tests.api.fakes import NOW, FakeService, application

CLIENT = http_application(Runtime(FakeService(), lambda: NOW), version="1").test_client()
ENDPOINTS = st.sampled_from(["/v1/decisions", "/v1/simulations"])
HEADERS = {"Authorization": "Bearer bank-key", "Content-Type": "application/json"}
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["1e-7", "\u0000", "\ud800", "9" * 400, "-0", "NaN"])
)  # fmt: skip
ANY_JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
FIELDS = st.sampled_from([*application(), "facts", "as_of", "industry", "uscc"])


def check(endpoint: str, body: bytes, key: str = "k") -> None:
    response = CLIENT.post(endpoint, data=body, headers={**HEADERS, "Idempotency-Key": key})
    assert response.status_code < 500, (body, response.text)
    json.loads(response.data)


@settings(max_examples=300, deadline=None)
@given(ENDPOINTS, st.binary(max_size=400))
def test_arbitrary_bytes(endpoint: str, body: bytes) -> None:
    check(endpoint, body)


@settings(max_examples=300, deadline=None)
@given(ENDPOINTS, ANY_JSON)
def test_arbitrary_json(endpoint: str, document: object) -> None:
    check(endpoint, json.dumps(document).encode())


@settings(max_examples=300, deadline=None)
@given(ENDPOINTS, st.dictionaries(FIELDS, ANY_JSON, max_size=4))
def test_an_application_with_arbitrary_fields(endpoint: str, changes: dict) -> None:
    check(endpoint, json.dumps(application(**changes)).encode())


@settings(max_examples=300, deadline=None)
@given(ENDPOINTS, st.integers(0, 300), st.binary(min_size=1, max_size=4))
def test_a_sound_application_with_some_bytes_overwritten(endpoint: str, place: int, noise: bytes) -> None:
    body = bytearray(json.dumps(application()).encode())
    body[place : place + len(noise)] = noise
    check(endpoint, bytes(body))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_arbitrary_addresses_and_parameters(path: str, query: str) -> None:
    for address in (f"/v1/decisions/{quote(path)}", f"/v1/{quote(path)}", "/v1/decisions"):
        response = CLIENT.get(address, query_string={"after": query, "limit": query, path: query}, headers=HEADERS)
        assert response.status_code < 500
