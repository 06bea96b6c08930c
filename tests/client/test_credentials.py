"""Access tokens that the client signs for: asked for once, kept, renewed, over the real application."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from decision_service.api.application import http_application
from decision_service.api.platform import PlatformService
from decision_service.api.service import Runtime
from decision_service.commands.persons import os_user
from decision_service.identity.desk import Issuer
from decision_service.identity.keys import read_keys
from decision_service.store import ClientKey
from decision_service.webhooks.reach import Reach
from decision_service_client import Client, Forbidden, PrivateKeyJwt, TokenRefused, Unanswered
from decision_service_client.credentials import TOKEN_PATH
from tests.client.served import QUICK, URL, Fault, Served, Wire
from tests.client.test_retries import answer_lost, refused, unreachable

PAIRS = {
    "Ed25519": Ed25519PrivateKey.generate,
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


@dataclass
class Bank:
    """A client of the platform that signs, and a clock."""

    served: Served
    now: datetime
    app: Any = None
    client_id: str = ""

    def __post_init__(self) -> None:
        self.client_id = self.served.platform.store.add_client(f"bank {self.now}", "bank", self.now)[0].client_id
        service = PlatformService(self.served.platform, Reach(), Issuer(URL))
        self.app = http_application(Runtime(service, lambda: self.now), version="1")

    def credential(self, pair: str = "Ed25519", **changes: Any) -> PrivateKeyJwt:
        """A credential whose public key is registered."""
        private: Any = PAIRS[pair]()
        (public,) = read_keys(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        key = ClientKey(public.kid, public.algorithms, public.thumbprint, public.jwk, self.now)
        self.served.platform.store.client_keys().add(self.client_id, key, os_user())
        given: dict[str, Any] = {"kid": public.kid, "private_key": pem_of(private), "issuer": URL, **changes}
        return PrivateKeyJwt(self.client_id, clock=lambda: self.now.timestamp(), **given)

    def client(self, credential: PrivateKeyJwt, *faults: Fault) -> tuple[Client, Wire]:
        """A client whose first requests meet these faults."""
        wire = Wire(self.app, iter(faults))
        return Client(URL, credential, retry=QUICK, http=httpx.Client(transport=wire)), wire


@pytest.fixture
def bank(served: Served) -> Iterator[Bank]:
    yield Bank(served, datetime.now(UTC))


def asked(wire: Wire) -> int:
    """How often a token was asked for."""
    return sum(one.url.path == TOKEN_PATH for one in wire.sent)


@pytest.mark.parametrize("pair", PAIRS)
def test_each_kind_of_key_gets_a_token_that_serves_many_calls(bank: Bank, pair: str) -> None:
    client, wire = bank.client(bank.credential(pair))
    for _ in range(3):
        assert client.ruleset().version
    assert (asked(wire), len(wire.sent)) == (1, 4)


def test_a_token_is_renewed_before_it_ends(bank: Bank) -> None:
    client, wire = bank.client(bank.credential())
    client.ruleset()
    bank.now += timedelta(seconds=565)
    client.ruleset()
    assert asked(wire) == 1
    bank.now += timedelta(seconds=10)
    client.ruleset()
    assert asked(wire) == 2


def test_a_token_that_counts_no_longer_is_asked_for_anew_once(bank: Bank) -> None:
    credential = bank.credential()
    client, wire = bank.client(credential)
    client.ruleset()
    credential._token = "eyJhbGciOiJub25lIn0.e30."
    assert client.ruleset().version
    assert asked(wire) == 2


def test_only_the_scope_that_was_asked_for_is_granted(bank: Bank) -> None:
    client, _ = bank.client(bank.credential(scope="rulesets:read"))
    assert client.ruleset().version
    with pytest.raises(Forbidden):
        client.models()


def test_a_client_that_is_not_known_is_told_so_at_once(bank: Bank) -> None:
    client, wire = bank.client(bank.credential(kid="another"))
    with pytest.raises(TokenRefused, match="invalid_client"):
        client.ruleset()
    assert len(wire.sent) == 1


def test_a_token_is_asked_for_again_by_a_statement_of_its_own(bank: Bank) -> None:
    client, wire = bank.client(bank.credential(), unreachable, answer_lost, refused("unavailable", 503))
    decision = client.decide(bank.served.small("T-jwt"), key="T-jwt")
    statements = {one.content for one in wire.sent if one.url.path == TOKEN_PATH}
    assert asked(wire) == len(statements) == 4 and decision.application_id == "T-jwt"


def test_without_a_token_nothing_is_sent(bank: Bank) -> None:
    client, wire = bank.client(bank.credential(), *[unreachable] * 10_000)
    with pytest.raises(Unanswered) as lost:
        client.decide(bank.served.small("T-none"), key="T-none")
    assert lost.value.key == "T-none" and asked(wire) == len(wire.sent)


def pem_of(private: Any) -> bytes:
    return bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_a_key_of_another_kind_is_refused() -> None:
    other = pem_of(ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(ValueError, match="none of"):
        PrivateKeyJwt("bank", kid="k", private_key=other, issuer=URL)


def test_statements_are_not_sent_in_the_clear() -> None:
    sound = pem_of(Ed25519PrivateKey.generate())
    with pytest.raises(ValueError, match="in the clear"):
        PrivateKeyJwt("bank", kid="k", private_key=sound, issuer="http://platform.example")
