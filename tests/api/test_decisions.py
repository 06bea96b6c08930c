"""Deciding, retrying, reading, listing: the contract of `/v1/decisions` on a platform in memory."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from decision_service.api.decisions import digest_of
from decision_service.api.render import decision_bytes, probability
from decision_service.api.schemas import ApplicationSchema, DecisionListSchema, DecisionSchema
from decision_service.vocabulary import CreditApplication
from tests.api.fakes import KEYS, NOW, USCC, FakeService, application, decision_of

CONTRACT = {
    "decision_id": "d-0", "application_id": "A-1", "outcome": "APPROVE",
    "approved_amount": "3000000.00", "limit": "3600000.00", "card": "none", "whitelisted": False,
    "decided_at": "2026-11-24T02:00:00.123456Z", "due_at": "2026-11-27T02:00:00.123456Z",
    "scores": {"pd_12m": "0.012345", "pd_xgb": "0.011000", "pd_lstm": "0.014000", "grade": "P2"},
    "reasons": [{"code": "AUTO_OK", "rule": "AUTO-001", "zh": "自动审批通过", "en": "Approved automatically"}],
    "conditions": ["GUARANTEE"], "rate_spread_bp": 25,
    "ruleset": {"version": "v1", "digest": "sha256:00"},
    "models": [{"name": "pd-xgboost", "version": "3", "digest": "sha256:1"}],
    "receipt": {"leaf_index": 0, "leaf_hash": "00" * 32, "signature": "sig"},
}  # fmt: skip


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_decision_is_a_201_in_the_form_of_the_contract(post) -> None:
    response = post()
    assert response.status_code == 201
    assert response.get_json() == CONTRACT
    assert response.headers["Location"] == "/v1/decisions/d-0"
    assert "Idempotent-Replayed" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"


def test_the_headers_of_a_201_and_their_order(post) -> None:
    headers = {"X-Request-Id": "r-1"}
    first, retry = post(headers=headers), post(headers=headers)
    location = ("Location", "/v1/decisions/d-0")
    rest = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(first.data))),
        ("X-Request-Id", "r-1"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    ]
    assert list(first.headers) == [location, *rest]
    assert list(retry.headers) == [location, ("Idempotent-Replayed", "true"), *rest]


def test_a_retry_gets_the_same_bytes_and_says_so(post) -> None:
    first, second = post(), post()
    assert second.status_code == 201
    assert second.data == first.data
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]


@pytest.mark.parametrize(
    "changes", [{"amount": 3000000}, {"amount": 3e6}, {"amount": "3000000"}, {"amount": "3000000.0"}]
)
def test_the_same_content_written_otherwise_is_the_same_request(post, changes) -> None:
    first = post()
    assert post(**changes).data == first.data


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "3000000.01"},
        {"application_id": "A-2"},
        {"product": "invoice_loan"},
        {"term_months": 13},
        {"purpose": "working_capital"},
        {"authorization_id": "AUTH-2"},
    ],
)
def test_another_body_under_a_used_key_is_a_422(post, changes) -> None:
    post()
    response = post(**changes)
    assert response.status_code == 422
    assert response.get_json()["type"] == "/problems/idempotency-conflict"


def test_two_clients_may_use_the_same_key(post) -> None:
    assert post().get_json()["decision_id"] != post(key="other-key").get_json()["decision_id"]


def test_a_key_that_is_still_running_is_a_409_with_retry_after(post, service: FakeService) -> None:
    service.running.add("key-1")
    response = post()
    assert response.status_code == 409
    assert response.get_json()["type"] == "/problems/still-running"
    assert int(response.headers["Retry-After"]) >= 1


def test_an_enterprise_that_is_not_on_record_is_a_404_of_its_own_type(post) -> None:
    response = post(enterprise={"uscc": "911101085923662400"})
    assert response.status_code == 404
    assert response.get_json()["type"] == "/problems/enterprise-unknown"


@pytest.mark.parametrize("key", ["risk-key", "auditor-key", "steward-key"])
def test_only_banks_and_fintechs_decide(post, key: str) -> None:
    response = post(key=key)
    assert response.status_code == 403
    assert response.get_json()["type"] == "/problems/forbidden"


def test_a_decision_is_read_in_the_bytes_in_which_it_was_answered(post, client: FlaskClient) -> None:
    answered = post()
    assert client.get("/v1/decisions/d-0", headers=bearer("bank-key")).data == answered.data


READERS = [
    ("bank-key", 200),
    ("other-key", 404),
    ("fintech-key", 404),
    ("risk-key", 200),
    ("auditor-key", 200),
    ("steward-key", 403),
]
PATHS = ["/v1/decisions/d-0", "/v1/decisions/d-0/explanation", "/v1/decisions/d-0/proof"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("key", "status"), READERS)
def test_a_decision_is_its_client_s_own(post, client: FlaskClient, path: str, key: str, status: int) -> None:
    post()
    assert client.get(path, headers=bearer(key)).status_code == status


def test_another_s_decision_looks_like_none_at_all(post, client: FlaskClient) -> None:
    post()
    theirs = client.get("/v1/decisions/d-0", headers=bearer("other-key")).get_json()
    nobody = client.get("/v1/decisions/d-9", headers=bearer("other-key")).get_json()
    assert theirs["detail"].replace("d-0", "") == nobody["detail"].replace("d-9", "")


def test_lists_hold_the_caller_s_own_newest_first_page_by_page(post, client: FlaskClient) -> None:
    for number in range(5):
        post(headers={"Idempotency-Key": f"k{number}"})
    post(key="other-key")
    seen, after = [], ""
    for _ in range(3):
        page = client.get(f"/v1/decisions?limit=2{after}", headers=bearer("bank-key")).get_json()
        assert DecisionListSchema().validate(page) == {}
        seen += [one["decision_id"] for one in page["decisions"]]
        after = f"&after={page['next']}"
    assert seen == ["d-4", "d-3", "d-2", "d-1", "d-0"]
    assert page["next"] is None


def test_an_empty_list_is_a_list(client: FlaskClient) -> None:
    page = client.get("/v1/decisions", headers=bearer("bank-key")).get_json()
    assert page == {"decisions": [], "next": None}


@pytest.mark.parametrize(("key", "seen"), [("bank-key", ["list_court_dishonest", "revenue_12m"]),
                                           ("fintech-key", ["revenue_12m"])])  # fmt: skip
def test_a_fintech_s_explanation_holds_no_data_of_level_three(post, client: FlaskClient, key, seen) -> None:
    decided = post(key=key).get_json()["decision_id"]
    explanation = client.get(f"/v1/decisions/{decided}/explanation?lang=en", headers=bearer(key)).get_json()
    assert explanation == {"lang": "en", "facts": seen}


def test_every_rendered_decision_fits_its_schema() -> None:
    built = ApplicationSchema().load(application())
    refused = decision_of(built, KEYS["bank-key"], "d-1", NOW)
    assert DecisionSchema().validate(json.loads(decision_bytes(refused, CONTRACT["receipt"]))) == {}


def test_probabilities_have_six_decimals_whatever_their_size() -> None:
    values = [Decimal("0.000001"), Decimal("1E-6"), Decimal(1), Decimal("0")]
    assert [probability(value) for value in values] == ["0.000001", "0.000001", "1.000000", "0.000000"]


def test_the_digest_depends_on_every_field() -> None:
    base = CreditApplication("A", "p", Decimal("1"), 1, "w", "z", USCC)
    other = CreditApplication("A", "p", Decimal("1.00"), 1, "w", "z", USCC)
    assert digest_of(base) == digest_of(other)
    shifted = CreditApplication("A", "p", Decimal("1"), 1, "wz", "", USCC)
    assert digest_of(base) != digest_of(shifted)


def test_the_digest_of_a_request_stays_what_it_was_for_keys_on_file() -> None:
    digest = "9ba870b4ffb63e54f37f2465ffd872576ca1688c0673130cfac05246e6fbb9c9"
    assert digest_of(ApplicationSchema().load(application())) == digest


def test_a_request_id_is_echoed_if_it_is_one_and_made_up_otherwise(client: FlaskClient) -> None:
    assert client.get("/livez", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    for odd in ("", "a b", "x" * 65, "ü"):
        made_up = client.get("/livez", headers={"X-Request-Id": odd}).headers["X-Request-Id"]
        assert len(made_up) == 32


def test_a_good_key_is_looked_up_once_and_a_bad_one_each_time(post, service: FakeService) -> None:
    post(), post()
    assert service.look_ups == 1
    post(key="bad"), post(key="bad")
    assert service.look_ups == 3
