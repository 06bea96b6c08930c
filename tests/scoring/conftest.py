"""One small model store for the tests of scoring; tests that spoil a model register it under a name of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from models_for_tests import MODELS, SCORECARD, network, put, scorecard, store_uri, trees


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with both models and a scorecard registered, version 1 of each the champion."""
    folder: Path = tmp_path_factory.mktemp("mlruns")
    address = store_uri(folder)
    for name, fitted in zip(MODELS, (trees(), network()), strict=True):
        put(fitted, name, address)
    put(scorecard(), SCORECARD, address)
    return address
