"""`audit verify` as a command: kept checkpoints, whatever the file holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from decision_service.audit.merkle import EMPTY_ROOT
from decision_service.audit.signing import Signer
from decision_service.cli import main


def verify(home: Path, *options: str) -> Result:
    models = f"sqlite:///{home}/models.db"
    env = {"DECISION_HOME": str(home), "DECISION_DATABASE_URL": None, "MLFLOW_TRACKING_URI": models}
    return CliRunner().invoke(main, ["audit", "verify", *options], env=env)


def note_of(home: Path) -> str:
    """A checkpoint of the empty log, signed by this home's key."""
    return Signer.open(home / "log-key.pem").checkpoint(0, EMPTY_ROOT)


def test_a_kept_checkpoint_is_met(tmp_path: Path) -> None:
    note = tmp_path / "kept.note"
    note.write_text(note_of(tmp_path), encoding="utf-8")
    assert verify(tmp_path, "--checkpoint", str(note)).exit_code == 0


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
def test_a_file_that_is_no_checkpoint_is_a_clear_error(tmp_path: Path, content: bytes, why: str) -> None:
    note = tmp_path / "kept.note"
    note.write_bytes(content)
    result = verify(tmp_path, "--checkpoint", str(note))
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    assert why in result.stderr and str(note) in result.stderr and "Traceback" not in result.stderr


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert verify(tmp_path, "--checkpoint", str(tmp_path)).exit_code == 2
