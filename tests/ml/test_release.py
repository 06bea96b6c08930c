"""Registering, gates, promotion, rollback and the card, by the commands and on small models."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from decision_service import login
from decision_service.scoring.inputs import ModelInputs
from decision_service.scoring.models import XgboostModel
from decision_service.scoring.registry import ModelRegistry
from decision_service.vocabulary import Person
from ml import gates, registration, release
from ml.__main__ import main
from ml.blend import Blend
from ml.fitted import scorecard_margins
from ml.held_out import HeldOut, held_out_from
from ml.promotion import move, read_person, written_person
from ml.scorecard import fit_scorecard
from ml.training import FittedModel, calibrate, fit_xgboost, probabilities, register, xgboost_margins

ANN, BOB = Person("os_user", "4711", "ann"), Person("os_user", "4712", "bob")
RANDOM = np.random.default_rng(5)
ROWS = 3_600
RISK = RANDOM.normal(size=ROWS)
LABELS = (RANDOM.random(ROWS) < 1 / (1 + np.exp(2.5 - 1.5 * RISK))).astype(int)
MATRIX = np.column_stack([RISK + 0.3 * RANDOM.normal(size=ROWS), RANDOM.normal(size=ROWS)])
REGION = np.where(np.arange(ROWS) % 2 == 0, "north", "south")
TEACH, TUNE = np.arange(ROWS) < 600, (np.arange(ROWS) >= 600) & (np.arange(ROWS) < ROWS // 2)
HELD = ~TEACH & ~TUNE
RATE = float(LABELS.mean())


def trained(columns: tuple[float, float] = (1.0, 1.0), seed: int = 1) -> FittedModel:
    """A model that sees the columns only as far as told."""
    seen = MATRIX * np.array(columns)
    fitted = fit_xgboost(seen[TEACH], LABELS[TEACH], feature_names=("risk", "noise"), seed=seed, rounds=40)
    return calibrate(fitted, xgboost_margins(fitted, seen[TUNE]), LABELS[TUNE], base_rate=RATE)


def held_out(fitted: FittedModel, change: Callable[[np.ndarray], np.ndarray] = lambda chances: chances) -> HeldOut:
    chances = change(probabilities(fitted, xgboost_margins(fitted, MATRIX)))[HELD]
    ids = tuple(f"u{row}" for row in np.flatnonzero(HELD))
    return HeldOut(ids, LABELS[HELD], chances, {"region": REGION[HELD].tolist()})


def only_north_is_random(chances: np.ndarray) -> np.ndarray:
    changed, north = chances.copy(), np.flatnonzero(REGION == "north")
    changed[north] = np.random.default_rng(1).permutation(chances[north])
    return changed


def blended(seed: int = 1) -> Blend:
    """Trees and a scorecard, side by side."""
    card = fit_scorecard(MATRIX[TEACH], LABELS[TEACH], feature_names=("risk", "noise"))
    margins = scorecard_margins(card, MATRIX[TUNE], ("risk", "noise"))
    return Blend((trained(seed=seed), calibrate(card, margins, LABELS[TUNE], base_rate=RATE)), (0.5, 0.5))


SOUND = trained()
WEAK = trained((0.0, 1.0))


class Office:
    """A registry of its own, with two people who act on it."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uri = f"sqlite:///{home}/mlflow.db"
        self._patch = monkeypatch
        self.rules = home / "none"

    def put(self, fitted: FittedModel | Blend, kept: HeldOut | None, by: Person = ANN, **more: Any) -> str:
        self._patch.setattr(registration, "os_user", lambda: by)
        done = register(
            fitted, name="pd-test", metrics={"auc": 0.8}, data_hash="sha256:0", held_out=kept, uri=self.uri, **more
        )
        return done.version

    def run(self, *words: str, by: Person = BOB) -> Result:
        self._patch.setattr("ml.registry_commands.os_user", lambda: by)
        self._patch.setattr(release, "os_user", lambda: by)
        self._patch.setattr(release, "live_shadow", lambda name, version: (None, "no live decisions are known"))
        self._patch.setattr("ml.registry_commands.shadow_words", lambda *_: "no live decisions are known")
        environ = {"MLFLOW_TRACKING_URI": self.uri}
        return CliRunner().invoke(main, list(words), env=environ)

    def todo(self, reference: str, *words: str) -> dict[str, str]:
        """What to do about each gate that refuses."""
        found = json.loads(self.run("promote", reference, "--json", *words).stdout)["models"][0]["gates"]
        return {one["gate"]: one["todo"] for one in found if not one["passed"]}

    def refused(self, reference: str, *words: str, by: Person = BOB) -> dict[str, str]:
        """The gates that refuse, with their figures."""
        said = self.run("promote", reference, "--json", *words, by=by)
        assert said.exit_code == 1, said.output
        found = json.loads(said.stdout)
        assert not found["promoted"]
        return {one["gate"]: one["figures"] for one in found["models"][0]["gates"] if not one["passed"]}

    @property
    def champion(self) -> str | None:
        return ModelRegistry(self.uri).state("pd-test", "champion").version


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(gates, "REPEATS", 300)
    monkeypatch.chdir(tmp_path)  # no rules folder, so that the champion alone says what a version must read
    return Office(tmp_path, monkeypatch)


def test_register_challenger_promote_rollback(office: Office) -> None:
    first = office.put(SOUND, held_out(SOUND))
    said = office.run("promote", f"pd-test/{first}", by=ANN)
    assert said.exit_code == 0 and "promoted: pd-test none → 1 by ann" in said.output, said.output
    second = office.put(trained(seed=2), held_out(trained(seed=2)), alias="challenger")
    said = office.run("promote", "pd-test", "--note", "more trees")
    assert said.exit_code == 0 and office.champion == second == "2", said.output
    for gate in ("hashes", "canaries", "signature", "calibration", "no worse", "segments", "sign-off"):
        assert f"✓ {gate}" in said.output
    assert ModelRegistry(office.uri).state("pd-test", "challenger").version is None
    said = office.run("rollback", "pd-test", "--note", "drift")
    assert (said.exit_code, office.champion) == (0, "1"), said.output
    told = office.run("list", "pd-test").output
    assert "promoted 1 → 2  bob (os_user 4712)  more trees" in told and "rolled back 2 → 1" in told and "drift" in told
    assert office.run("rollback", "pd-test").exit_code == 1
    history = json.loads(office.run("promote", "pd-test", "--history", "--json").stdout)[0]["history"]
    assert [one["how"] for one in history] == ["promoted", "promoted", "rolled back"]
    assert any("ECE" in gate["figures"] for gate in history[1]["gates"])


@pytest.fixture
def settled(office: Office) -> Office:
    """With a sound champion."""
    office.put(SOUND, held_out(SOUND))
    move({"pd-test": "1"}, uri=office.uri)
    return office


def test_a_weaker_model_is_refused(settled: Office) -> None:
    found = settled.refused(f"pd-test/{settled.put(WEAK, held_out(WEAK))}")
    assert found.keys() == {"no worse", "segments"} and settled.champion == "1"
    assert "region north: auc" in found["segments"] and "region south: auc" in found["segments"]


def test_a_model_that_is_worse_in_one_segment_alone_is_refused(settled: Office) -> None:
    found = settled.refused(f"pd-test/{settled.put(SOUND, held_out(SOUND, only_north_is_random))}")
    assert "region north" in found["segments"] and "worse: region south" not in found["segments"]


@pytest.mark.parametrize("change", [lambda chances: chances * 0.5, lambda chances: np.minimum(chances * 1.6, 0.999)])
def test_probabilities_that_are_off_are_refused(settled: Office, change: Callable[[np.ndarray], np.ndarray]) -> None:
    found = settled.refused(f"pd-test/{settled.put(SOUND, held_out(SOUND, change))}")
    assert "mean forecast minus rate" in found["calibration"]


def test_who_registered_does_not_promote(settled: Office) -> None:
    version = settled.put(SOUND, held_out(SOUND), by=BOB)
    assert "takes two persons" in settled.refused(f"pd-test/{version}", by=BOB)["sign-off"]
    behind = Person("os_user", "0", "root", (BOB,))
    assert "bob (os_user 4712)" in settled.refused(f"pd-test/{version}", by=behind)["sign-off"]
    assert settled.run("promote", f"pd-test/{version}", by=ANN).exit_code == 0


def test_one_person_is_enough_for_the_synthetic_city(settled: Office) -> None:
    version = settled.put(SOUND, held_out(SOUND), by=BOB, tags={"data": "synthetic city"})
    assert settled.run("promote", f"pd-test/{version}", by=BOB).exit_code == 0


def test_without_held_out_rows_nothing_is_promoted(settled: Office) -> None:
    found = settled.refused(f"pd-test/{settled.put(SOUND, None)}")
    assert found.keys() == {"calibration", "no worse", "segments"} and "no held-out rows" in found["calibration"]
    todo = settled.todo("pd-test/2")
    assert "register it with held-out rows" in todo["calibration"] and todo.keys() == found.keys()


def test_other_rows_than_the_champions_are_no_comparison(settled: Office) -> None:
    kept = held_out(SOUND)
    other = replace(kept, ids=tuple(f"other-{name}" for name in kept.ids))
    assert "no scores on the same rows" in settled.refused(f"pd-test/{settled.put(SOUND, other)}")["no worse"]


def test_a_first_version_must_beat_its_scorecard(office: Office) -> None:
    weak = held_out(WEAK)
    office.put(WEAK, replace(weak, baseline=held_out(SOUND).probabilities))
    assert office.refused("pd-test/1").keys() == {"baseline"}
    office.put(SOUND, replace(held_out(SOUND), baseline=weak.probabilities))
    assert office.run("promote", "pd-test/2").exit_code == 0


def spoil(office: Office, version: str, name: str) -> None:
    client = MlflowClient(tracking_uri=office.uri, registry_uri=office.uri)
    place = client.get_model_version_download_uri("pd-test", version)
    path = next(Path(unquote(urlparse(place).path)).rglob(name))
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize("name", ["model.ubj", "model.onnx", "spec.json"])
def test_a_changed_file_is_refused(settled: Office, name: str) -> None:
    version = settled.put(SOUND, held_out(SOUND))
    spoil(settled, version, name)
    assert f"{name} was changed" in settled.refused(f"pd-test/{version}")["hashes and canaries"]


def test_a_blend_is_judged_by_its_members_promoted_and_rolled_back(office: Office) -> None:
    for seed in (1, 2):
        version = office.put(blended(seed), held_out(SOUND), facts={"weights": {"xgboost": 0.5, "scorecard": 0.5}})
        said = office.run("promote", f"pd-test/{version}")
        assert said.exit_code == 0 and office.champion == version, said.output
        canaries = next(line for line in said.output.splitlines() if "canaries" in line)
        assert "xgboost" in canaries and "ONNX graph" in canaries and "scorecard" in canaries
    card = office.run("card", "pd-test").output
    assert "blend: scorecard 0.50, xgboost 0.50" in card and "特征: scorecard" in card, card
    assert office.run("rollback", "pd-test").exit_code == 0 and office.champion == "1"
    spoil(office, "2", "xgboost.model.onnx")
    assert "xgboost.model.onnx was changed" in office.refused("pd-test/2")["hashes and canaries"]


def test_a_blend_takes_the_place_of_nothing_that_decisions_are_scored_by(settled: Office) -> None:
    version = settled.put(blended(), held_out(SOUND))
    assert "the champion is no blend but of kind xgboost" in settled.refused(f"pd-test/{version}")["signature"]
    place = ModelInputs("xgboost", ("risk", "noise"))
    found = gates.signature(blended(), None, (place,))
    assert not found.passed and "decisions are not scored by a blend" in found.figures and "--kind lstm" in found.todo
    assert not gates.signature(ModelRegistry(settled.uri).load("pd-test", "1").model, blended(), ()).passed


def test_held_out_rows_that_were_changed_are_refused(settled: Office) -> None:
    version = settled.put(SOUND, held_out(SOUND))
    run = MlflowClient(tracking_uri=settled.uri).get_model_version("pd-test", version).run_id
    root = Path(unquote(urlparse(MlflowClient(tracking_uri=settled.uri).get_run(run).info.artifact_uri).path))
    (root / "evidence" / "held_out.csv").write_text("id,label,probability\n1,0,0.1\n")
    assert "held_out.csv was changed" in settled.refused(f"pd-test/{version}")["hashes and canaries"]


def test_other_features_than_the_champions_are_refused(settled: Office) -> None:
    other = fit_xgboost(MATRIX[TEACH], LABELS[TEACH], feature_names=("risk", "wealth"), seed=1, rounds=40)
    other = calibrate(other, xgboost_margins(other, MATRIX[TUNE]), LABELS[TUNE], base_rate=RATE)
    assert "reads wealth" in settled.refused(f"pd-test/{settled.put(other, held_out(other))}")["signature"]


def test_live_decisions_can_be_asked_for(settled: Office) -> None:
    version = settled.put(SOUND, held_out(SOUND))
    assert "at least 5" in settled.refused(f"pd-test/{version}", "--shadow-min", "5")["shadow"]


def test_a_run_is_registered_again_only_if_its_files_are_its_own(office: Office) -> None:
    office.put(SOUND, held_out(SOUND))
    run = MlflowClient(tracking_uri=office.uri).get_model_version("pd-test", "1").run_id
    said = office.run("register", str(run)[:8], "--name", "pd-other", "--alias", "challenger")
    assert said.exit_code == 0 and "pd-other version 1 is challenger" in said.output, said.output
    tags = MlflowClient(tracking_uri=office.uri).get_model_version("pd-other", "1").tags
    assert read_person(tags["registered_by"]) == BOB
    assert office.run("promote", "pd-other", by=ANN).exit_code == 0
    spoil(office, "1", "model.ubj")
    said = office.run("register", str(run), "--name", "pd-other")
    assert said.exit_code == 2 and "model.ubj was changed" in said.output


WRONG = {
    "a champion is promoted": ("register", "x", "--name", "y", "--alias", "champion"),
    "names no version": ("promote", "pd-test/x"),
    "no version stands behind the alias challenger": ("promote", "pd-test"),
    "--data and --target belong together": ("promote", "pd-test/1", "--target", "bad"),
    "named twice": ("promote", "pd-test/1", "pd-test/2"),
    "no such folder": ("promote", "pd-test/1", "--rules", "nowhere"),
    "'nothing' is no id of a run": ("register", "nothing", "--name", "y"),
    "no run's id begins with 00000000": ("register", "00000000", "--name", "y"),
    "there is no such model": ("evaluate", "--model", "loans@champion", "--data", "DATA", "--target", "x"),
    "no version of pd-test is challenger": ("score", "--model", "pd-test@challenger", "--data", "DATA", "--out", "x"),
    "pd-test has no version 9": ("evaluate", "--model", "pd-test/9", "--data", "DATA", "--target", "x"),
}


@pytest.mark.parametrize(("why", "words"), WRONG.items(), ids=WRONG.keys())
def test_what_cannot_run_says_why(settled: Office, why: str, words: tuple[str, ...]) -> None:
    Path("DATA").write_text("id,x\n1,0\n2,1\n")
    said = settled.run(*words)
    assert said.exit_code == 2 and why in said.output and "Traceback" not in said.output, said.output


def test_the_card_tells_data_figures_segments_and_sign_off(settled: Office, tmp_path: Path) -> None:
    leak = {"column": "c|x", "reason": "copy", "evidence": "1"}
    facts = {"units": 4000, "bads": 7, "span": "2015 to 2019", "leaks": [leak]}
    version = settled.put(trained(seed=2), held_out(trained(seed=2)), facts=facts)
    assert settled.run("promote", f"pd-test/{version}", "--note", "better").exit_code == 0
    said = settled.run("card", "pd-test@champion", "--html", str(tmp_path / "card.html"))
    assert said.exit_code == 0, said.output
    card = settled.run("card", "pd-test").output
    told = ("2015 to 2019", "c\\|x", "| region | north |", "registered by / 登记人: ann", "better", "xgboost-cpu==", "ECE")
    for text in told:
        assert text in card, text
    page = (tmp_path / "card.html").read_text()
    assert "2015 to 2019" in page and "http" not in page.replace("http-equiv", "")


def test_versions_are_listed_with_their_aliases_and_one_becomes_challenger(settled: Office) -> None:
    for _ in range(2):
        settled.put(SOUND, held_out(SOUND))
    said = settled.run("challenge", "pd-test/2", "--note", "again")
    assert said.exit_code == 0 and "pd-test version 2 is challenger" in said.output, said.output
    (found,) = json.loads(settled.run("list", "--json", "--limit", "1").stdout)
    assert (found["count"], [one["version"] for one in found["versions"]]) == (3, ["3", "2", "1"])
    assert [one["aliases"] for one in found["versions"]] == [[], ["challenger"], ["champion"]]
    assert found["versions"][0]["kind"] == "xgboost" and "ann" in found["versions"][0]["registered_by"]
    told = settled.run("list").output
    assert "version   2  challenger  xgboost" in told and "version   3  -" in told, told
    spoil(settled, "3", "spec.json")
    assert "spec.json was changed" in settled.run("challenge", "pd-test/3").output


def test_cities_of_other_seeds_are_not_compared(settled: Office) -> None:
    for seed in ("1", "2"):
        tags = {"data": "synthetic city", "seed": seed}
        version = settled.put(SOUND, held_out(SOUND), tags=tags)
        if seed == "1":
            move({"pd-test": version}, uri=settled.uri)
    assert settled.refused(f"pd-test/{version}").keys() == {"no worse", "segments"}
    assert "train-city --seed 1" in settled.todo(f"pd-test/{version}")["no worse"]
    off = settled.put(SOUND, held_out(SOUND, lambda chances: chances * 0.5), tags=tags)
    assert "train-city --population" in settled.todo(f"pd-test/{off}")["calibration"]


def test_held_out_rows_come_back_as_they_were() -> None:
    groups = tuple(f"g{row % 7}" for row in range(ROWS // 2))
    kept = replace(held_out(SOUND), groups=groups, baseline=np.full(ROWS // 2, 0.5))
    again = held_out_from(kept.to_csv())
    assert again.ids == kept.ids and (again.probabilities == kept.probabilities).all() and again.groups == kept.groups
    assert again.baseline is not None and list(again.segments) == ["region"] and (again.labels == kept.labels).all()


def test_holm_holds_the_whole_family_to_its_level() -> None:
    assert list(gates.holm([(0.02, "a"), (0.011, "b"), (0.9, "c")])) == ["b, p 0.01", "a, p 0.02"]
    assert list(gates.holm([(0.03, "a"), (0.03, "b")])) == []


def test_of_a_model_that_no_product_names_no_live_decision_is_looked_for() -> None:
    rules = Path(__file__).parents[2] / "rules"
    assert "no product of the rules names this model" in release.shadow_words("loans", "1", rules)


def test_a_person_is_written_and_read() -> None:
    person = login.os_user()
    assert read_person(written_person(person)) == person and read_person(None) is None


def test_the_model_that_was_judged_is_the_one_that_serves(settled: Office) -> None:
    loaded = ModelRegistry(settled.uri).load("pd-test", "1").model
    assert isinstance(loaded, XgboostModel)
    found = loaded.probability({"risk": MATRIX[-1, 0], "noise": MATRIX[-1, 1]})
    assert found == pytest.approx(held_out(SOUND).probabilities[-1], abs=1e-6)
