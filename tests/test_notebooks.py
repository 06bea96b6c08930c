"""Every notebook answers its question on a small city, plots it without a warning, and is stored without outputs."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
QUESTIONS = (
    "01_explore_the_city",
    "02_train_and_compare",
    "03_calibrate_and_set_cut_offs",
    "04_explain_a_decline",
    "05_watch_drift",
)
PLOTS = dict(zip(QUESTIONS, (4, 2, 4, 3, 3), strict=True))
SAID = {
    "01_explore_the_city": [r"defaulted within 12 months: 0\.0\d+ \[0\.0\d+, 0\.0\d+\]", r"auc +0\.[89]\d+ \["],
    "02_train_and_compare": [r"bad, the blend (is better than|cannot be told from) the LSTM", r"version \d+ as the"],
    "03_calibrate_and_set_cut_offs": [r"best cut-off on these outcomes 0\.\d+ \[.*break-even PD 0\.0625"],
    "04_explain_a_decline": [r"^[1-9]\d* declines probed, .*: 0$", r"apart by (0\.0|\d\.\de-(0[6-9]|1\d))"],
    "05_watch_drift": [r"product W8 +[345]$", r"pd-lstm/1 score +[345]$"],
}
"""What a run must print: figures with intervals, a verdict, no unstated reason, drift only after it began."""
FIRMS = "300"
LINES, CHARACTERS = 12, 120
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
QUICK = "04_explain_a_decline"
"""The one that runs on each commit: it draws the city, trains both kinds and blends, explains and plots."""
RUN = [pytest.param(one, id=one.stem, marks=() if one.stem == QUICK else pytest.mark.slow) for one in NOTEBOOKS]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One folder for the city and the models of all notebooks; a kernel that is this Python; nothing of the user's."""
    home = tmp_path_factory.mktemp("notebooks")
    kernel = home / "jupyter" / "kernels" / "this"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "this", "language": "python"}))
    own = {
        "NOTEBOOK_FIRMS": FIRMS,
        "NOTEBOOK_HOME": str(home / "kept"),
        "PYTHONPATH": str(FOLDER),
        "JUPYTER_PATH": str(home / "jupyter"),
        "IPYTHONDIR": str(home / "ipython"),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    (home / "run").mkdir()
    return {**os.environ, **own, "RUN": str(home / "run")}


def test_the_five_questions_are_there() -> None:
    assert tuple(path.stem for path in NOTEBOOKS) == QUESTIONS


@EACH
def test_it_is_stored_without_outputs(path: Path) -> None:
    book = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(book)
    assert [cell.id for cell in code(book) if cell.outputs or cell.execution_count is not None] == []
    assert book.metadata.kernelspec.name == "python3"


@EACH
def test_it_opens_with_a_question_in_english_and_its_summary_in_chinese(path: Path) -> None:
    first = nbformat.read(path, nbformat.NO_CONVERT).cells[0]
    assert first.cell_type == "markdown"
    title, _, summary = first.source.splitlines()[:3]
    assert title.startswith("# ") and title.endswith("?")
    assert summary.startswith("中文摘要：")


@EACH
def test_a_step_fits_a_screen_and_plots_need_no_chinese_font(path: Path) -> None:
    for cell in code(nbformat.read(path, nbformat.NO_CONVERT)):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= LINES and max(map(len, lines)) <= CHARACTERS, (cell.id, len(lines), max(map(len, lines)))
        assert cell.source.isascii(), cell.id


@EACH
def test_links_lead_somewhere(path: Path) -> None:
    text = "\n".join(cell.source for cell in nbformat.read(path, nbformat.NO_CONVERT).cells)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (FOLDER / target).exists(), target


@EACH
def test_what_it_imports_is_there(path: Path) -> None:
    shared = set(re.findall(r"^(?:def )?(\w+)", (FOLDER / "shared_city.py").read_text(encoding="utf-8"), re.MULTILINE))
    for cell in code(nbformat.read(path, nbformat.NO_CONVERT)):
        for step in ast.walk(ast.parse(cell.source)):
            if isinstance(step, ast.ImportFrom):
                known = shared if step.module == "shared_city" else set(dir(importlib.import_module(str(step.module))))
                assert {one.name for one in step.names} <= known, step.module


@pytest.mark.parametrize("path", RUN)
def test_it_answers_its_question(path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", environment["JUPYTER_PATH"])
    book = nbformat.read(path, nbformat.NO_CONVERT)
    where = {"metadata": {"path": environment["RUN"]}}
    NotebookClient(book, timeout=300, kernel_name="this", resources=where).execute(env=environment)
    outputs = [output for cell in code(book) for output in cell.outputs]
    printed = "".join(one.text for one in outputs if one.output_type == "stream" and one.name == "stdout")
    complained = [one.text for one in outputs if one.output_type == "stream" and one.name == "stderr"]
    assert complained == []
    assert sum("image/png" in one.get("data", {}) for one in outputs) == PLOTS[path.stem]
    for said in SAID[path.stem]:
        assert re.search(said, printed, re.MULTILINE), f"{said}\n{printed}"


def code(book: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]
