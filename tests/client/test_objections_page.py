"""The page of objections is run as it stands: its commands in one shell, its Python as one program, on a platform."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.served import Served, blocks, listening

PAGE = (Path(__file__).parents[2] / "docs" / "objections.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def environ(served: Served) -> Iterator[dict[str, str]]:
    stewards = {name: served.key_of(name.lower(), "steward") for name in ("STEWARD", "STEWARD2")}
    with listening(served) as url:
        yield {**os.environ, **stewards, "URL": url, "KEY": served.key}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bank")


def test_a_record_that_declines_is_objected_to_and_gone(environ: dict[str, str], folder: Path) -> None:
    run = ["bash", "-euo", "pipefail", "-c", "\n".join(blocks(PAGE, "sh"))]
    done = subprocess.run(run, env=environ, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    said = done.stdout
    assert '"kind": "lists"' in said and "91990000MC9000174D" in said
    assert said.index('"state":"accepted"') < said.index("REFER\n") < said.index('"state":"ruled"')
    assert said.index('"state":"notified"') < said.index("none\n") < said.index("True\n")


def test_the_program_files_what_a_reason_rests_on_and_a_steward_takes_it_up(
    environ: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("URL", "KEY", "STEWARD"):
        monkeypatch.setenv(name, environ[name])
    monkeypatch.chdir(folder)
    (folder / "letter.txt").write_text("The tax was paid.")
    program: dict[str, object] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block, "docs/objections.md", "exec"), program)
    filed, checked = capsys.readouterr().out.splitlines()
    assert "filed" in filed and checked.startswith("accepted source_check ")
