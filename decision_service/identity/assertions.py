"""What a client signs to show who it is: a JWT for this issuer alone, short-lived, used once (RFC 7523, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from decision_service.errors import NotAuthentic
from decision_service.identity.jose import Signed
from decision_service.identity.keys import LEAST_BITS, LEAST_EXPONENT, admitted, usable
from decision_service.store import KeyHolder

TYPES = frozenset({"", "jwt", "client-authentication+jwt"})
LONGEST_LIFE = timedelta(minutes=5)
SKEW = timedelta(seconds=30)
"""How far a client's clock may be from ours, either way."""
LONGEST_JTI = 128


@dataclass(frozen=True, slots=True)
class Used:
    """What can be used once: its id, and from when on it could not be used anyway."""

    jti: str
    useless_at: datetime


def is_authentic(signed: Signed, holder: KeyHolder | None) -> bool:
    """Whether the holder of the named key made the signature, by an algorithm of that key.

    Nobody's key takes about as long as somebody's: time must not tell which clients there are.
    """
    if holder is None or signed.algorithm not in holder.algorithms:
        signed.is_signed_by(usable(_decoy(signed.algorithm)))
        return False
    return signed.is_signed_by(usable(holder.jwk))


def checked(claims: Mapping[str, Any], *, client_id: str, audiences: frozenset[str], now: datetime) -> Used:
    """What the claims of an authentic statement allow to be used now. Raises ``NotAuthentic`` that says why not."""
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise NotAuthentic("iss and sub must both be the client's id")
    named = claims.get("aud")
    if isinstance(named, list) and len(named) == 1:
        named = named[0]
    # Meant for several, it could be sent on by one of them.
    if not isinstance(named, str) or named not in audiences:
        raise NotAuthentic(f"aud must be {' or '.join(sorted(audiences))}, alone")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= LONGEST_JTI:
        raise NotAuthentic(f"jti must be a text of 1 to {LONGEST_JTI} characters, another one each time")
    return Used(jti, _in_time(claims, now) + 2 * SKEW)  # so that a worker whose clock is ahead forgets none too early


def _in_time(claims: Mapping[str, Any], now: datetime) -> datetime:
    """The moment ``exp``, when all moments fit."""
    issued, ends = _moment(claims, "iat"), _moment(claims, "exp")
    if not now - SKEW < ends <= now + LONGEST_LIFE + SKEW:
        raise NotAuthentic("exp must lie ahead, by at most five minutes")
    if not ends - LONGEST_LIFE <= issued <= min(now + SKEW, ends):
        raise NotAuthentic("iat must be now, and exp at most five minutes later")
    if "nbf" in claims and _moment(claims, "nbf") > now + SKEW:
        raise NotAuthentic("nbf lies ahead")
    return ends


def _moment(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if type(value) is not int or not 0 <= value < 1 << 33:
        raise NotAuthentic(f"{name} must be whole seconds since 1970")
    return datetime.fromtimestamp(value, UTC)


@lru_cache
def _decoy(algorithm: str) -> Mapping[str, str]:
    if algorithm == "ES256":
        return admitted(derive_private_key(7, SECP256R1()).public_key()).jwk
    if algorithm in ("RS256", "PS256"):
        return admitted(RSAPublicNumbers(LEAST_EXPONENT, (1 << LEAST_BITS) - 1).public_key()).jwk
    return admitted(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()).jwk
