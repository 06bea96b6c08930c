"""Batches in the store: one per key, results in the order of lines and once whoever writes, an end by cancelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from store_samples import NOW, application, commit, decision, draft

from decision_service.errors import IdempotencyConflict, InputError, NotFound
from decision_service.store import Batch, LineResult, NewBatch, Store
from decision_service.vocabulary import Client

SENT = NewBatch("bank-1", "key-1", "digest-1", "request-1", [b'{"a": 1}', b"no JSON", b'{"b": "\xe4\xb8\xad"}'])


def add(store: Store, **changes: Any) -> Batch:
    return store.batches().add(replace(SENT, **changes), NOW)[0]


def client(store: Store) -> Client:
    return store.add_client("Bank", "bank", NOW, client_id="bank-1")[0]


def refused(*lines: int) -> Sequence[LineResult]:
    return [LineResult(line, 422, f"A-{line}", problem="{}") for line in lines]


def test_a_batch_is_kept_as_it_came_and_found_again_by_its_key(store):
    first, found = store.batches().add(SENT, NOW)
    again, known = store.batches().add(SENT, NOW + timedelta(days=400))
    assert (found, known) == (False, True) and again == first
    assert (first.lines, first.state, first.done) == (3, "queued", 0)
    assert store.batches().content(first) == tuple(SENT.lines)


def test_a_key_with_other_lines_is_a_conflict_and_belongs_to_one_client(store):
    first = add(store)
    with pytest.raises(IdempotencyConflict):
        add(store, body_digest="digest-2")
    assert add(store, client_id="bank-2", body_digest="digest-2").batch_id != first.batch_id


def test_the_key_of_a_decision_is_none_for_a_batch(store, signer):
    commit(store, signer, draft(decision(application(1)), key="key-1"))
    with pytest.raises(IdempotencyConflict):
        add(store)
    add(store, client_id="bank-2")


def test_another_s_batch_is_not_found(store):
    batch = add(store)
    known = store.batches()
    assert known.find(batch.batch_id, "bank-1") == batch == known.find(batch.batch_id)
    assert known.find(batch.batch_id, "bank-2") is None and known.find("no-such") is None
    with pytest.raises(NotFound):
        known.cancel(batch.batch_id, "bank-2", NOW)


def test_pages_are_newest_first_and_one_s_own(store):
    mine = [add(store, idempotency_key=f"key-{number}") for number in range(3)]
    other = add(store, client_id="bank-2")
    known = store.batches()
    page, cursor = known.page("bank-1", None, 2)
    assert page == (mine[2], mine[1])
    assert known.page("bank-1", cursor, 2) == ((mine[0],), None)
    assert known.page(None, None, 1)[0] == (other,)
    with pytest.raises(InputError):
        known.page("bank-1", "nonsense", 2)


def test_results_are_noted_once_whoever_writes_and_the_last_ends_the_batch(store, signer):
    batch = add(store)
    commit(store, signer, draft(decision(application(1))))
    first = LineResult(1, 201, "APP-1", decision_id="D-bank-1-APP-1", outcome="APPROVE")
    known = store.batches()
    for later in (1, 9):
        known.begin(batch, NOW + timedelta(seconds=later))
    running = known.note(batch, [first], NOW + timedelta(seconds=2))
    assert running is not None and (running.state, running.done, running.approved) == ("running", 1, 1)
    assert known.note(batch, [first], NOW) is None
    assert known.unfinished() == (running,)
    done = known.note(running, refused(2, 3), NOW + timedelta(seconds=3))
    assert done is not None and (done.state, done.refused) == ("finished", 2)
    assert (done.started_at, done.finished_at) == (NOW + timedelta(seconds=1), NOW + timedelta(seconds=3))
    assert known.unfinished() == () and known.content(done) == ()
    shown = known.results(done, 0, 10)
    assert [one.result for one in shown] == [first, *refused(2, 3)]
    assert shown[0].body is not None and b'"D-bank-1-APP-1"' in shown[0].body and shown[1].body is None
    assert [one.result.line for one in known.results(done, 1, 1)] == [2]


def test_what_is_cancelled_or_of_a_client_whose_access_ended_is_not_wanted(store):
    bank = client(store)
    first, second = add(store), add(store, idempotency_key="key-2")
    known = store.batches()
    assert known.for_whom(first) == known.for_whom(second) == bank
    assert known.cancel(first.batch_id, "bank-1", NOW).state == "cancelling"
    assert known.for_whom(first) is None and known.for_whom(second) == bank
    store.revoke_client("bank-1", NOW)
    assert known.for_whom(second) is None
    for batch in (first, second):
        known.end(batch, NOW + timedelta(seconds=1))
    ended = known.find(second.batch_id)
    assert ended is not None and ended.state == "cancelled" and known.content(ended) == ()
    assert known.cancel(first.batch_id, "bank-1", NOW + timedelta(hours=1)).cancelled_at == NOW
    assert known.note(first, refused(1), NOW) is None


def test_a_batch_that_is_finished_is_not_cancelled(store):
    batch = add(store)
    assert store.batches().note(batch, refused(1, 2, 3), NOW) is not None
    assert store.batches().cancel(batch.batch_id, "bank-1", NOW).state == "finished"


def test_one_at_a_time_has_the_turn(store):
    known = store.batches()
    with known.turn(NOW) as first, known.turn(NOW) as second:
        assert (first, second) == (True, False)
    with known.turn(NOW) as third:
        assert third
