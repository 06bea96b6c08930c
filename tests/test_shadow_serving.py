"""A shadow beside a server with two workers: followed while it answers, whoever of the workers dies."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from decision_service.audit.release import Act
from decision_service.audit.replay import read_record
from decision_service.audit.signing import Signer
from decision_service.decide import Platform, assess
from decision_service.policy import Policies, Policy
from decision_service.recorded import given_facts
from decision_service.rulebook.files import load_sources
from decision_service.store import RulesetEntry, ShadowRun, Store
from decision_service.workbench import shadow
from decision_service.workbench.shadow_report import Report, report
from tests.api.real import FixedScorer
from tests.releasing import ANN
from tests.test_serving import Server, serving, until
from tests.workbench.test_shadow_follow import STRICTER, TEXTS

CLIENTS = 4
AMOUNTS = ("6000000.00", "100000.00", "100000.00")
DECLINING = {
    **TEXTS,
    "VERSION": "declining\n",
    "never_automatic.yaml": TEXTS["never_automatic.yaml"].replace(
        "when: exposure_total > policy.auto_cap\n    outcome: REFER",
        "when: exposure_total > policy.auto_cap\n    outcome: DECLINE",
    ),
}
"""The served applications are referred, as no model is there; above the cap this version declines them."""


class Beside:
    """A server with two workers, and the store beside it."""

    def __init__(self, home: Path) -> None:
        self.server: Server = serving(home)
        store = Store.open(f"sqlite:///{home}/decisions.db")
        self.platform = Platform(store, Policies(store), FixedScorer(), Signer.open(home / "log-key.pem"), "test")
        self.entries = {name: self._keep(texts) for name, texts in (("declining", DECLINING), ("strict", STRICTER))}

    def _keep(self, texts: dict[str, str]) -> RulesetEntry:
        ruleset, store = load_sources(texts), self.platform.store
        store.save_ruleset(ruleset.digest, ruleset.version, ruleset.sources, datetime.now(UTC))
        return shadow.find(store, ruleset.digest)

    def start(self, name: str = "declining") -> ShadowRun:
        shadow.start(self.platform, self.entries[name], Act(ANN, datetime.now(UTC)))
        return next(run for run in self.platform.store.shadows().running() if run.digest == self.entries[name].digest)

    def stop(self, name: str = "declining") -> None:
        shadow.stop(self.platform, self.entries[name], Act(ANN, datetime.now(UTC)))

    def ask(self, number: int) -> dict[str, Any]:
        """The answer to an application below or above the cap; sent again when the worker died that held it."""
        key, changes = str(uuid.uuid4()), {"application_id": str(uuid.uuid4()), "amount": AMOUNTS[number % 3]}
        answers: list[bytes] = []

        def answered() -> bool:
            status, body, _ = self.server.decide(key, **changes)
            assert status in (201, 409), body
            answers.extend([body] * (status == 201))
            return bool(answers)

        until(answered)
        return dict(json.loads(answers[0]))

    def ask_many(self, count: int) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(self.ask, range(count)))

    def followed(self, run: ShadowRun) -> bool:
        return self.platform.store.shadows().behind(run) == 0

    def report(self, run: ShadowRun) -> Report:
        """The report as it is without working out anything that the workers did not."""
        store, policies = self.platform.store, self.platform.policies
        results = store.shadows().results([run])
        return report(
            shadow.ruleset_of(store, run.digest), results, lambda digest: policies.by_digest(digest).ruleset
        )

    def stored_after(self, leaf: int) -> list[Any]:
        return [one for one in self.platform.store.each_decision() if one.leaf_index > leaf]

    def close(self) -> None:
        self.server.stop()
        self.platform.store.close()


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    with closing(Beside(tmp_path_factory.mktemp("beside"))) as found:
        yield found


@pytest.fixture(autouse=True)
def none_runs(beside: Beside) -> Iterator[None]:
    yield
    for name, entry in beside.entries.items():
        if shadow.last_started(beside.platform.store.releases(), entry.digest):
            beside.stop(name)


def counted(beside: Beside) -> list[float]:
    """How many judgements the metrics count, and how many flips."""
    lines = beside.server.get("/metrics")[1].decode().splitlines()
    names = (
        'decision_shadow_judgements_total{status="compared",version="declining"} ',
        'decision_shadow_flips_total{active="REFER",shadow="DECLINE",version="declining"} ',
    )
    return [sum(float(line.removeprefix(name)) for line in lines if line.startswith(name)) for name in names]


def by_hand(beside: Beside, run: ShadowRun) -> dict[str, tuple[str, str]]:
    """Each decision's outcome, and what the whole rules of the shadow say of its facts, by both engines."""
    policy, found = Policy(load_sources(DECLINING)), {}
    for one in beside.stored_after(run.leaf):
        record = read_record(one)
        in_force = policy.on(record.in_force_on, record.client_id)
        found[one.decision_id] = one.outcome, assess(in_force, given_facts(in_force, record)).outcome.name
    policy.close()
    return found


@pytest.mark.parametrize(("count", "above"), [(60, 20), pytest.param(200, 67, marks=pytest.mark.slow)])
def test_served_decisions_are_reported_as_assessing_them_by_hand_says(beside: Beside, count: int, above: int) -> None:
    run, before = beside.start(), counted(beside)
    answers = beside.ask_many(count)
    until(lambda: beside.followed(run))
    found, expected = beside.report(run), by_hand(beside, run)
    assert {answer["decision_id"] for answer in answers} == expected.keys() and len(expected) == count
    assert found.agreement.compared == count and not found.left_out
    flipped = {name for name, (active, shadowed) in expected.items() if active != shadowed}
    assert len(flipped) == above == len(found.flips)
    assert {flip.decision_id for flip in found.flips} == flipped
    assert {(flip.active.name, flip.shadow.name) for flip in found.flips} == {("REFER", "DECLINE")}
    assert {(rule.rule, rule.edited) for flip in found.flips for rule in flip.rules} == {("NA-02", True)}
    assert [now - then for now, then in zip(counted(beside), before)] == [count, above]


def test_no_answer_comes_from_a_shadow(beside: Beside) -> None:
    run = beside.start()
    answers = beside.ask_many(30)
    until(lambda: beside.followed(run))
    digests = {answer["ruleset"]["digest"] for answer in answers}
    assert digests == {one.ruleset_digest for one in beside.stored_after(run.leaf)} and run.digest not in digests
    assert {answer["outcome"] for answer in answers} == {"REFER"}


@pytest.mark.parametrize("count", [80, pytest.param(200, marks=pytest.mark.slow)])
def test_workers_that_are_killed_lose_nothing_and_double_nothing(beside: Beside, count: int) -> None:
    run, server = beside.start(), beside.server
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(beside.ask_many, count)
        for killed in range(2):  # the oldest each time, so that whichever of them follows is hit
            until(lambda: len(beside.stored_after(run.leaf)) > count // 5 * (killed + 1))
            before = server.workers()
            os.kill(before[0], signal.SIGKILL)
            until(lambda: len(server.workers()) == 2 and before[0] not in server.workers())
        answers = asking.result()
    until(lambda: beside.followed(run))
    stored, results = beside.stored_after(run.leaf), beside.platform.store.shadows().results([run])
    assert [one.result.leaf_index for one in results] == [one.leaf_index for one in stored]
    assert {answer["decision_id"] for answer in answers} == {one.decision_id for one in stored} and len(stored) == count
    assert {name for name, (active, shadowed) in by_hand(beside, run).items() if active != shadowed} == {
        flip.decision_id for flip in beside.report(run).flips
    }


def test_a_stop_ends_it_and_another_shadow_goes_on(beside: Beside) -> None:
    first, second = beside.start(), beside.start("strict")
    beside.ask_many(10)
    until(lambda: beside.followed(first) and beside.followed(second))
    beside.stop()
    beside.ask_many(10)
    until(lambda: beside.followed(second))
    known = beside.platform.store.shadows()
    assert [len(list(known.results([run]))) for run in (first, second)] == [10, 20]
