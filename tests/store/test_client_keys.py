"""Keys of clients in the store, and signed requests that are used once, whoever is asked how often at once."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from store_samples import NOW

from decision_service.errors import InputError, NotFound
from decision_service.store import ClientKey, Store
from decision_service.vocabulary import Person

FORK = multiprocessing.get_context("fork")
ROOT = Person("os_user", "0", "root")
KEY = ClientKey("k-1", ("EdDSA", "Ed25519"), "t-1", {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, NOW)
LATER = NOW + timedelta(minutes=5)


def other(number: int, **changes: Any) -> ClientKey:
    return replace(KEY, kid=f"k-{number}", thumbprint=f"t-{number}", added_at=NOW + timedelta(hours=number), **changes)


@pytest.fixture
def bank(store: Store) -> Store:
    store.add_client("Bank", "bank", NOW, client_id="bank-1")
    store.add_client("Other", "fintech", NOW, client_id="fintech-1")
    return store


def test_a_key_leads_to_its_client_until_one_of_the_two_is_revoked(bank: Store) -> None:
    keys = bank.client_keys()
    keys.add("bank-1", KEY, ROOT)
    keys.add("bank-1", other(2), ROOT)
    found = keys.holder("bank-1", "k-1")
    assert found is not None
    assert (found.client.client_id, found.client.kind, found.algorithms) == ("bank-1", "bank", KEY.algorithms)
    assert (found.jwk, found.bound) == (KEY.jwk, False)
    assert keys.holder("fintech-1", "k-1") is None and keys.holder("bank-1", "k-9") is None
    assert keys.revoke("bank-1", "k-1", LATER) is None
    assert keys.holder("bank-1", "k-1") is None and keys.holder("bank-1", "k-2") is not None
    assert keys.revoke("bank-1", "k-1", LATER + timedelta(hours=1)) == LATER
    assert [(one.kid, one.revoked_at) for one in keys.list("bank-1")] == [("k-1", LATER), ("k-2", None)]
    bank.revoke_client("bank-1", NOW)
    assert keys.holder("bank-1", "k-2") is None


TAKEN = {
    "the same kid": ("bank-1", replace(KEY, thumbprint="t-2"), "has a key k-1, or had one"),
    "the same key": ("bank-1", replace(KEY, kid="k-2"), "this key"),
    "the same key of another client": ("fintech-1", replace(KEY, kid="k-2"), "this key"),
}


@pytest.mark.parametrize("revoked", [False, True], ids=["valid", "revoked"])
@pytest.mark.parametrize(("client_id", "key", "why"), TAKEN.values(), ids=TAKEN.keys())
def test_a_key_is_registered_once_and_never_again(
    bank: Store, client_id: str, key: ClientKey, why: str, revoked: bool
) -> None:
    keys = bank.client_keys()
    keys.add("bank-1", KEY, ROOT)
    if revoked:
        keys.revoke("bank-1", "k-1", NOW)
    with pytest.raises(InputError, match=why):
        keys.add(client_id, key, ROOT)


def test_eight_keys_are_enough(bank: Store) -> None:
    keys = bank.client_keys()
    for number in range(8):
        keys.add("bank-1", other(number), ROOT)
    with pytest.raises(InputError, match="has 8 keys"):
        keys.add("bank-1", other(9), ROOT)
    keys.revoke("bank-1", "k-0", NOW)
    keys.add("bank-1", other(9), ROOT)


def test_nobody_s_keys_are_said_to_be_so(bank: Store) -> None:
    keys = bank.client_keys()
    for act in (
        lambda: keys.add("nobody", KEY, ROOT),
        lambda: keys.list("nobody"),
        lambda: keys.revoke("bank-1", "k-1", NOW),
        lambda: bank.bind_certificate("nobody", True),
    ):
        with pytest.raises(NotFound):
            act()


def test_a_bound_client_s_bearer_key_counts_no_more(store: Store) -> None:
    client, key = store.add_client("Bank", "bank", NOW)
    store.client_keys().add(client.client_id, KEY, ROOT)
    store.bind_certificate(client.client_id, True)
    holder = store.client_keys().holder(client.client_id, "k-1")
    assert store.client_by_key(key) is None and holder is not None and holder.bound
    assert [entry.bound for entry in store.list_clients()] == [True]
    store.bind_certificate(client.client_id, False)
    assert store.client_by_key(key) == client


def test_a_signed_request_is_used_once_by_its_client_and_forgotten_when_it_is_useless(store: Store) -> None:
    keys = store.client_keys()
    assert keys.use("bank-1", "j-1", LATER, NOW)
    assert not keys.use("bank-1", "j-1", LATER, LATER)
    assert keys.use("bank-2", "j-1", LATER, NOW) and keys.use("bank-1", "j-2", LATER, NOW)
    assert keys.use("bank-1", "j-3", LATER + timedelta(hours=1), LATER + timedelta(seconds=1))
    with store._database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM used_assertions")).scalar_one() == 1


def test_a_token_that_was_ended_leads_to_nobody_and_is_forgotten_when_it_is_useless(bank: Store) -> None:
    keys = bank.client_keys()
    keys.add("bank-1", KEY, ROOT)
    assert keys.holder("bank-1", "k-1", "j-1") == keys.holder("bank-1", "k-1") is not None
    for _ in range(2):
        keys.revoke_token("bank-1", "j-1", LATER, NOW)
    keys.revoke_token("fintech-1", "j-2", LATER, NOW)
    assert keys.holder("bank-1", "k-1", "j-1") is None
    assert keys.holder("bank-1", "k-1", "j-2") == keys.holder("bank-1", "k-1") is not None
    assert keys.use("bank-1", "j-1", LATER, NOW), "ids of requests are others"
    keys.revoke_token("bank-1", "j-3", LATER + timedelta(hours=1), LATER + timedelta(seconds=1))
    with bank._database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM revoked_tokens")).scalar_one() == 1


def _use(url: str, start: Any, answers: Any) -> None:
    with closing(Store.open(url)) as store:
        start.wait()
        for number in range(20):
            answers.put((number, store.client_keys().use("bank-1", f"j-{number}", LATER, NOW)))


def test_processes_that_use_the_same_requests_at_once_have_one_success_for_each(url: str) -> None:
    Store.open(url).close()
    start, answers = FORK.Barrier(4), FORK.Queue()
    workers = [FORK.Process(target=_use, args=(url, start, answers)) for _ in range(4)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=60) for _ in range(80)]
    for worker in workers:
        worker.join()
    assert sorted(number for number, good in found if good) == list(range(20))


def test_what_was_used_is_used_after_a_restart(url: str) -> None:
    for good in (True, False):
        with closing(Store.open(url)) as store:
            assert store.client_keys().use("bank-1", "j-1", LATER, NOW) is good
