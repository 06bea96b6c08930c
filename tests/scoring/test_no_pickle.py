"""No pickle anywhere in serving: models load and score where unpickling anything ends the process."""

from __future__ import annotations

import subprocess
import sys

from models_for_tests import MODELS, application

SERVING = """
import pickle, sys, _pickle
from decimal import Decimal

def poison(*_, **__):
    import os
    print("something was unpickled", file=sys.stderr, flush=True)
    os._exit(3)

class Unpickler(pickle.Unpickler):
    load = poison

for module in (pickle, _pickle):
    module.load, module.loads, module.Unpickler = poison, poison, Unpickler
pickle._load = pickle._loads = pickle._Unpickler.load = poison

from decision_service.scoring.models import build
from decision_service.scoring.registry import ModelRegistry
from decision_service.scoring.scorer import Scorer
APPLICATION

scores = Scorer(sys.argv[1]).score(*application(), models=MODELS, weights=(Decimal("0.5"), Decimal("0.5")))
assert scores.pd_12m is not None, scores
for name in MODELS:
    files, _ = ModelRegistry(sys.argv[1]).files(name, "1")
    build({path: content for path, content in files.items() if path != "model.onnx"}).prove()
print("served", "cloudpickle" in sys.modules)
"""
POISONED = SERVING.split("from decision_service.scoring.models")[0] + "pickle.loads(b'')"


def run(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", text, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_models_load_and_score_without_unpickling(uri: str) -> None:
    features, series, mask = application()
    given = f"nan, MODELS = float('nan'), {MODELS!r}\ndef application():\n return {features!r}, {series!r}, {mask!r}"
    done = run(SERVING.replace("APPLICATION", given), uri)  # the module that makes it trains
    assert done.returncode == 0 and done.stdout.startswith("served"), done.stderr[-2000:]


def test_the_poison_works() -> None:
    assert run(POISONED).returncode == 3
