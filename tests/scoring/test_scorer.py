"""Scores from the registry: verified before loading, followed while in use, unknown instead of an exception."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from mlflow import MlflowClient
from models_for_tests import (
    MODELS,
    MONTHS,
    NAMES,
    SCORECARD,
    SERIES,
    application,
    network,
    put,
    scorecard,
    store_uri,
    trees,
)

from decision_service.errors import ModelError, NotFound
from decision_service.scoring import current
from decision_service.scoring.blend import MILLIONTH, blended, rounded
from decision_service.scoring.current import FIRST_ANSWER_SECONDS
from decision_service.scoring.graph import GraphFailed
from decision_service.scoring.inputs import ModelInputs
from decision_service.scoring.models import LstmModel, ScorecardModel, XgboostModel, calibrated
from decision_service.scoring.registry import HTTP_BOUNDS, LoadedModel, ModelRegistry
from decision_service.scoring.scorer import Scorer
from decision_service.vocabulary import ModelVersion, Scores
from ml.fitted import FittedModel
from ml.training import promote

WEIGHTS = (Decimal("0.6"), Decimal("0.4"))
APPLICATION = application()
FAST = 0.01


def score(scorer: Scorer, models: tuple[str, str] = MODELS, single: str | None = None) -> Scores:
    return scorer.score(*APPLICATION, models=models, weights=WEIGHTS, single_model_blend=single)


def other_trees() -> FittedModel:
    return trees(names=("leverage", "growth", "wealth"))


def near(probability: float) -> Any:
    """The six decimals of a probability, one apart at most: the graph adds in another order."""
    return pytest.approx(rounded(probability), abs=MILLIONTH)


def artifacts(uri: str, name: str, version: str) -> Path:
    location = MlflowClient(tracking_uri=uri, registry_uri=uri).get_model_version_download_uri(name, version)
    return Path(unquote(urlparse(location).path))


def test_both_models_score_and_blend(uri: str) -> None:
    fitted, sequence = trees(), network()
    first = XgboostModel(fitted.weights, fitted.spec).probability(APPLICATION[0])
    second = LstmModel(sequence.weights, sequence.spec).probability(*APPLICATION[1:])
    scores = score(Scorer(uri))
    assert (scores.pd_xgb, scores.pd_lstm) == (near(first), near(second))
    assert scores.pd_12m == near(blended(first, second, WEIGHTS))
    assert (scores.status, scores.problems) == ("ok", ())
    assert [model.name for model in scores.models] == list(MODELS)
    assert scores.contributions == {}


def test_contributions_come_when_asked_for(uri: str) -> None:
    scores = Scorer(uri).score(*APPLICATION, models=MODELS, weights=WEIGHTS, contributions=True)
    assert set(scores.contributions) >= {"leverage", "base"}


@pytest.mark.parametrize(
    ("models", "single", "status", "known"),
    [
        pytest.param(("pd-xgboost", "none"), None, "unavailable", False, id="LSTM missing: the blend is unknown"),
        pytest.param(("none", "pd-lstm"), None, "unavailable", False, id="XGBoost missing: the blend is unknown"),
        pytest.param(("pd-xgboost", "none"), "xgboost", "single", True, id="LSTM missing, XGBoost may stand alone"),
        pytest.param(("none", "pd-lstm"), "lstm", "single", True, id="XGBoost missing, LSTM may stand alone"),
        pytest.param(("none", "pd-lstm"), "xgboost", "unavailable", False, id="the one that may stand is missing"),
        pytest.param(("none", "none"), "xgboost", "unavailable", False, id="both missing"),
        pytest.param(("pd-lstm", "pd-xgboost"), None, "unavailable", False, id="the names are exchanged"),
    ],
)
def test_a_model_that_is_missing_is_an_unknown_score(
    uri: str, models: tuple[str, str], single: str | None, status: str, known: bool
) -> None:
    scores = score(Scorer(uri), models, single)
    assert (scores.status, scores.pd_12m is not None) == (status, known)
    assert scores.problems


def scorecard_pd() -> Decimal:
    fitted = scorecard()
    return rounded(ScorecardModel(fitted.weights, fitted.spec).probability(APPLICATION[0]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("models", "single", "fallback", "status", "used"),
    [
        pytest.param(MODELS, None, SCORECARD, "ok", MODELS, id="both score: no fallback"),
        pytest.param(("pd-xgboost", "none"), None, SCORECARD, "fallback", ("pd-xgboost", SCORECARD), id="no series"),
        pytest.param(("none", "pd-lstm"), None, SCORECARD, "fallback", ("pd-lstm", SCORECARD), id="no trees"),
        pytest.param(("none", "none"), None, SCORECARD, "fallback", (SCORECARD,), id="neither"),
        pytest.param(("pd-xgboost", "none"), "xgboost", SCORECARD, "single", ("pd-xgboost",), id="one may stand alone"),
        pytest.param(("pd-xgboost", "none"), None, "none", "unavailable", ("pd-xgboost",), id="no scorecard either"),
        pytest.param(("pd-xgboost", "none"), None, "pd-lstm", "unavailable", ("pd-xgboost",), id="it is no scorecard"),
    ],
)
def test_a_declared_scorecard_stands_in_and_says_so(
    uri: str, models: tuple[str, str], single: str | None, fallback: str, status: str, used: tuple[str, ...]
) -> None:
    scorer = Scorer(uri)
    options: dict[str, Any] = {"weights": WEIGHTS, "single_model_blend": single}
    scores = scorer.score(*APPLICATION, models=models, fallback=fallback, **options)
    assert (scores.status, tuple(model.name for model in scores.models)) == (status, used)
    assert (scores.pd_12m is None) == (status == "unavailable")
    if status == "fallback":
        assert scores.pd_12m == scorecard_pd() and scores.problems
    again = scorer.score_version(*APPLICATION, versions=scores.models, **options)
    assert (again.pd_12m, again.status) == (scores.pd_12m, scores.status)


def test_a_cold_start_falls_back(uri: str) -> None:
    features, series, mask = APPLICATION
    scores = Scorer(uri).score(
        features, series, (False,) * len(mask), models=MODELS, weights=WEIGHTS, fallback=SCORECARD
    )
    assert (scores.status, scores.pd_12m, scores.pd_lstm) == ("fallback", scorecard_pd(), None)
    assert "0 months of series" in scores.problems[0]


def test_weights_that_are_missing_are_no_reason_to_fall_back(uri: str) -> None:
    scores = Scorer(uri).score(*APPLICATION, models=MODELS, weights=None, fallback=SCORECARD)
    assert (scores.status, scores.pd_12m) == ("unavailable", None)


def test_a_scorecard_is_explained_by_points_lost(uri: str) -> None:
    scorer = Scorer(uri)
    (version,) = scorer.versions([SCORECARD])
    explained = scorer.explained(version, APPLICATION[0])
    assert explained is not None and explained.points_lost is not None
    assert set(explained.points_lost) == set(explained.shares) - {"base"}
    assert rounded(calibrated(sum(explained.shares.values()), explained.calibration)) == scorecard_pd()


def test_without_weights_the_blend_is_unknown_and_says_so(uri: str) -> None:
    scores = Scorer(uri).score(*APPLICATION, models=MODELS, weights=None)
    assert scores.pd_xgb is not None and scores.pd_12m is None and scores.status == "unavailable"
    assert "weights" in scores.problems[0]


def test_a_series_that_is_too_short_is_an_unknown_score_with_a_reason(uri: str) -> None:
    features, series, mask = APPLICATION
    scores = Scorer(uri).score(features, series, (False,) * len(mask), models=MODELS, weights=WEIGHTS)
    assert scores.pd_xgb is not None and scores.pd_lstm is None and scores.pd_12m is None
    assert "0 months of series, the model needs 6" in scores.problems[0]


@pytest.mark.parametrize(
    "address", ["sqlite:////nowhere/mlflow.db", "http://127.0.0.1:1", "nonsense://x", "sqlite:///", ""]
)
def test_a_registry_that_cannot_be_reached_is_an_unknown_score_at_once(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in HTTP_BOUNDS:
        monkeypatch.delenv(name, raising=False)
    began = monotonic()
    scores = score(Scorer(address))
    assert scores.pd_12m is None and len(scores.problems) == 2
    assert monotonic() - began < 2 * FIRST_ANSWER_SECONDS
    assert not Path("/nowhere").exists()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that takes longer to give a model than a request waits."""
    load = ModelRegistry.load

    def slowly(self: ModelRegistry, name: str, version: str) -> LoadedModel:
        sleep(0.3)
        return load(self, name, version)

    monkeypatch.setattr(ModelRegistry, "load", slowly)
    monkeypatch.setattr(current, "LOAD_SECONDS", FAST)


@pytest.mark.usefixtures("slow")
def test_work_that_no_answer_waits_for_has_its_models_however_long_they_take(uri: str) -> None:
    scorer = Scorer(uri)
    assert score(scorer).status == "unavailable"
    settled = scorer.settled([*MODELS, "none"])
    assert [settled[name].in_force().identity.name for name in MODELS] == list(MODELS)
    assert settled["none"].model is None, "nobody registered it"
    held = scorer.holding([settled[name].in_force().identity for name in MODELS])
    assert score(held).status == "ok"


@pytest.mark.usefixtures("slow")
def test_models_that_take_for_ever_are_an_error_that_names_them(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "SETTLE_SECONDS", 0.05)
    with pytest.raises(ModelError, match="pd-xgboost@champion: still loading after 0 seconds; check the model reg"):
        Scorer(uri).settled(MODELS)


@pytest.mark.parametrize("address", ["sqlite:////nowhere/mlflow.db", ""])
def test_without_a_registry_no_model_is_there_and_that_is_no_error(address: str) -> None:
    assert [kept.model for kept in Scorer(address).settled(MODELS).values()] == [None, None]


def test_a_registry_that_does_not_answer_or_a_model_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="pd-xgboost@champion"):
        Scorer("http://127.0.0.1:1").settled(MODELS)
    address = store_uri(tmp_path)
    put(trees(), MODELS[0], address)
    (spec,) = artifacts(address, MODELS[0], "1").rglob("spec.json")
    spec.write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="pd-xgboost version 1: .*spec.json was changed"):
        Scorer(address).settled(MODELS)


def test_held_models_stay_whatever_is_promoted_and_one_that_fails_is_an_error(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(uri)
    versions = [kept.in_force().identity for kept in scorer.settled(MODELS).values()]
    held = scorer.holding(versions)
    monkeypatch.setattr(ModelRegistry, "in_force", lambda self, names, alias: ())
    assert score(held).models == tuple(versions)
    features, series, mask = APPLICATION
    row = held.score(features, series, (False,) * len(mask), models=MODELS, weights=WEIGHTS)
    assert row.pd_lstm is None and "0 months of series" in row.problems[0], "this is so for every scorer"

    def failing(self: LstmModel, *given: Any) -> float:
        raise GraphFailed("the ONNX graph failed (no memory)")

    monkeypatch.setattr(LstmModel, "probability", failing)
    with pytest.raises(GraphFailed, match="pd-lstm version 1: the ONNX graph failed"):
        score(held)
    assert score(Scorer(uri)).pd_lstm is None, "a request is answered all the same"
    with pytest.raises(ModelError, match="recorded sha256:00"):
        scorer.holding([replace(versions[0], digest="sha256:00")])


@pytest.fixture
def silent() -> Iterator[str]:
    """A registry that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_registry_that_never_answers_costs_its_patience_once_for_all_models(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "FIRST_ANSWER_SECONDS", 0.5)
    scorer = Scorer(silent)
    names = tuple(f"model-{number}" for number in range(8))
    began = monotonic()
    assert scorer.versions(names) == ()
    first = monotonic() - began
    problems = scorer.problems(names)
    assert 0.5 <= first < 1.5 and monotonic() - began - first < 0.4
    assert len(problems) == 8 and "still loading" in problems[0]


@pytest.mark.parametrize(("set_to", "stays"), [(None, "3"), ("60", "60")])
def test_mlflows_own_waiting_is_bounded_unless_it_was_set(
    silent: str, set_to: str | None, stays: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    if set_to is not None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", set_to)
    monkeypatch.setattr(current, "FIRST_ANSWER_SECONDS", 0.1)
    Scorer(silent).versions(["pd-xgboost"])
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == stays


def changed_byte(folder: Path, name: str) -> None:
    path = next(folder.rglob(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(folder: Path, name: str) -> None:
    next(folder.rglob(name)).write_bytes(b"")


def removed(folder: Path, name: str) -> None:
    next(folder.rglob(name)).unlink()


def added(folder: Path, name: str) -> None:
    (folder / "extra_loader.py").write_text("raise SystemExit")


@pytest.mark.parametrize("spoil", [changed_byte, emptied, removed])
@pytest.mark.parametrize("name", ["model.ubj", "model.onnx", "spec.json", "MLmodel"])
def test_an_artifact_that_is_not_the_registered_one_is_never_loaded(
    uri: str, spoil: Callable[[Path, str], None], name: str
) -> None:
    model = f"spoilt-{spoil.__name__}-{name.replace('.', '-')}"
    version = put(trees(), model, uri).version
    spoil(artifacts(uri, model, version), name)
    scores = score(Scorer(uri), (model, "pd-lstm"))
    assert scores.pd_xgb is None and scores.pd_12m is None
    assert any(word in scores.problems[0] for word in ("was changed", "is missing"))


def test_a_file_that_was_not_registered_is_not_read(uri: str) -> None:
    version = put(trees(), "with-additions", uri).version
    before = score(Scorer(uri), ("with-additions", "pd-lstm"))
    added(artifacts(uri, "with-additions", version), "")
    (artifacts(uri, "with-additions", version) / "below").mkdir()
    (artifacts(uri, "with-additions", version) / "below" / "spec.json").write_text("{}")
    after = score(Scorer(uri), ("with-additions", "pd-lstm"))
    assert before.pd_xgb is not None and after.pd_xgb == before.pd_xgb


def test_a_version_without_hashes_is_refused(uri: str) -> None:
    model = "unhashed"
    version = put(trees(), model, uri).version
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    for tag in client.get_model_version(model, version).tags:
        client.delete_model_version_tag(model, version, tag)
    assert "carries no artifact hashes" in score(Scorer(uri), (model, "pd-lstm")).problems[0]


def wait_until(true: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = monotonic() + seconds
    while monotonic() < end:
        if true():
            return True
        sleep(0.02)
    return true()


def test_a_new_champion_is_picked_up_and_a_rollback_too(uri: str) -> None:
    first = put(trees(), "followed", uri).version
    scorer = Scorer(uri, poll_seconds=FAST)
    assert scorer.versions(["followed"])[0].version == first
    second = put(trees(seed=2, rounds=5), "followed", uri).version
    assert wait_until(lambda: scorer.versions(["followed"])[0].version == second)
    promote("followed", first, uri=uri)
    assert wait_until(lambda: scorer.versions(["followed"])[0].version == first)


def test_a_change_is_seen_at_the_first_use_after_the_poll_interval(uri: str) -> None:
    put(trees(), "idle", uri)
    scorer = Scorer(uri, poll_seconds=0.2)
    scorer.versions(["idle"])
    second = put(trees(rounds=5), "idle", uri).version
    sleep(0.25)
    assert scorer.versions(["idle"])[0].version == second


def test_a_champion_with_a_wrong_canary_is_refused_and_the_old_one_kept(uri: str) -> None:
    good = put(trees(), "canary", uri).version
    scorer = Scorer(uri, poll_seconds=FAST)
    before = score(scorer, ("canary", "pd-lstm"))
    fitted = trees(seed=3)
    spec = replace(fitted.spec, canaries=((fitted.spec.canaries[0][0], 0.999),))
    put(replace(fitted, spec=spec), "canary", uri)
    assert wait_until(lambda: any("canary prediction" in text for text in scorer.problems(["canary"])))
    after = score(scorer, ("canary", "pd-lstm"))
    assert after == before and after.models[0].version == good and after.status == "ok"


TREES = ModelInputs("xgboost", (*NAMES, "industry_code"))
SEQUENCE = ModelInputs("lstm", SERIES, MONTHS)


@pytest.mark.parametrize(
    ("wrong", "places", "why"),
    [
        pytest.param(network, (TREES,), "is of kind lstm, its place needs xgboost", id="files of the other kind"),
        pytest.param(network, (), "is of kind lstm, its place needs xgboost", id="the other kind, no place known"),
        pytest.param(other_trees, (TREES,), "reads wealth, which its place does not deliver", id="other features"),
        pytest.param(other_trees, (), "reads wealth, which its place does not deliver", id="others than in force"),
    ],
)
def test_a_champion_that_does_not_fit_its_place_is_refused_and_the_old_one_kept(
    uri: str, wrong: Callable[[], FittedModel], places: tuple[ModelInputs, ...], why: str
) -> None:
    name = f"misplaced-{wrong.__name__}-{len(places)}"
    good = put(trees(), name, uri).version
    scorer = Scorer(uri, places=lambda model: places if model == name else (), poll_seconds=FAST)
    before = score(scorer, (name, "pd-lstm"))
    put(wrong(), name, uri)
    assert wait_until(lambda: any(why in text for text in scorer.problems([name])))
    after = score(scorer, (name, "pd-lstm"))
    assert after == before and after.models[0].version == good and after.status == "ok"


def test_a_first_model_that_does_not_fit_its_place_is_an_unknown_score_with_a_reason(uri: str) -> None:
    put(other_trees(), "first-misplaced", uri)
    scorer = Scorer(uri, places=lambda model: (TREES,) if model == "first-misplaced" else (SEQUENCE,))
    scores = score(scorer, ("first-misplaced", "pd-lstm"))
    assert scores.pd_xgb is None and scores.pd_lstm is not None
    assert "reads wealth" in scores.problems[0] and scorer.problems(["first-misplaced"]) == scores.problems


def test_no_model_is_adopted_while_its_place_cannot_be_known(uri: str) -> None:
    def unknown(model: str) -> tuple[ModelInputs, ...]:
        raise NotFound("no ruleset is active", remedy="activate one")

    scores = score(Scorer(uri, places=unknown))
    assert scores.pd_12m is None and "no ruleset is active" in scores.problems[0]


def test_an_alias_that_is_taken_away_withdraws_the_model(uri: str) -> None:
    put(trees(), "withdrawn", uri)
    scorer = Scorer(uri, poll_seconds=FAST)
    assert scorer.versions(["withdrawn"])
    MlflowClient(tracking_uri=uri, registry_uri=uri).delete_registered_model_alias("withdrawn", "champion")
    assert wait_until(lambda: not scorer.versions(["withdrawn"]))


def test_a_registry_that_goes_away_leaves_the_model_in_force(uri: str, tmp_path: Path) -> None:
    copy = tmp_path / "mlflow.db"
    shutil.copy(uri.removeprefix("sqlite:///"), copy)
    scorer = Scorer(f"sqlite:///{copy}", poll_seconds=FAST)
    known = scorer.versions(MODELS)
    copy.rename(tmp_path / "gone.db")
    sleep(2 * FAST)
    assert scorer.versions(MODELS) == known and len(known) == 2
    assert len(scorer.problems(MODELS)) == 2
    assert not copy.exists()


def test_another_alias_is_another_model(uri: str) -> None:
    champion = put(trees(), "aliased", uri).version
    challenger = put(trees(rounds=5), "aliased", uri, alias="challenger").version
    assert Scorer(uri).versions(["aliased"])[0].version == champion
    assert Scorer(uri, alias="challenger").versions(["aliased"])[0].version == challenger


def test_a_past_decision_is_scored_again_with_its_own_versions(uri: str) -> None:
    put(trees(), "replayed", uri)
    before = score(Scorer(uri), ("replayed", "pd-lstm"))
    put(trees(seed=9, rounds=3), "replayed", uri)
    scorer = Scorer(uri)
    again = scorer.score_version(*APPLICATION, versions=before.models, weights=WEIGHTS)
    assert again == before
    assert score(scorer, ("replayed", "pd-lstm")).pd_xgb != before.pd_xgb


def test_a_score_is_taken_apart_by_the_version_that_gave_it(uri: str) -> None:
    put(trees(), "apart", uri)
    before = score(Scorer(uri), ("apart", "pd-lstm"))
    put(trees(seed=9, rounds=3), "apart", uri)
    scorer = Scorer(uri)
    found = scorer.explained(before.models[0], APPLICATION[0])
    assert found is not None and found.model == before.models[0]
    assert before.pd_xgb == near(calibrated(sum(found.shares.values()), found.calibration))
    assert scorer.explained(before.models[1], APPLICATION[0]) is None  # no tree model
    assert scorer.explained(replace(before.models[0], digest="sha256:0"), APPLICATION[0]) is None


@pytest.mark.parametrize(
    ("versions", "why"),
    [
        pytest.param((ModelVersion("pd-xgboost", "1", "sha256:0"),), "recorded sha256:0", id="another digest"),
        pytest.param((ModelVersion("pd-xgboost", "999", "sha256:0"),), "999", id="a version that does not exist"),
        pytest.param((), "recorded no such model", id="no model at all"),
    ],
)
def test_scoring_again_is_unknown_with(uri: str, versions: tuple[ModelVersion, ...], why: str) -> None:
    scores = Scorer(uri).score_version(*APPLICATION, versions=versions, weights=WEIGHTS)
    assert scores.pd_12m is None and any(why in text for text in scores.problems)


def test_threads_get_the_same_scores(uri: str) -> None:
    scorer = Scorer(uri, poll_seconds=FAST)
    expected = score(scorer)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: score(scorer), range(200)))
    assert all(one == expected for one in found)


def test_a_forked_worker_loads_models_of_its_own(uri: str) -> None:
    scorer = Scorer(uri)
    expected = score(scorer)
    child = os.fork()
    if child == 0:
        os._exit(0 if score(scorer) == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
