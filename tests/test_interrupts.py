"""Ctrl-C at any moment: no traceback, exit code 130."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def started(tmp_path: Path, *command: str, **settings: str) -> subprocess.Popen[str]:
    environ = {
        **os.environ,
        "DECISION_HOME": str(tmp_path / "home"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        **settings,
    }
    return subprocess.Popen(
        [sys.executable, *command],
        env=environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("module", ["decision_service", "decision_service.cli"])
@pytest.mark.parametrize("loaded", ["click.core", "sqlalchemy.engine", "flask.app"])
def test_while_it_loads(module: str, loaded: str, tmp_path: Path) -> None:
    """Python itself tells each module that it has loaded; the signal is sent at one of them."""
    with started(tmp_path, "-X", "importtime", "-m", module, "clients", "list") as process:
        assert process.stderr is not None
        seen = ""
        while loaded not in (line := process.stderr.readline()):
            assert line, seen
            seen += line
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in seen + rest and "KeyboardInterrupt" not in rest


def test_while_it_runs(tmp_path: Path) -> None:
    """A database that takes the connection and says nothing: the command waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        with started(tmp_path, "-m", "decision_service", "clients", "list", DECISION_DATABASE_URL=url) as process:
            with silent.accept()[0]:
                process.send_signal(signal.SIGINT)
                output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "stopped\n")
