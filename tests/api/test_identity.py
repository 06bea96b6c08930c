"""From a signed request to an access token and to a call: what is good, and every known way of cheating."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient

from decision_service.api.application import http_application
from decision_service.api.limits import Limiter
from decision_service.api.service import Runtime
from decision_service.api.trust import Trust
from decision_service.audit.signing import Signer
from decision_service.errors import NotAuthentic
from decision_service.identity import assertions, tokens
from decision_service.identity.desk import NOT_KNOWN, IdentityDesk, Issuer
from decision_service.identity.jose import written
from decision_service.identity.tokens import Token, TokenKeys
from decision_service.permissions import KINDS
from decision_service.quotas import DEFAULTS, Quota
from tests.api.fakes import KEYS, NOW, FakeService
from tests.api.fakes import application as sound
from tests.api.signing import ISSUER, REVOCATION, TOKEN, Signatory

BANK = KEYS["bank-key"]
SIGNATORY = Signatory.new(BANK.client_id)
RSA = Signatory.new(BANK.client_id, "RS256")
OTHER = Signatory.new(KEYS["other-key"].client_id)
STRANGER = Signatory.new("nobody")
NEVER_REGISTERED = Signatory.new(BANK.client_id)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> FakeService:
    found = FakeService()
    for signatory in (SIGNATORY, RSA):
        found.keys.register(BANK, signatory)
    found.keys.register(KEYS["other-key"], OTHER)
    return found


@pytest.fixture
def app(service: FakeService, clock: Clock) -> Flask:
    return http_application(Runtime(service, clock), version="1")


@pytest.fixture
def token(client: FlaskClient) -> str:
    """An access token of the bank."""
    return str(client.post(TOKEN, data=SIGNATORY.form(NOW)).get_json()["access_token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def models(client: FlaskClient, token: str, **headers: str) -> Any:
    return client.get("/v1/models", headers={**bearer(token), **headers})


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "Ed25519", "RS256", "PS256"])
def test_each_kind_of_key_gets_a_token_that_decides(client: FlaskClient, service: FakeService, algorithm: str) -> None:
    signatory = Signatory.new(BANK.client_id, algorithm)
    service.keys.register(BANK, signatory)
    response = client.post(TOKEN, data=signatory.form(NOW))
    found = response.get_json()
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"
    assert (found["token_type"], found["expires_in"]) == ("Bearer", 600)
    assert set(found["scope"].split()) == KINDS["bank"].scopes
    headers = {**bearer(found["access_token"]), "Idempotency-Key": "k-1"}
    assert client.post("/v1/decisions", json=sound(), headers=headers).status_code == 201


@pytest.mark.parametrize("audience", [ISSUER, ISSUER + TOKEN, [ISSUER]])
def test_the_issuer_and_its_endpoint_are_good_audiences(client: FlaskClient, audience: Any) -> None:
    form = SIGNATORY.form(NOW, client_assertion=SIGNATORY.signed(NOW, aud=audience))
    assert client.post(TOKEN, data=form, headers={"Host": "evil.example"}).status_code == 200


def test_a_token_has_the_scopes_that_were_asked_for_and_no_other(client: FlaskClient) -> None:
    response = client.post(TOKEN, data=SIGNATORY.form(NOW, scope="models:read rulesets:read"))
    found = response.get_json()
    assert found["scope"] == "models:read rulesets:read"
    assert models(client, found["access_token"]).status_code == 200
    refused = client.get("/v1/decisions", headers=bearer(found["access_token"]))
    assert refused.status_code == 403
    assert 'error="insufficient_scope", scope="decisions:read"' in refused.headers["WWW-Authenticate"]


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _raw(header: Any, claims: Any, signature: bytes = b"x" * 64) -> str:
    return ".".join(_b64(json.dumps(part).encode()) for part in (header, claims)) + "." + _b64(signature)


def _with_shared_secret(secret: bytes) -> str:
    """The oldest trick: the public key, which everybody has, as the secret of an HMAC."""
    content = _raw(RSA.header(alg="HS256"), RSA.claims(NOW)).rpartition(".")[0]
    return f"{content}.{_b64(hmac.digest(secret, content.encode(), 'sha256'))}"


def _headed(**changes: Any) -> str:
    """Well signed under a header that is not admitted."""
    return written(SIGNATORY.header(**changes), SIGNATORY.claims(NOW), SIGNATORY.private)


def _twice() -> str:
    claims = json.dumps(SIGNATORY.claims(NOW, iss="x", sub="x"))[:-1] + f', "iss": "{BANK.client_id}"}}'
    content = f"{_b64(json.dumps(SIGNATORY.header()).encode())}.{_b64(claims.encode())}"
    raw: Any = SIGNATORY.private.private_key
    return f"{content}.{_b64(raw.sign(content.encode()))}"


def _good() -> str:
    return SIGNATORY.signed(NOW)


def _ed_as_rsa() -> str:
    return written(SIGNATORY.header(kid=RSA.public.kid), SIGNATORY.claims(NOW), SIGNATORY.private)


FORGED: dict[str, Callable[[], str]] = {
    "nothing": lambda: "x",
    "two parts": lambda: "a.b",
    "five parts, as if encrypted": lambda: "a.b.c.d.e",
    "no base64url": lambda: "!.!.!",
    "no JSON": lambda: f"{_b64(b'x')}.{_b64(b'x')}.{_b64(b'x')}",
    "nested a thousand times": lambda: f"{_b64(b'[' * 1000)}.{_b64(b'{}')}.{_b64(b'x')}",
    "a list for a header": lambda: _raw([], {}),
    "without a signature": lambda: _good().rpartition(".")[0] + ".",
    "algorithm none": lambda: _raw(SIGNATORY.header(alg="none"), SIGNATORY.claims(NOW)),
    "algorithm None in capitals": lambda: _raw(SIGNATORY.header(alg="NONE"), SIGNATORY.claims(NOW)),
    "the public PEM as a shared secret": lambda: _with_shared_secret(RSA.pem),
    "the public JWK as a shared secret": lambda: _with_shared_secret(json.dumps(dict(RSA.public.jwk)).encode()),
    "an algorithm of another kind of key": _ed_as_rsa,
    "an algorithm that is a number": lambda: _raw(SIGNATORY.header(alg=1), SIGNATORY.claims(NOW)),
    "without an algorithm": lambda: _raw(SIGNATORY.header(alg=...), SIGNATORY.claims(NOW)),
    "without a key id": lambda: _headed(kid=...),
    "the key id of another client": lambda: _headed(kid=OTHER.public.kid),
    "a key id that is a path": lambda: _headed(kid="../../dev/null"),
    "a key id that is SQL": lambda: _headed(kid="' OR 1=1 --"),
    "a key id that is empty": lambda: _headed(kid=""),
    "critical header": lambda: _headed(crit=["exp"], exp=1),
    "a body that is not encoded": lambda: _headed(b64=False, crit=["b64"]),
    "compressed": lambda: _headed(zip="DEF"),
    "a key set of its own address": lambda: _headed(jku="https://evil.example/keys"),
    "a certificate of its own address": lambda: _headed(x5u="https://evil.example/cert"),
    "a certificate of its own": lambda: _headed(x5c=["MIIB"]),
    "a key of its own": lambda: written(
        NEVER_REGISTERED.header(kid=SIGNATORY.public.kid), SIGNATORY.claims(NOW), NEVER_REGISTERED.private
    ),
    "a key of its own in the header": lambda: _headed(jwk=dict(NEVER_REGISTERED.public.jwk)),
    "an access token's type": lambda: _headed(typ="at+jwt"),
    "signed by a key that was never registered": lambda: NEVER_REGISTERED.signed(NOW),
    "signed by another client's key": lambda: written(
        OTHER.header(), OTHER.claims(NOW, iss=BANK.client_id, sub=BANK.client_id), OTHER.private
    ),
    "of a client that does not exist": lambda: STRANGER.signed(NOW),
    "an issuer that is no text": lambda: SIGNATORY.signed(NOW, iss=[BANK.client_id]),
    "without an issuer": lambda: SIGNATORY.signed(NOW, iss=...),
    "an issuer with a NUL": lambda: SIGNATORY.signed(NOW, iss=BANK.client_id + "\x00"),
    "a name that stands twice": _twice,
    "claims that were changed": lambda: _swapped(_good(), 1, SIGNATORY.signed(NOW, exp=int(NOW.timestamp()) + 200)),
    "a header that was changed": lambda: _swapped(_good(), 0, RSA.signed(NOW)),
    "a signature in another spelling": lambda: _good() + "=",
    "blanks around": lambda: f" {_good()} ",
    "longer than a statement may be": lambda: SIGNATORY.signed(NOW, more="x" * 4096),
}


def _swapped(text: str, place: int, other: str) -> str:
    parts = text.split(".")
    parts[place] = other.split(".")[place]
    return ".".join(parts)


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED.keys())
def test_what_no_client_has_signed_gets_nothing_and_learns_nothing(
    client: FlaskClient, service: FakeService, make: Callable[[], str]
) -> None:
    response = client.post(TOKEN, data=SIGNATORY.form(NOW, client_assertion=make()))
    assert response.status_code == 401 and response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.get_json() == {"error": "invalid_client", "error_description": NOT_KNOWN}
    assert not service.keys.used


SECOND = int(NOW.timestamp())
WRONG_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "another subject": ({"sub": "c-other"}, "iss and sub"),
    "no subject": ({"sub": ...}, "iss and sub"),
    "another audience": ({"aud": "https://other.example"}, "aud must be"),
    "the audience in capitals": ({"aud": ISSUER.upper()}, "aud must be"),
    "the audience with a slash": ({"aud": ISSUER + "/"}, "aud must be"),
    "several audiences": ({"aud": [ISSUER, "https://other.example"]}, "aud must be"),
    "no audience": ({"aud": ...}, "aud must be"),
    "an empty list of audiences": ({"aud": []}, "aud must be"),
    "no end": ({"exp": ...}, "exp must be"),
    "an end that is text": ({"exp": str(SECOND + 60)}, "exp must be"),
    "an end with a fraction": ({"exp": SECOND + 60.5}, "exp must be"),
    "an end that is true": ({"exp": True}, "exp must be"),
    "an end beyond all calendars": ({"exp": 10**18}, "exp must be"),
    "over": ({"iat": SECOND - 100, "exp": SECOND - 30}, "exp must lie ahead"),
    "an end too far ahead": ({"iat": SECOND + 20, "exp": SECOND + 331}, "exp must lie ahead"),
    "a life that is too long": ({"iat": SECOND - 60, "exp": SECOND + 260}, "iat must be now"),
    "no beginning": ({"iat": ...}, "iat must be"),
    "a beginning that lies ahead": ({"iat": SECOND + 31, "exp": SECOND + 60}, "iat must be now"),
    "a beginning after the end": ({"iat": SECOND + 20, "exp": SECOND + 10}, "iat must be now"),
    "not before a moment ahead": ({"nbf": SECOND + 31}, "nbf lies ahead"),
    "no id": ({"jti": ...}, "jti must be"),
    "an empty id": ({"jti": ""}, "jti must be"),
    "an id that is a number": ({"jti": 7}, "jti must be"),
    "an id that is too long": ({"jti": "x" * 129}, "jti must be"),
}


@pytest.mark.parametrize(("claims", "why"), WRONG_CLAIMS.values(), ids=WRONG_CLAIMS.keys())
def test_whoever_holds_the_key_is_told_which_claim_is_wrong(
    client: FlaskClient, service: FakeService, claims: dict[str, Any], why: str
) -> None:
    form = SIGNATORY.form(NOW, client_assertion=SIGNATORY.signed(NOW, **claims))
    response = client.post(TOKEN, data=form)
    assert response.status_code == 401 and response.get_json()["error"] == "invalid_client"
    assert why in response.get_json()["error_description"]
    assert not service.keys.used


CLOCKS = {
    "half a minute ahead": {"iat": SECOND + 30, "exp": SECOND + 90},
    "half a minute behind, and just not over": {"iat": SECOND - 90, "exp": SECOND - 29},
    "five minutes, from a clock half a minute ahead": {"iat": SECOND + 30, "exp": SECOND + 330},
    "five minutes": {"iat": SECOND, "exp": SECOND + 300},
}


@pytest.mark.parametrize("claims", CLOCKS.values(), ids=CLOCKS.keys())
def test_clocks_may_differ_by_half_a_minute(client: FlaskClient, claims: dict[str, Any]) -> None:
    form = SIGNATORY.form(NOW, client_assertion=SIGNATORY.signed(NOW, **claims))
    assert client.post(TOKEN, data=form).status_code == 200


def test_what_the_forgers_start_from_is_good(client: FlaskClient) -> None:
    for good in (_headed(), _good(), _headed(typ=...), _headed(typ="application/client-authentication+jwt")):
        assert client.post(TOKEN, data=SIGNATORY.form(NOW, client_assertion=good)).status_code == 200


def test_a_statement_is_good_for_one_token(client: FlaskClient) -> None:
    form = SIGNATORY.form(NOW)
    assert client.post(TOKEN, data=form).status_code == 200
    again = client.post(TOKEN, data=form)
    assert again.status_code == 401 and "used before" in again.get_json()["error_description"]


def test_what_was_used_is_remembered_until_no_clock_within_bounds_accepts_it() -> None:
    claims, audiences = SIGNATORY.claims(NOW), frozenset({ISSUER})
    used = assertions.checked(claims, client_id=BANK.client_id, audiences=audiences, now=NOW)
    slow = used.useless_at - assertions.SKEW  # what another worker's clock says when ours forgets
    with pytest.raises(NotAuthentic, match="exp must lie ahead"):
        assertions.checked(claims, client_id=BANK.client_id, audiences=audiences, now=slow)


FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "no kind of grant": ({"grant_type": ...}, "invalid_request"),
    "an empty kind of grant": ({"grant_type": ""}, "invalid_request"),
    "a password": ({"grant_type": "password"}, "unsupported_grant_type"),
    "a code": ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
    "no statement": ({"client_assertion": ...}, "invalid_request"),
    "no type of statement": ({"client_assertion_type": ...}, "invalid_request"),
    "SAML": ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, "invalid_request"),
    "a secret beside it": ({"client_secret": "x"}, "invalid_request"),
    "another client's id beside it": ({"client_id": "c-other"}, "invalid_client"),
    "a scope that there is not": ({"scope": "everything"}, "invalid_scope"),
    "a scope of another kind": ({"scope": "reviews:write"}, "invalid_scope"),
    "one good scope and one that is not": ({"scope": "decisions:read reviews:write"}, "invalid_scope"),
    "scopes with two blanks between": ({"scope": "decisions:read  models:read"}, "invalid_scope"),
}


@pytest.mark.parametrize(("changes", "error"), FORMS.values(), ids=FORMS.keys())
def test_a_request_that_is_wrong_gets_the_error_of_its_kind(
    client: FlaskClient, changes: dict[str, Any], error: str
) -> None:
    form = SIGNATORY.form(NOW)
    response = client.post(TOKEN, data={k: v for k, v in {**form, **changes}.items() if v is not ...})
    assert response.get_json()["error"] == error
    assert response.status_code == (401 if error == "invalid_client" else 400)
    assert response.headers["Cache-Control"] == "no-store"


BODIES = {
    "JSON": (b"{}", "application/json"),
    "no type": (b"grant_type=client_credentials", ""),
    "a parameter twice": (b"grant_type=client_credentials&grant_type=client_credentials", None),
    "no UTF-8": (b"grant_type=%ff", None),
    "bytes": (b"\xff\x00", None),
    "too many parameters": (b"&".join(b"a%d=1" % n for n in range(30)), None),
    "too long": (b"grant_type=" + b"x" * 20_000, None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize(("body", "kind"), BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_no_form_is_an_invalid_request(client: FlaskClient, body: bytes, kind: str | None) -> None:
    content_type = "application/x-www-form-urlencoded" if kind is None else kind
    response = client.post(TOKEN, data=body, content_type=content_type)
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


def test_a_header_beside_the_statement_is_refused(client: FlaskClient) -> None:
    response = client.post(TOKEN, data=SIGNATORY.form(NOW), headers={"Authorization": "Basic eDp5"})
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


# -- tokens ----------------------------------------------------------------------------------------------------------


def _keys(seed: int = 0) -> TokenKeys:
    return TokenKeys(Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)).derived)


GOOD = Token(BANK.client_id, SIGNATORY.public.kid, KINDS["bank"].scopes, NOW + timedelta(minutes=10))
DAY = tokens.day_of(NOW)


def _issued(keys: TokenKeys | None = None, *, issuer: str = ISSUER, now: datetime = NOW, **changes: Any) -> str:
    return tokens.issue(keys or _keys(), replace(GOOD, **changes), issuer=issuer, now=now)


def _reissued(header: dict[str, Any], **changes: Any) -> str:
    """A token under the right key with header and claims changed."""
    key = _keys().of(DAY)
    claims = json.loads(base64.urlsafe_b64decode(_issued().split(".")[1] + "=="))
    found = {"alg": "Ed25519", "kid": key.kid, "typ": "at+jwt", **header}
    return written(found, {k: v for k, v in {**claims, **changes}.items() if v is not ...}, key)


def _by_the_log_s_key() -> str:
    raw = Ed25519PrivateKey.from_private_bytes(bytes(32))
    head = {"alg": "Ed25519", "kid": _keys().of(DAY).kid, "typ": "at+jwt"}
    content = _raw(head, SIGNATORY.claims(NOW)).rpartition(".")[0]
    return f"{content}.{_b64(raw.sign(content.encode()))}"


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "of another log's key": lambda: _issued(_keys(1)),
    "signed by the log's key itself": _by_the_log_s_key,
    "of another issuer": lambda: _issued(issuer="https://other.example"),
    "for another audience": lambda: _reissued({}, aud="https://other.example"),
    "for several audiences": lambda: _reissued({}, aud=[ISSUER, "https://other.example"]),
    "over": lambda: _issued(now=NOW - timedelta(minutes=20), expires_at=NOW),
    "issued ahead": lambda: _issued(now=NOW + timedelta(minutes=1)),
    "longer than an hour": lambda: _issued(expires_at=NOW + timedelta(hours=2)),
    "today's, by yesterday's key": lambda: written(
        {"alg": "Ed25519", "kid": _keys().of(DAY - 1).kid, "typ": "at+jwt"},
        json.loads(base64.urlsafe_b64decode(_issued().split(".")[1] + "==")),
        _keys().of(DAY - 1),
    ),
    "by a key of last week": lambda: _issued(now=NOW - timedelta(days=7)),
    "another type": lambda: _reissued({"typ": "JWT"}),
    "no type": lambda: _reissued({"typ": ""}),
    "without a scope": lambda: _reissued({}, scope=...),
    "without an id": lambda: _reissued({}, jti=...),
    "scopes as a list": lambda: _reissued({}, scope=["decisions:read"]),
    "an end that is text": lambda: _reissued({}, exp="never"),
    "an end beyond all calendars": lambda: _reissued({}, exp=1e300),
    "a certificate that is text": lambda: _reissued({}, cnf="x"),
    "of a client that does not exist": lambda: _issued(client_id="nobody"),
    "by a key that its client has not": lambda: _issued(key="x"),
    "what the client signed to get one": lambda: SIGNATORY.signed(NOW),
    "changed": lambda: _swapped(_issued(), 1, _issued(scopes=frozenset({"reviews:write"}))),
    "algorithm none": lambda: _raw({"alg": "none", "kid": _keys().of(DAY).kid, "typ": "at+jwt"}, {}),
    "the public key as a shared secret": lambda: _raw(
        {"alg": "HS256", "kid": _keys().of(DAY).kid, "typ": "at+jwt"}, {"iss": ISSUER}, hashlib.sha256(b"").digest()
    ),
}


@pytest.mark.parametrize("make", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_a_token_that_was_not_issued_here_for_now_is_no_token(client: FlaskClient, make: Callable[[], str]) -> None:
    assert models(client, _issued()).status_code == 200
    response = models(client, make())
    assert response.status_code == 401 and 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_a_token_never_gives_more_than_its_kind_may(client: FlaskClient) -> None:
    token = _issued(scopes=KINDS["bank"].scopes | {"reviews:read"})
    assert client.get("/v1/reviews", headers=bearer(token)).status_code == 403


def test_tokens_go_on_over_midnight_with_the_key_of_the_day_before(client: FlaskClient, clock: Clock) -> None:
    midnight = (DAY + 1) * 86_400
    clock.now = datetime.fromtimestamp(midnight - 60, NOW.tzinfo)
    token = client.post(TOKEN, data=SIGNATORY.form(clock.now)).get_json()["access_token"]
    kids = {one["kid"] for one in client.get("/v1/oauth/jwks").get_json()["keys"]}
    clock.now += timedelta(minutes=2)
    assert models(client, token).status_code == 200
    after = {one["kid"] for one in client.get("/v1/oauth/jwks").get_json()["keys"]}
    assert len(kids & after) == 2 and len(kids | after) == 4


def test_a_token_ends_to_the_moment_even_where_it_is_remembered(
    client: FlaskClient, token: str, clock: Clock
) -> None:
    clock.now = NOW + timedelta(seconds=599)
    assert models(client, token).status_code == 200
    clock.now = NOW + timedelta(seconds=600)
    response = models(client, token)
    assert response.status_code == 401 and "expired" in response.get_json()["detail"]


@pytest.mark.parametrize("revoked", ["client", "key"])
def test_what_is_revoked_dies_with_its_tokens(
    client: FlaskClient, service: FakeService, app: Flask, token: str, revoked: str
) -> None:
    assert models(client, token).status_code == 200
    for place in [one for one in service.keys.holders if one[0] == BANK.client_id]:
        if revoked == "client" or place[1] == SIGNATORY.public.kid:
            del service.keys.holders[place]
    app.extensions["decision_service_callers"]._known.clear()  # a second passes
    assert models(client, token).status_code == 401
    assert client.post(TOKEN, data=SIGNATORY.form(NOW)).status_code == 401
    assert client.post(TOKEN, data=RSA.form(NOW)).status_code == (401 if revoked == "client" else 200)


# -- the end of a token ----------------------------------------------------------------------------------------------


def revoke(client: FlaskClient, token: str, by: Signatory = SIGNATORY, **changes: Any) -> Any:
    return client.post(REVOCATION, data=by.form(NOW, grant_type=..., token=token, **changes))


@pytest.mark.parametrize("by", [SIGNATORY, RSA], ids=["by the key that got it", "by another key of the client"])
def test_a_client_ends_its_token_and_no_other(client: FlaskClient, app: Flask, token: str, by: Signatory) -> None:
    another = client.post(TOKEN, data=SIGNATORY.form(NOW)).get_json()["access_token"]
    assert models(client, token).status_code == 200
    for hint in ({}, {"token_type_hint": "refresh_token"}):  # twice, which is once
        answer = revoke(client, token, by, **hint)
        assert (answer.status_code, answer.data) == (200, b"") and "Content-Type" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"
    app.extensions["decision_service_callers"]._known.clear()  # a second passes
    refused = models(client, token)
    assert refused.status_code == 401 and "was revoked" in refused.get_json()["detail"]
    assert models(client, another).status_code == 200


NO_TOKENS: dict[str, Callable[[], str]] = {
    "nothing like one": lambda: "x",
    "over": BAD_TOKENS["over"],
    "of another log's key": BAD_TOKENS["of another log's key"],
    "a statement": _good,
    "text that is not Latin": lambda: "令牌",
}


@pytest.mark.parametrize("make", NO_TOKENS.values(), ids=NO_TOKENS.keys())
def test_what_is_no_valid_token_is_answered_alike(
    client: FlaskClient, service: FakeService, make: Callable[[], str]
) -> None:
    answer = revoke(client, make())
    assert (answer.status_code, answer.data) == (200, b"") and not service.keys.revoked


def test_another_client_s_token_is_left_as_it_is(client: FlaskClient, app: Flask, token: str) -> None:
    answer = revoke(client, token, OTHER)
    assert (answer.status_code, answer.data) == (200, b"")
    app.extensions["decision_service_callers"]._known.clear()
    assert models(client, token).status_code == 200


REFUSED: dict[str, tuple[Signatory, dict[str, Any], int, str]] = {
    "no token": (SIGNATORY, {"token": ...}, 400, "invalid_request"),
    "an empty token": (SIGNATORY, {"token": ""}, 400, "invalid_request"),
    "a token that is too long": (SIGNATORY, {"token": "x" * 20_000}, 400, "invalid_request"),
    "no statement": (SIGNATORY, {"client_assertion": ...}, 400, "invalid_request"),
    "a secret beside it": (SIGNATORY, {"client_secret": "x"}, 400, "invalid_request"),
    "a bearer key": (SIGNATORY, {"token": "dsk_abc"}, 400, "unsupported_token_type"),
    "a key that is not registered": (NEVER_REGISTERED, {}, 401, "invalid_client"),
    "another client's id": (SIGNATORY, {"client_id": "c-other"}, 401, "invalid_client"),
    "a statement for the token endpoint": (
        SIGNATORY, {"client_assertion": SIGNATORY.signed(NOW, aud=ISSUER + TOKEN)}, 401, "invalid_client",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("by", "changes", "status", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_whoever_does_not_show_who_it_is_ends_nothing(
    client: FlaskClient, app: Flask, token: str, by: Signatory, changes: dict[str, Any], status: int, error: str
) -> None:
    answer = revoke(client, **{"token": token, "by": by, **changes})
    assert (answer.status_code, answer.get_json()["error"]) == (status, error)
    app.extensions["decision_service_callers"]._known.clear()
    assert models(client, token).status_code == 200


def test_a_statement_ends_one_token_and_gets_none_afterwards(client: FlaskClient, token: str) -> None:
    signed = SIGNATORY.signed(NOW)
    to_the_endpoint = SIGNATORY.signed(NOW, aud=ISSUER + REVOCATION)
    assert revoke(client, token, client_assertion=signed).status_code == 200
    for again in (
        revoke(client, token, client_assertion=signed),
        client.post(TOKEN, data=SIGNATORY.form(NOW, client_assertion=signed)),
    ):
        assert again.status_code == 401 and "used before" in again.get_json()["error_description"]
    assert client.post(TOKEN, data=SIGNATORY.form(NOW, client_assertion=to_the_endpoint)).status_code == 401
    assert revoke(client, token, client_assertion=to_the_endpoint).status_code == 200


def test_the_issuer_tells_where_tokens_are_ended(client: FlaskClient) -> None:
    found = client.get("/.well-known/oauth-authorization-server").get_json()
    assert found["revocation_endpoint"] == ISSUER + REVOCATION
    assert found["revocation_endpoint_auth_methods_supported"] == ["private_key_jwt"]


def test_keys_can_be_turned_off(service: FakeService) -> None:
    client = http_application(Runtime(service, lambda: NOW), version="1", trust=Trust(keys=False)).test_client()
    refused = models(client, "bank-key")
    assert refused.status_code == 401 and "keys are not accepted here" in refused.get_json()["detail"]
    assert models(client, client.post(TOKEN, data=SIGNATORY.form(NOW)).get_json()["access_token"]).status_code == 200


def test_quotas_count_a_client_s_tokens_as_one(service: FakeService) -> None:
    limiter = Limiter({**DEFAULTS, "read": Quota("read", 3, 600), "write": Quota("write", 3, 600)})
    client = http_application(Runtime(service, lambda: NOW), version="1", limiter=limiter).test_client()
    found = [client.post(TOKEN, data=SIGNATORY.form(NOW)) for _ in range(4)]
    assert [one.status_code for one in found] == [200, 200, 200, 429]
    tokens_ = [one.get_json()["access_token"] for one in found[:3]]
    assert [models(client, one).status_code for one in tokens_] == [200, 200, 200]
    assert models(client, "bank-key").status_code == 429


def test_log_lines_name_the_client_of_a_token_and_who_asked_for_it(service: FakeService) -> None:
    lines: list[dict[str, Any]] = []
    app = http_application(Runtime(service, lambda: NOW), version="1", told=lambda **line: lines.append(line))
    client = app.test_client()
    models(client, client.post(TOKEN, data=SIGNATORY.form(NOW)).get_json()["access_token"])
    client.post(TOKEN, data=STRANGER.form(NOW))
    assert [(one["route"], one["client_id"]) for one in lines] == [
        (TOKEN, BANK.client_id), ("/v1/models", BANK.client_id), (TOKEN, None),
    ]  # fmt: skip


def test_what_is_published_is_true(client: FlaskClient) -> None:
    found = client.get("/.well-known/oauth-authorization-server", headers={"Host": "evil.example"}).get_json()
    assert (found["issuer"], found["token_endpoint"]) == (ISSUER, ISSUER + TOKEN)
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    keys = client.get(found["jwks_uri"].removeprefix(ISSUER)).get_json()["keys"]
    assert len(keys) == 3 and not any({"d", "k"} & one.keys() for one in keys)


def test_keys_of_tokens_are_neither_the_log_s_nor_each_other_s() -> None:
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    desk = IdentityDesk(FakeService().keys, signer, Issuer())  # type: ignore[arg-type]
    found = {base64.urlsafe_b64decode(one["x"] + "=") for one in desk.published_keys(NOW)["keys"]}
    assert len(found) == 3 and signer.public.public not in found
