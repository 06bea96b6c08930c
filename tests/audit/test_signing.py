"""The log key: created once, kept private; receipts and checkpoints verify and nothing else does."""

from __future__ import annotations

import multiprocessing
import stat
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from decision_service.audit.signing import ORIGIN, Checkpoint, LogKey, Signer
from decision_service.errors import AuditError

FORK = multiprocessing.get_context("fork")
ROOT = bytes(range(32))
# RFC 8032, 7.1, test 1: the key whose public half is known.
KNOWN_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
KNOWN_PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


@pytest.fixture
def signer():
    return Signer(Ed25519PrivateKey.from_private_bytes(KNOWN_SEED))


def test_the_key_file_is_created_once_for_the_owner_only(tmp_path):
    path = tmp_path / "home" / "log.key"
    first = Signer.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Signer.open(path).public.public == first.public.public
    assert sorted(one.name for one in path.parent.iterdir()) == ["log.key", "log.key.pub"]


def test_the_public_key_lies_beside_it(tmp_path):
    signer = Signer.open(tmp_path / "log.key")
    assert LogKey.from_text((tmp_path / "log.key.pub").read_text()).public == signer.public.public


def test_processes_that_start_at_once_share_one_key(tmp_path):
    found = FORK.SimpleQueue()
    workers = [
        FORK.Process(target=lambda: found.put(Signer.open(tmp_path / "log.key").public.public)) for _ in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len({found.get() for _ in workers}) == 1


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "log.key"
    Signer.open(path)
    path.chmod(0o640)
    with pytest.raises(AuditError, match="chmod 600"):
        Signer.open(path)


def test_a_file_that_is_no_ed25519_key_is_refused(tmp_path):
    foreign = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"", b"no key", foreign):
        path = tmp_path / "log.key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(AuditError, match="log key"):
            Signer.open(path)


def test_a_place_where_no_file_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError):
        Signer.open(tmp_path / "file" / "log.key")


def test_a_receipt_verifies_for_its_decision(signer):
    receipt = signer.receipt("D-1", 17, ROOT)
    assert set(receipt) == {"leaf_index", "leaf_hash", "signature"}
    assert (receipt["leaf_index"], receipt["leaf_hash"]) == (17, ROOT.hex())
    assert signer.public.receipt_is_valid("D-1", receipt)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leaf_index", 18),
        ("leaf_index", "17"),
        ("leaf_index", 17.5),
        ("leaf_index", float("nan")),
        ("leaf_index", None),
        ("leaf_hash", bytes(32).hex()),
        ("leaf_hash", "\ud800"),
        ("signature", ""),
        ("signature", "!!"),
        ("signature", None),
        ("signature", 7),
        ("signature", b64encode(bytes(64)).decode()),
        ("signature", "é"),
    ],
)
def test_a_changed_receipt_does_not_verify(signer, name, value):
    receipt = {**signer.receipt("D-1", 17, ROOT), name: value}
    assert not signer.public.receipt_is_valid("D-1", receipt)


def test_a_receipt_does_not_verify_for_another_decision_or_key_or_spelling(signer):
    receipt = signer.receipt("D-1", 17, ROOT)
    assert not signer.public.receipt_is_valid("D-2", receipt)
    assert not Signer(Ed25519PrivateKey.generate()).public.receipt_is_valid("D-1", receipt)
    signature = receipt["signature"]
    last = chr(ord(signature[-3]) + 1)  # other unused bits, the same 64 bytes
    assert not signer.public.receipt_is_valid("D-1", {**receipt, "signature": signature[:-3] + last + "=="})
    assert not signer.public.receipt_is_valid("D-1", {})


def test_a_checkpoint_is_a_signed_note_of_three_lines(signer):
    note = signer.checkpoint(42, ROOT)
    text, signature = note.split("\n\n")
    assert text == f"{ORIGIN}\n42\n{b64encode(ROOT).decode()}"
    assert signature.startswith(f"\u2014 {ORIGIN} ") and signature.endswith("\n")
    assert signer.public.checkpoint(note) == Checkpoint(ORIGIN, 42, ROOT)


def test_a_checkpoint_may_carry_the_signatures_of_witnesses(signer):
    note = signer.checkpoint(42, ROOT)
    witness = "\u2014 bank.example/witness " + b64encode(bytes(76)).decode() + "\n"
    text, own = note.split("\n\n")
    assert signer.public.checkpoint(f"{text}\n\n{witness}{own}").size == 42


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("\n42\n", "\n43\n"),
        lambda note: note.replace("\n42\n", "\n042\n"),
        lambda note: note.replace("\n42\n", "\n-1\n"),
        lambda note: note.replace("AAEC", "AAED", 1),
        lambda note: note.replace("decisions", "decision"),
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note.replace("\n\n", "\nmore\n\n"),
        lambda note: note.replace("\u2014", "-"),
        lambda note: note.rstrip("\n"),
        lambda note: note + note,
        lambda note: note[:-6] + "AAA=\n",
        lambda note: note[:-3] + chr(ord(note[-3]) + 1) + "=\n",
        lambda note: "",
        lambda note: note.split("\n\n")[0] + "\n\n\u2014 " + ORIGIN + " AAAA\n",
        lambda note: note.split("\n\n")[0] + "\n\n\u2014 " + ORIGIN + " A\n",
    ],
)
def test_a_changed_checkpoint_is_refused(signer, change):
    note = change(signer.checkpoint(42, ROOT))
    with pytest.raises(AuditError):
        signer.public.checkpoint(note)


def test_the_key_text_names_origin_id_and_key(signer):
    text = signer.public.text()
    origin, key_id, _ = text.split("+", 2)
    assert (origin, key_id) == (ORIGIN, signer.public.key_id.hex())
    assert signer.public.public.hex() == KNOWN_PUBLIC
    again = LogKey.from_text(text + "\n")
    assert (again.public, again.origin) == (signer.public.public, ORIGIN)


@pytest.mark.parametrize("change", ["", "x", "a+b+c", "a+00000000+AQ==", "log+{id}+{key}", "{origin}+00000000+{key}"])
def test_a_text_that_is_no_key_is_refused(signer, change):
    origin, key_id, key = signer.public.text().split("+", 2)
    with pytest.raises(AuditError):
        LogKey.from_text(change.format(origin=origin, id=key_id, key=key))


def test_a_public_key_of_another_length_is_refused():
    with pytest.raises(AuditError, match="32 bytes"):
        LogKey(bytes(31))
