"""Access tokens over a socket, by two workers: got, used, raced for, and dead within seconds when their key is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from decision_service.store import ClientKey, Store
from decision_service.vocabulary import Person
from tests.api.signing import REVOCATION, TOKEN, Signatory
from tests.test_serving import Server, serving, until

SECONDS = 5.0
"""A revoked key is remembered for one; the rest is for a busy machine."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = serving(tmp_path_factory.mktemp("tokens"))
    yield found
    found.stop()


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    with closing(Store.open(f"sqlite:///{server.home}/decisions.db")) as opened:
        yield opened


@pytest.fixture
def signatory(store: Store) -> Signatory:
    client, _ = store.add_client("Bank", "bank", datetime.now(UTC))
    made = Signatory.new(client.client_id)
    key = ClientKey(made.public.kid, made.public.algorithms, made.public.thumbprint, made.public.jwk, datetime.now(UTC))
    store.client_keys().add(client.client_id, key, Person("os_user", "0", "root"))
    return made


def form(server: Server, signatory: Signatory) -> str:
    signed = signatory.signed(datetime.now(UTC), aud=f"http://127.0.0.1:{server.port}")
    return urlencode(signatory.form(datetime.now(UTC), client_assertion=signed))


def ask(server: Server, body: str) -> tuple[int, dict[str, Any]]:
    status, answer, _ = server.request("POST", TOKEN, body, **FORM, Authorization="")
    return status, json.loads(answer)


def bearer(server: Server, signatory: Signatory) -> dict[str, str]:
    status, found = ask(server, form(server, signatory))
    assert status == 200, found
    return {"Authorization": f"Bearer {found['access_token']}"}


def test_a_token_decides_and_sends_a_body_that_only_clients_may(server: Server, signatory: Signatory) -> None:
    headers = {**bearer(server, signatory), "Idempotency-Key": "token-1"}
    body = json.dumps(server.application)
    assert server.request("POST", "/v1/decisions", body, **headers)[0] == 201
    lines = "\n".join(json.dumps({**server.application, "application_id": f"T-{n}"}) for n in range(400))
    assert len(lines) > 65_536
    batch = {"Idempotency-Key": "token-2", "Content-Type": "application/x-ndjson"}
    assert server.request("POST", "/v1/decision-batches", lines, **{**headers, **batch})[0] == 202
    forged = {**headers, **batch, "Authorization": headers["Authorization"][:-6] + "AAAAAA"}
    try:
        assert server.request("POST", "/v1/decision-batches", lines, **forged)[0] == 401
    except (BrokenPipeError, ConnectionResetError):
        pass  # hung up on, unread


def test_of_many_who_send_one_statement_one_gets_a_token(server: Server, signatory: Signatory) -> None:
    body = form(server, signatory)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: ask(server, body), range(24)))
    assert sorted(status for status, _ in found) == [200] + [401] * 23


def test_a_revoked_key_ends_its_tokens_within_seconds(server: Server, store: Store, signatory: Signatory) -> None:
    headers = bearer(server, signatory)
    for _ in range(8):  # both workers remember it
        assert server.request("GET", "/v1/models", None, **headers)[0] == 200
    store.client_keys().revoke(signatory.client_id, signatory.public.kid, datetime.now(UTC))
    began = time.monotonic()
    until(lambda: all(server.request("GET", "/v1/models", None, **headers)[0] == 401 for _ in range(8)), SECONDS)
    print(f"dead after {time.monotonic() - began:.1f} s")
    assert ask(server, form(server, signatory))[0] == 401


def test_a_token_that_its_client_ends_is_dead_within_seconds(
    server: Server, store: Store, signatory: Signatory
) -> None:
    headers, other = bearer(server, signatory), bearer(server, signatory)
    for _ in range(8):  # both workers remember it
        assert server.request("GET", "/v1/models", None, **headers)[0] == 200
    body = f"{form(server, signatory)}&{urlencode({'token': headers['Authorization'].removeprefix('Bearer ')})}"
    status, answer, _ = server.request("POST", REVOCATION, body, **FORM, Authorization="")
    assert (status, answer) == (200, b"")
    until(lambda: all(server.request("GET", "/v1/models", None, **headers)[0] == 401 for _ in range(8)), SECONDS)
    assert server.request("GET", "/v1/models", None, **other)[0] == 200


def test_nobody_can_say_of_itself_which_certificate_it_has(server: Server, store: Store, signatory: Signatory) -> None:
    store.bind_certificate(signatory.client_id, True)
    status, answer, _ = server.request(
        "POST", TOKEN, form(server, signatory), **FORM, Authorization="", **{"Client-Cert": ":AAAA:"}
    )
    assert status == 401 and "certificate" in json.loads(answer)["error_description"]
