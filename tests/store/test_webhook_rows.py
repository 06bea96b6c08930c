"""Webhooks in the store, on both databases: deliveries are made once whoever makes them, keys and states in turn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from store_samples import NOW, commit_some

from decision_service.errors import IdempotencyConflict, InputError
from decision_service.store import Asked, Attempt, NewWebhook
from decision_service.store.events import START
from decision_service.store.webhooks import DELIVERED, GIVEN_UP, MOST


def new(client_id: str, key: str = "k", digest: str = "d") -> NewWebhook:
    return NewWebhook(client_id, key, digest, "https://bank.example/", ("decision.made",), "", "hmac")


@pytest.fixture
def hook(store, signer):
    webhook, replayed = store.webhooks().add(new("bank-1"), NOW)
    assert not replayed
    commit_some(store, signer, 1)
    return webhook


def test_of_two_that_read_ahead_one_makes_the_deliveries(store, hook):
    kept = store.webhooks()
    assert [kept.read_ahead(hook, hook.client_id, NOW) for _ in range(2)] == [1, 0]
    (delivery,) = kept.due(hook, NOW, 10)
    kept.note(delivery, Attempt(DELIVERED, NOW, 200, None), NOW, most_given_up=3)
    assert kept.due(hook, NOW, 10) == () and kept.waiting(hook) == (0, None)
    kept.rewind(hook, START, Asked(hook.client_id, "replay", "d"), b"{}", NOW)
    assert kept.read_ahead(kept.find(hook.webhook_id, None), hook.client_id, NOW) == 1
    assert [one.event_id for one in kept.due(hook, NOW, 10)] == [delivery.event_id]
    kept.forget(NOW + timedelta(days=31))
    assert len(kept.deliveries(hook, None, 10)[0]) == 1  # what waits is never forgotten


def test_another_s_decisions_are_not_events_of_this_client(store, hook):
    assert store.webhooks().events("c-nobody", START, 10).events == ()
    assert len(store.webhooks().events(None, START, 10).events) == 1


def test_what_is_given_up_in_a_row_makes_a_webhook_rest(store, hook):
    kept = store.webhooks()
    kept.read_ahead(hook, hook.client_id, NOW)
    (delivery,) = kept.due(hook, NOW, 10)
    kept.note(delivery, Attempt(GIVEN_UP, NOW, 500, None), NOW, most_given_up=1)
    found = kept.find(hook.webhook_id, hook.client_id)
    assert (found.state, found.version) == ("disabled", 2) and kept.change(hook, {"description": "x"}, NOW) is None
    active = kept.change(found, {"state": "active"}, NOW)
    assert active is not None and (active.failures, active.notice) == (0, None)
    assert not kept.remove(hook) and kept.remove(active)


def test_keys_come_and_go(store, hook):
    kept = store.webhooks()
    asked = Asked(hook.client_id, "r1", "d")
    first, replayed = kept.rotate(hook, "ed25519", asked, NOW, timedelta(hours=1))
    assert (first.place, replayed) == (2, False)
    assert kept.rotate(hook, "ed25519", asked, NOW, timedelta(hours=1)) == (first, True)
    with pytest.raises(IdempotencyConflict):
        kept.rotate(hook, "ed25519", Asked(hook.client_id, "r1", "other"), NOW, timedelta(0))
    assert [one.place for one in kept.keys(hook, NOW)] == [2, 1]
    assert [one.place for one in kept.keys(hook, NOW + timedelta(hours=1))] == [2]


def test_a_key_is_one_webhook_and_a_client_has_a_bounded_number(store, hook):
    kept = store.webhooks()
    assert kept.add(new(hook.client_id), NOW)[1]
    with pytest.raises(IdempotencyConflict):
        kept.add(new(hook.client_id, digest="other"), NOW)
    for number in range(MOST - 1):
        kept.add(new(hook.client_id, f"n{number}"), NOW)
    with pytest.raises(InputError, match="webhooks"):
        kept.add(new(hook.client_id, "one more"), NOW)
