"""Clients that sign for tokens, in tests: keys of each kind, statements with whatever header and claims, requests."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from decision_service.identity.jose import written
from decision_service.identity.keys import PublicKey, read_keys
from decision_service.store import KeyHolder
from decision_service.vocabulary import Client

ISSUER = "http://127.0.0.1:8080"
TOKEN, REVOCATION = "/v1/oauth/token", "/v1/oauth/revoke"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KINDS = {
    "ES256": (lambda: generate_private_key(SECP256R1()), ECKey),
    "EdDSA": (Ed25519PrivateKey.generate, OKPKey),
    "Ed25519": (Ed25519PrivateKey.generate, OKPKey),
    "RS256": (lambda: generate_rsa(65537, 2048), RSAKey),
    "PS256": (lambda: generate_rsa(65537, 2048), RSAKey),
}


@dataclass(frozen=True)
class Signatory:
    """A client's key pair. ``without`` in what it signs leaves a claim out."""

    client_id: str
    algorithm: str
    private: Key
    pem: bytes
    public: PublicKey

    @classmethod
    def new(cls, client_id: str, algorithm: str = "EdDSA") -> Signatory:
        generate, kind = KINDS[algorithm]
        raw: Any = generate()
        pem = raw.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        private = kind.import_key(raw.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cls(client_id, algorithm, private, pem, read_keys(pem)[0])

    def claims(self, now: datetime, **changes: Any) -> dict[str, Any]:
        """Sound claims, with some changed; ``...`` leaves one out."""
        second = int(now.timestamp())
        sound = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": ISSUER,
            "iat": second,
            "exp": second + 60,
            "jti": uuid.uuid4().hex,
        }
        return {name: value for name, value in {**sound, **changes}.items() if value is not ...}

    def header(self, **changes: Any) -> dict[str, Any]:
        """A sound header, with some changed."""
        sound = {"alg": self.algorithm, "kid": self.public.kid, "typ": "JWT"}
        return {name: value for name, value in {**sound, **changes}.items() if value is not ...}

    def signed(self, now: datetime, **changes: Any) -> str:
        """A statement."""
        return written(self.header(), self.claims(now, **changes), self.private)

    def form(self, now: datetime, **changes: Any) -> dict[str, str]:
        """A sound request for a token, with parameters changed."""
        sound = {
            "grant_type": "client_credentials",
            "client_assertion_type": JWT_BEARER,
            "client_assertion": self.signed(now) if "client_assertion" not in changes else "",
        }
        return {name: value for name, value in {**sound, **changes}.items() if value is not ...}


@dataclass
class FakeClientKeys:
    """The keys of clients in memory."""

    holders: dict[tuple[str, str], KeyHolder] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    revoked: set[tuple[str, str]] = field(default_factory=set)

    def client_keys(self) -> FakeClientKeys:
        return self

    def register(self, client: Client, signatory: Signatory, *, bound: bool = False) -> None:
        public = signatory.public
        self.holders[client.client_id, public.kid] = KeyHolder(client, public.algorithms, public.jwk, bound)

    def holder(self, client_id: str, kid: str, token: str | None = None) -> KeyHolder | None:
        return None if (client_id, token) in self.revoked else self.holders.get((client_id, kid))

    def revoke_token(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> None:
        self.revoked.add((client_id, jti))

    def use(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> bool:
        fresh = (client_id, jti) not in self.used
        self.used.add((client_id, jti))
        return fresh
