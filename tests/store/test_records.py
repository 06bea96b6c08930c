"""Enterprise records: written in bulk, read back equal."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from store_samples import NOW, USCC, application, commit, decision, draft

from decision_service.errors import InputError, StoreError
from decision_service.portrait.records import (
    ControlChange,
    Counterparty,
    CreditLine,
    EnterpriseRecords,
    Financials,
    IndicatorValue,
    ListEntry,
    Month,
    Overdue,
    Registration,
    Relation,
    TaxRating,
)
from decision_service.store import Situation
from decision_service.store.codecs import CODECS, decode_all, written

DAY = date(2025, 3, 31)
FIRM = Registration(USCC, "宁德示例\u2028新能源", "company", "active", date(2012, 5, 1), "38", "2017", True)
MONTHS = tuple(Month(date(2024, number, 1), sales=number * 100, tax_filing="on_time") for number in range(1, 13))
ENTRY = ListEntry("L-1", "court_dishonest", DAY, ended_on=DAY, end_reason="repaired")
WHOLE = EnterpriseRecords(
    registration=FIRM,
    months=MONTHS,
    counterparties=(Counterparty("sales", "X", DAY, -5, True),),
    indicators=(IndicatorValue("IND01", Decimal("0.10"), DAY), IndicatorValue("IND02", None, DAY, "not_applicable")),
    financials=Financials(DAY, 10, 5, 7, growth=Decimal("-0.5")),
    lists=(ENTRY,),
    tax_ratings=(TaxRating(2023, "A", DAY), TaxRating(2024, "A", DAY, changed_on=DAY, changed_to="D")),
    overdues=(Overdue("O-1", "bank-1", DAY, 31, None, True),),
    credit_lines=(CreditLine("bank-1", "1", 100, 50, 20),),
    relations=(Relation("P:abc", "controller_person"), Relation("Q", "parent", Decimal("0.51"))),
    control_changes=(ControlChange(DAY, "controller"),),
    feeds={"months": NOW, "lists": NOW - timedelta(hours=1)},
)
KEYED = {
    "registrations": [("", FIRM)],
    "months": [(month.month.isoformat(), month) for month in reversed(MONTHS)],
    "counterparties": [("sales|X", WHOLE.counterparties[0])],
    "indicators": [(one.indicator, one) for one in WHOLE.indicators],
    "financials": [("", WHOLE.financials)],
    "lists": [("L-1", ENTRY)],
    "tax_ratings": [(str(one.year), one) for one in WHOLE.tax_ratings],
    "overdues": [("O-1", WHOLE.overdues[0])],
    "exposures": [("bank-1|1", WHOLE.credit_lines[0])],
    "relations": [(f"{one.other}|{one.link}", one) for one in WHOLE.relations],
    "control_changes": [("1", WHOLE.control_changes[0])],
}


def write(store, kind, rows, *, source_time=NOW, uscc=USCC):
    return store.write_records(kind, [(uscc, key, one) for key, one in rows], source_time=source_time, now=NOW)


def fill(store):
    for kind, rows in KEYED.items():
        assert write(store, kind, rows) == len(rows)
    for kind, source_time in WHOLE.feeds.items():
        store.set_feed(kind, source_time)


def test_everything_of_an_enterprise_is_read_back_equal(store):
    fill(store)
    assert store.records(USCC) == WHOLE


def test_a_situation_is_records_exposure_and_approval_at_once(store, signer):
    assert store.situation("bank-1", application(1), NOW) is None
    fill(store)
    before = store.situation("bank-1", application(1), NOW)
    assert before == Situation(WHOLE, store.exposure_state(USCC, NOW), repeated=False, acts=(0, None))
    commit(store, signer, draft(decision(application(1))), expected=before.exposure)
    after = store.situation("bank-1", application(1), NOW)
    assert after == Situation(WHOLE, store.exposure_state(USCC, NOW), repeated=True, acts=(0, None))
    assert after.exposure.reserved == before.exposure.reserved + 100_000


def test_when_a_repair_was_first_told_is_kept(store):
    standing, repaired = replace(ENTRY, ended_on=None, end_reason=""), ENTRY
    planned = replace(ENTRY, ended_on=None)

    def told(*days):
        """What is kept after an entry was delivered as it then stood, by day."""
        for day, entry in days:
            write(store, "lists", [("L-1", entry)], source_time=NOW + timedelta(days=day))
        return [(one.ended_on, one.told_at - NOW) for one in store.repairs_told(NOW)]

    assert told((0, standing), (1, planned)) == []
    assert told((0, repaired)) == [], "an older delivery tells nothing"
    assert told((3, repaired), (4, repaired)) == [(DAY, timedelta(days=3))]
    assert told((5, standing), (6, replace(repaired, ended_on=DAY + timedelta(days=1)))) == [
        (DAY + timedelta(days=1), timedelta(days=6))
    ]
    (one,) = store.repairs_told(NOW + timedelta(days=6))
    assert (one.uscc, one.record_key, one.list_name) == (USCC, "L-1", "court_dishonest")
    assert store.repairs_told(NOW + timedelta(days=6, seconds=1)) == ()


def test_a_repair_of_what_never_stood_here_is_not_told(store):
    write(store, "lists", [("L-1", ENTRY), ("L-2", replace(ENTRY, record_id="L-2", ended_on=None, end_reason=""))])
    write(store, "overdues", [("repaired", Overdue("repaired", "bank-1", DAY, 31))])
    assert store.repairs_told(NOW) == ()


def test_whether_a_kind_has_records_at_all(store):
    assert not store.has_records("lists")
    write(store, "lists", KEYED["lists"])
    assert store.has_records("lists") and not store.has_records("months")


def test_an_enterprise_without_registration_is_unknown(store):
    write(store, "months", KEYED["months"])
    assert store.records(USCC) is None
    assert store.records("") is None


def test_a_record_written_again_replaces_the_first(store):
    fill(store)
    changed = CreditLine("bank-1", "1", 1, 2, 3)
    write(store, "exposures", [("bank-1|1", changed)])
    assert store.records(USCC).credit_lines == (changed,)


@pytest.mark.parametrize(
    ("age", "drawn"), [(timedelta(0), 2), (timedelta(days=-1), 1), (timedelta(days=1), 2)],
    ids=["of the same delivery", "of an older delivery", "of a newer delivery"],
)  # fmt: skip
def test_an_older_delivery_never_overwrites_a_newer_one(store, age, drawn):
    fill(store)
    write(store, "exposures", [("bank-1|1", CreditLine("bank-1", "1", 1, 0))])
    write(store, "exposures", [("bank-1|1", CreditLine("bank-1", "1", 2, 0))], source_time=NOW + age)
    assert store.records(USCC).credit_lines[0].drawn == drawn


def test_the_newest_delivery_of_a_feed_counts(store):
    fill(store)
    store.set_feed("months", NOW - timedelta(days=3))
    assert store.records(USCC).feeds["months"] == NOW
    store.set_feed("months", NOW + timedelta(days=3))
    assert store.records(USCC).feeds["months"] == NOW + timedelta(days=3)


def test_bulk_rows_arrive_in_several_transactions(sqlite_store, monkeypatch):
    monkeypatch.setattr("decision_service.store.records.CHUNK", 3)
    rows = ((f"U{number:02}", "", FIRM) for number in range(10))
    assert sqlite_store.write_records("registrations", rows, source_time=NOW, now=NOW) == 10
    assert sqlite_store.enterprise_count() == 10
    assert sqlite_store.uscc_list(4, 8) == ("U08", "U09")


def test_a_kind_that_no_feed_has_is_refused(sqlite_store):
    with pytest.raises(InputError, match="no feed kind"):
        write(sqlite_store, "rumours", KEYED["lists"])


def test_related_parties_come_with_their_lists_and_the_second_hop(store):
    fill(store)
    two_hops = {
        "Q": [("lists", "L-2", ENTRY), ("relations", "R|parent", Relation("R", "parent"))],
        "R": [("lists", "L-3", ENTRY), ("relations", "S|parent", Relation("S", "parent"))],
        "S": [("lists", "L-4", ENTRY)],
        "P:abc": [("lists", "L-5", ENTRY), ("relations", f"{USCC}|control", Relation(USCC, "control"))],
    }
    for party, rows in two_hops.items():
        for kind, key, one in rows:
            write(store, kind, [(key, one)], uscc=party)
    found = store.records(USCC)
    assert found.related_lists == {"Q": (ENTRY,), "R": (ENTRY,), "P:abc": (ENTRY,)}
    assert found.related_relations == {"Q": (Relation("R", "parent"),), "P:abc": (Relation(USCC, "control"),)}


def test_many_related_parties_are_read_in_several_queries(sqlite_store, monkeypatch):
    monkeypatch.setattr("decision_service.store.records.PARTIES", 7)
    fill(sqlite_store)
    others = [f"U{number}" for number in range(30)]
    write(sqlite_store, "relations", [(other, Relation(other, "guarantee")) for other in others])
    sqlite_store.write_records("lists", [(other, "L", ENTRY) for other in others], source_time=NOW, now=NOW)
    assert set(sqlite_store.records(USCC).related_lists) == set(others)


@pytest.mark.parametrize("payload", ["", "{", "[]", "7", '{"x":1}', '{"bank":"b"}', "{},{}"])
def test_a_damaged_record_is_an_error_that_names_the_remedy(sqlite_store, payload):
    fill(sqlite_store)
    with sqlite_store._database.write() as connection:
        connection.execute(text("UPDATE records SET payload = :p WHERE kind = 'lists'"), {"p": payload})
    with pytest.raises(StoreError, match="load its feed again"):
        sqlite_store.records(USCC)


def test_text_that_is_not_unicode_is_refused(store):
    with pytest.raises(InputError, match="not Unicode"):
        store.records("\ud800")
    with pytest.raises(InputError, match="not Unicode"):
        write(store, "lists", [("\ud800", ENTRY)])


def values(codec):
    kinds = {
        int: st.integers(-(2**63), 2**63 - 1),
        str: st.text(st.characters(exclude_categories=["Cs"])),
        bool: st.booleans(),
        date: st.dates(),
        Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    }
    return st.builds(codec.record, **_fields(codec.record, kinds))


def _fields(record, kinds):
    chosen = {}
    for name, hint in get_type_hints(record).items():
        options = [kinds[kind] for kind in (get_args(hint) or (hint,)) if kind in kinds]
        chosen[name] = st.one_of(st.none(), *options) if type(None) in get_args(hint) else options[0]
    return chosen


@pytest.mark.parametrize("kind", CODECS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_record_survives_its_json_form(kind, data):
    record = data.draw(values(CODECS[kind]))
    assert decode_all([(kind, written([CODECS[kind].encode(record)]))])[kind] == [record]
