"""Following: shadows are held against stored decisions, by hand and by a thread that never disturbs anybody."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from decision_service.api import bodies
from decision_service.api.render import decision_bytes
from decision_service.audit import release as records
from decision_service.audit.release import STARTED, Act, Named
from decision_service.audit.replay import read_record
from decision_service.decide import Platform, assess, business_date, decide
from decision_service.errors import InputError, NotFound, Refused, RulebookError, StoreError
from decision_service.policy import Policy
from decision_service.recorded import given_facts
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.ruleset import digest_of
from decision_service.store import RulesetEntry, ShadowRun, Store
from decision_service.vocabulary import Client
from decision_service.workbench import shadow
from decision_service.workbench.shadow_compare import Pairs
from decision_service.workbench.shadow_follow import BATCH, Desk, ShadowFollower
from tests.api.real import RULES, FixedScorer, open_platform, write_feeds
from tests.releasing import ANN, BOB

TEXTS = load(RULES).sources
STRICTER = {
    **TEXTS,
    "VERSION": "stricter\n",
    "parameters.yaml": TEXTS["parameters.yaml"].replace("auto_cap, value: 5_000_000.00", "auto_cap, value: 600_000.00"),
}
BANK = Client("bank-01", "Bank", "bank")
PATIENCE = 30.0


def now() -> datetime:
    return datetime.now(UTC)


class Office:
    """A platform with the showcase firms, and a version stored beside the active one."""

    def __init__(self, home: Path) -> None:
        self.shows = write_feeds(home / "feeds")
        self.platform: Platform = open_platform(home, FixedScorer(), home / "feeds")
        self.store: Store = self.platform.store
        self.stricter = self.keep(STRICTER)

    def keep(self, texts: dict[str, str]) -> RulesetEntry:
        digest = digest_of(texts)
        self.store.save_ruleset(digest, texts["VERSION"].strip(), texts, now())
        return shadow.find(self.store, digest)

    def start(self, entry: RulesetEntry) -> ShadowRun:
        shadow.start(self.platform, entry, Act(ANN, now()))
        return next(run for run in self.store.shadows().running() if run.digest == entry.digest)

    def decide(self, show: str = "approve", amount: str = "500000.00") -> str:
        fields = {**self.shows[show]["application"], "application_id": str(uuid.uuid4()), "amount": amount}
        done = decide(
            bodies.application(fields),
            client=BANK,
            idempotency_key=str(uuid.uuid4()),
            body_digest="",
            platform=self.platform,
            render=decision_bytes,
            now=now(),
        )
        return done.decision_id

    def statuses(self, run: ShadowRun) -> list[str]:
        return [one.result.status for one in self.store.shadows().results([run])]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shadow")


@pytest.fixture(scope="module")
def office(home: Path) -> Iterator[Office]:
    found = Office(home)
    with closing(found.store):
        yield found


@pytest.fixture(autouse=True)
def no_shadow_left(office: Office) -> Iterator[None]:
    """Every test begins and ends without a shadow that runs."""
    yield
    for run in office.store.shadows().running():
        shadow.stop(office.platform, shadow.find(office.store, run.digest), Act(ANN, now()))


def follow(office: Office, run: ShadowRun, **options: Any) -> int:
    return sum(Desk(office.platform).catch_up(run, **options))


def test_each_decision_is_judged_as_the_shadows_own_policy_judges_its_facts(office: Office) -> None:
    run = office.start(office.stricter)
    for show in office.shows:
        office.decide(show, "700000.00")
    assert follow(office, run) == len(office.shows)
    in_force, active = Policy(load_sources(STRICTER)), office.platform.policies.current()
    flips = 0
    for one in office.store.shadows().results([run]):
        stored = office.store.decision(one.decision_id)
        assert stored is not None
        record = read_record(stored)
        was = given_facts(active.on(record.in_force_on, record.client_id), record)
        cap = in_force.on(record.in_force_on).rules.parameters("", None)["policy.auto_cap"]
        expected = assess(in_force.on(record.in_force_on), was.with_values({"policy.auto_cap": cap}))
        result = one.result
        assert (result.outcome, result.shadow_limit) == (expected.outcome.name, expected.limit)
        assert (result.active_limit, result.amount) == (record.answer.limit, 70_000_000)
        pairs = Pairs.read(str(result.rules))
        assert {*pairs.matched, *(name for name, pair in pairs.differing.items() if pair[1] == "matched")} == {
            *expected.matched
        }
        flips += result.outcome != one.outcome
    assert flips == sum(one.outcome == "APPROVE" for one in office.store.shadows().results([run])) > 0


def test_following_goes_on_where_it_came_to_and_ends_at_the_stop(office: Office) -> None:
    run = office.start(office.stricter)
    office.decide()
    assert (follow(office, run), follow(office, run)) == (1, 0)
    office.decide()
    shadow.stop(office.platform, office.stricter, Act(ANN, now()))
    office.decide()
    (ended,) = [one for one in office.store.shadows().runs() if one.leaf == run.leaf]
    assert follow(office, ended) == 1
    assert office.statuses(run) == ["compared"] * 2


def test_a_decision_whose_values_are_erased_is_left_out_and_the_next_one_is_not(office: Office) -> None:
    run = office.start(office.stricter)
    erased = office.decide()
    office.decide()
    office.store.erase_private(erased, now(), office.platform.signer.receipt)
    assert follow(office, run) == 2
    assert office.statuses(run) == ["erased", "compared"]


def test_an_application_that_the_shadow_would_not_take_is_left_out(office: Office) -> None:
    facts = TEXTS["facts.yaml"]
    narrow = facts.replace("[0.01, 1_000_000_000_000.00], source: app", "[0.01, 1000.00], source: app")
    assert narrow != facts
    run = office.start(office.keep({**TEXTS, "VERSION": "narrow\n", "facts.yaml": narrow}))
    office.decide(amount="1000.01")
    office.decide(amount="1000.00")
    follow(office, run)
    assert office.statuses(run) == ["not admitted", "compared"]


def test_a_decision_on_which_the_engines_differed_is_left_out(office: Office) -> None:
    class Differing:
        def __init__(self, engines: Any) -> None:
            self.reference = engines.reference
            self.evaluate = lambda stage, facts: replace(engines.evaluate(stage, facts), alarm="ENGINE_MISMATCH")

    run = office.start(office.stricter)
    policy = office.platform.policies.current().on(business_date(now()), BANK.client_id)
    engines, policy.engines = policy.engines, Differing(policy.engines)
    try:
        office.decide()
    finally:
        policy.engines = engines
    follow(office, run)
    assert office.statuses(run) == ["engines differed"]


def test_a_record_that_cannot_be_read_is_left_out_and_told(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    run = office.start(office.stricter)
    broken = office.decide()
    stored = office.store.decision(broken)
    assert stored is not None
    found = Desk(office.platform).result(run, replace(stored, private=b"{}"))
    assert found.status == "unreadable" and broken in caplog.text


def test_starting_twice_is_one_start_and_what_does_not_run_cannot_be_stopped(office: Office) -> None:
    first = shadow.start(office.platform, office.stricter, Act(ANN, now()))
    again = shadow.start(office.platform, office.stricter, Act(BOB, now()))
    assert (first.new, again.new, again.event.leaf_index) == (True, False, first.event.leaf_index)
    shadow.stop(office.platform, office.stricter, Act(BOB, now()))
    with pytest.raises(Refused, match="is no shadow"):
        shadow.stop(office.platform, office.stricter, Act(BOB, now()))


def test_a_version_whose_texts_cannot_be_loaded_cannot_start(office: Office) -> None:
    before = office.store.log_head()
    with pytest.raises(RulebookError):
        shadow.start(office.platform, office.keep({"VERSION": "broken\n", "facts.yaml": "facts: 7\n"}), Act(ANN, now()))
    assert office.store.log_head() == before


def test_without_a_name_the_only_shadow_is_meant(office: Office) -> None:
    with pytest.raises(NotFound, match="no shadow runs"):
        shadow.chosen(office.store, None)
    office.start(office.stricter)
    assert shadow.chosen(office.store, None) == office.stricter
    office.start(office.keep({**TEXTS, "VERSION": "another\n"}))
    with pytest.raises(InputError, match="2 shadows run"):
        shadow.chosen(office.store, None)
    assert shadow.chosen(office.store, "stricter") == office.stricter


def test_the_time_of_each_decision_is_told_so_that_a_worker_can_rest(office: Office) -> None:
    run, worked = office.start(office.stricter), list[float]()
    for _ in range(3):
        office.decide()
    follow(office, run, rest=worked.append)
    assert len(worked) == 3 and all(seconds > 0 for seconds in worked)


def test_each_new_result_is_told_once_with_both_outcomes(office: Office) -> None:
    run, told = office.start(office.stricter), []
    office.decide(amount="700000.00")
    follow(office, run)
    office.decide(amount="500000.00")
    erased = office.decide()
    office.decide(amount="700000.00")
    office.store.erase_private(erased, now(), office.platform.signer.receipt)
    for _ in range(2):
        follow(office, run, told=lambda *result: told.append(result))
    results = list(office.store.shadows().results([run]))[1:]
    assert told == [("stricter", one.result.status, one.outcome, one.result.outcome) for one in results]
    assert [status for _, status, _, _ in told] == ["compared", "erased", "compared"]
    assert told[1][3] is None and told[2][3] is not None


def test_results_that_another_process_wrote_meanwhile_are_not_told_again(office: Office) -> None:
    run, told = office.start(office.stricter), []
    for _ in range(2):
        office.decide()

    def overtaken(worked: float) -> None:
        if not told and office.store.shadows().reached(run) == run.leaf:
            follow(office, run)

    follow(office, run, rest=overtaken, told=lambda *result: told.append(result))
    assert told == [] and office.statuses(run) == ["compared"] * 2


def test_a_worker_rests_nineteen_times_as_long_as_it_worked(office: Office) -> None:
    follower = ShadowFollower(office.platform, now)
    began = time.monotonic()
    follower._rest(0.01)
    assert 0.19 <= time.monotonic() - began < 0.5


class Hurry:
    """Followers that poll often and take no rest; all are ended with the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ShadowFollower, "poll_seconds", 0.01)
        monkeypatch.setattr(ShadowFollower, "share", 1.0)
        self.followers: list[ShadowFollower] = []

    def start(self, platform: Platform) -> None:
        self.followers.append(ShadowFollower(platform, now))
        self.followers[-1].start()

    def end(self) -> None:
        for follower in self.followers:
            follower.stop()
        until(lambda: not any(thread.name == "shadows" for thread in threading.enumerate()))


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hurry]:
    found = Hurry(monkeypatch)
    yield found
    found.end()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def test_threads_of_several_workers_hold_each_decision_once(office: Office, home: Path, hurry: Hurry) -> None:
    with closing(Store.open(f"sqlite:///{home}/decisions.db")) as other:
        for store in (office.store, other):
            hurry.start(replace(office.platform, store=store))
        run = office.start(office.stricter)
        for _ in range(BATCH + 5):
            office.decide()
        until(lambda: office.store.shadows().behind(run) == 0)
        hurry.end()
    assert office.statuses(run) == ["compared"] * (BATCH + 5)


def test_a_shadow_that_cannot_be_followed_is_told_once_and_holds_up_no_other(
    office: Office, hurry: Hurry, caplog: pytest.LogCaptureFixture
) -> None:
    broken = office.keep({"VERSION": "broken\n", "facts.yaml": "facts: 7\n"})
    content = records.shadow(Named(broken.digest, broken.version), Act(ANN, now()), state=STARTED)
    office.store.append_release(lambda _: content, office.platform.signer.receipt)
    run = office.start(office.stricter)
    hurry.start(office.platform)
    for _ in range(3):
        office.decide()
        until(lambda: office.store.shadows().behind(run) == 0)
    assert [one.levelno for one in caplog.records if broken.digest in one.message] == [logging.ERROR]


@dataclass
class Failing:
    """A store that is down for a while, and counts how often it was asked."""

    real: Store
    asked: int = 0
    down: bool = True

    def shadows(self) -> Any:
        self.asked += 1
        if self.down:
            raise StoreError("the store failed: no space")
        return self.real.shadows()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def test_a_store_that_fails_is_told_once_and_followed_again_when_it_is_back(
    office: Office, hurry: Hurry, caplog: pytest.LogCaptureFixture
) -> None:
    run, failing = office.start(office.stricter), Failing(office.store)
    office.decide()
    hurry.start(replace(office.platform, store=cast(Store, failing)))
    until(lambda: failing.asked > 5)
    assert [one.message for one in caplog.records if "no space" in one.message] == ["the store failed: no space"]
    failing.down = False
    until(lambda: office.store.shadows().behind(run) == 0)
