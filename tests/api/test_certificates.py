"""Tokens that are bound to a certificate: who is believed about it, and what it is worth without."""

from __future__ import annotations

import base64
import hashlib
import ssl
from datetime import timedelta
from ipaddress import ip_network
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from decision_service.api.application import http_application
from decision_service.api.service import Runtime
from decision_service.api.trust import Trust
from tests.api.fakes import KEYS, NOW, FakeService
from tests.api.signing import TOKEN, Signatory

BANK = KEYS["bank-key"]
SIGNATORY = Signatory.new(BANK.client_id)
PROXY, STRANGER = "10.0.0.7", "10.0.0.8"
TRUST = Trust(proxies=(ip_network("10.0.0.7"), ip_network("fd00::/64")))


def _certificate(name: str) -> bytes:
    key = generate_private_key(SECP256R1())
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(called, called, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


DER, OTHER = _certificate("bank"), _certificate("other")


def client_cert(der: bytes) -> dict[str, str]:
    return {"Client-Cert": f":{base64.b64encode(der).decode()}:"}


def x_client_cert(der: bytes) -> dict[str, str]:
    return {"X-Client-Cert": quote(ssl.DER_cert_to_PEM_cert(der))}


THUMBPRINT = base64.urlsafe_b64encode(hashlib.sha256(DER).digest()).rstrip(b"=").decode()
TOLD: dict[str, tuple[dict[str, str], str | None, str | None]] = {
    "RFC 9440, from the proxy": (client_cert(DER), PROXY, THUMBPRINT),
    "an encoded PEM, from the proxy": (x_client_cert(DER), PROXY, THUMBPRINT),
    "from a network of proxies": (client_cert(DER), "fd00::1", THUMBPRINT),
    "from the proxy in brackets": (client_cert(DER), "[fd00::1]", THUMBPRINT),
    "from the proxy by its mapped address": (client_cert(DER), "::ffff:10.0.0.7", THUMBPRINT),
    "from anybody else": (client_cert(DER), STRANGER, None),
    "from anybody else, as PEM": (x_client_cert(DER), STRANGER, None),
    "from another network": (client_cert(DER), "fd00:0:0:1::1", None),
    "from no address": (client_cert(DER), None, None),
    "from a socket": (client_cert(DER), "unix:/run/x", None),
    "both, which may differ": ({**client_cert(DER), **x_client_cert(OTHER)}, PROXY, None),
    "twice": ({"Client-Cert": f"{client_cert(DER)['Client-Cert']}, {client_cert(OTHER)['Client-Cert']}"}, PROXY, None),
    "without colons": ({"Client-Cert": base64.b64encode(DER).decode()}, PROXY, None),
    "no base64": ({"Client-Cert": ":a:"}, PROXY, None),
    "empty": ({"Client-Cert": ""}, PROXY, None),
    "a PEM with something before it": ({"X-Client-Cert": "x" + x_client_cert(DER)["X-Client-Cert"]}, PROXY, None),
    "two PEMs": ({"X-Client-Cert": x_client_cert(DER)["X-Client-Cert"] * 2}, PROXY, None),
    "nothing": ({}, PROXY, None),
}  # fmt: skip


@pytest.mark.parametrize(("headers", "remote", "thumbprint"), TOLD.values(), ids=TOLD.keys())
def test_only_proxies_are_believed_about_certificates(headers, remote, thumbprint) -> None:
    assert TRUST.certificate(Headers(headers), remote) == thumbprint


def test_without_proxies_nobody_is_believed() -> None:
    assert Trust().certificate(Headers(client_cert(DER)), "127.0.0.1") is None


@pytest.fixture
def service() -> FakeService:
    found = FakeService()
    found.keys.register(BANK, SIGNATORY, bound=True)
    return found


@pytest.fixture
def app(service: FakeService) -> Flask:
    return http_application(Runtime(service, lambda: NOW), version="1", trust=TRUST)


def _token(client: FlaskClient, headers: dict[str, str], remote: str = PROXY):
    return client.post(TOKEN, data=SIGNATORY.form(NOW), headers=headers, environ_base={"REMOTE_ADDR": remote})


@pytest.mark.parametrize(
    ("headers", "remote"),
    [({}, PROXY), (client_cert(DER), STRANGER), ({"Client-Cert": "x"}, PROXY)],
    ids=["none", "forged", "damaged"],
)
def test_a_bound_client_gets_no_token_without_its_certificate(client: FlaskClient, headers, remote) -> None:
    response = _token(client, headers, remote)
    assert response.status_code == 401 and "certificate" in response.get_json()["error_description"]


CALLS: dict[str, tuple[dict[str, str], str, int]] = {
    "with its certificate": (client_cert(DER), PROXY, 200),
    "with its certificate in the other header": (x_client_cert(DER), PROXY, 200),
    "with another": (client_cert(OTHER), PROXY, 401),
    "without one": ({}, PROXY, 401),
    "with a header that it made itself": (client_cert(DER), STRANGER, 401),
}


@pytest.mark.parametrize(("headers", "remote", "status"), CALLS.values(), ids=CALLS.keys())
def test_a_bound_token_counts_beside_its_certificate_alone(client: FlaskClient, headers, remote, status) -> None:
    token = _token(client, client_cert(DER)).get_json()["access_token"]
    for _ in range(2):  # looked up, and remembered
        response = client.get(
            "/v1/models",
            headers={"Authorization": f"Bearer {token}", **headers},
            environ_base={"REMOTE_ADDR": remote},
        )
        assert response.status_code == status
        assert status == 200 or 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_tokens_from_before_a_client_was_bound_end(client: FlaskClient, service: FakeService, app: Flask) -> None:
    service.keys.register(BANK, SIGNATORY)
    authorization = {"Authorization": f"Bearer {_token(client, {}).get_json()['access_token']}"}
    assert client.get("/v1/models", headers=authorization).status_code == 200
    service.keys.register(BANK, SIGNATORY, bound=True)
    app.extensions["decision_service_callers"]._known.clear()  # a second passes
    assert client.get("/v1/models", headers=authorization).status_code == 401


def test_a_client_that_is_not_bound_gets_tokens_for_everywhere(client: FlaskClient, service: FakeService) -> None:
    service.keys.register(BANK, SIGNATORY)
    token = _token(client, client_cert(DER)).get_json()["access_token"]
    assert client.get("/v1/models", headers={"Authorization": f"Bearer {token}"}).status_code == 200
