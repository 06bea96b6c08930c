"""How a client says who it is: by a key, or by access tokens for which it signs (RFC 7523, ``private_key_jwt``)."""

from __future__ import annotations

import json
import re
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from decision_service_client.addresses import checked
from decision_service_client.errors import TokenRefused
from decision_service_client.reading import document_of, read

TOKEN_PATH = "/v1/oauth/token"
FORM = "application/x-www-form-urlencoded"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STATEMENT_SECONDS = 60
EARLY_SECONDS = 30
"""A token is not used for the last seconds of its life, in which it might end on the way."""
INVALID_TOKEN = 'error="invalid_token"'
_BEARER = re.compile(r"[A-Za-z0-9._~+-]+=*")
Flow = Generator[httpx.Request, httpx.Response, None]


class BearerKey(httpx.Auth):
    """The key that ``clients add`` printed."""

    def __init__(self, key: str) -> None:
        """Raises ``TypeError`` or ``ValueError``, which do not show it, for what cannot be a key."""
        if not isinstance(key, str):
            raise TypeError(f"a bearer key is text, not {type(key).__name__}; is its variable set?")
        if not _BEARER.fullmatch(key):
            raise ValueError(f"this is no bearer key but {_mistaken_for(key)}; give what clients add printed, alone")
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Flow:
        """The key in its header."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


class NoToken(httpx.ConnectError):
    """The platform gives no token now; the call itself was not sent and may be tried again."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, as it is answered."""

    access_token: str
    expires_in: int


class PrivateKeyJwt(httpx.Auth):
    """Access tokens, each asked for by a statement signed with a key of the client's own and good for one use."""

    requires_response_body = True

    def __init__(
        self,
        client_id: str,
        *,
        kid: str,
        private_key: bytes,
        issuer: str,
        scope: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``private_key`` in PEM (Ed25519, P-256, RSA), registered under ``kid``; ``issuer`` as the platform tells it.

        Raises ``TypeError`` for a path or text, ``ValueError`` for another key and for an issuer that is no address.
        """
        if not isinstance(private_key, bytes):
            what = f"the PEM itself, as bytes, not {type(private_key).__name__}"
            raise TypeError(f'a private key is {what}: open("client-key.pem", "rb").read()')
        self._algorithm, self._sign = _signature(private_key)
        self._client_id, self._kid, self._scope, self._clock = client_id, kid, scope, clock
        self._issuer = checked(issuer)
        self._token, self._ends = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Flow:
        """The call with a token, asked for first where there is none, and anew where it counts no longer."""
        if self._clock() >= self._ends:
            self._keep((yield self._request(request)))
        used = self._token
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == 401 and INVALID_TOKEN in response.headers.get("WWW-Authenticate", ""):
            if self._token == used:
                self._keep((yield self._request(request)))
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _request(self, call: httpx.Request) -> httpx.Request:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": JWT_BEARER,
            "client_assertion": self._statement(),
        }
        if self._scope is not None:
            form["scope"] = self._scope
        extensions = {"timeout": call.extensions.get("timeout", {})}
        headers = {"Content-Type": FORM}
        content = urlencode(form).encode()
        return httpx.Request("POST", self._issuer + TOKEN_PATH, content=content, headers=headers, extensions=extensions)

    def _statement(self) -> str:
        now = int(self._clock())
        claims = {"iss": self._client_id, "sub": self._client_id, "aud": self._issuer, "jti": uuid.uuid4().hex}
        head = _part({"alg": self._algorithm, "kid": self._kid, "typ": "JWT"})
        signed = f"{head}.{_part({**claims, 'iat': now, 'exp': now + STATEMENT_SECONDS})}"
        return f"{signed}.{_base64(self._sign(signed.encode()))}"

    def _keep(self, response: httpx.Response) -> None:
        """Raises ``TokenRefused``, and ``NoToken`` for what another try may mend."""
        if response.status_code in (400, 401, 403):
            raise TokenRefused(f"no access token: {response.status_code} {response.text[:300]}")
        try:
            if response.status_code != 200:
                raise ValueError(f"{response.status_code} instead of 200")
            found = read(Token, document_of(response.content))
        except ValueError as error:
            raise NoToken(f"no access token: {error}") from error
        self._token, self._ends = found.access_token, self._clock() + found.expires_in - EARLY_SECONDS


def _signature(pem: bytes) -> tuple[str, Callable[[bytes], bytes]]:
    """A JOSE algorithm and what signs by it (RFC 7518, RFC 8037)."""
    key = load_pem_private_key(pem, password=None)
    if isinstance(key, Ed25519PrivateKey):
        return "EdDSA", key.sign
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        curve = key

        def sign(message: bytes) -> bytes:
            parts = decode_dss_signature(curve.sign(message, ec.ECDSA(SHA256())))
            return b"".join(part.to_bytes(32, "big") for part in parts)

        return "ES256", sign
    if isinstance(key, rsa.RSAPrivateKey):
        salted, own = padding.PSS(padding.MGF1(SHA256()), salt_length=32), key
        return "PS256", lambda message: own.sign(message, salted, SHA256())
    raise ValueError("the private key is none of Ed25519, P-256 and RSA")


def _mistaken_for(key: str) -> str:
    """What somebody gave instead of a bearer key, without showing it."""
    if not key.strip():
        return "empty"
    if key.startswith("Bearer "):
        return "a whole header"
    if key != key.strip():
        return "one with blanks or a line's end around it"
    return "a path; read the file" if "/" in key or "\\" in key else "text with characters that no key has"


def _part(document: object) -> str:
    return _base64(json.dumps(document, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
