"""Clients and keys."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from store_samples import NOW

from decision_service.errors import InputError, NotFound


def test_a_key_leads_to_its_client(store):
    client, key = store.add_client("  First Bank 第一银行 ", "bank", NOW)
    assert (client.name, client.kind) == ("First Bank 第一银行", "bank")
    assert store.client_by_key(key) == client


def test_a_key_has_256_random_bits_and_is_not_stored(store):
    keys = {store.add_client("Bank", "bank", NOW)[1] for _ in range(5)}
    assert len(keys) == 5
    assert all(key.startswith("dsk_") and len(key) == len("dsk_") + 43 for key in keys)
    with store._database.read() as connection:
        stored = str(connection.execute(text("SELECT * FROM clients")).all())
    assert not any(key in stored or key[4:] in stored for key in keys)


@pytest.mark.parametrize("key", ["", "dsk_", "dsk_x", "\x00", "\ud800", "' OR 1=1 --", "x" * 10_000])
def test_another_key_leads_to_nobody(store, key):
    store.add_client("Bank", "bank", NOW)
    assert store.client_by_key(key) is None


def test_a_revoked_client_is_nobody_but_stays_listed(store):
    client, key = store.add_client("Bank", "bank", NOW)
    other, other_key = store.add_client("Auditor", "auditor", NOW + timedelta(seconds=1))
    store.revoke_client(client.client_id, NOW + timedelta(hours=1))
    store.revoke_client(client.client_id, NOW + timedelta(hours=2))
    assert store.client_by_key(key) is None
    assert store.client_by_key(other_key) == other
    assert [(entry.client, entry.created_at, entry.revoked_at) for entry in store.list_clients()] == [
        (client, NOW, NOW + timedelta(hours=1)),
        (other, NOW + timedelta(seconds=1), None),
    ]


def test_revoking_nobody_is_said(store):
    with pytest.raises(NotFound, match="there is no client"):
        store.revoke_client("nobody", NOW)


@pytest.mark.parametrize(("name", "kind"), [("", "bank"), ("  ", "bank"), ("Bank", "king"), ("Bank", "")])
def test_a_client_needs_a_name_and_a_known_kind(sqlite_store, name, kind):
    with pytest.raises(InputError):
        sqlite_store.add_client(name, kind, NOW)
    assert sqlite_store.list_clients() == ()


def test_a_renewed_key_takes_the_place_of_the_old_one_and_the_client_stays(store) -> None:
    client, old = store.add_client("Bank", "bank", NOW)
    new = store.renew_key(client.client_id)
    assert store.client_by_key(new) == client and store.client_by_key(old) is None
    store.revoke_client(client.client_id, NOW)
    for gone in (client.client_id, "nobody"):
        with pytest.raises(NotFound):
            store.renew_key(gone)
