"""Many clients split one customer's line over HTTP and two workers, in every way there is: it is never passed."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from decision_service.audit.signing import Signer
from decision_service.commands.audit import verified
from decision_service.decide import Platform
from decision_service.policy import Policies
from decision_service.rulebook.files import load, load_sources
from decision_service.store import Store
from tests.api.real import RULES, FixedScorer, deliver, open_platform, write_feeds
from tests.clocked import ClockedServer
from tests.releasing import activate
from tests.standing import LINE, most_at_an_automatic_approval
from tests.test_serving import until

THREADS = 32
HOUR = timedelta(hours=1)
REFUSED = {"outcome": "DECLINE", "reason": "BANK_POLICY"}


class Town:
    """A platform over which any number of banks may lend to one customer, served by two workers on a moved clock."""

    def __init__(self, home: Path, url: str | None) -> None:
        shows = write_feeds(home / "feeds")
        self.platform: Platform = open_platform(home, FixedScorer(), home / "feeds", url)
        self.let_many_lend()
        self.clock = threading.Lock()
        self.application: dict[str, Any] = shows["line"]["application"]
        self.risk, risk_key = self.platform.store.add_client("Risk", "risk", datetime.now(UTC))
        self.server = ClockedServer(home, risk_key, self.application, url)

    def let_many_lend(self) -> None:
        """By the shipped rules people decide where a third bank is asked within a month."""
        sources = load(RULES).sources
        text = sources["parameters.yaml"].replace("lenders_30d_max, value: 3,", "lenders_30d_max, value: 1000,")
        assert text != sources["parameters.yaml"]
        changed, now = load_sources({**sources, "parameters.yaml": text}), datetime.now(UTC)
        self.platform.store.save_ruleset(changed.digest, changed.version, changed.sources, now)
        activate(self.platform.store, changed.digest, self.platform.signer, now=now)

    def banks(self, count: int) -> list[Bank]:
        return [Bank(self, number) for number in range(count)]

    def jump(self, hours: int) -> None:
        """Time passes for everybody, and feeds are delivered."""
        with self.clock:
            self.server.jump(hours * HOUR)
            deliver(self.platform, self.server.home / "feeds", self.server.now())

    def close(self) -> None:
        self.server.stop()
        self.platform.store.close()


class Bank:
    """One client, which counts what it has reached."""

    def __init__(self, town: Town, number: int) -> None:
        self.town = town
        self.chance = random.Random(number)
        self.done: Counter[str] = Counter()
        self.approved = Decimal(0)
        self.client, self.key = town.platform.store.add_client(f"Bank {number}", "bank", datetime.now(UTC))

    def send(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        """What is answered in the end: who is told to come again does so."""
        headers = {"Authorization": f"Bearer {key or self.key}", "Idempotency-Key": str(uuid.uuid4())}
        text = None if body is None else json.dumps(body)
        found: list[tuple[int, bytes]] = []

        def asked() -> bool:
            found[:] = [self.town.server.request(method, path, text, **headers)[:2]]
            return found[0][0] != 503

        until(asked)
        status, answer = found[0]
        if answer.startswith(b"{") and b"\n" not in answer.rstrip():
            return status, json.loads(answer)
        return status, answer.decode()

    def applications(self, amounts: list[str]) -> list[dict[str, Any]]:
        """Decide some of these at once and the rest by a batch; the answers."""
        asked = [{**self.town.application, "application_id": str(uuid.uuid4()), "amount": one} for one in amounts]
        single, batch = asked[::2], asked[1::2]
        made = []
        if batch:
            status, sent = self.send("POST", "/v1/decision-batches", {"applications": batch})
            assert status == 202, sent
        for one in single:
            status, answer = self.send("POST", "/v1/decisions", one)
            assert status == 201, answer
            made.append(answer)
        if batch:
            path = f"/v1/decision-batches/{sent['batch_id']}"
            until(lambda: self.send("GET", path)[1]["state"] == "finished", 600)
            lines = [json.loads(line) for line in str(self.send_text(f"{path}/results")).splitlines()]
            assert [one["status"] for one in lines] == [201] * len(batch), lines
            made += [one["decision"] for one in lines]
        for one in made:
            self.done[one["outcome"]] += 1
            self.approved += Decimal(one["approved_amount"] or 0)
        return made

    def send_text(self, path: str) -> str:
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.town.server.request("GET", path, None, **headers)[1].decode()

    def act(self, decision: dict[str, Any], act: str, body: dict[str, Any], key: str | None = None) -> bool:
        """Whether it was admitted; nothing but what the state forbids may be refused."""
        status, answer = self.send("POST", f"/v1/decisions/{decision['decision_id']}/{act}", body, key)
        assert status == 201 or answer["type"] == "/problems/not-now", (act, answer)
        self.done[act] += status == 201
        return status == 201

    def split(self) -> None:
        """Several applications, and whatever comes to its mind with each."""
        for _ in range(2):
            if self.chance.random() < 0.2:
                self.town.jump(self.chance.choice([1, 9, 25]))
            for one in self.applications([self.chance.choice(["400000.00", "900000.00", "1700000.00"])] * 2):
                self.go_on(one)

    def go_on(self, one: dict[str, Any]) -> None:
        what, referred = self.chance.random(), one["outcome"] == "REFER"
        if referred and what < 0.3:
            self.reviewed(one)
        if what < 0.4:
            self.act(one, "final", REFUSED)
        elif not referred or what < 0.6:
            self.lend(one)

    def reviewed(self, one: dict[str, Any]) -> None:
        """People approve, also beyond the line: from then on nothing is approved by itself."""
        approval = {"outcome": "APPROVE", "amount": "300000.00", "reason": "RISK_BEARABLE"}
        if self.act(one, "assignment", {}, self.town.server.key):
            self.act(one, "review", {**approval, "exposure_total": "99000000.00"}, self.town.server.key)

    def lend(self, one: dict[str, Any]) -> None:
        moved = {"contract_id": one["decision_id"], "on": (self.town.server.now() + 8 * HOUR).date().isoformat()}
        approval = {"outcome": "APPROVE", "amount": "300000.00", "reason": "BANK_APPROVED"}
        if self.act(one, "final", {**approval, "contract_id": one["decision_id"]}) and self.chance.random() < 0.8:
            self.act(one, "drawdowns", {"amount": "200000.00", **moved})
            repaid = self.chance.choice(["1.00", "200000.00", "200000.00"])
            if self.act(one, "repayments", {"amount": repaid, **moved}) and repaid == "200000.00":
                self.act(one, "closure", {"end": "settled", **moved})


@pytest.fixture(params=["sqlite", "postgresql"])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    url = None if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))
    found = Town(tmp_path, url)
    yield found
    found.close()


def crowd(town: Town, count: int, what: Callable[[Bank], object]) -> list[Bank]:
    banks = town.banks(count)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(what, banks))
    return banks


def sound(town: Town) -> None:
    signer = Signer.open(town.server.home / "log-key.pem")
    store = Store.open(town.server.url, signer.public.receipt_is_valid)
    platform = Platform(store, Policies(store), FixedScorer(), signer, "test")
    assert [str(one) for one in verified(platform).findings] == []
    most = most_at_an_automatic_approval(platform)
    store.close()
    assert LINE // 2 < most <= LINE, f"{most} fen stood with an automatic approval"


def share(town: Town, count: int) -> None:
    """Clients who only ask, for amounts to the fen, half of them by batches: what is approved is the line at most."""

    def ask(bank: Bank) -> None:
        bank.applications([f"{bank.chance.randint(1, 9_000_000) / 100:.2f}" for _ in range(8)])

    banks = crowd(town, count, ask)
    approved = sum(bank.approved for bank in banks)
    print(f"{count} clients, {8 * count} applications: approved {approved}")
    assert Decimal("4900000.00") < approved <= Decimal("5000000.00")
    assert sum(bank.done["REFER"] for bank in banks) > 0 and not any(bank.done["DECLINE"] for bank in banks)
    sound(town)


def live(town: Town, count: int) -> None:
    """Clients who also refuse, lend, are repaid, close and are reviewed, while days pass."""
    done = sum((bank.done for bank in crowd(town, count, Bank.split)), Counter())
    print(f"{count} clients: {dict(done)}")
    assert {"APPROVE", "REFER", "final", "drawdowns", "repayments", "closure", "review"} <= set(done), done
    sound(town)


@pytest.mark.slow
def test_200_clients_who_ask_at_once_are_approved_five_million_together_at_most(town: Town) -> None:
    share(town, 200)


@pytest.mark.slow
def test_200_clients_who_split_a_line_in_every_way_over_http_never_pass_it(town: Town) -> None:
    live(town, 200)
