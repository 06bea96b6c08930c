"""The log's Ed25519 key: signed receipts, and checkpoints as C2SP signed notes."""

from __future__ import annotations

import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from decision_service.audit.canonical import canonical
from decision_service.errors import AuditError

ORIGIN = "financing-credit-platform/decisions"
AS_IT_CAME = "take the checkpoint as it was first kept, or a witness's copy of it"
ED25519 = b"\x01"  # the signature type of the C2SP signed-note format
KEY_ID_SIZE = 4
_NOTE = re.compile(r"([^\n]+)\n(0|[1-9]\d{0,18})\n([A-Za-z0-9+/]{43}=)\n\n((?:\u2014 [^ \n]+ [A-Za-z0-9+/]+={0,2}\n)+)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement of the log's size and root."""

    origin: str
    size: int
    root: bytes


class LogKey:
    """The public half: verifies receipts and checkpoints."""

    def __init__(self, public: bytes, origin: str = ORIGIN) -> None:
        """``public`` is the raw 32-byte key; raises ``AuditError`` for anything else."""
        if len(public) != 32:
            raise AuditError(f"an Ed25519 public key has 32 bytes, this has {len(public)}")
        self.public = public
        self.origin = origin
        self._key = Ed25519PublicKey.from_public_bytes(public)

    @property
    def key_id(self) -> bytes:
        """The four bytes by which a signed note names its key (C2SP signed-note)."""
        return sha256(self.origin.encode() + b"\n" + ED25519 + self.public).digest()[:KEY_ID_SIZE]

    def text(self) -> str:
        """The key as C2SP writes it: ``origin+key id+key``."""
        return f"{self.origin}+{self.key_id.hex()}+{b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def from_text(cls, text: str) -> "LogKey":
        """Raises ``AuditError`` when the text is not a key or its id is not the key's."""
        origin, _, rest = text.strip().partition("+")
        key_id, _, packed = rest.partition("+")
        try:
            raw = b64decode(packed, validate=True)
        except ValueError as error:
            raise AuditError(f"this is not a log key: {error}") from error
        key = cls(raw[1:], origin)
        if raw[:1] != ED25519 or key.key_id.hex() != key_id:
            raise AuditError("the log key's id does not belong to it", remedy="ask the operator for the key again")
        return key

    def receipt_is_valid(self, decision_id: str, receipt: Mapping[str, Any]) -> bool:
        """Whether a receipt was signed for this decision."""
        try:
            message = _receipt_message(decision_id, receipt["leaf_index"], receipt["leaf_hash"])
            signature = b64decode(receipt["signature"], validate=True)
            # Base64 has several spellings of the same bytes; only the one that was signed is the receipt.
            return b64encode(signature).decode() == receipt["signature"] and self._verifies(signature, message)
        except (AuditError, KeyError, TypeError, ValueError):
            return False

    def checkpoint(self, note: str) -> Checkpoint:
        """The content of a checkpoint that this key signed; raises ``AuditError`` for any other note."""
        if note.partition("\n")[0] != self.origin:
            remedy = f"its first line must be {self.origin}; save /v1/log/checkpoint as it comes"
            raise AuditError("this is not a checkpoint of this log", remedy=remedy)
        parts = _NOTE.fullmatch(note)
        if parts is None:
            what = "this checkpoint was damaged or changed: it is not a size, a root, an empty line and a signature"
            raise AuditError(what, remedy=AS_IT_CAME)
        text = note[: note.index("\n\n") + 1].encode()
        for line in parts[4].splitlines():
            _, name, packed = line.split(" ")
            if name == self.origin and self._signed(packed, text):
                return Checkpoint(parts[1], int(parts[2]), b64decode(parts[3]))
        what = f"this checkpoint of {parts[2]} leaves was changed after it was signed, or another key signed it"
        raise AuditError(f"{what}: its signature does not verify", remedy=AS_IT_CAME)

    def _signed(self, packed: str, text: bytes) -> bool:
        try:
            raw = b64decode(packed, validate=True)
        except ValueError:
            return False
        is_written_so = b64encode(raw).decode() == packed
        return is_written_so and raw[:KEY_ID_SIZE] == self.key_id and self._verifies(raw[KEY_ID_SIZE:], text)

    def _verifies(self, signature: bytes, message: bytes) -> bool:
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signer:
    """The private half: signs receipts and checkpoints."""

    def __init__(self, key: Ed25519PrivateKey, origin: str = ORIGIN) -> None:
        self._key = key
        self.public = LogKey(key.public_key().public_bytes_raw(), origin)

    @classmethod
    def open(cls, path: Path, origin: str = ORIGIN) -> "Signer":
        """The key in a file, created once (mode 0600) with the public key beside it as ``<name>.pub``.

        Raises ``AuditError`` when the file is no key, cannot be read or written, or others may read it.
        """
        try:
            if not path.exists():
                _create(path)
            if path.stat().st_mode & 0o077:
                raise AuditError("others may read the log key", where=str(path), remedy=f"run: chmod 600 {path}")
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise AuditError(f"the log key cannot be used: {error}", where=str(path)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise AuditError("the log key is not an Ed25519 key", where=str(path))
        signer = cls(key, origin)
        _publish(path.with_name(path.name + ".pub"), signer.public.text() + "\n")
        return signer

    def receipt(self, decision_id: str, leaf_index: int, leaf_hash: bytes) -> dict[str, Any]:
        """``leaf_index``, ``leaf_hash`` (hex) and the signature over both and the decision's id (base64)."""
        text = leaf_hash.hex()
        signature = self._key.sign(_receipt_message(decision_id, leaf_index, text))
        return {"leaf_index": leaf_index, "leaf_hash": text, "signature": b64encode(signature).decode()}

    def checkpoint(self, size: int, root: bytes) -> str:
        """A C2SP signed note: origin, size, root (base64), an empty line, the signature line."""
        text = f"{self.public.origin}\n{size}\n{b64encode(root).decode()}\n"
        packed = b64encode(self.public.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {self.public.origin} {packed}\n"

    def derived(self, purpose: str) -> bytes:
        """32 secret bytes for a purpose that has nothing to do with the log (HKDF-SHA256), the same ones each time."""
        secret = self._key.private_bytes_raw()
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret)


def _receipt_message(decision_id: str, leaf_index: Any, leaf_hash: Any) -> bytes:
    return canonical({"decision_id": decision_id, "leaf_index": leaf_index, "leaf_hash": leaf_hash})


def _create(path: Path) -> None:
    """Create the key file in one step: several processes may start at once, and one of their keys must win."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write(draft, pem)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _write(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _publish(path: Path, text: str) -> None:
    try:
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    except OSError as error:
        raise AuditError(f"the public log key cannot be written: {error}", where=str(path)) from error
