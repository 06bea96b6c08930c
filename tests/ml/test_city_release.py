"""What becomes of models trained on the city: first champions at one moment, challengers beside champions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from decision_service.scoring.registry import ModelRegistry
from decision_service.vocabulary import Person
from ml import city_commands
from ml.__main__ import main
from ml.city_release import champions, release
from ml.city_training import NAMES, Trained
from ml.console import prepare_mlflow
from ml.metrics import Estimate

ANN = Person("os_user", "4711", "ann")


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    prepare_mlflow(address)
    return address


def trained(uri: str, names: tuple[str, ...] = NAMES) -> list[Trained]:
    """One more version of each, with nothing in it."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    known = {model.name for model in client.search_registered_models()}
    found = []
    for name in names:
        if name not in known:
            client.create_registered_model(name)
        version = client.create_model_version(name, source="file:///nowhere")
        found.append(Trained(name, str(version.version), {"auc": Estimate(0.8, 0.7, 0.9)}, 500))
    return found


def test_first_champions_are_put_in_force_at_one_moment_by_somebody_for_a_reason(uri: str) -> None:
    assert champions(uri) == {}
    done = release(trained(uri), uri=uri, person=ANN)
    assert done.champions == NAMES and champions(uri) == dict.fromkeys(NAMES, "1")
    (group,) = ModelRegistry(uri).in_force(NAMES, "champion")
    assert group.wanted == dict.fromkeys(NAMES, "1")
    last = ModelRegistry(uri).state("pd-lstm", "champion").last
    assert last is not None and last.person == str(ANN) and "first champion of the synthetic city" in last.note
    assert any("auc 0.8000 [0.7000, 0.9000]; 500 firms" in figures for _, _, figures in last.gates)


def test_beside_a_champion_the_new_version_becomes_its_challenger(uri: str) -> None:
    release(trained(uri, NAMES[:1]), uri=uri, person=ANN)
    done = release(trained(uri), uri=uri, person=ANN)
    assert (done.challengers, done.champions) == (NAMES[:1], NAMES[1:])
    state = {alias: ModelRegistry(uri).state("pd-xgboost", alias).version for alias in ("champion", "challenger")}
    assert state == {"champion": "1", "challenger": "2"}
    assert len(champions(uri)) == 4


def test_champions_are_replaced_only_as_told_and_the_history_says_so(uri: str) -> None:
    release(trained(uri), uri=uri, person=ANN)
    release(trained(uri), uri=uri, person=ANN, replace=True)
    assert champions(uri) == dict.fromkeys(NAMES, "2")
    last = ModelRegistry(uri).state("pd-xgboost", "champion").last
    assert last is not None and "--replace; no gate was asked" in last.note


def test_the_command_says_what_became_of_each_and_how_to_promote(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(city_commands, "train_city", lambda *_, **__: trained(uri))
    monkeypatch.setattr(city_commands, "SHOWN", ("auc",))
    given = ["train-city", "--rules", str(Path(__file__).parents[2] / "rules")]
    first = CliRunner().invoke(main, given, catch_exceptions=False)
    assert first.exit_code == 0 and "pd-lstm version 1 is champion" in first.output, first.output
    assert CliRunner().invoke(main, [*given, "--if-none"]).output.startswith("every model has a champion")
    second = CliRunner().invoke(main, given).output
    assert "pd-lstm version 2 is challenger" in second and "python -m ml promote pd-xgboost pd-lstm" in second
    told = json.loads(CliRunner().invoke(main, [*given, "--replace", "--json"]).stdout)
    assert {one["alias"] for one in told} == {"champion"} and champions(uri)["pd-lstm"] == "3"
    both = CliRunner().invoke(main, [*given, "--replace", "--if-none"])
    assert both.exit_code == 2 and "contradict" in both.output
