"""Served decisions while the rules change: none fails or is late, each names its version; a switch counts at once."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from decision_service.audit.release import Act, Named
from decision_service.audit.signing import Signer
from decision_service.decide import Platform
from decision_service.policy import Policies
from decision_service.rulebook.files import load, load_sources
from decision_service.store import RulesetEntry, Store
from decision_service.workbench import release, switches
from tests.api.real import RULES, FixedScorer
from tests.releasing import ANN, BOB
from tests.test_serving import Server, serving

LATE = 5.0
"""Seconds after a switch from which on no answer may come from the version before."""


@dataclass(frozen=True)
class Answer:
    """One answer: when it was asked for and came (monotonic), and what it says."""

    asked: float
    came: float
    status: int
    document: dict[str, Any]

    @property
    def version(self) -> str:
        return str(self.document["ruleset"]["version"])


class Office:
    """A server with two workers, and beside it the people who release rules into its store."""

    def __init__(self, home: Path) -> None:
        self.server: Server = serving(home)
        signer = Signer.open(home / "log-key.pem")
        store = Store.open(f"sqlite:///{home}/decisions.db")
        self.platform = Platform(store, Policies(store), FixedScorer(), signer, "test")
        texts = load(RULES).sources
        self.versions = {name: self.publish(name, {**texts, "VERSION": f"{name}\n"}) for name in ("red", "blue")}

    def publish(self, name: str, texts: dict[str, str]) -> RulesetEntry:
        """A version that two people have released: nothing in it differs from the shipped rules but its name."""
        ruleset = load_sources(texts)
        now = datetime.now(UTC)
        store, sign = self.platform.store, self.platform.signer.receipt
        store.save_ruleset(ruleset.digest, name, ruleset.sources, now)
        named = Named(ruleset.digest, name)
        store.append_release(lambda _: release.records.publication(named, Act(ANN, now), release.Judged()), sign)
        entry = RulesetEntry(ruleset.digest, name, now)
        release.approve(self.platform, entry, Act(BOB, now))
        return entry

    def switch_to(self, name: str) -> None:
        release.activate(self.platform, self.versions[name], Act(ANN, datetime.now(UTC)))

    def settle(self, name: str) -> None:
        """Switch, and wait until both workers have followed, which must not take them longer than five seconds."""
        self.switch_to(name)
        deadline, seen = time.monotonic() + LATE, 0
        while seen < 12:
            seen = seen + 1 if self.ask().version == name else 0
            assert time.monotonic() < deadline or seen

    def ask(self, **changes: Any) -> Answer:
        asked = time.monotonic()
        status, body, _ = self.server.decide(str(uuid.uuid4()), application_id=str(uuid.uuid4()), **changes)
        return Answer(asked, time.monotonic(), status, json.loads(body))

    def close(self) -> None:
        self.server.stop()
        self.platform.store.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with closing(Office(tmp_path_factory.mktemp("office"))) as found:
        yield found


def change_rules(office: Office, changes: int, pause: float, done: threading.Event) -> list[tuple[float, str]]:
    """Activate and roll back in turns; when each change was durable, and which version decides from then on."""
    said = []
    for _ in range(changes // 2):
        office.switch_to("blue")
        said.append((time.monotonic(), "blue"))
        time.sleep(pause)
        back = release.rollback(office.platform, Act(BOB, datetime.now(UTC)))
        said.append((time.monotonic(), str(back.event.content["ruleset"]["version"])))
        time.sleep(pause)
    done.set()
    return said


def ask_until(office: Office, done: threading.Event, least: int) -> list[Answer]:
    answers = []
    while not done.is_set() or len(answers) < least:
        answers.append(office.ask())
    return answers


def late(answers: list[Answer], said: list[tuple[float, str]]) -> list[Answer]:
    """Answers by a version that was not active at any moment of the last five seconds before they were asked for."""
    found = []
    for answer in answers:
        before = [version for moment, version in said if moment <= answer.asked - LATE][-1:] or ["red"]
        since = [version for moment, version in said if answer.asked - LATE < moment <= answer.came]
        if answer.version not in {*before, *since}:
            found.append(answer)
    return found


def hurry(office: Office, *, requests: int, changes: int, pause: float) -> None:
    done = threading.Event()
    office.settle("red")
    clients = 4
    with ThreadPoolExecutor(clients + 1) as pool:
        changing = pool.submit(change_rules, office, changes, pause, done)
        asking = [pool.submit(ask_until, office, done, requests // clients) for _ in range(clients)]
        answers = [answer for one in asking for answer in one.result()]
        said = changing.result()
    assert len(answers) >= requests and len(said) == changes
    assert {answer.status for answer in answers} == {201}
    assert {answer.version for answer in answers} == {"red", "blue"}
    assert not late(answers, said)


def test_decisions_go_on_while_rules_are_activated_and_rolled_back(office: Office) -> None:
    hurry(office, requests=60, changes=2, pause=1.5)


@pytest.mark.slow
def test_a_thousand_decisions_during_twenty_changes(office: Office) -> None:
    hurry(office, requests=1_000, changes=20, pause=3.0)


def test_after_five_seconds_workers_that_had_nothing_to_do_follow_at_once(office: Office) -> None:
    office.settle("red")
    office.switch_to("blue")
    time.sleep(LATE)
    assert {office.ask().version for _ in range(12)} == {"blue"}


def test_the_same_application_before_and_after_differs_by_the_version_only(office: Office) -> None:
    answers = []
    for name in ("red", "blue"):
        office.settle(name)
        answers.append(office.ask(amount="10000.00").document)
    own = ("decision_id", "application_id", "decided_at", "due_at", "receipt", "ruleset")
    first, second = ({name: value for name, value in one.items() if name not in own} for one in answers)
    assert first == second
    assert [one["ruleset"]["version"] for one in answers] == ["red", "blue"]
    assert answers[0]["ruleset"]["digest"] != answers[1]["ruleset"]["digest"]


def test_a_scheduled_version_decides_from_its_moment_on(office: Office) -> None:
    office.settle("red")
    at = datetime.now(UTC) + timedelta(seconds=3)
    release.activate(office.platform, office.versions["blue"], Act(ANN, datetime.now(UTC)), effective_at=at)
    seen = 0
    while seen < 12:
        answer = office.ask()
        seen = seen + 1 if answer.version == "blue" else 0
        assert answer.version == "red" or datetime.now(UTC) >= at
        assert seen or datetime.now(UTC) < at + timedelta(seconds=LATE)


def test_a_switch_counts_for_the_very_next_request_and_until_it_is_on_again(office: Office) -> None:
    platform = office.platform
    rng = random.Random(7)
    for scope in ("all", "product:working_capital"):
        for _ in range(rng.randint(3, 5)):
            switches.switch_off(platform, scope, Act(ANN, datetime.now(UTC)))
            assert "KILL_SWITCH" in reasons(office.ask())
            switches.switch_on(platform, scope, Act(BOB, datetime.now(UTC)))
            assert "KILL_SWITCH" not in reasons(office.ask())
    switches.switch_off(platform, "product:invoice_loan", Act(ANN, datetime.now(UTC)))
    assert "KILL_SWITCH" not in reasons(office.ask())


def reasons(answer: Answer) -> set[str]:
    return {reason["code"] for reason in answer.document["reasons"]}
