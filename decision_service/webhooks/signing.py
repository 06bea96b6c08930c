"""Keys and signatures as the Standard Webhooks specification 1.0.0 has them: HMAC-SHA256 (v1) and Ed25519 (v1a)."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HMAC, ED25519 = "hmac", "ed25519"
KINDS = (HMAC, ED25519)


@dataclass(frozen=True, slots=True)
class Secret:
    """A key of 32 bytes that signs what one endpoint receives."""

    kind: str
    raw: bytes

    def verifier(self) -> str:
        """What its receiver must know: the shared ``whsec_…``, or the public ``whpk_…``."""
        if self.kind == HMAC:
            return "whsec_" + b64encode(self.raw).decode()
        public = Ed25519PrivateKey.from_private_bytes(self.raw).public_key()
        return "whpk_" + b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def sign(self, message: bytes) -> str:
        """The signature with its version."""
        if self.kind == HMAC:
            return "v1," + b64encode(hmac.digest(self.raw, message, sha256)).decode()
        return "v1a," + b64encode(Ed25519PrivateKey.from_private_bytes(self.raw).sign(message)).decode()


def signed(secrets: Iterable[Secret], event_id: str, body: bytes, now: datetime) -> Mapping[str, str]:
    """The three headers; one signature by each key that is valid."""
    stamp = str(int(now.timestamp()))
    message = b"%b.%b.%b" % (event_id.encode(), stamp.encode(), body)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(one.sign(message) for one in secrets),
    }
