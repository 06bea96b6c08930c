"""Requests that are answered together ask the store as one, and each is answered as if it were alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest
from sqlalchemy import select
from store_samples import LINE, NOW, USCC, application, commit, decision, draft, verified
from test_race import SISTER, decide

from decision_service.audit.signing import Signer
from decision_service.errors import IdempotencyConflict, StillRunning, StoreError
from decision_service.store import ExposureChanged, Store
from decision_service.store.tables import LEASES
from decision_service.store.together import Outcome, errand, one_by_one, single_file, together
from decision_service.store.wire import Asked, Wire
from decision_service.vocabulary import Outcome as Verdict

ON_POSTGRESQL = pytest.mark.parametrize("store", ["postgresql"], indirect=True)
SEVERAL = 6


def finish(*_: Any) -> bytes:
    """An answer."""
    return b"{}"


class Desk:
    """Performs errands, and keeps what it was given at once."""

    def __init__(self) -> None:
        self.journeys: list[tuple[str, list[Any]]] = []

    def read(self, given: Sequence[Any]) -> list[Any]:
        self.journeys.append(("read", list(given)))
        return [one * 10 for one in given]

    def write(self, given: Sequence[Any]) -> list[Any]:
        self.journeys.append(("write", list(given)))
        return [ValueError(one) if one == 20 else one + 1 for one in given]


def test_what_several_ask_goes_as_one_and_each_gets_its_own_answer() -> None:
    desk = Desk()

    def work(number: int, reads: int) -> int:
        for _ in range(reads):
            number = errand(desk.read, number)
        return int(errand(desk.write, number, patient=True))

    found = together([partial(work, number, reads) for number, reads in ((1, 1), (2, 1), (3, 2))])
    assert found[0] == Outcome(11) and found[2] == Outcome(301)
    assert isinstance(found[1].error, ValueError)
    assert desk.journeys == [("read", [1, 2, 3]), ("read", [30]), ("write", [10, 20, 300])]


def test_alone_it_is_asked_at_once_and_raised_as_it_is() -> None:
    desk = Desk()
    assert errand(desk.read, 1) == 10
    with pytest.raises(ValueError, match="20"):
        errand(desk.write, 20, patient=True)
    assert together([lambda: errand(desk.read, 3)]) == [Outcome(30)]
    assert [len(given) for _, given in desk.journeys] == [1, 1, 1]


def test_an_errand_that_cannot_be_done_at_all_ends_each_that_had_it() -> None:
    def broken(given: Sequence[Any]) -> list[Any]:
        raise StoreError("gone")

    def caught() -> str:
        try:
            return str(errand(broken, 1))
        except StoreError as error:
            return error.what

    assert together([caught, caught, lambda: "other"]) == [Outcome("gone"), Outcome("gone"), Outcome("other")]


def test_a_thread_beside_them_asks_alone() -> None:
    desk = Desk()

    def elsewhere() -> int:
        thread = threading.Thread(target=errand, args=(desk.read, 7))
        thread.start()
        thread.join()
        return int(errand(desk.read, 1))

    assert together([elsewhere, elsewhere]) == [Outcome(10), Outcome(10)]
    assert [given for _, given in desk.journeys] == [[7], [7], [1, 1]]


def test_who_goes_by_a_name_is_alone_until_its_work_ends() -> None:
    desk, order = Desk(), list[str]()

    def work(name: str, number: int) -> None:
        for _ in range(2):
            single_file(name)
            errand(desk.read, number)
        order.append(f"{name}{number}")
        if number == 1:
            raise ValueError(name)

    found = together([partial(work, name, number) for name, number in (("a", 1), ("a", 2), ("b", 3), ("a", 4))])
    assert order == ["a1", "b3", "a2", "a4"] and isinstance(found[0].error, ValueError)
    assert [given for _, given in desk.journeys] == [[1, 3], [1, 3], [2], [2], [4], [4]]
    single_file("alone")


def test_those_who_wait_for_each_other_at_gates_come_to_an_end() -> None:
    desk = Desk()

    def work(first: str, second: str) -> str:
        single_file(first)
        errand(desk.read, 1)
        single_file(second)
        return first

    assert together([partial(work, "a", "b"), partial(work, "b", "a")]) == [Outcome("a"), Outcome("b")]


class Panic(BaseException):
    """What no ``except Exception`` catches."""


def test_whatever_ends_one_or_their_errand_the_others_are_told() -> None:
    def panic(*_: Any) -> list[Any]:
        raise Panic

    def caught(errand_of: Callable[..., Any]) -> str:
        try:
            errand(errand_of, 1)
        except Panic:
            return "told"
        return "went on"

    desk = Desk()
    found = together([panic, partial(caught, desk.read), partial(caught, panic), partial(caught, panic)])
    assert isinstance(found[0].error, Panic)
    assert [one.value for one in found[1:]] == ["went on", "told", "told"]


@pytest.mark.parametrize("count", [1, 3])
def test_none_sees_what_another_set_in_its_context(count: int) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="clean")

    def work() -> str:
        found = variable.get()
        variable.set("set")
        return found

    for _ in range(2):
        assert together([work] * count) == [Outcome("clean")] * count


def test_one_by_one_gives_results_and_exceptions_in_their_places() -> None:
    found = one_by_one(int, ["1", "x", "3"])
    assert (found[0], type(found[1]), found[2]) == (1, ValueError, 3)


def committing(store: Store, signer: Signer, number: int, **options: Any) -> Callable[[], Any]:
    """Stores the decision on an enterprise of its own."""
    asked = application(number, uscc=f"{USCC[:-4]}{number:04}")
    seen = store.exposure_state(asked.uscc, NOW)
    return partial(commit, store, signer, draft(decision(asked), **options), expected=seen)


def commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many decisions each transaction is asked to store."""
    seen: list[int] = []
    performing = store._committing

    def counting(given: Sequence[Any]) -> Any:
        seen.append(len(given))
        return performing(given)

    monkeypatch.setattr(store, "_committing", counting)
    return seen


def test_decisions_together_are_one_transaction_and_each_is_a_leaf(
    store: Store, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, signer, draft(decision(application(0))))
    seen = commits(store, monkeypatch)
    found = together([committing(store, signer, number) for number in range(1, SEVERAL)])
    assert [one.value.leaf_index for one in found] == list(range(1, SEVERAL))
    assert seen == [SEVERAL - 1]
    assert verified(store, signer).leaves == SEVERAL
    for number, one in enumerate(found, start=1):
        stored = store.decision(f"D-bank-1-APP-{number}")
        assert stored is not None and (stored.leaf_index, stored.body) == (number, one.value.body)


def test_one_that_is_answered_already_or_cannot_be_told_leaves_the_others_stored(store: Store, signer: Signer) -> None:
    commit(store, signer, draft(decision(application(0)), key="taken"))

    def untold() -> None:
        made = decision(application(3, uscc=SISTER))
        store.commit_decision(draft(made), expected=None, finish=lambda *_: b"%d" % None, now=NOW)  # type: ignore

    works = [committing(store, signer, 1), committing(store, signer, 2, key="taken"), untold]
    found = together([*works, committing(store, signer, 4)])
    assert [type(one.error) for one in found] == [type(None), StillRunning, TypeError, type(None)]
    assert [found[0].value.leaf_index, found[3].value.leaf_index] == [1, 2]
    assert verified(store, signer).leaves == 3


@ON_POSTGRESQL
def test_one_that_the_database_does_not_take_leaves_the_others_stored(store: Store, signer: Signer) -> None:
    commit(store, signer, draft(decision(application(0))))
    works = [committing(store, signer, number, key=key) for number, key in enumerate(("a", "b\0", "c"), start=1)]
    found = together(works)
    assert [type(one.error) for one in found] == [type(None), StoreError, type(None)]
    assert verified(store, signer).leaves == 3


def test_a_customers_second_decision_sees_the_first(store: Store, signer: Signer) -> None:
    commit(store, signer, draft(decision(application(0, uscc=SISTER))))
    before = store.exposure_state(USCC, NOW)
    works = [partial(commit, store, signer, draft(decision(application(one))), expected=before) for one in (1, 2)]
    found = together(works)
    assert [type(one.error) for one in found] == [type(None), ExposureChanged]


@pytest.mark.parametrize(("amount", "approved"), [("2500000.00", 2), ("1000000.00", 5), ("5000000.01", 0)])
def test_the_line_holds_for_those_who_ask_together(store: Store, signer: Signer, amount: str, approved: int) -> None:
    commit(store, signer, draft(decision(application(0, uscc=SISTER))))
    works = [partial(decide, store, signer, bank=f"bank-{one}", number=1, amount=amount) for one in range(8)]
    outcomes = [one.value for one in together(works)]
    assert outcomes.count(Verdict.APPROVE) == approved and len(outcomes) == 8
    assert store.exposure_state(USCC, NOW).reserved <= LINE


def test_one_customers_requests_together_are_each_assessed_about_once(store: Store, signer: Signer) -> None:
    commit(store, signer, draft(decision(application(0, uscc=SISTER))))
    other = Store(store._database)
    assessed = list[int]()

    def one(number: int) -> None:
        while True:
            single_file(USCC)
            seen = store.exposure_state(USCC, NOW)
            assessed.append(number)
            if len(assessed) == 1:
                commit(other, signer, draft(decision(application(100))))
            try:
                return commit(store, signer, draft(decision(application(number))), expected=seen) and None
            except ExposureChanged:
                continue

    assert [found.error for found in together([partial(one, number) for number in range(1, 9)])] == [None] * 8
    assert assessed == [1, 1, 2, 3, 4, 5, 6, 7, 8]


def test_a_decision_that_rests_on_acts_before_the_newest_looks_again(store: Store, signer: Signer) -> None:
    commit(store, signer, draft(decision(application(0))))
    made = draft(decision(application(1)))
    for acts, error in (((3, 7), ExposureChanged), ((0, None), type(None)), (None, StillRunning)):
        found = together([partial(store.commit_decision, made, expected=None, finish=finish, now=NOW, acts=acts)] * 1)
        assert isinstance(found[0].error, error)


@ON_POSTGRESQL
@pytest.mark.parametrize("what", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_what_was_prepared_and_is_gone_is_prepared_again(store: Store, signer: Signer, what: str) -> None:
    commit(store, signer, draft(decision(application(0))))
    before = store.exposure_state(USCC, NOW)
    for wire in store._database._idle:
        wire.run([(what, ())])
    assert store.exposure_state(USCC, NOW) == before
    commit(store, signer, draft(decision(application(2), outcome=Verdict.REFER)))
    for wire in store._database._idle:
        wire.run([(what, ())])
    with pytest.raises(StoreError, match="does not exist"):
        commit(store, signer, draft(decision(application(1))))
    commit(store, signer, draft(decision(application(1))))


@ON_POSTGRESQL
def test_tables_that_changed_are_read_as_they_are_now(store: Store) -> None:
    store.begin("bank-1", "a", "body", NOW)
    with store._database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE leases ALTER COLUMN key TYPE varchar(200)")
    try:
        assert store.begin("bank-1", "b", "body", NOW) is None
    finally:
        with store._database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE leases ALTER COLUMN key TYPE text")


@ON_POSTGRESQL
@pytest.mark.parametrize("count", [1, 3])
def test_a_key_is_taken_although_the_answer_that_says_so_was_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    run, lost = Wire.run, list[int]()

    def losing(self: Wire, asked: Sequence[Asked]) -> Any:
        answers = run(self, asked)
        if not lost and "INSERT INTO leases" in str(asked):
            lost.append(1)
            self.close()
            raise psycopg.OperationalError("the connection is lost")
        return answers

    store.begin("bank-1", "before", "body", NOW)
    monkeypatch.setattr(Wire, "run", losing)
    found = together([partial(store.begin, "bank-1", f"K{one}", "body", NOW) for one in range(count)])
    assert found == [Outcome(None)] * count and lost
    with pytest.raises(StillRunning):
        store.begin("bank-1", "K0", "body", NOW)


@ON_POSTGRESQL
def test_keys_that_a_database_could_not_take_back_are_given_back_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b"):
        assert store.begin("bank-1", key, "body", NOW) is None
    with monkeypatch.context() as away:
        away.setattr(Wire, "run", Mock(side_effect=psycopg.OperationalError("away")))
        for key in ("a", "b"):
            with pytest.raises(StoreError, match="away"):
                store.release("bank-1", key)
    assert [store.begin("bank-1", key, "body", NOW) for key in ("a", "b")] == [None, None]


@ON_POSTGRESQL
def test_leases_that_nobody_came_back_for_are_forgotten(store: Store) -> None:
    for number, hours in enumerate((0, 0, 1)):
        Store(store._database).begin("bank-1", f"K{number}", "body", NOW + timedelta(hours=hours))
    with store._database.read_session() as session:
        assert session.rows(lambda _: select(LEASES.c.key), {}) == [("K2",)]


def test_of_requests_with_one_key_one_may_go_on(store: Store, signer: Signer) -> None:
    def begin(body: str) -> str:
        try:
            return str(store.begin("bank-1", "K", body, NOW))
        except (StillRunning, IdempotencyConflict) as error:
            return type(error).__name__

    found = [one.value for one in together([partial(begin, body) for body in ("a", "a", "b")])]
    assert found == ["None", "StillRunning", "IdempotencyConflict"]


@ON_POSTGRESQL
def test_what_is_read_together_is_one_journey(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    journeys: list[int] = []
    run = Wire.run

    def counting(self: Wire, asked: Sequence[Any]) -> Any:
        journeys.append(len(asked))
        return run(self, asked)

    def ask(number: int) -> Any:
        assert store.begin("bank-1", f"K{number}", "body", NOW) is None
        return store.situation("bank-1", application(number, uscc=f"{USCC[:-4]}{number:04}"), NOW)

    ask(0)
    monkeypatch.setattr(Wire, "run", counting)
    ask(1)
    alone = list(journeys)
    journeys.clear()
    together([partial(ask, number) for number in range(2, 2 + SEVERAL)])
    assert len(journeys) == len(alone) == 2
    assert journeys[0] == SEVERAL * alone[0] and journeys[1] < SEVERAL * alone[1], "the same is read once"


@ON_POSTGRESQL
def test_keys_are_taken_and_given_back_in_one_order(
    store: Store, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row of a lease is locked by who takes it and by who gives it back: other orders would be a deadlock."""
    seen: dict[str, list[str]] = {"INSERT INTO leases": [], "DELETE FROM leases": []}
    run = Wire.run

    def seeing(self: Wire, asked: Sequence[Asked]) -> Any:
        for text, values in asked:
            if text[:18] in seen and len(values) > 1:
                seen[text[:18]].append(values[1])
        return run(self, asked)

    def one(key: str) -> None:
        assert store.begin("bank-1", key, "body-1", NOW) is None
        made = decision(application(0, uscc=f"{USCC[:-4]}00{key}"), decision_id=f"D-{key}", outcome=Verdict.REFER)
        commit(store, signer, draft(made, key=key))

    commit(store, signer, draft(decision(application(0, uscc=SISTER))))
    monkeypatch.setattr(Wire, "run", seeing)
    keys = ["30", "10", "20"]
    assert [one.error for one in together([partial(one, key) for key in keys])] == [None] * 3
    assert set(map(tuple, seen.values())) == {("10", "20", "30")}
    assert None not in [store.begin("bank-1", key, "body-1", NOW) for key in keys], "all are answered"
