"""Commands that need no model import no model library, and whoever runs graphs needs none but ONNX Runtime's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[1] / "rules"
HEAVY = ("torch", "xgboost", "sklearn", "mlflow", "onnxruntime", "pandas")
RUN = """
import sys
from decision_service.cli import main
main(sys.argv[2:], standalone_mode=False)
print("imported:", *(name for name in sys.argv[1].split(",") if name in sys.modules))
"""


def imported(*arguments: str, home: Path) -> list[str]:
    """The heavy modules that a command had imported at its end."""
    environ = {**os.environ, "DECISION_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, ",".join(HEAVY), *arguments], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("imported:"), done.stdout
    return last.split()[1:]


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("clients", "list"), ("rules", "check", str(RULES))],
    ids=lambda given: " ".join(given[:2]),
)
def test_a_command_without_models_imports_no_model_library(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert imported(*arguments, home=tmp_path) == []


def test_the_check_sees_what_is_imported(tmp_path: Path) -> None:
    assert "torch" in subprocess.run(
        [sys.executable, "-c", "import torch\n" + RUN, "torch", "--help"], capture_output=True, text=True
    ).stdout
