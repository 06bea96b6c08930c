"""Many processes and threads ask for one customer at once: the 5,000,000 CNY line holds."""

from __future__ import annotations

import multiprocessing
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from store_samples import LINE, NOW, USCC, application, commit, decision, draft, verified

from decision_service.audit.signing import Signer
from decision_service.errors import StillRunning
from decision_service.portrait.records import Relation
from decision_service.store import ExposureChanged, Store
from decision_service.vocabulary import Outcome

FORK = multiprocessing.get_context("fork")
SISTER, PARENT, PERSON = "91350100M000100Y51", "91350100M000100Y60", "P:1"


def decide(store: Store, signer: Signer, *, bank: str, number: int, amount: str, uscc: str = USCC) -> Outcome:
    """What ``decide`` does, with the line as the only rule: look, judge, commit; look again when it has changed."""
    asked = application(number, amount=amount, uscc=uscc)
    while True:
        seen = store.exposure_state(uscc, NOW)
        total = seen.reserved + seen.group_reserved + int(Decimal(amount) * 100)
        outcome = Outcome.APPROVE if total <= LINE else Outcome.REFER
        made = decision(asked, client_id=bank, outcome=outcome, decision_id=f"D-{bank}-{number}-{uscc}")

        def finish(leaf_index: int, leaf_hash: bytes) -> bytes:
            return b"{}"

        try:
            store.commit_decision(draft(made), expected=seen, finish=finish, now=NOW)
            return outcome
        except ExposureChanged:
            continue


def race(url: str, signer: Signer, *, processes: int, threads: int, amount: str, uscc: list[str]) -> list[Outcome]:
    """All at once, several requests each; every outcome."""
    outcomes = FORK.SimpleQueue()
    start = FORK.Barrier(processes * threads)

    def bank(store: Store, name: str) -> None:
        start.wait(timeout=30)
        for number in range(3):
            one = uscc[number % len(uscc)]
            outcomes.put(decide(store, signer, bank=name, number=number, amount=amount, uscc=one))

    def work(process: int) -> None:
        store = Store.open(url)
        workers = [threading.Thread(target=bank, args=(store, f"bank-{process}-{one}")) for one in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    working = [FORK.Process(target=work, args=(process,)) for process in range(processes)]
    for process in working:
        process.start()
    for process in working:
        process.join(timeout=60)
    assert [process.exitcode for process in working] == [0] * processes
    return [outcomes.get() for _ in range(processes * threads * 3)]


@pytest.mark.parametrize(
    ("amount", "uscc", "approved"),
    [
        ("3000000.00", [USCC], 1),
        ("2500000.00", [USCC], 2),
        ("2500000.01", [USCC], 1),
        ("1000000.00", [USCC], 5),
        ("5000000.00", [USCC], 1),
        ("5000000.01", [USCC], 0),
    ],
)
def test_racing_requests_never_pass_the_line_together(url, signer, amount, uscc, approved):
    Store.open(url).close()
    outcomes = race(url, signer, processes=2, threads=3, amount=amount, uscc=uscc)
    assert outcomes.count(Outcome.APPROVE) == approved
    store = Store.open(url)
    state = store.exposure_state(USCC, NOW)
    assert state.reserved + state.group_reserved == approved * int(Decimal(amount) * 100) <= LINE
    assert store.log_head()[0] == len(outcomes)
    store.close()


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("a child and its parent", [(USCC, SISTER, "parent")]),
        ("a parent and its child", [(SISTER, USCC, "parent")]),
        ("sisters under one parent", [(USCC, PARENT, "parent"), (SISTER, PARENT, "parent")]),
        ("sisters under one person", [(USCC, PERSON, "controller_person"), (SISTER, PERSON, "controller_person")]),
        ("sisters that the person names", [(PERSON, USCC, "control"), (PERSON, SISTER, "control")]),
    ],
)
def test_racing_members_of_one_group_never_pass_the_line_together(url, signer, name, links):
    store = Store.open(url)
    for uscc, other, link in links:
        row = (uscc, f"{other}|{link}", Relation(other, link))
        store.write_records("relations", [row], source_time=NOW, now=NOW)
    outcomes = race(url, signer, processes=2, threads=2, amount="3000000.00", uscc=[USCC, SISTER])
    assert outcomes.count(Outcome.APPROVE) == 1, name
    state = store.exposure_state(SISTER, NOW)
    assert state.reserved + state.group_reserved == 300_000_000
    store.close()


def test_one_key_sent_many_times_at_once_is_decided_once(url, signer):
    Store.open(url).close()
    answers = FORK.SimpleQueue()

    def send(number: int) -> None:
        store = Store.open(url)
        try:
            earlier = store.begin("bank-1", "K", "body-1", NOW)
        except StillRunning:
            answers.put("running")
            return
        if earlier is None:
            commit(store, signer, draft(decision(application(1), decision_id=f"D-{number}"), key="K", digest="body-1"))
        answers.put("decided" if earlier is None else "replayed")

    senders = [FORK.Process(target=send, args=(number,)) for number in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(timeout=60)
    assert [sender.exitcode for sender in senders] == [0] * len(senders)
    found = [answers.get() for _ in senders]
    store = Store.open(url)
    assert found.count("decided") == 1
    assert store.log_head()[0] == 1
    assert store.begin("bank-1", "K", "body-1", NOW + timedelta(hours=1)) is not None
    assert verified(store, signer).ok
    store.close()
