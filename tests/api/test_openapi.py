"""The OpenAPI document is valid, and says what is served: every route, every method, no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from decision_service.api.problems import TYPES
from decision_service.store.events import TYPES as TYPES_OF_EVENTS

PROBLEMS_PAGE = Path(__file__).parents[2] / "docs" / "problems.md"


@pytest.fixture
def document(client: FlaskClient) -> dict:
    response = client.get("/v1/openapi.json")
    assert response.status_code == 200
    return response.get_json()


def test_the_document_is_valid_openapi_3_1(document: dict) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_matches_the_served_routes(app: Flask, document: dict) -> None:
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    methods = {"get", "post", "put", "patch", "delete"}
    documented = {(path, method) for path, item in document["paths"].items() for method in item if method in methods}
    assert documented == served


OPERATIONS = {
    "acceptObjection", "appealObjection", "applyObjection", "arbitrateObjection", "assignApplication",
    "cancelDecisionBatch", "checkObjectionSource", "closeContract", "createDecision", "createDecisionBatch",
    "createDrawdown", "createFinalDecision", "createObjection", "createOverdue", "createRepayment",
    "createSimulation", "createToken", "createWebhook", "deleteWebhook", "getActiveRuleset", "getDecision",
    "getDecisionBatch", "getDecisionBatchResults", "getDecisionExplanation", "getDecisionHistory",
    "getDecisionProof", "getDocument", "getKeySet", "getLiveness", "getLogCheckpoint", "getMetrics", "getObjection",
    "getObjectionHistory", "getReadiness", "getServerMetadata", "getWebhook", "listDecisionBatches", "listDecisions",
    "listEvents", "listModels", "listObjections", "listReviews", "listWebhookDeliveries", "listWebhooks",
    "notifyObjection", "pauseApplication", "refuseObjection", "replayWebhook", "resumeApplication",
    "reviewApplication", "revokeToken", "rotateWebhookSecret", "ruleObjection", "testWebhook", "updateWebhook",
}  # fmt: skip
"""Clients that are generated call their functions so: one may come, none may change."""


def test_each_operation_has_the_name_it_always_had(document: dict) -> None:
    named = [operation["operationId"] for item in document["paths"].values() for operation in item.values()
             if "responses" in operation]  # fmt: skip
    assert sorted(named) == sorted(OPERATIONS)


LINKED = {
    "createDecision": {
        "getDecision", "getDecisionExplanation", "getDecisionHistory", "getDecisionProof", "assignApplication",
        "reviewApplication", "pauseApplication", "resumeApplication", "createFinalDecision", "createDrawdown",
        "createRepayment", "createOverdue", "closeContract",
    },
    "createDecisionBatch": {"getDecisionBatch", "getDecisionBatchResults", "cancelDecisionBatch"},
    "createWebhook": {
        "getWebhook", "updateWebhook", "deleteWebhook", "listWebhookDeliveries", "replayWebhook",
        "rotateWebhookSecret", "testWebhook",
    },
    "createObjection": {
        "getObjection", "getObjectionHistory", "acceptObjection", "refuseObjection", "checkObjectionSource",
        "ruleObjection", "notifyObjection", "appealObjection", "arbitrateObjection", "applyObjection",
    },
}  # fmt: skip


def test_what_is_made_is_linked_to_what_takes_its_id(document: dict) -> None:
    operations = [one for item in document["paths"].values() for name, one in item.items() if name != "parameters"]
    linked = {
        operation["operationId"]: set(answer["links"])
        for operation in operations
        for answer in operation["responses"].values()
        if "links" in answer
    }
    assert linked == LINKED


def test_the_document_tells_where_it_is_served(document: dict) -> None:
    assert [one["url"] for one in document["servers"]] == ["/", "http://127.0.0.1:8080"]


def test_every_type_of_event_is_a_webhook_with_its_schema(document: dict) -> None:
    assert set(document["webhooks"]) == {*TYPES_OF_EVENTS, "ping"}
    for kind, item in document["webhooks"].items():
        reference = item["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
        assert schema["properties"]["type"]["const"] == kind and schema["additionalProperties"] is False


def test_no_body_is_needed_where_nothing_must_be_said(document: dict) -> None:
    acts = {
        path.rsplit("/", 1)[1]: item["post"]["requestBody"].get("required", False)
        for path, item in document["paths"].items()
        if "requestBody" in item.get("post", {})
    }
    free = {"assignment", "pause", "resume", "acceptance", "application", "notification", "secret"}
    assert {name for name, required in acts.items() if not required} == free


def test_operations_are_open_and_everything_else_needs_a_key(client: FlaskClient, document: dict) -> None:
    for path, item in document["paths"].items():
        for method in ("get", "post"):
            if method in item:
                response = client.open(path.replace("{decision_id}", "d-0"), method=method)
                is_open = item[method].get("security") == []
                assert (response.status_code == 401) != is_open, path


def test_the_contract_s_calls_are_there(document: dict) -> None:
    assert {
        "/v1/decisions", "/v1/decisions/{decision_id}", "/v1/decisions/{decision_id}/explanation",
        "/v1/decisions/{decision_id}/proof", "/v1/simulations", "/v1/rulesets/active", "/v1/models",
        "/v1/decision-batches", "/v1/decision-batches/{batch_id}", "/v1/decision-batches/{batch_id}/results",
        "/v1/log/checkpoint", "/v1/openapi.json", "/livez", "/readyz", "/metrics",
    } <= set(document["paths"])  # fmt: skip


def test_every_schema_is_used(document: dict) -> None:
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert set(document["components"]["schemas"]) == used


AMOUNTS: dict[str, tuple[Any, bool]] = {
    "text with two decimals": ("3000000.00", True),
    "text of a whole number": ("1", True),
    "a whole number": (3_000_000, True),
    "a number with two decimals": (0.07, True),
    "a number of 13 digits": (9_999_999_999_999, True),
    "text zero": ("0.00", False),
    "zero": (0, False),
    "a negative number": (-1, False),
    "text with an exponent": ("1e6", False),
    "text with three decimals": ("1.001", False),
    "a number of 14 digits": (10**13, False),
    "a flag": (True, False),
    "null": (None, False),
}


@pytest.mark.parametrize(("amount", "good"), AMOUNTS.values(), ids=AMOUNTS.keys())
def test_the_document_admits_the_amounts_that_the_service_admits(post, document: dict, amount: Any, good: bool) -> None:
    schema = document["components"]["schemas"]["Application"]["properties"]["amount"]
    assert Draft202012Validator(schema).is_valid(amount) == good
    assert (post(amount=amount).status_code == 201) == good


def test_the_document_tells_who_sees_whose_decisions(client: FlaskClient, post, document: dict) -> None:
    told = document["paths"]["/v1/decisions"]["get"]["description"]
    post()
    for kind in ("risk", "auditor", "other"):
        page = client.get("/v1/decisions", headers={"Authorization": f"Bearer {kind}-key"}).get_json()
        assert (len(page["decisions"]) == 1) == (f"`{kind}`" in told)


def test_the_idempotency_key_is_a_required_header(document: dict) -> None:
    parameters = document["paths"]["/v1/decisions"]["post"]["parameters"]
    assert [(one["name"], one["in"], one["required"]) for one in parameters] == [("Idempotency-Key", "header", True)]


def test_problems_are_documented_with_their_own_content_type(document: dict) -> None:
    responses = document["paths"]["/v1/decisions"]["post"]["responses"]
    assert {"201", "400", "401", "403", "404", "409", "413", "415", "422", "429", "503"} == set(responses)
    assert list(responses["422"]["content"]) == ["application/problem+json"]


def test_every_problem_type_has_its_place_in_the_page_about_problems() -> None:
    page = PROBLEMS_PAGE.read_text(encoding="utf-8")
    for one in TYPES.values():
        assert f"`/problems/{one.name}` | {one.status} |" in page
        assert one.zh in page


def test_metrics_count_requests_by_route_not_by_address(client: FlaskClient, post) -> None:
    post()
    client.get("/v1/decisions/d-0", headers={"Authorization": "Bearer bank-key"})
    client.get("/no/such/place")
    text = client.get("/metrics").text
    assert 'decision_http_requests_total{method="POST",route="/v1/decisions",status="201"} 1.0' in text
    assert 'decision_outcomes_total{outcome="APPROVE"} 1.0' in text
    assert 'route="/v1/decisions/<decision_id>"' in text and "d-0" not in text
    assert 'route="none",status="404"' in text


def test_methods_that_http_does_not_know_share_one_series(client: FlaskClient) -> None:
    for number in range(5):
        assert client.open("/livez", method=f"BREW{number}").status_code == 405
    text = client.get("/metrics").text
    assert 'decision_http_requests_total{method="other",route="none",status="405"} 5.0' in text
    assert "BREW" not in text
