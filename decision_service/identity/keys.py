"""Public keys that clients sign with: read from PEM, a JWK or a JWK set; what is private, shared or weak is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from decision_service.errors import InputError
from decision_service.identity.jose import KEY_ID

LONGEST = 65_536
LEAST_BITS, MOST_BITS, LEAST_EXPONENT = 2_048, 8_192, 65_537
KINDS = "an EC key on P-256 (ES256), an Ed25519 key (EdDSA) or an RSA key of 2048 bits or more (RS256, PS256)"
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
EXPORT = "export the public half: openssl pkey -in KEY.pem -pubout -out PUBLIC.pem"
_CLASSES: Mapping[str, Any] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that may be registered. ``jwk`` holds its public members alone, ``thumbprint`` is that of RFC 7638."""

    kid: str
    algorithms: tuple[str, ...]
    thumbprint: str
    jwk: Mapping[str, str]


def read_keys(content: bytes, *, kid: str | None = None) -> tuple[PublicKey, ...]:
    """The keys in a file; ``kid`` names a single one. Raises ``InputError`` that says why one cannot be registered."""
    if len(content) > LONGEST:
        raise _unusable(f"more than {LONGEST} bytes are no key")
    text = content.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        found = tuple(_of_jwk(one) for one in _jwks(text))
    else:
        found = (_of_pem(text),)
    if kid is not None:
        if len(found) > 1:
            raise InputError(f"it cannot name {len(found)} keys", where="kid", remedy="give a file with one key")
        found = (PublicKey(_checked_id(kid), found[0].algorithms, found[0].thumbprint, found[0].jwk),)
    if len({one.kid for one in found}) < len(found):
        raise _unusable("two keys have the same kid", "give each key a kid of its own")
    return found


def admitted(key: Any) -> PublicKey:
    """A key of ``cryptography`` under its thumbprint as id. Raises ``InputError`` for one that is not used here."""
    algorithms: tuple[str, ...]
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        algorithms, kind = ("ES256",), "EC"
    elif isinstance(key, Ed25519PublicKey):
        algorithms, kind = ("EdDSA", "Ed25519"), "OKP"
    elif isinstance(key, RSAPublicKey):
        _check_strength(key)
        algorithms, kind = ("RS256", "PS256"), "RSA"
    else:
        raise _unusable("this kind of key or curve is not used here", f"give {KINDS}")
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    found: Key = _CLASSES[kind].import_key(pem)
    thumbprint = found.thumbprint()
    jwk = {name: str(value) for name, value in found.as_dict(private=False).items() if name != "kid"}
    return PublicKey(thumbprint, algorithms, thumbprint, jwk)


def usable(jwk: Mapping[str, Any]) -> Key:
    """A registered key, to check signatures with."""
    return import_key(dict(jwk))


def _of_pem(text: str) -> PublicKey:
    if "PRIVATE KEY-----" in text:
        raise _unusable("this is a private key, which nobody but the client may hold", EXPORT)
    if "BEGIN CERTIFICATE" in text:
        raise _unusable("this is a certificate", "export its key: openssl x509 -in CERT.pem -pubkey -noout")
    try:
        return admitted(load_pem_public_key(text.encode()))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable("this is neither a public key in PEM nor a JWK", f"give {KINDS}") from error


def _jwks(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unusable("this is not JSON", "give a JWK, a JWK set or PEM") from error
    listed = found.get("keys", [found])
    if not isinstance(listed, list) or not listed:
        raise _unusable("this JWK set holds no key", f"give {KINDS}")
    return listed


def _of_jwk(given: Any) -> PublicKey:
    if not isinstance(given, dict):
        raise _unusable("a JWK is an object", f"give {KINDS}")
    if given.get("kty") == "oct" or "k" in given:
        raise _unusable("this is a symmetric key, which whoever checks it could sign with", f"give {KINDS}")
    if PRIVATE & given.keys():
        raise _unusable("this JWK holds a private key, which is the client's alone", "leave out d and the like")
    if given.get("use", "sig") != "sig" or given.get("key_ops", ["verify"]) != ["verify"]:
        raise _unusable("this JWK is not for checking signatures", 'give one with "use": "sig"')
    found = admitted(_loaded(given))
    algorithms = found.algorithms
    if "alg" in given:
        algorithms = tuple(name for name in algorithms if name == given["alg"])
    if not algorithms:
        raise _unusable(f"its alg is none of {', '.join(found.algorithms)}", "correct alg, or leave it out")
    return PublicKey(_checked_id(given.get("kid", found.kid)), algorithms, found.thumbprint, found.jwk)


def _loaded(given: Mapping[str, Any]) -> Any:
    kind = _CLASSES.get(str(given.get("kty")))
    members = {name: given[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in given}
    try:
        if kind is None or not all(isinstance(value, str) for value in members.values()):
            raise ValueError("another kty")
        return kind.import_key(members).public_key
    except (JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
        raise _unusable("this JWK is no public key that can be used", f"give {KINDS}") from error


def _check_strength(key: RSAPublicKey) -> None:
    if not LEAST_BITS <= key.key_size <= MOST_BITS:
        remedy = f"make one of {LEAST_BITS} to {MOST_BITS} bits: openssl genpkey -algorithm RSA"
        raise _unusable(f"this RSA key has {key.key_size} bits", remedy)
    if key.public_numbers().e < LEAST_EXPONENT:
        raise _unusable(f"the exponent of this RSA key is below {LEAST_EXPONENT}", "make a new one: openssl genpkey")


def _checked_id(kid: Any) -> str:
    if not isinstance(kid, str) or not KEY_ID.fullmatch(kid):
        raise InputError(
            f"{ascii(kid)[:80]} cannot be the id of a key",
            where="kid",
            remedy="use at most 64 letters, digits and any of . _ ~ -",
        )
    return kid


def _unusable(what: str, remedy: str = "") -> InputError:
    return InputError(what, where="key", remedy=remedy)
