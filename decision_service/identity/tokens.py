"""Access tokens (RFC 9068): signed by a key of the day that follows from the log's key and signs nothing else."""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from decision_service.errors import NotAuthentic
from decision_service.identity.jose import read, written

TYPE, ALGORITHM = "at+jwt", "Ed25519"
PURPOSE = "access-tokens"
DAY = timedelta(days=1)
LONGEST_LIFE = timedelta(hours=1)
SKEW = timedelta(seconds=30)
"""How far the clocks of machines that share the log's key may be apart."""
KEPT = 16


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says: whose it is, got by which key, for what, until when, beside which certificate; and its id."""

    client_id: str
    key: str
    scopes: frozenset[str]
    expires_at: datetime
    certificate: str | None = None
    jti: str = field(default_factory=lambda: uuid.uuid4().hex)


class TokenKeys:
    """The keys of the days. ``derive`` gives 32 secret bytes for a purpose, the same ones each time and everywhere."""

    def __init__(self, derive: Callable[[str], bytes]) -> None:
        self._derive = derive
        self._known: dict[int, OKPKey] = {}

    def of(self, day: int) -> OKPKey:
        """The key of a day, with its thumbprint as ``kid``."""
        found = self._known.get(day)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = self._known[day] = _key(self._derive(f"{PURPOSE}/{day}"))
        return found

    def around(self, now: datetime) -> Iterator[tuple[int, OKPKey]]:
        """Yesterday's, today's and tomorrow's: what is signed by another one is too old or not due."""
        for day in range(day_of(now) - 1, day_of(now) + 2):
            yield day, self.of(day)

    def published(self, now: datetime) -> dict[str, Any]:
        """The public halves as a JWK set."""
        return {"keys": [key.as_dict(private=False, alg=ALGORITHM, use="sig") for _, key in self.around(now)]}


def issue(keys: TokenKeys, token: Token, *, issuer: str, now: datetime) -> str:
    """The token as text."""
    key = keys.of(day_of(now))
    claims = {
        "iss": issuer,
        "aud": issuer,
        "sub": token.client_id,
        "client_id": token.client_id,
        "client_key": token.key,
        "scope": " ".join(sorted(token.scopes)),
        "iat": int(now.timestamp()),
        "exp": int(token.expires_at.timestamp()),
        "jti": token.jti,
    }
    if token.certificate is not None:
        claims["cnf"] = {"x5t#S256": token.certificate}
    return written({"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}, claims, key)


def verified(keys: TokenKeys, text: str, *, issuer: str, now: datetime) -> Token:
    """What a token says that is one of this issuer's and valid now. Raises ``NotAuthentic``."""
    signed = read(text, types=frozenset({TYPE}))
    claims = signed.claims
    day = next((day for day, key in keys.around(now) if key.kid == signed.key_id), None)
    if day is None or signed.algorithm != ALGORITHM or not signed.is_signed_by(keys.of(day)):
        raise NotAuthentic("this token was not issued here")
    try:
        issued, ends = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "exp"))
        found = Token(
            claims["client_id"],
            claims["client_key"],
            frozenset(claims["scope"].split()),
            ends,
            claims["cnf"]["x5t#S256"] if "cnf" in claims else None,
            claims["jti"],
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise NotAuthentic("this token lacks a claim") from error
    if (claims.get("iss"), claims.get("aud")) != (issuer, issuer):
        raise NotAuthentic("this token is for somebody else")
    # The day's key signs what is issued that day: one that gets known later is worth nothing.
    if day_of(issued) != day or not issued - SKEW <= now < ends <= issued + LONGEST_LIFE:
        raise NotAuthentic("this token is not valid at this time")
    return found


def day_of(moment: datetime) -> int:
    """Days since 1970, UTC."""
    return int(moment.timestamp()) // int(DAY.total_seconds())


def _key(seed: bytes) -> OKPKey:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    d, x = (urlsafe_b64encode(raw).rstrip(b"=").decode() for raw in (seed, public))
    found = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "d": d, "x": x})
    found.ensure_kid()
    return found
