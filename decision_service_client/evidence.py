"""Verifies a decision without trusting the platform: its own code, and a key that the bank has pinned."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from decision_service_client.errors import VerificationError
from decision_service_client.reading import document_of, read
from decision_service_client.records import Application, Decision, Proof, Receipt, money

ED25519 = b"\x01"  # the signature type of the C2SP signed-note format
KEY_ID_SIZE = 4
KEY_FORM = "the log's public key as text, 'origin+key id+key'; a sandbox writes it to var/log-key.pem.pub"
PROBABILITIES = ("pd_12m", "pd_xgb", "pd_lstm")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement of the log's size and root. Keep ``note``: a later log must hold its leaves."""

    origin: str
    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was verified: the record that the log holds, and the checkpoint that covers it."""

    record: Mapping[str, Any]
    checkpoint: Checkpoint


class PublicKey:
    """The log's public key. Get it from the platform's operator, not from an answer, and keep it in your settings."""

    def __init__(self, text: str) -> None:
        """``text`` is ``origin+key id+key``, as C2SP writes it. Raises ``VerificationError`` for anything else."""
        _require(isinstance(text, str), f"there is no key to verify by: {KEY_FORM}, not {type(text).__name__}")
        _require(text.count("+") >= 2, f"the pinned key is {_mistaken_for(text)}; give {KEY_FORM}")
        self.origin, _, rest = text.strip().partition("+")
        key_id, _, packed = rest.partition("+")
        raw = _base64(packed, "the pinned key")
        self._id = sha256(self.origin.encode() + b"\n" + raw).digest()[:KEY_ID_SIZE]
        _require(len(raw) == 33 and raw[:1] == ED25519 and self.origin != "", "the pinned key is no Ed25519 log key")
        _require(self._id.hex() == key_id, "the pinned key's id does not belong to it")
        self._key = Ed25519PublicKey.from_public_bytes(raw[1:])

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether this key signed a message."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def signed_note(self, line: str, text: bytes) -> bool:
        """Whether a line of a note is this key's signature over its text; others' are of no matter."""
        parts = line.split(" ")
        if len(parts) != 3 or parts[:2] != ["\u2014", self.origin]:
            return False
        try:
            raw = b64decode(parts[2], validate=True)
        except ValueError:
            return False
        is_written_so = b64encode(raw).decode() == parts[2]  # base64 has several spellings of the same bytes
        return is_written_so and raw[:KEY_ID_SIZE] == self._id and self.signed(raw[KEY_ID_SIZE:], text)


def verify(
    decision: Decision,
    proof: Proof,
    public_key: PublicKey | str,
    *,
    application: Application | None = None,
    key: str | None = None,
) -> Evidence:
    """Check a decision, step by step; raises ``VerificationError`` at the first that fails.

    1. the answer is the decision; 2. its receipt is signed; 3. the record is the receipt's leaf; 4. the leaf is in the
    tree; 5. the tree is the signed checkpoint's; 6. the answer says what the record says; 7. the record is of your
    ``application`` and ``key``, where given.
    """
    pinned = _pinned(public_key)
    for given, kind in ((decision, Decision), (proof, Proof)):
        _require(isinstance(given, kind), f"a {kind.__name__} of this client is needed, not {type(given).__name__}")
    answer = _answered(decision)
    verify_receipt(decision.decision_id, decision.receipt, pinned)
    record = _record(decision, proof)
    checkpoint = _included(decision.receipt, proof, pinned)
    _same_as_record(answer, record)
    if application is not None:
        _require(record.get("application") == _recorded(application), "the record is of another application")
    if key is not None:
        request = record.get("request")
        found = request.get("key_hash") if isinstance(request, dict) else None
        _require(found == sha256(key.encode()).hexdigest(), "the record is of another idempotency key")
    return Evidence(record, checkpoint)


def verify_receipt(decision_id: str, receipt: Receipt, public_key: PublicKey | str) -> None:
    """Check the signature of a receipt, of a decision or of an act on it. Raises ``VerificationError``."""
    pinned = _pinned(public_key)
    told = {"decision_id": decision_id, "leaf_index": receipt.leaf_index, "leaf_hash": receipt.leaf_hash}
    signature = _base64(receipt.signature, "the receipt's signature")
    _require(pinned.signed(signature, _canonical(told)), "the receipt's signature does not verify")


def open_checkpoint(note: str, public_key: PublicKey | str) -> Checkpoint:
    """The content of a checkpoint that the pinned key signed; raises ``VerificationError`` for any other."""
    pinned = _pinned(public_key)
    text, _, signatures = note.partition("\n\n")
    lines = text.split("\n")
    _require(len(lines) == 3 and signatures.endswith("\n"), "the checkpoint is no signed note")
    origin, size, root = lines
    _require(origin == pinned.origin, "the checkpoint is of another log")
    message = (text + "\n").encode("utf-8", "surrogatepass")
    signed = any(pinned.signed_note(line, message) for line in signatures.split("\n"))
    _require(signed, "the checkpoint's signature does not verify")
    _require(size.isascii() and size.isdigit() and len(size) < 20, "the checkpoint's size is no number")
    return Checkpoint(origin, int(size), _base64(root, "the checkpoint's root"), note)


def leaf_hash(record: bytes) -> bytes:
    """The hash of a leaf (RFC 6962, 2.1)."""
    return sha256(b"\x00" + record).digest()


def root_from(leaf: bytes, *, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root to which an inclusion proof leads (RFC 9162, 2.1.3.2). Raises ``VerificationError``."""
    _require(0 <= index < size, "the leaf is not in a log of that size")
    position, last, computed = index, size - 1, leaf
    for sibling in path:
        _require(last > 0, "the inclusion proof is too long")
        if position & 1 or position == last:
            computed = _node(sibling, computed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            computed = _node(computed, sibling)
        position, last = position >> 1, last >> 1
    _require(last == 0, "the inclusion proof is too short")
    return computed


def _pinned(public_key: PublicKey | str) -> PublicKey:
    return public_key if isinstance(public_key, PublicKey) else PublicKey(public_key)


def _mistaken_for(text: str) -> str:
    """What somebody gave instead of a log's key."""
    if "-----BEGIN" in text:
        return "PEM"
    if not text.strip():
        return "empty"
    return "a path; read the file" if text.endswith((".pub", ".pem")) or "/" in text or "\\" in text else "not whole"


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _answered(decision: Decision) -> Mapping[str, Any]:
    """The answer behind a decision: nobody has changed the one or the other."""
    answer = _document(decision.answer, "the answer")
    try:
        same = read(Decision, answer) == decision
    except ValueError as error:
        raise VerificationError(f"the answer is no decision: {error}") from error
    _require(same, "the decision is not what its answer says")
    return answer


def _record(decision: Decision, proof: Proof) -> Mapping[str, Any]:
    """The record, which is the leaf that the receipt names."""
    _require(proof.decision_id == decision.decision_id, "the proof is of another decision")
    raw, receipt = _base64(proof.record, "the record"), decision.receipt
    _require(leaf_hash(raw).hex() == receipt.leaf_hash, "the record is not the receipt's leaf")
    same_leaf = (proof.leaf_index, proof.leaf_hash) == (receipt.leaf_index, receipt.leaf_hash)
    _require(same_leaf, "the proof is of another leaf")
    record = _document(raw, "the record")
    _require(_canonical(record) == raw, "the record is not in canonical form")
    _require(record.get("type") == "decision", "the record is not that of a decision")
    return record


def _included(receipt: Receipt, proof: Proof, pinned: PublicKey) -> Checkpoint:
    """The signed checkpoint whose tree holds the leaf."""
    checkpoint = open_checkpoint(proof.checkpoint, pinned)
    _require(checkpoint.size == proof.tree_size, "the checkpoint is of another size than the proof")
    path = [_hash(one) for one in proof.inclusion_proof]
    root = root_from(_hash(receipt.leaf_hash), index=receipt.leaf_index, size=checkpoint.size, path=path)
    _require(root == checkpoint.root, "the inclusion proof does not lead to the checkpoint's root")
    return checkpoint


def _same_as_record(answer: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Every field of the answer against the record, types included; a field this code does not know is refused."""
    try:
        expected = _expected(record)
    except (KeyError, TypeError, AttributeError) as error:
        raise VerificationError(f"the record lacks or mistypes a part: {error!r}") from error
    for name in sorted(answer.keys() - {"receipt"}):
        _require(name in expected, f"the answer's {name} is not of a kind that this version can check")
        _require(_canonical(answer[name]) == _canonical(expected[name]), f"the answer's {name} is not the record's")
    missing = sorted(expected.keys() - answer.keys())
    _require(not missing, f"the answer lacks {', '.join(missing)}")


def _expected(record: Mapping[str, Any]) -> dict[str, Any]:
    copied = ("decision_id", "outcome", "approved_amount", "limit", "card", "whitelisted", "decided_at", "due_at")
    shared = ("conditions", "rate_spread_bp", "ruleset", "models")
    return {
        **{name: record[name] for name in (*copied, *shared)},
        "application_id": record["application"]["application_id"],
        "scores": {"grade": record["grade"], **{name: record["scores"][name] for name in PROBABILITIES}},
        "reasons": [{name: one[name] for name in ("code", "rule", "zh", "en")} for one in record["reasons"]],
    }


def _recorded(application: Application) -> dict[str, Any]:
    """An application as records hold it."""
    flat = {name: value for name, value in application.body().items() if name != "enterprise"}
    return {**flat, "amount": money(application.amount), "uscc": application.uscc}


def _document(raw: bytes, what: str) -> dict[str, Any]:
    try:
        if len(dict(json.loads(raw, object_pairs_hook=_distinct))) == 0:
            raise ValueError("it is empty")
        return document_of(raw)
    except (ValueError, TypeError, RecursionError) as error:
        raise VerificationError(f"{what} cannot be read: {error}") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _canonical(value: Any) -> bytes:
    """RFC 8785 for what evidence is made of: text, integers, flags, null, lists, objects with ASCII names."""
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_no_evidence
        ).encode()
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"a value cannot be evidence: {error}") from error


def _no_evidence(value: Any) -> NoReturn:
    raise ValueError(f"{value!r} is neither text nor an integer")


def _base64(text: str, what: str) -> bytes:
    """Only the one spelling of the bytes. Raises ``VerificationError``."""
    try:
        found = b64decode(text, validate=True)
    except ValueError as error:
        raise VerificationError(f"{what} is no base64") from error
    _require(b64encode(found).decode() == text, f"{what} is no base64 as it is written")
    return found


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError as error:
        raise VerificationError("a hash is not in hex") from error
    _require(len(found) == 32 and found.hex() == text, "a hash is not of 32 bytes in hex")
    return found


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise VerificationError(what)
