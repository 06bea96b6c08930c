"""The tutorial is run as it stands: each block of commands in a shell, in order, and what it says is shown is shown."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from decision_service.cli import main

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, CHINESE = ROOT / "docs" / "change-a-threshold.md", ROOT / "docs" / "change-a-threshold.zh.md"
FINDS = "# exits with 1\n"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A block of commands and the lines that the document says it shows."""

    commands: str
    shown: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """The exit code that the document announces."""
        return 1 if self.commands.startswith(FINDS) else 0


def steps(document: Path) -> list[Step]:
    """The blocks of commands, each with the text block after it, if there is one."""
    found: list[Step] = []
    for kind, text in BLOCK.findall(document.read_text(encoding="utf-8")):
        if kind == "sh":
            found.append(Step(text))
        else:
            found[-1] = Step(found[-1].commands, tuple(text.splitlines()))
    return found


def pattern(line: str) -> re.Pattern[str]:
    """A line as the document shows it: ``…`` stands for anything, spaces for as many as a table needs."""
    parts = [r"\s+".join(map(re.escape, part.split(" "))) for part in line.split("…")]
    return re.compile(".*".join(parts))


class Shell:
    """Runs blocks in a temporary copy, one after the other, with the variables that they export."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT / "rules", folder / "rules")
        self._folder = folder
        self._state = folder / "state.sh"
        self._state.write_text("")
        own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        self._environ = {**os.environ, **own, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}

    def run(self, commands: str) -> tuple[int, str]:
        """The exit code and everything that a block prints."""
        script = f". ./state.sh\nset -e\ntrap 'export -p > state.sh' EXIT\n{commands}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        return done.returncode, done.stdout


@pytest.mark.slow
def test_every_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for step in steps(ENGLISH):
        code, output = shell.run(step.commands)
        assert code == step.code, f"{step.commands}\n{output}"
        lines = iter(output.splitlines())
        for line in step.shown:
            shown = any(pattern(line).search(one) for one in lines)
            assert shown, f"{line}\nis not shown by\n{step.commands}\n{output}"


def test_both_languages_have_the_same_commands() -> None:
    assert steps(ENGLISH) == steps(CHINESE)
    assert len(steps(ENGLISH)) > 10


def calls(commands: str) -> Iterator[list[str]]:
    """The calls of our own command in a block, as words."""
    joined = re.sub(r"<<END\n.*?^END$", "", commands, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")
    for found in re.findall(r"decision-service ([^\n|>)]*)", joined):
        yield shlex.split(found)


@pytest.mark.parametrize("words", [words for step in steps(ENGLISH) for words in calls(step.commands)], ids=" ".join)
def test_every_command_and_option_of_the_tutorial_exists(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (Path(word) for word in words if Path(word).suffix):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # what an earlier command would have written
    command: click.Command = main
    while isinstance(command, click.Group):
        name, *words = words
        inner = command.get_command(click.Context(command), name)
        assert inner is not None, name
        command = inner
    with command.make_context(command.name, words) as context:
        assert context.params


def test_the_pattern_of_a_line_is_loose_only_where_it_says_so() -> None:
    assert pattern("APPROVE REFER 1 …").search("APPROVE  REFER    1   1000000.00")
    assert not pattern("APPROVE REFER 1 …").search("APPROVE  REFER    2   1000000.00")
    assert not pattern("no finding").search("1 finding")
