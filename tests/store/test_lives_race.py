"""Many clients at one customer's line, many retries of one act: threads, processes, restarts, both databases."""

from __future__ import annotations

import multiprocessing
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from store_samples import LINE, NOW, application, commit, decision, draft

from decision_service.api import bodies
from decision_service.api.render import decision_bytes
from decision_service.commands.audit import verified
from decision_service.decide import Decided, Platform, decide
from decision_service.errors import NotNow, StillRunning, StoreError
from decision_service.lending import life
from decision_service.lives import LifeDesk, Request
from decision_service.store import Act, KeptAnswer, Store
from decision_service.vocabulary import Client, CreditApplication
from tests.api.real import FixedScorer, deliver, open_platform, write_feeds
from tests.standing import most_at_an_automatic_approval

FORK = multiprocessing.get_context("fork")
BANK = Client("bank-1", "Bank", "bank")
REFUSAL = {"outcome": "DECLINE", "reason": "BANK_POLICY"}


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> str:
    """The URL of a store on each kind of database."""
    return str(request.getfixturevalue(f"{request.param}_url"))


def desk(store: Store, signer: Any) -> LifeDesk:
    """Acts that need neither rules nor models."""
    return LifeDesk(Platform(store, None, None, signer, "test"))  # type: ignore[arg-type]


def test_32_retries_in_two_processes_and_after_a_restart_are_one_act(place: str, signer: Any) -> None:
    store = Store.open(place, signer.public.receipt_is_valid)
    made = decision(application(1))
    commit(store, signer, draft(made))
    request = Request(life.FINAL, BANK, "key-1", NOW, REFUSAL)
    answers = FORK.Queue()
    workers = [FORK.Process(target=_retry, args=(place, signer, made.decision_id, request, answers)) for _ in "ab"]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=60) for _ in range(32)]
    for worker in workers:
        worker.join()
    first = [body for kind, body in found if kind == "first"]
    assert len(first) == 1, Counter(kind for kind, _ in found)
    assert {body for kind, body in found if kind == "replayed"} <= set(first)
    assert {kind for kind, _ in found} <= {"first", "replayed", "running"}
    store.close()

    again = Store.open(place, signer.public.receipt_is_valid)
    answer = desk(again, signer).act(made.decision_id, BANK.client_id, replace(request, now=NOW + timedelta(days=999)))
    assert (answer.body, answer.replayed, answer.status) == (first[0], True, 201)
    assert len(again.acts("life", made.decision_id)) == 1
    again.close()


def _retry(place: str, signer: Any, decision_id: str, request: Request, answers: Any) -> None:
    store = Store.open(place, signer.public.receipt_is_valid)

    def send(_: int) -> tuple[str, bytes]:
        try:
            answer: KeptAnswer = desk(store, signer).act(decision_id, BANK.client_id, request)
            return "replayed" if answer.replayed else "first", answer.body
        except StillRunning:
            return "running", b""

    with ThreadPoolExecutor(16) as pool:
        for one in pool.map(send, range(16)):
            answers.put(one)
    store.close()


Given = TypeVar("Given")


def until_quiet(ask: Callable[[], Given]) -> Given:
    """The answer to a client that asks again while others keep changing the customer's exposure."""
    while True:
        try:
            return ask()
        except StoreError as error:
            assert "kept changing" in str(error)


class Crowd:
    """Callers who split one customer's line in every way, on a clock that jumps; of two banks, because of three in
    a month people decide."""

    def __init__(self, platform: Platform, shown: dict[str, Any], feeds: Path) -> None:
        self.platform = platform
        self.feeds = feeds
        self.shown = shown
        self.now = datetime.now(UTC)
        self.banks = [platform.store.add_client(f"Bank {n}", "bank", self.now)[0] for n in range(2)]
        self.risk = platform.store.add_client("Risk", "risk", self.now)[0]
        self.desk = LifeDesk(platform)
        self.done: Counter[str] = Counter()
        self.lock = threading.Lock()

    def act(self, how: str, decision_id: str, client: Client, **details: Any) -> bool:
        request = Request(how, client, str(uuid.uuid4()), self.now, details)
        owner = None if client is self.risk else client.client_id
        try:
            if how == life.REVIEW:
                until_quiet(lambda: self.desk.review(decision_id, request))
            else:
                self.desk.act(decision_id, owner, request)
        except NotNow:
            return False
        with self.lock:
            self.done[how] += 1
        return True

    def split(self, seed: int) -> None:
        """One bank, several applications, whatever comes to its mind."""
        chance, bank = random.Random(seed), self.banks[seed % len(self.banks)]
        for _ in range(4):
            if chance.random() < 0.15:
                self.jump(chance.choice([1, 9, 25]))
            amount = Decimal(chance.choice(["400000.00", "900000.00", "1700000.00"]))
            wanted = replace(bodies.application(self.shown), application_id=str(uuid.uuid4()), amount=amount)
            made = self.decided(wanted, bank, str(uuid.uuid4()))
            with self.lock:
                self.done[str(made.outcome)] += 1
            if made.outcome is not None and made.outcome.name == "REFER" and chance.random() < 0.2:
                self.act(life.ASSIGNMENT, made.decision_id, self.risk, assignee=self.risk.client_id)
                reviewed = {"outcome": "APPROVE", "amount": "300000.00", "reason": "RISK_BEARABLE"}
                self.act(life.REVIEW, made.decision_id, self.risk, **reviewed, exposure_total="99000000.00")
            self.go_on(chance, made.decision_id, bank)

    def decided(self, wanted: CreditApplication, bank: Client, key: str) -> Decided:
        given: dict[str, Any] = {"client": bank, "idempotency_key": key, "body_digest": "", "now": self.now}
        return until_quiet(lambda: decide(wanted, **given, platform=self.platform, render=decision_bytes))

    def go_on(self, chance: random.Random, decision_id: str, bank: Client) -> None:
        if chance.random() < 0.3:
            self.act(life.FINAL, decision_id, bank, **REFUSAL)
        elif chance.random() < 0.6:
            lent = {"outcome": "APPROVE", "amount": "300000.00", "reason": "BANK_APPROVED"}
            moved = {"contract_id": decision_id, "on": (self.now + timedelta(hours=8)).date().isoformat()}
            if self.act(life.FINAL, decision_id, bank, **lent) and chance.random() < 0.7:
                self.act(life.DRAWDOWN, decision_id, bank, amount="200000.00", **moved)
                repaid = chance.choice(["1.00", "200000.00"])
                if self.act(life.REPAYMENT, decision_id, bank, amount=repaid, **moved) and repaid == "200000.00":
                    self.act(life.CLOSURE, decision_id, bank, end=life.SETTLED, **moved)

    def jump(self, hours: int) -> None:
        """Time passes for everybody, and feeds are delivered."""
        with self.lock:
            self.now += timedelta(hours=hours)
            deliver(self.platform, self.feeds, self.now)


def crowded(home: Path, place: str, clients: int) -> tuple[Crowd, int]:
    shows = write_feeds(home / "feeds")
    platform = open_platform(home, FixedScorer(), home / "feeds", place)
    crowd = Crowd(platform, shows["line"]["application"], home / "feeds")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(crowd.split, range(clients)))
    return crowd, most_at_an_automatic_approval(platform)


def check(crowd: Crowd, most: int) -> None:
    assert most <= LINE
    assert most > LINE // 2, "the line was hardly tried"
    assert {"final", "drawn", "reviewed"} <= set(crowd.done)
    assert [str(one) for one in verified(crowd.platform).findings] == []
    crowd.platform.store.close()


def test_clients_who_split_a_line_in_every_way_never_pass_it(tmp_path: Path, sqlite_url: str) -> None:
    check(*crowded(tmp_path, sqlite_url, 24))


@pytest.mark.slow
def test_200_clients_who_split_a_line_in_every_way_never_pass_it(tmp_path: Path, place: str) -> None:
    check(*crowded(tmp_path, place, 200))


def test_what_a_decision_saw_to_have_lapsed_never_comes_to_life_again(store: Store, signer: Any) -> None:
    made = decision(application(1))
    commit(store, signer, draft(made))
    commit(store, signer, draft(decision(application(2), now=NOW + timedelta(hours=24))))
    approval = {"outcome": "APPROVE", "amount": "1000.00", "reason": "BANK_APPROVED"}
    slow = Request(life.FINAL, BANK, "key-1", NOW + timedelta(hours=23), approval)  # came before, is written after
    with pytest.raises(NotNow, match="lapsed"):
        desk(store, signer).act(made.decision_id, BANK.client_id, slow)


def test_acts_of_a_forger_are_refused_when_they_are_read(place: str, signer: Any) -> None:
    store = Store.open(place, signer.public.receipt_is_valid)
    made = decision(application(1))
    commit(store, signer, draft(made))
    desk(store, signer).act(made.decision_id, BANK.client_id, Request(life.FINAL, BANK, "key-1", NOW, REFUSAL))
    found: tuple[Act, ...] = store.acts("life", made.decision_id)
    assert [one.how for one in found] == ["final"]
    store.close()
    stranger = Store.open(place, lambda subject, receipt: False)
    with pytest.raises(StoreError, match="was not signed by the log's key"):
        stranger.acts("life", made.decision_id)
    stranger.close()
