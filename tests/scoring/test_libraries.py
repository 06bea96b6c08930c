"""Which libraries a loaded model brings along: none but ONNX Runtime with a graph, its own without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from models_for_tests import network, put, store_uri, trees

from decision_service.scoring.models import SPEC_FILE, WEIGHTS_FILE
from decision_service.scoring.spec import to_json
from ml.fitted import FittedModel

LOAD = """
import sys
from pathlib import Path
from decision_service.scoring.models import build
model = build({path.name: path.read_bytes() for path in Path(sys.argv[1]).iterdir()})
model.prove()
print(*(name for name in ("torch", "xgboost", "onnxruntime") if name in sys.modules))
"""
SERVE = """
import sys
from decimal import Decimal
from decision_service.scoring.scorer import Scorer
features = {"leverage": 0.5, "growth": float("nan"), "idle": 0.1, "industry_code": "13"}
series = tuple((1000.0 + 10 * month, 700.0) for month in range(24))
weights = (Decimal("0.5"), Decimal("0.5"))
scorer = Scorer(sys.argv[1])
scores = scorer.score(
    features, series, (True,) * 24, models=("pd-xgboost", "pd-lstm"), weights=weights, contributions=True
)
assert scores.status == "ok" and scores.contributions, scores
print(*(name for name in ("torch", "xgboost", "sklearn") if name in sys.modules))
"""


def printed(program: str, argument: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program, argument], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(("fitted", "kind", "own"), [(trees(), "xgboost", "xgboost"), (network(), "lstm", "torch")])
def test_a_version_without_a_graph_is_run_by_its_own_library(
    fitted: FittedModel, kind: str, own: str, tmp_path: Path
) -> None:
    (tmp_path / SPEC_FILE).write_bytes(to_json(fitted.spec))
    (tmp_path / WEIGHTS_FILE[kind]).write_bytes(fitted.weights)
    assert printed(LOAD, str(tmp_path)) == [own]


def test_graphs_score_and_explain_without_the_training_libraries(tmp_path: Path) -> None:
    address = store_uri(tmp_path)
    put(trees(), "pd-xgboost", address)
    put(network(), "pd-lstm", address)
    assert printed(SERVE, address) == []
