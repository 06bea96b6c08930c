"""`audit verify` as a command: kept checkpoints, whatever the file holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from decision_service.audit.merkle import EMPTY_ROOT
from decision_service.audit.signing import Signer
from decision_service.cli import main
from decision_service.store import Store


def verify(home: Path, *options: str) -> Result:
    return run(home, "audit", "verify", *options)


def run(home: Path, *arguments: str) -> Result:
    models = f"sqlite:///{home}/models.db"
    env = {"DECISION_HOME": str(home), "DECISION_DATABASE_URL": None, "MLFLOW_TRACKING_URI": models}
    return CliRunner().invoke(main, arguments, env=env)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose store holds nothing yet."""
    Store.open(f"sqlite:///{tmp_path}/decisions.db").close()
    return tmp_path


def note_of(home: Path) -> str:
    """A checkpoint of the empty log, signed by this home's key."""
    return Signer.open(home / "log-key.pem").checkpoint(0, EMPTY_ROOT)


def test_a_kept_checkpoint_is_met_and_the_output_says_so(home: Path) -> None:
    note = home / "kept.note"
    note.write_text(note_of(home), encoding="utf-8")
    result = verify(home, "--checkpoint", str(note))
    assert result.exit_code == 0 and f"checkpoint {note} of 0 leaves: met" in result.stdout
    told = json.loads(verify(home, "--checkpoint", str(note), "--json").stdout)["checkpoints"]
    assert told == [{"file": str(note), "size": 0, "met": True}]


def test_of_two_checkpoints_of_one_size_each_must_be_met(home: Path) -> None:
    """A log that shows different leaves to different people is found by either's checkpoint, in any order."""
    good, other = home / "good.note", home / "other.note"
    good.write_text(note_of(home), encoding="utf-8")
    other.write_text(Signer.open(home / "log-key.pem").checkpoint(0, bytes(32)), encoding="utf-8")
    for notes in ((good, other), (other, good)):
        result = verify(home, *(word for note in notes for word in ("--checkpoint", str(note))))
        assert result.exit_code == 1 and "not those of the checkpoint" in result.stdout
        assert f"{good} of 0 leaves: met" in result.stdout and f"{other} of 0 leaves: NOT met" in result.stdout


CHANGED = {
    "another size": (lambda note: note.replace("\n0\n", "\n7\n"), "checkpoint of 7 leaves was changed after"),
    "a size that is none": (lambda note: note.replace("\n0\n", "\n07\n"), "was damaged or changed"),
    "its last line end lost": (lambda note: note.rstrip("\n"), "was damaged or changed"),
    "another log's name": (lambda note: "other" + note, "its first line must be financing-credit-platform/decisions"),
}


@pytest.mark.parametrize(("change", "told"), CHANGED.values(), ids=CHANGED.keys())
def test_a_changed_checkpoint_says_what_was_changed(home: Path, change: Callable[[str], str], told: str) -> None:
    note = home / "kept.note"
    note.write_text(change(note_of(home)), encoding="utf-8", newline="")
    result = verify(home, "--checkpoint", str(note))
    assert result.exit_code == 2 and told in result.stderr
    assert ("first line" in result.stderr) is ("first line" in told)


@pytest.mark.parametrize("command", [["audit", "verify"], ["replay", "--all"], ["replay", "some"]], ids=" ".join)
def test_where_no_store_is_nothing_is_verified_and_nothing_created(tmp_path: Path, command: list[str]) -> None:
    nowhere = tmp_path / "mistyped"
    result = run(nowhere, *command)
    assert result.exit_code == 2 and f"{nowhere}/decisions.db: there is no store" in result.stderr
    assert not nowhere.exists()


def test_an_empty_store_is_called_empty(home: Path) -> None:
    verified, replayed = verify(home), run(home, "replay", "--all")
    assert verified.exit_code == 0 and "the log is empty" in verified.stdout and "verified" not in verified.stdout
    assert replayed.exit_code == 0 and "the store is empty" in replayed.stderr


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (bytes(range(256)) + b"\xff\xfe", "not a checkpoint but binary"),
        (b"", "not a checkpoint of this log"),
        (b"\x00" * 100, "not a checkpoint of this log"),
        ("核对点".encode("gb18030"), "not a checkpoint but binary"),
    ],
    ids=["binary", "empty", "zeros", "another encoding"],
)
def test_a_file_that_is_no_checkpoint_is_a_clear_error(home: Path, content: bytes, why: str) -> None:
    note = home / "kept.note"
    note.write_bytes(content)
    result = verify(home, "--checkpoint", str(note))
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    assert why in result.stderr and str(note) in result.stderr and "Traceback" not in result.stderr


def test_a_folder_is_no_checkpoint(home: Path) -> None:
    assert verify(home, "--checkpoint", str(home)).exit_code == 2
