"""Signed statements in compact form (RFC 7515), read more strictly than libraries must: what is not needed is refused.

Signatures are checked by joserfc, with one key and one algorithm that the caller names, never the statement.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from decision_service.errors import NotAuthentic

LONGEST = 4_096
"""Characters of a statement; the largest that is needed has half of them."""
HEADER = frozenset({"alg", "kid", "typ"})
"""All that a header may hold: no key of its own (jwk, jku, x5c, x5u), nothing critical, no other encoding."""
KEY_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}")
SIGNATURES = {
    "ES256": JWSRegistry.algorithms["ES256"],
    "RS256": JWSRegistry.algorithms["RS256"],
    "PS256": JWSRegistry.algorithms["PS256"],
    "Ed25519": JWSRegistry.algorithms["Ed25519"],  # RFC 9864's name
    "EdDSA": JWSRegistry.algorithms["Ed25519"],
}
"""The algorithms there are here, all of them with public keys."""
_PART = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement whose signature nobody has checked yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    content: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """One of ``SIGNATURES``."""
        return str(self.header["alg"])

    @property
    def key_id(self) -> str:
        """Which key is said to have signed."""
        return str(self.header["kid"])

    def is_signed_by(self, key: Key) -> bool:
        """Whether a public key of the right type made the signature."""
        method = SIGNATURES[self.algorithm]
        try:
            method.check_key(key)
            return method.verify(self.content, self.signature, key)
        except (JoseError, ValueError):
            return False


def read(text: str, *, types: frozenset[str]) -> Signed:
    """A statement with a known algorithm, a key id and one of these types (``""``: none). Raises ``NotAuthentic``."""
    parts = text.split(".") if len(text) <= LONGEST else []
    if len(parts) != 3:
        raise NotAuthentic(f"it is no signed statement of at most {LONGEST} characters")
    header, claims, signature = (_decoded(part) for part in parts)
    found = Signed(_object(header), _object(claims), f"{parts[0]}.{parts[1]}".encode(), signature)
    _check_header(found.header, types)
    return found


def written(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key) -> str:
    """A statement signed by a private key with the algorithm of the header."""
    content = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{content}.{_encoded(SIGNATURES[header['alg']].sign(content.encode(), key))}"


def _check_header(header: Mapping[str, Any], types: frozenset[str]) -> None:
    key_id, typ = header.get("kid"), header.get("typ", "")
    if not HEADER >= header.keys() or not all(isinstance(value, str) for value in header.values()):
        raise NotAuthentic(f"its header may hold {', '.join(sorted(HEADER))}, nothing else")
    if header.get("alg") not in SIGNATURES:
        raise NotAuthentic(f"its algorithm is none of {', '.join(SIGNATURES)}")
    if key_id is None or not KEY_ID.fullmatch(key_id):
        raise NotAuthentic("its header names no key (kid)")
    if typ.lower().removeprefix("application/") not in types:
        raise NotAuthentic("its type is another one")


def _decoded(part: str) -> bytes:
    """Only the one spelling of the bytes counts."""
    if not _PART.fullmatch(part):
        raise NotAuthentic("a part of it is no base64url")
    try:
        found = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise NotAuthentic("a part of it is no base64url") from error
    if _encoded(found) != part:
        raise NotAuthentic("a part of it is no base64url")
    return found


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise NotAuthentic("a part of it is no JSON object") from error
    if not isinstance(found, dict):
        raise NotAuthentic("a part of it is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
