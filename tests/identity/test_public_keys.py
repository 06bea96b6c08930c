"""Which public keys may be registered, in which forms, and what is said of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from decision_service.errors import InputError
from decision_service.identity.keys import read_keys
from tests.api.signing import Signatory

SIGNATORIES = {name: Signatory.new("bank-1", name) for name in ("ES256", "EdDSA", "RS256")}
ED = SIGNATORIES["EdDSA"]


def pem(private: Any) -> bytes:
    return bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def private_pem(private: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return bytes(private.private_bytes(Encoding.PEM, form, NoEncryption()))


def jwk(name: str = "EdDSA", **changes: Any) -> bytes:
    """A sound JWK with members changed; ``...`` leaves one out."""
    members = {**SIGNATORIES[name].public.jwk, **changes}
    return json.dumps({key: value for key, value in members.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("name", "algorithms"),
    [("ES256", ("ES256",)), ("EdDSA", ("EdDSA", "Ed25519")), ("RS256", ("RS256", "PS256"))],
)
def test_pem_and_jwk_are_the_same_key(name: str, algorithms: tuple[str, ...]) -> None:
    (from_pem,), (from_jwk,) = read_keys(SIGNATORIES[name].pem), read_keys(jwk(name))
    assert from_pem == from_jwk
    assert from_pem.algorithms == algorithms and from_pem.kid == from_pem.thumbprint
    assert not {"d", "k", "p"} & from_pem.jwk.keys()


def test_a_key_may_have_a_name_of_its_own() -> None:
    assert read_keys(jwk(kid="2026-q4"))[0].kid == "2026-q4"
    assert read_keys(ED.pem, kid="2026-q4")[0].kid == "2026-q4"
    assert read_keys(jwk(kid="2026-q4"))[0].thumbprint == ED.public.thumbprint


def test_a_key_may_be_meant_for_one_algorithm() -> None:
    assert read_keys(jwk("RS256", alg="PS256", use="sig", key_ops=["verify"]))[0].algorithms == ("PS256",)


def test_a_set_holds_several_keys() -> None:
    found = read_keys(json.dumps({"keys": [json.loads(jwk(name)) for name in SIGNATORIES]}).encode())
    assert [one.kid for one in found] == [one.public.kid for one in SIGNATORIES.values()]


class SmallExponent:
    """A key with the exponent 3, which the library does not generate."""

    def public_key(self) -> Any:
        numbers = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
        return rsa.RSAPublicNumbers(3, numbers.n).public_key()


PRIVATE = Ed25519PrivateKey.generate()
REFUSED: dict[str, tuple[bytes, str]] = {
    "a private PEM": (private_pem(PRIVATE), "this is a private key"),
    "an old private PEM": (
        private_pem(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.TraditionalOpenSSL), "this is a private key",
    ),
    "a private OpenSSH key": (private_pem(PRIVATE, PrivateFormat.OpenSSH), "this is a private key"),
    "a public key with a private one behind it": (ED.pem + private_pem(PRIVATE), "this is a private key"),
    "a private JWK": (jwk(d="AAAA"), "holds a private key"),
    "a private RSA JWK": (jwk("RS256", p="AAAA"), "holds a private key"),
    "a shared secret": (b'{"kty": "oct", "k": "c2VjcmV0"}', "symmetric"),
    "a shared secret in disguise": (jwk(k="c2VjcmV0"), "symmetric"),
    "a set with a private key": (json.dumps({"keys": [json.loads(jwk()), {"kty": "oct", "k": "eA"}]}).encode(), "symm"),
    "an RSA key of 1024 bits": (pem(rsa.generate_private_key(65537, 1024)), "has 1024 bits"),
    "an RSA key with the exponent 3": (pem(SmallExponent()), "exponent"),
    "another curve": (pem(ec.generate_private_key(ec.SECP384R1())), "not used here"),
    "Bitcoin's curve": (pem(ec.generate_private_key(ec.SECP256K1())), "not used here"),
    "Ed448": (pem(ed448.Ed448PrivateKey.generate()), "not used here"),
    "a key for exchange": (pem(x25519.X25519PrivateKey.generate()), "not used here"),
    "DSA": (pem(dsa.generate_private_key(2048)), "not used here"),
    "a certificate": (b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "certificate"),
    "a point that is not on the curve": (jwk("ES256", y=SIGNATORIES["ES256"].public.jwk["x"]), "no public key"),
    "a coordinate that is a number": (jwk("ES256", y=7), "no public key"),
    "without a coordinate": (jwk("ES256", y=...), "no public key"),
    "a kind that there is not": (jwk(kty="XXX"), "no public key"),
    "without a kind": (jwk(kty=...), "no public key"),
    "a key to encrypt with": (jwk(use="enc"), "not for checking"),
    "a key to sign with": (jwk(key_ops=["sign", "verify"]), "not for checking"),
    "an algorithm of another kind": (jwk(alg="ES256"), "its alg is none of"),
    "a shared algorithm": (jwk("RS256", alg="HS256"), "its alg is none of"),
    "an id with a blank": (jwk(kid="a b"), "cannot be the id"),
    "an id that is a number": (jwk(kid=7), "cannot be the id"),
    "an id that is too long": (jwk(kid="x" * 65), "cannot be the id"),
    "two keys of one name": (
        json.dumps({"keys": [json.loads(jwk(kid="a")), json.loads(jwk("ES256", kid="a"))]}).encode(), "same kid",
    ),
    "an empty set": (b'{"keys": []}', "holds no key"),
    "a set that is none": (b'{"keys": 7}', "holds no key"),
    "a set of texts": (b'{"keys": ["x"]}', "a JWK is an object"),
    "broken JSON": (b"{", "not JSON"),
    "nested JSON": (b'{"a":' * 20_000, "no key"),
    "nothing": (b"", "neither"),
    "bytes": (b"\xff\x00\xfe", "neither"),
    "an OpenSSH line": (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA x", "neither"),
    "more than a key": (b"x" * 70_000, "no key"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_private_shared_weak_or_no_key_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        read_keys(content)


def test_a_name_belongs_to_one_key() -> None:
    with pytest.raises(InputError, match="cannot name 2 keys"):
        read_keys(json.dumps({"keys": [json.loads(jwk()), json.loads(jwk("ES256"))]}).encode(), kid="a")
