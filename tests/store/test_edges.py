"""Groups by control links: read from both ends, replaced with the relations, bounded."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from store_samples import NOW, USCC

from decision_service.portrait.records import ListEntry, Registration, Relation

A, B, C = "91350100M000100Y51", "91350100M000100Y60", "P:1"


def relate(store, uscc, *relations):
    rows = [(uscc, f"{one.other}|{one.link}", one) for one in relations]
    store.write_records("relations", rows, source_time=NOW, now=NOW)


def register(store, uscc):
    firm = Registration(uscc, "示例", "company", "active", date(2012, 5, 1), "38", "2017")
    store.write_records("registrations", [(uscc, "", firm)], source_time=NOW, now=NOW)


@pytest.mark.parametrize(
    ("name", "relations", "group"),
    [
        ("nobody", {}, ()),
        ("its parent", {USCC: Relation(A, "parent")}, (A,)),
        ("its child", {A: Relation(USCC, "parent")}, (A,)),
        ("sisters under one parent", {USCC: Relation(B, "parent"), A: Relation(B, "parent")}, (A, B)),
        ("sisters under one person", {USCC: Relation(C, "controller_person"), A: Relation(C, "holding")}, (A, C)),
        ("a guarantor is no group", {USCC: Relation(A, "guarantee")}, ()),
        ("a minority holding is none", {A: Relation(USCC, "holding", Decimal("0.5"))}, ()),
    ],
)
def test_the_group_of_an_exposure(store, name, relations, group):
    for uscc, relation in relations.items():
        relate(store, uscc, relation)
    assert store.exposure_state(USCC, NOW).group == group, name


def test_a_share_that_is_corrected_ends_the_link(store):
    relate(store, USCC, Relation(A, "holding"), Relation(B, "parent"))
    assert store.exposure_state(USCC, NOW).group == (A, B)
    relate(store, USCC, Relation(A, "holding", Decimal("0.3")))
    assert store.exposure_state(USCC, NOW).group == (B,)
    assert store.exposure_state(A, NOW).group == ()


def test_a_person_with_very_many_firms_makes_the_group_unknown(store):
    relate(store, USCC, Relation(C, "controller_person"))
    relate(store, C, *(Relation(f"F{number}", "control") for number in range(1_000)))
    assert store.exposure_state(USCC, NOW).group is None


def test_the_firms_above_come_with_their_own_records_one_step_up(store):
    for uscc in (USCC, A, B):
        register(store, uscc)
    relate(store, USCC, Relation(A, "parent"), Relation(C, "controller_person"), Relation("Q", "holding"))
    relate(store, A, Relation(B, "parent"), Relation(USCC, "control"))
    entry = ListEntry("L", "list_executee", NOW.date())
    store.write_records("lists", [(A, "L", entry), (C, "L", entry)], source_time=NOW, now=NOW)
    above = store.records(USCC).controllers
    assert set(above) == {A}, "persons have no records of their own, and Q is not registered"
    assert above[A].registration.uscc == A and above[A].lists == (entry,)
    assert set(above[A].relations) == {Relation(B, "parent"), Relation(USCC, "control")}
    assert above[A].controllers == {}


def test_of_very_many_firms_above_only_the_first_are_read(store):
    firms = [f"F{number:02}" for number in range(12)]
    for uscc in (USCC, *firms):
        register(store, uscc)
    relate(store, USCC, *(Relation(firm, "holding") for firm in firms))
    assert list(store.records(USCC).controllers) == firms[:8]


@pytest.mark.parametrize(
    ("controller", "own", "seen"),
    [
        (A, (), (Relation(A, "parent"),)),
        (C, (), (Relation(C, "controller_person"),)),
        (A, (Relation(A, "parent", Decimal("0.8")),), (Relation(A, "parent", Decimal("0.8")),)),
        (A, (Relation(A, "guarantee"),), (Relation(A, "guarantee"), Relation(A, "parent"))),
    ],
    ids=["a firm", "a person", "told by both", "known for something else"],
)
def test_a_controller_that_only_its_own_record_names_is_seen(store, controller, own, seen):
    register(store, USCC)
    relate(store, USCC, *own)
    relate(store, controller, Relation(USCC, "control"))
    assert store.records(USCC).relations == seen
    relate(store, controller, Relation(B, "control"))
    assert store.records(USCC).relations == seen
