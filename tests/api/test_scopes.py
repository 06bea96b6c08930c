"""Who may call what: every served operation, every kind of client, with and without the scope."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from decision_service.api.access import allow
from decision_service.identity import tokens
from decision_service.identity.tokens import Token
from decision_service.permissions import KINDS, SCOPES, kinds_with
from tests.api.fakes import KEYS, NOW, FakeService
from tests.api.signing import ISSUER, Signatory

PAGE = Path(__file__).parents[2] / "docs" / "identity.md"
METHODS = ("get", "post", "put", "patch", "delete")
OPEN = {
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/v1/openapi.json"),
    ("get", "/v1/oauth/jwks"),
    ("get", "/.well-known/oauth-authorization-server"),
    ("post", "/v1/oauth/token"),
    ("post", "/v1/oauth/revoke"),
}
SIGNATORIES = {client.kind: (client, Signatory.new(client.client_id)) for client in KEYS.values()}


@pytest.fixture
def service() -> FakeService:
    found = FakeService()
    for client, signatory in SIGNATORIES.values():
        found.keys.register(client, signatory)
    return found


@pytest.fixture
def operations(client: FlaskClient) -> dict[tuple[str, str], str | None]:
    """Every served operation with the scope that its description names."""
    paths = client.get("/v1/openapi.json").get_json()["paths"]
    found: dict[tuple[str, str], str | None] = {}
    for path, item in paths.items():
        for method in METHODS:
            if method in item:
                needs = item[method].get("security")
                assert needs == [] or list(map(list, needs)) == [["bearer"], ["oauth2"]], (method, path)
                found[method, path] = needs[1]["oauth2"][0] if needs else None
    return found


def _status(client: FlaskClient, service: FakeService, kind: str, scopes: set[str], method: str, path: str) -> int:
    caller, signatory = SIGNATORIES[kind]
    wanted = Token(caller.client_id, signatory.public.kid, frozenset(scopes), NOW + timedelta(minutes=5))
    token = tokens.issue(service.desk._keys, wanted, issuer=ISSUER, now=NOW)
    place = path.replace("{", "").replace("}", "")
    return client.open(place, method=method, headers={"Authorization": f"Bearer {token}"}).status_code


def test_every_operation_asks_for_a_scope_but_those_that_are_open(operations) -> None:
    assert {place for place, scope in operations.items() if scope is None} == OPEN
    assert {scope for scope in operations.values() if scope} == set(SCOPES)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_may_call_what_its_scopes_say_and_nothing_else(client, service, operations, kind: str) -> None:
    for (method, path), scope in operations.items():
        if scope is None:
            continue
        may = _status(client, service, kind, {scope}, method, path) not in (401, 403)
        assert may == (scope in KINDS[kind].scopes), (kind, method, path)
        assert _status(client, service, kind, set(SCOPES) - {scope}, method, path) == 403, (kind, method, path)


def test_an_auditor_reads_and_writes_nothing(operations) -> None:
    for (method, path), scope in operations.items():
        if scope in KINDS["auditor"].scopes:
            assert method == "get", path
    reading = {scope for (method, _), scope in operations.items() if method == "get" and scope}
    assert reading == KINDS["auditor"].scopes


def test_a_fintech_sees_no_facts_of_the_third_level_and_takes_no_final_decision() -> None:
    assert KINDS["fintech"].openness == 2
    assert kinds_with("final:write") == ("bank",)
    assert {name for name, kind in KINDS.items() if kind.sees_all} == {"risk", "auditor"}


def test_the_page_about_identity_says_what_the_table_says() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    told: dict[str, set[str]] = {}
    for row in rows:
        names, *marks = [cell.strip() for cell in row.strip("|").split("|")]
        for name in names.split(", "):
            told[name.strip("`")] = {kind for kind, mark in zip(KINDS, marks, strict=True) if mark}
    assert told == {scope: set(kinds_with(scope)) for scope in SCOPES}


def test_a_scope_that_nobody_declared_cannot_be_asked_for(app: Flask) -> None:
    with pytest.raises(ValueError, match="is no scope"):
        allow("bank")
