"""The platform tells its scorer what the active rules deliver, so that no foreign model scores for a product."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from models_for_tests import application, network, put, store_uri, trees

from decision_service.app import build_platform
from decision_service.cli import main
from decision_service.settings import Settings

RULES = Path(__file__).resolve().parents[2] / "rules"


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home whose registry holds, behind the product's names, models that were trained on something else."""
    home = tmp_path_factory.mktemp("home")
    address = store_uri(home)
    put(trees(), "pd-xgboost", address)
    put(network(), "pd-lstm", address)
    return {"DECISION_HOME": str(home), "MLFLOW_TRACKING_URI": address, "DECISION_RULES": str(RULES)}


def test_without_active_rules_no_model_is_adopted(environ: dict[str, str]) -> None:
    platform = build_platform(Settings.from_environ(environ))
    assert platform.scorer.versions(["pd-xgboost"]) == ()
    assert "no ruleset is active" in platform.scorer.problems(["pd-xgboost"])[0]
    platform.store.close()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pd-xgboost", "growth, idle, leverage, which its place does not deliver"),
        ("pd-lstm", "24 months of sales, purchases, its place delivers 24 months of sales, purchases, sales_invoices"),
    ],
)
def test_a_model_that_reads_what_the_product_does_not_deliver_is_refused(
    environ: dict[str, str], name: str, why: str
) -> None:
    activated = CliRunner().invoke(main, ["rules", "activate", str(RULES)], env=environ)
    assert activated.exit_code == 0, activated.output
    platform = build_platform(Settings.from_environ(environ))
    assert platform.scorer.versions([name]) == ()
    assert why in platform.scorer.problems([name])[0]
    platform.store.close()


def test_a_scorer_for_other_rules_asks_those(environ: dict[str, str]) -> None:
    platform = build_platform(Settings.from_environ(environ))
    other = platform.scorer.serving(lambda name: ())
    features, series, mask = application()
    scores = other.score(features, series, mask, models=("pd-xgboost", "pd-lstm"), weights=None)
    assert scores.pd_xgb is not None and scores.pd_lstm is not None
    platform.store.close()
