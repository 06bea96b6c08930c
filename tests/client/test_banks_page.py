"""The page for banks is run as it stands: its commands in a shell, its Python as one program, on a served platform."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from decision_service.api.batch_work import BatchFollower
from decision_service.app import utc_now
from decision_service_client import errors
from tests.client.served import Served

PAGE = (Path(__file__).parents[2] / "docs" / "banks.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE) if found == kind]


@pytest.fixture(scope="module")
def environ(served: Served) -> Iterator[dict[str, str]]:
    server = make_server("127.0.0.1", 0, served.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    follower = BatchFollower(served.platform, utc_now)
    follower.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield {**os.environ, "URL": url, "KEY": served.key, "LOG_KEY": served.public_key}
    follower.stop()
    server.shutdown()
    thread.join()


def test_the_commands_run_and_decide(environ: dict[str, str], tmp_path: Path) -> None:
    for block in blocks("sh"):
        run = ["bash", "-euo", "pipefail", "-c", block]
        done = subprocess.run(run, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    decision = json.loads((tmp_path / "decision.json").read_text())
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert decision["outcome"] == "APPROVE" and proof["decision_id"] == decision["decision_id"]


def test_the_program_runs_from_its_first_line_to_its_last(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("URL", "KEY", "LOG_KEY"):
        monkeypatch.setenv(name, environ[name])
    program: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "docs/banks.md", "exec"), program)
    assert "LOAN-2026-17" in capsys.readouterr().out


def test_the_page_names_every_exception() -> None:
    kinds = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert [name for name in kinds if f"`{name}`" not in PAGE] == []
