"""Idempotency keys: lease, answer, conflict, expiry."""

from __future__ import annotations

from datetime import timedelta

import pytest
from store_samples import NOW, application, commit, decision, draft

from decision_service.errors import IdempotencyConflict, StillRunning

LEASE = timedelta(seconds=60)


def test_a_new_key_begins(store):
    assert store.begin("bank-1", "K", "body-1", NOW) is None


def test_a_running_key_is_still_running_for_the_same_body(store):
    store.begin("bank-1", "K", "body-1", NOW)
    with pytest.raises(StillRunning):
        store.begin("bank-1", "K", "body-1", NOW)


def test_a_running_key_with_another_body_is_a_conflict(store):
    store.begin("bank-1", "K", "body-1", NOW)
    with pytest.raises(IdempotencyConflict):
        store.begin("bank-1", "K", "body-2", NOW)


def test_keys_of_two_clients_do_not_meet(store):
    store.begin("bank-1", "K", "body-1", NOW)
    assert store.begin("bank-2", "K", "body-2", NOW) is None


def test_a_released_key_begins_again_even_with_another_body(store):
    store.begin("bank-1", "K", "body-1", NOW)
    store.release("bank-1", "K")
    assert store.begin("bank-1", "K", "body-2", NOW) is None


def test_releasing_an_unknown_key_changes_nothing(store):
    store.begin("bank-1", "K", "body-1", NOW)
    store.release("bank-2", "K")
    with pytest.raises(StillRunning):
        store.begin("bank-1", "K", "body-1", NOW)


def test_a_lease_holds_until_it_expires(store):
    store.begin("bank-1", "K", "body-1", NOW)
    with pytest.raises(StillRunning):
        store.begin("bank-1", "K", "body-1", NOW + LEASE - timedelta(microseconds=1))
    assert store.begin("bank-1", "K", "body-1", NOW + LEASE) is None
    with pytest.raises(StillRunning):
        store.begin("bank-1", "K", "body-1", NOW + LEASE)


def test_expired_leases_can_be_removed(store):
    store.begin("bank-1", "old", "body-1", NOW)
    store.begin("bank-1", "new", "body-1", NOW + LEASE / 2)
    store.expire_leases(NOW + LEASE)
    assert store.begin("bank-1", "old", "body-1", NOW) is None
    with pytest.raises(StillRunning):
        store.begin("bank-1", "new", "body-1", NOW + LEASE)


def test_an_answered_key_gives_the_same_bytes_for_ever(store, signer):
    made = decision(application(1))
    store.begin("bank-1", "K", "body-1", NOW)
    committed = commit(store, signer, draft(made, key="K", digest="body-1"))
    stored = store.begin("bank-1", "K", "body-1", NOW + timedelta(days=400))
    assert (stored.decision_id, stored.status, stored.body) == (made.decision_id, 201, committed.body)
    store.release("bank-1", "K")
    assert store.begin("bank-1", "K", "body-1", NOW) == stored


def test_an_answered_key_with_another_body_is_a_conflict(store, signer):
    commit(store, signer, draft(decision(application(1)), key="K", digest="body-1"))
    with pytest.raises(IdempotencyConflict):
        store.begin("bank-1", "K", "body-2", NOW)


@pytest.mark.parametrize("key", ["", " ", "钥匙", "' OR 1=1 --", "k" * 255])
def test_any_text_may_be_a_key(store, key):
    assert store.begin("bank-1", key, "body-1", NOW) is None
    with pytest.raises(StillRunning):
        store.begin("bank-1", key, "body-1", NOW)
