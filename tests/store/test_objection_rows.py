"""Objections in the store: races of filing and accepting, marks on records, restarts, both databases."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from store_samples import NOW, USCC, application, commit, decision, draft

from decision_service.audit.canonical import parsed
from decision_service.commands.audit import verified
from decision_service.decide import Platform
from decision_service.errors import NotFound, NotNow, StoreError
from decision_service.governance import objection as fold
from decision_service.lives import Request
from decision_service.objections import ObjectionDesk, Target
from decision_service.portrait.disputes import digest_of
from decision_service.portrait.records import ListEntry, Registration, Relation
from decision_service.repair_watch import RepairWatch, late_sources
from decision_service.store import Store
from decision_service.vocabulary import Client

BANK, OTHER = Client("bank-1", "Bank", "bank"), Client("bank-2", "Other", "bank")
STEWARDS = [Client(f"steward-{n}", "Steward", "steward") for n in range(3)]
CHILD = "91350100M000100Y51"
ENTRY = ListEntry("L-1", "list_court_dishonest", date(2026, 1, 5))
TARGET = Target(USCC, "lists", "L-1")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> str:
    """The URL of a store on each kind of database."""
    return str(request.getfixturevalue(f"{request.param}_url"))


def opened(place: str, signer: Any) -> Platform:
    store = Store.open(place, signer.public.receipt_is_valid)
    return Platform(store, None, None, signer, "test")  # type: ignore[arg-type]


def deliver(store: Store, entry: ListEntry = ENTRY) -> None:
    for uscc in (USCC, CHILD):
        registration = Registration(uscc, "示例", "company", "active", date(2012, 5, 9), "35", "2017")
        store.write_records("registrations", [(uscc, "", registration)], source_time=NOW, now=NOW)
    store.write_records("lists", [(USCC, entry.record_id, entry)], source_time=NOW, now=NOW)
    parent = Relation(USCC, "parent")
    store.write_records("relations", [(CHILD, f"{USCC}|parent", parent)], source_time=NOW, now=NOW)


def show(platform: Platform, signer: Any, *clients: Client) -> None:
    """A decision for each client that used the entry."""
    used = {"lists": {ENTRY.record_id: digest_of(ENTRY)}}
    for number, client in enumerate(clients):
        made = decision(application(number), client_id=client.client_id)
        commit(platform.store, signer, draft(made, records=used))


def request(how: str, by: Client, hours: int = 0, **details: Any) -> Request:
    return Request(how, by, str(uuid.uuid4()), NOW + timedelta(hours=hours), {"evidence": ["00" * 32], **details})


def outcome(act: Callable[[], Any]) -> str:
    try:
        return str(parsed(act().body)["state"])
    except NotNow:
        return "too late"


def at_once(acts: list[Callable[[], Any]]) -> Counter[str]:
    with ThreadPoolExecutor(len(acts)) as pool:
        return Counter(pool.map(outcome, acts))


def test_of_many_who_file_accept_and_rule_at_once_one_is_in_time(place: str, signer: Any) -> None:
    platforms = [opened(place, signer) for _ in "ab"]  # as two workers
    deliver(platforms[0].store)
    show(platforms[0], signer, BANK)
    desks = [ObjectionDesk(one) for one in platforms]

    def tried(act: Callable[[ObjectionDesk, int], Any]) -> Counter[str]:
        return at_once([lambda n=n: act(desks[n % 2], n) for n in range(12)])  # type: ignore[misc]

    filed = tried(lambda desk, n: desk.file(TARGET, request(fold.FILING, BANK)))
    assert filed == {"filed": 1, "too late": 11}
    (stored,) = platforms[0].store.objections().open()
    objection = stored.objection_id

    def act(how: str, **details: Any) -> Counter[str]:
        return tried(lambda desk, n: desk.act(objection, None, request(how, STEWARDS[n % 3], n, **details)))

    assert act(fold.ACCEPTANCE) == {"accepted": 1, "too late": 11}
    assert platforms[1].store.records(USCC).lists[0].disputed_on is not None  # type: ignore[union-attr]
    assert act(fold.CHECK, answer="wrong") == {"source_check": 1, "too late": 11}
    assert act(fold.RULING, ruling="delete") == {"ruled": 1, "too late": 11}
    for one in platforms:
        found = one.store.records(USCC)
        assert found is not None and found.lists == () and [mark.effect for mark in found.marks] == ["struck"]
        child = one.store.records(CHILD)
        assert child is not None and not child.related_lists.get(USCC), "related parties' entries too"
        assert child.controllers[USCC].lists == ()
    for one in platforms:
        assert list(one.store.objections().repaired()) == [USCC]
    watches = [RepairWatch(one, lambda: NOW + timedelta(days=1)) for one in platforms]
    with ThreadPoolExecutor(2) as pool:
        told = [written.act for found in pool.map(RepairWatch.look, watches) for written in found]
    assert [(one.how, one.subject) for one in told] == [("decision.later_repaired", "D-bank-1-APP-0")]
    assert len(late_sources(platforms[0], NOW + timedelta(days=60))) == 1, "its source delivers it still"
    assert [str(one) for one in verified(platforms[0]).findings] == []
    for one in platforms:
        one.store.close()

    again = opened(place, signer)
    deliver(again.store)
    assert again.store.records(USCC).lists == (), "after a restart and a delivery"  # type: ignore[union-attr]
    again.store.close()


def test_what_was_never_delivered_or_shown_is_no_record_and_a_forgers_acts_are_refused(place: str, signer: Any) -> None:
    platform = opened(place, signer)
    deliver(platform.store)
    desk = ObjectionDesk(platform)
    with pytest.raises(NotFound, match="no such record"):
        desk.file(Target(USCC, "lists", "L-2"), request(fold.FILING, BANK))
    with pytest.raises(NotFound, match="no such decision"):
        desk.file(Target(decision_id="D-1"), request(fold.FILING, BANK))
    with pytest.raises(NotFound, match="no such record"):
        desk.file(TARGET, request(fold.FILING, BANK))
    show(platform, signer, BANK)
    objection = parsed(desk.file(TARGET, request(fold.FILING, BANK)).body)["objection_id"]
    assert platform.store.objections().find(objection, OTHER.client_id) is None
    platform.store.close()
    stranger = Store.open(place, lambda subject, receipt: False)
    with pytest.raises(StoreError, match="was not signed by the log's key"):
        stranger.objections().acts(objection)
    stranger.close()
