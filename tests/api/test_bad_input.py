"""Whatever arrives, the answer is a problem that names what is wrong; nothing reaches the platform."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from decision_service.api.chinese import in_chinese
from decision_service.api.problems import TYPES
from decision_service.errors import AuditError, RulebookError
from tests.api.fakes import USCC, FakeService, application, store_down

ENGLISH = re.compile(r"[a-z]{3,} [a-z]{2,}")
"""Words that are left of a sentence."""


def problem(response: Any, name: str) -> dict[str, Any]:
    """Check the envelope of a problem; give its document."""
    assert response.content_type == "application/problem+json", response.text
    document = response.get_json()
    assert document["type"] == f"/problems/{name}", document
    assert response.status_code == document["status"] == TYPES[name].status
    assert document["title"] and document["detail"]
    for message in [document["detail"], *(one["message"] for one in document.get("errors", []))]:
        assert not ENGLISH.search(in_chinese(message)), message
    assert document["request_id"] == response.headers["X-Request-Id"]
    return document


SOUND = json.dumps(application())


def replaced(old: str, new: str) -> bytes:
    assert old in SOUND
    return SOUND.replace(old, new).encode()


NOT_JSON = {
    "an empty body": b"",
    "half an object": b'{"application_id": ',
    "text after the object": SOUND.encode() + b"x",
    "a list": b"[]",
    "a bare number": b"1",
    "null": b"null",
    "bytes that are not UTF-8": b'{"application_id": "\xff"}',
    "UTF-16": SOUND.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + SOUND.encode(),
    "NaN": replaced('"3000000.00"', "NaN"),
    "Infinity": replaced('"3000000.00"', "Infinity"),
    "-Infinity": replaced('"3000000.00"', "-Infinity"),
    "the same name twice": replaced('"term_months": 12', '"term_months": 12, "term_months": 24'),
    "the same name twice inside": replaced('{"uscc"', '{"uscc": "x", "uscc"'),
    "lists nested 5,000 deep": b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "objects nested 5,000 deep": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "brackets that never close": b"[" * 60_000,
    "a raw control character": replaced("A-1", "A\x011"),
    "a raw NUL": replaced("A-1", "A\x001"),
    "a number of 5,000 digits": replaced('"3000000.00"', "9" * 5000),
    "single quotes": SOUND.replace('"', "'").encode(),
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_a_body_that_is_not_this_json_is_a_400(post, body: bytes) -> None:
    problem(post(body), "invalid-json")


FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "amount as scientific text": ({"amount": "1e-7"}, "amount"),
    "amount as large scientific text": ({"amount": "1E6"}, "amount"),
    "amount with three decimals": ({"amount": "1.001"}, "amount"),
    "amount as a number with three decimals": ({"amount": 1.001}, "amount"),
    "amount as an inexact sum": ({"amount": 0.1 + 0.2}, "amount"),
    "amount zero": ({"amount": "0.00"}, "amount"),
    "amount zero as a number": ({"amount": 0}, "amount"),
    "amount negative": ({"amount": "-1.00"}, "amount"),
    "amount negative as a number": ({"amount": -1}, "amount"),
    "amount with a thousands separator": ({"amount": "3,000,000"}, "amount"),
    "amount with a blank": ({"amount": " 3000000.00"}, "amount"),
    "amount with a line break": ({"amount": "3000000.00\n"}, "amount"),
    "amount in full-width digits": ({"amount": "３０００"}, "amount"),
    "amount with a leading zero": ({"amount": "01.00"}, "amount"),
    "amount of 14 digits": ({"amount": "10000000000000"}, "amount"),
    "amount of 14 digits as a number": ({"amount": 10000000000000}, "amount"),
    "amount as NaN text": ({"amount": "NaN"}, "amount"),
    "amount as Infinity text": ({"amount": "Infinity"}, "amount"),
    "amount true": ({"amount": True}, "amount"),
    "amount null": ({"amount": None}, "amount"),
    "amount a list": ({"amount": ["1"]}, "amount"),
    "amount an object": ({"amount": {"CNY": "1"}}, "amount"),
    "amount empty": ({"amount": ""}, "amount"),
    "amount missing": ({"amount": ...}, "amount"),
    "term as text": ({"term_months": "12"}, "term_months"),
    "term true": ({"term_months": True}, "term_months"),
    "term with a fraction": ({"term_months": 12.5}, "term_months"),
    "term zero": ({"term_months": 0}, "term_months"),
    "term of 361 months": ({"term_months": 361}, "term_months"),
    "a product that no file declares": ({"product": "sci_fi"}, "product"),
    "a product with a path": ({"product": "../facts"}, "product"),
    "a purpose outside the closed list": ({"purpose": "gambling"}, "purpose"),
    "an empty application id": ({"application_id": ""}, "application_id"),
    "an application id of 65 characters": ({"application_id": "A" * 65}, "application_id"),
    "an application id with a blank": ({"application_id": "A 1"}, "application_id"),
    "an application id as a number": ({"application_id": 1}, "application_id"),
    "an application id with an escaped NUL": ({"application_id": "A\u0000"}, "application_id"),
    "an application id with a lone surrogate": ({"application_id": "A\ud800"}, "application_id"),
    "an application id with a mark of direction": ({"application_id": "A\u202e1"}, "application_id"),
    "an authorization id of 129 characters": ({"authorization_id": "A" * 129}, "authorization_id"),
    "an authorization id missing": ({"authorization_id": ...}, "authorization_id"),
    "an enterprise as text": ({"enterprise": USCC}, "enterprise"),
    "an enterprise null": ({"enterprise": None}, "enterprise"),
    "an enterprise without code": ({"enterprise": {}}, "enterprise.uscc"),
    "an enterprise with more": ({"enterprise": {"uscc": USCC, "name": "x"}}, "enterprise.name"),
    "a code with a wrong check character": ({"enterprise": {"uscc": USCC[:-1] + "4"}}, "enterprise.uscc"),
    "a code in small letters": ({"enterprise": {"uscc": USCC.lower()}}, "enterprise.uscc"),
    "a code with the letter I": ({"enterprise": {"uscc": "I" + USCC[1:]}}, "enterprise.uscc"),
    "a code of 17 characters": ({"enterprise": {"uscc": USCC[:-1]}}, "enterprise.uscc"),
    "a code of 50,000 characters": ({"enterprise": {"uscc": "9" * 50_000}}, "enterprise.uscc"),
    "a code as a number": ({"enterprise": {"uscc": 9}}, "enterprise.uscc"),
    "a field nobody knows": ({"colour": "red"}, "colour"),
    "a field named like Python's": ({"__class__": "x"}, "__class__"),
}


@pytest.mark.parametrize(("changes", "field"), FIELDS.values(), ids=FIELDS.keys())
def test_a_field_that_is_not_acceptable_is_a_422_that_names_it(post, changes: dict[str, Any], field: str) -> None:
    document = problem(post(**changes), "invalid-fields")
    assert field in [error["field"] for error in document["errors"]]
    assert all(error["message"] for error in document["errors"])


def test_every_field_that_is_wrong_is_named_at_once(post) -> None:
    document = problem(post(b'{"amount": "x", "enterprise": {"uscc": "x"}, "extra": 1}'), "invalid-fields")
    assert [error["field"] for error in document["errors"]] == [
        "amount", "application_id", "authorization_id", "enterprise.uscc", "extra", "product", "purpose", "term_months",
    ]  # fmt: skip


def test_what_the_rules_do_not_admit_is_told_together_with_what_the_contract_does_not(post) -> None:
    document = problem(post(amount="x", term_months=0, product="sci_fi", purpose="gambling"), "invalid-fields")
    assert [error["field"] for error in document["errors"]] == ["amount", "product", "purpose", "term_months"]
    assert document["detail"].startswith("not acceptable: amount, product, purpose, term_months;")


def test_without_rules_what_the_contract_does_not_admit_is_still_told(post, service: FakeService) -> None:
    service.without_rules = True
    document = problem(post(amount="x", product="sci_fi"), "invalid-fields")
    assert [error["field"] for error in document["errors"]] == ["amount"]


def test_a_detail_counts_the_fields_that_it_does_not_name(post) -> None:
    fields = [f"x{number}" for number in range(11)]
    document = problem(post(**dict.fromkeys(fields, 1)), "invalid-fields")
    assert len(document["errors"]) == 11
    assert document["detail"].startswith("not acceptable: x0, x1, x10, x2, x3, x4, x5, x6 and 3 more;")


def test_a_problem_is_written_in_readable_chinese(post) -> None:
    response = post(b"", headers={"Accept-Language": "zh"})
    assert "请求体不是可接受的JSON" in response.data.decode()


NUMBERS = {
    "1e400 is beyond any amount": ("1e400", 422),
    "1e999999999 costs nothing and is refused": ("1e999999999", 422),
    "1e99999999999999999999 is beyond Decimal": ("1e99999999999999999999", 400),
    "1e-400 has more than two decimals": ("1e-400", 422),
    "three million as an integer is exact": ("3000000", 201),
    "three million with a point is exact": ("3000000.00", 201),
    "three million with trailing zeros is exact": ("3000000.000000", 201),
    "3e6 is the same exact number": ("3e6", 201),
    "one fen is the least": ("0.01", 201),
    "the largest amount has 13 digits": ("9999999999999.99", 201),
    "minus zero is not above zero": ("-0.0", 422),
}


@pytest.mark.parametrize(("number", "status"), NUMBERS.values(), ids=NUMBERS.keys())
def test_json_numbers_are_money_only_if_exact(post, number: str, status: int) -> None:
    assert post(replaced('"3000000.00"', number)).status_code == status


HEADERS: dict[str, tuple[dict[str, str | None], str]] = {
    "no idempotency key": ({"Idempotency-Key": None}, "invalid-header"),
    "an empty idempotency key": ({"Idempotency-Key": ""}, "invalid-header"),
    "an idempotency key of 129 characters": ({"Idempotency-Key": "k" * 129}, "invalid-header"),
    "an idempotency key with a blank": ({"Idempotency-Key": "a b"}, "invalid-header"),
    "an idempotency key beyond ASCII": ({"Idempotency-Key": "schlüssel"}, "invalid-header"),
    "no content type": ({"Content-Type": None}, "unsupported-media-type"),
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, "unsupported-media-type"),
    "plain text": ({"Content-Type": "text/plain"}, "unsupported-media-type"),
    "a compressed body": ({"Content-Encoding": "gzip"}, "unsupported-media-type"),
    "no authorization": ({"Authorization": None}, "unauthorized"),
    "basic authorization": ({"Authorization": "Basic dXNlcjpwYXNz"}, "unauthorized"),
    "an unknown key": ({"Authorization": "Bearer nobody"}, "unauthorized"),
    "an empty key": ({"Authorization": "Bearer "}, "unauthorized"),
    "a very long key": ({"Authorization": "Bearer " + "k" * 5000}, "unauthorized"),
    "a key beyond ASCII": ({"Authorization": "Bearer schlüssel"}, "unauthorized"),
}


@pytest.mark.parametrize(("headers", "name"), HEADERS.values(), ids=HEADERS.keys())
def test_a_header_that_is_not_acceptable_is_told(post, headers: dict[str, str | None], name: str) -> None:
    response = post(SOUND.encode(), headers=headers)
    problem(response, name)
    assert ("WWW-Authenticate" in response.headers) == (name == "unauthorized")


@pytest.mark.parametrize("key", ["k", "k" * 128, "!~", "8e0b6d0c-0000-4000-8000-000000000000"])
def test_a_printable_key_of_1_to_128_characters_is_fine(post, key: str) -> None:
    assert post(headers={"Idempotency-Key": key}).status_code == 201


def test_a_body_just_within_64_kib_is_read_and_one_byte_more_is_refused(post) -> None:
    padding = 64 * 1024 - len(SOUND)
    assert post(SOUND.encode() + b" " * padding).status_code == 201
    response = post(SOUND.encode() + b" " * (padding + 1))
    problem(response, "body-too-large")
    assert response.headers["Connection"] == "close"


class CountingStream:
    """An endless body that knows how much of it was read."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        size = 65_536 if size < 0 else size
        self.given += size
        return b" " * size

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


@pytest.mark.parametrize("announced", ["10000000", None])
def test_ten_megabytes_are_refused_without_being_read(client: FlaskClient, announced: str | None) -> None:
    stream = CountingStream()
    environ = {"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_TYPE": "application/json"}
    if announced is not None:
        environ["CONTENT_LENGTH"] = announced
    headers = {"Authorization": "Bearer bank-key", "Idempotency-Key": "k"}
    problem(client.post("/v1/decisions", headers=headers, environ_overrides=environ), "body-too-large")
    assert stream.given <= 200_000


ELSEWHERE = {
    "an address nobody serves": ("GET", "/v1/nothing", "not-found"),
    "the root": ("GET", "/", "not-found"),
    "a trailing slash": ("GET", "/v1/decisions/", "not-found"),
    "an address with NUL": ("GET", "/v1/decisions/%00", "not-found"),
    "an address that is not UTF-8": ("GET", "/v1/decisions/%ff%fe", "not-found"),
    "an address that climbs": ("GET", "/v1/decisions/..%2f..%2fetc", "not-found"),
    "a decision nobody took": ("GET", "/v1/decisions/d-404", "not-found"),
    "a very long decision id": ("GET", "/v1/decisions/" + "d" * 4000, "not-found"),
    "a method the collection lacks": ("DELETE", "/v1/decisions", "method-not-allowed"),
    "a method a decision lacks": ("POST", "/v1/decisions/d-0", "method-not-allowed"),
    "a page of no decisions": ("GET", "/v1/decisions?limit=0", "invalid-fields"),
    "a page of 101 decisions": ("GET", "/v1/decisions?limit=101", "invalid-fields"),
    "a page size in words": ("GET", "/v1/decisions?limit=many", "invalid-fields"),
    "a page size in Arabic digits": ("GET", "/v1/decisions?limit=%D9%A1", "invalid-fields"),
    "a cursor with a blank": ("GET", "/v1/decisions?after=a%20b", "invalid-fields"),
    "an unknown parameter": ("GET", "/v1/decisions?colour=red", "invalid-fields"),
    "a language nobody speaks here": ("GET", "/v1/decisions/d-0/explanation?lang=fr", "invalid-fields"),
}


@pytest.mark.parametrize(("method", "path", "name"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_flask_s_own_errors_are_problems_too(client: FlaskClient, method: str, path: str, name: str) -> None:
    response = client.open(path, method=method, headers={"Authorization": "Bearer bank-key"})
    problem(response, name)
    assert ("Allow" in response.headers) == (name == "method-not-allowed")


FAILURES = {
    "a store that is down": store_down(),
    "evidence that does not verify": AuditError("the stored ruleset has been changed"),
    "rules that do not load": RulebookError(()),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("path", ["/v1/decisions/d-0", "/v1/decisions", "/v1/rulesets/active", "/readyz"])
def test_a_platform_that_cannot_answer_is_a_503_that_says_no_more(
    client: FlaskClient, service: FakeService, failure: Exception, path: str
) -> None:
    service.fail = failure
    response = client.get(path, headers={"Authorization": "Bearer bank-key"})
    document = problem(response, "unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert "secret" not in json.dumps(document)


def test_no_decision_is_answered_while_the_store_is_down(post, service: FakeService) -> None:
    service.fail = store_down()
    problem(post(), "unavailable")
    service.fail = None
    assert post().status_code == 201


def test_what_nobody_foresaw_is_a_500_without_details_that_is_logged(post, service: FakeService, caplog) -> None:
    service.fail = ZeroDivisionError("fen by zero")
    response = post()
    document = problem(response, "internal-error")
    assert "fen by zero" not in response.text
    (told,) = [record for record in caplog.records if record.exc_info]
    assert told.request_id == document["request_id"] and told.exc_info[1] is service.fail


def test_titles_follow_the_language_asked_for(post) -> None:
    response = post(b"", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert response.get_json()["title"] == "请求体不是可接受的JSON"
    assert response.headers["Content-Language"] == "zh"


def test_an_address_with_two_slashes_is_not_found_and_leads_nowhere(client: FlaskClient) -> None:
    answer = client.get("/v1/decisions//history", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 404 and "Location" not in answer.headers
