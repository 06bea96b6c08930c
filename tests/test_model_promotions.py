"""Served decisions while models are promoted: none fails, each names one pair of versions and replays."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from decision_service.audit.signing import Signer
from decision_service.cli import main
from decision_service.decide import Platform
from decision_service.policy import Policies, Policy
from decision_service.portrait.series import SERIES, WINDOW
from decision_service.portrait.snapshot import feature_names
from decision_service.recorded import differences
from decision_service.rulebook.files import load
from decision_service.scoring.scorer import Scorer
from decision_service.store import Store
from ml.fitted import FittedModel
from ml.promotion import move, rollback
from ml.release import live_shadow
from ml.training import calibrate, fit_lstm, fit_xgboost, lstm_margins, register, xgboost_margins
from tests.api.real import RULES
from tests.test_serving import Server, serving, until

NAMES = "pd-xgboost", "pd-lstm"
LATE = 5.0
"""Seconds after a promotion from which on no answer may come from the pair before."""
CLIENTS = 4


def models(seed: int) -> tuple[FittedModel, FittedModel]:
    """A booster on the product's first indicators and a network on its series, from noise."""
    random = np.random.default_rng(seed)
    names = [name for name in feature_names("working_capital", Policy(load(RULES)).registry) if name != "industry_code"]
    labels = (random.random(300) < 0.3).astype(int)
    matrix = random.normal(size=(300, len(names)))
    series, mask = np.exp(random.normal(8, 1, size=(300, WINDOW, len(SERIES)))), np.ones((300, WINDOW), dtype=bool)
    trees = fit_xgboost(matrix, labels, feature_names=names, seed=seed, rounds=5)
    network = fit_lstm(series, mask, labels, series_names=SERIES, seed=seed, epochs=1, hidden=4)
    return (
        calibrate(trees, xgboost_margins(trees, matrix), labels, base_rate=0.03),
        calibrate(network, lstm_margins(network, series, mask), labels, base_rate=0.03),
    )


@dataclass(frozen=True)
class Answer:
    """One answer: when it was asked for and came (monotonic), and what it says."""

    asked: float
    came: float
    status: int
    document: dict[str, Any]

    @property
    def pair(self) -> dict[str, str]:
        return {one["name"]: one["version"] for one in self.document["models"]}


class Bank:
    """A server with two workers, and beside it the people who promote models into its registry."""

    def __init__(self, home: Path) -> None:
        self.uri = f"sqlite:///{home}/mlflow.db"
        for seed in (1, 2, 3):
            for name, fitted in zip(NAMES, models(seed), strict=True):
                register(fitted, name=name, metrics={}, data_hash="sha256:0", uri=self.uri)
        self.promote("1")
        self.server: Server = serving(home)
        self.store = Store.open(f"sqlite:///{home}/decisions.db")
        policies = Policies(self.store)
        self.scorer = Scorer(self.uri, places=policies.model_inputs)
        self.platform = Platform(self.store, policies, self.scorer, Signer.open(home / "log-key.pem"), "test")

    @property
    def environ(self) -> dict[str, str]:
        return {"DECISION_HOME": str(self.server.home), "MLFLOW_TRACKING_URI": self.uri, "DECISION_RULES": str(RULES)}

    def promote(self, version: str) -> None:
        move(dict.fromkeys(NAMES, version), uri=self.uri)

    def ask(self) -> Answer:
        asked = time.monotonic()
        status, body, _ = self.server.decide(str(uuid.uuid4()), application_id=str(uuid.uuid4()))
        return Answer(asked, time.monotonic(), status, json.loads(body))

    def settle(self, version: str) -> None:
        """Promote, and wait until both workers have followed."""
        self.promote(version)
        deadline, seen = time.monotonic() + LATE, 0
        while seen < 12:
            seen = seen + 1 if self.ask().pair == dict.fromkeys(NAMES, version) else 0
            assert time.monotonic() < deadline or seen

    def not_replaying(self) -> list[str]:
        return [text for one in self.store.each_decision() for text in differences(self.platform, one)]

    def artifact(self, name: str, version: str, file: str) -> Path:
        client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        location = client.get_model_version_download_uri(name, version)
        return next(Path(unquote(urlparse(location).path)).rglob(file))

    def close(self) -> None:
        self.server.stop()
        self.store.close()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    with closing(Bank(tmp_path_factory.mktemp("bank"))) as found:
        yield found


def change_models(bank: Bank, changes: int, pause: float, done: threading.Event) -> list[tuple[float, str]]:
    """Promote the second pair and roll back in turns; when each change was there, and to which version."""
    said = []
    for _ in range(changes // 2):
        bank.promote("2")
        said.append((time.monotonic(), "2"))
        time.sleep(pause)
        back = rollback(NAMES[:1], uri=bank.uri)
        said.append((time.monotonic(), back.members[NAMES[1]]))
        time.sleep(pause)
    done.set()
    return said


def ask_until(bank: Bank, done: threading.Event, least: int) -> list[Answer]:
    answers = []
    while not done.is_set() or len(answers) < least:
        answers.append(bank.ask())
    return answers


def late(answers: list[Answer], said: list[tuple[float, str]]) -> list[Answer]:
    """Answers by a pair that was not in force at any moment of the last five seconds before they were asked for."""
    found = []
    for answer in answers:
        before = [version for moment, version in said if moment <= answer.asked - LATE][-1:] or ["1"]
        since = [version for moment, version in said if answer.asked - LATE < moment <= answer.came]
        if answer.pair[NAMES[0]] not in {*before, *since}:
            found.append(answer)
    return found


def hurry(bank: Bank, *, changes: int, pause: float) -> None:
    done = threading.Event()
    bank.settle("1")
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        changing = pool.submit(change_models, bank, changes, pause, done)
        asking = [pool.submit(ask_until, bank, done, 20) for _ in range(CLIENTS)]
        answers = [answer for one in asking for answer in one.result()]
        said = changing.result()
    pairs = [tuple(answer.pair.items()) for answer in answers if answer.status == 201]
    print(f"{changes} changes, {len(answers)} answers, {len(said)} moves, {len(set(pairs))} pairs seen")
    assert len(said) == changes and {answer.status for answer in answers} == {201}
    assert set(pairs) == {tuple(dict.fromkeys(NAMES, version).items()) for version in ("1", "2")}
    assert not late(answers, said)
    assert bank.not_replaying() == []


def test_decisions_go_on_while_models_are_promoted_and_rolled_back(bank: Bank) -> None:
    hurry(bank, changes=2, pause=2.5)


@pytest.mark.slow
def test_fifty_promotions_and_rollbacks_under_traffic(bank: Bank) -> None:
    hurry(bank, changes=50, pause=2.5)


def test_workers_that_had_nothing_to_do_follow_within_five_seconds(bank: Bank) -> None:
    bank.settle("1")
    bank.promote("2")
    time.sleep(LATE)
    assert {tuple(bank.ask().pair.values()) for _ in range(12)} == {("2", "2")}


@pytest.fixture
def challenged(bank: Bank) -> Iterator[Bank]:
    """Version 2 of the booster is challenger."""
    bank.settle("1")
    move({NAMES[0]: "2"}, uri=bank.uri, alias="challenger")
    yield bank
    MlflowClient(tracking_uri=bank.uri, registry_uri=bank.uri).delete_registered_model_alias(NAMES[0], "challenger")


def test_a_challenger_scores_live_decisions_after_the_answer_and_answers_none(
    challenged: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, known, subject = challenged, challenged.store.challengers(), f"{NAMES[0]}/2"
    until(lambda: subject in known.subjects())
    answers = [bank.ask() for _ in range(30)]
    assert {tuple(answer.pair.values()) for answer in answers} == {("1", "1")}
    ids = {answer.document["decision_id"] for answer in answers}
    until(lambda: ids <= {one.decision_id for one in known.results(subject)})
    mine = [one.result for one in known.results(subject) if one.decision_id in ids]
    assert len(mine) == 30 and {one.status for one in mine} == {"compared"}
    move({NAMES[0]: "2"}, uri=bank.uri)
    until(lambda: bank.ask().pair == {NAMES[0]: "2", NAMES[1]: "1"})
    alone = next(answer for answer in iter(bank.ask, None) if answer.pair[NAMES[0]] == "2")
    scores = {name: int(Decimal(alone.document["scores"][name]) * 1_000_000) for name in ("pd_xgb", "pd_12m")}
    assert {(one.pd, one.pd_12m, one.outcome) for one in mine} == {
        (scores["pd_xgb"], scores["pd_12m"], alone.document["outcome"])
    }
    for name, value in bank.environ.items():
        monkeypatch.setenv(name, value)
    said = CliRunner().invoke(main, ["models", "shadow", subject, "--json"])
    assert said.exit_code in (0, 1), said.output
    found = json.loads(said.stdout)
    assert found["compared"] >= 30 and found["left_out"].get("same version", 0) >= 1
    assert live_shadow(NAMES[0], "2") == (found["compared"], found["summary"])


def test_a_corrupt_champion_leaves_the_pair_before_deciding_and_is_seen(bank: Bank) -> None:
    bank.settle("1")
    spoilt = bank.artifact(NAMES[1], "3", "model.onnx")
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:-1])
    try:
        bank.promote("3")
        until(lambda: b"model.onnx was changed" in bank.server.get("/readyz")[1])
        assert bank.server.get("/readyz")[0] == 200
        until(lambda: b'decision_model_problem{model="pd-lstm"} 1.0' in bank.server.get("/metrics")[1])
        assert b'decision_model_in_force{model="pd-lstm",version="1"} 1.0' in bank.server.get("/metrics")[1]
        assert {tuple(bank.ask().pair.values()) for _ in range(12)} == {("1", "1")}
    finally:
        spoilt.write_bytes(content)
    bank.settle("2")
    assert b"was changed" not in bank.server.get("/readyz")[1]
