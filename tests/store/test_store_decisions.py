"""Committing and finding decisions, on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from store_samples import LINE, NOW, RULESET, USCC, application, commit, commit_some, decision, draft, verified

from decision_service.audit import merkle
from decision_service.errors import InputError, NotFound, StillRunning, StoreError
from decision_service.portrait.records import Relation
from decision_service.store import ExposureChanged, ExposureState
from decision_service.store.decisions import is_reserved
from decision_service.vocabulary import Outcome

OTHER = "91350100M000100Y51"
TABLES = ("leaves", "decisions", "reservations")


def counts(store):
    with store._database.read() as connection:
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in TABLES}


def reserved(store, asked, now):
    with store._database.read_session() as session:
        return is_reserved(session, "bank-1", asked, now)


def test_a_committed_decision_is_found_with_the_bytes_that_were_given(store, signer):
    asked = draft(decision(application(1)))
    committed = commit(store, signer, asked)
    found = store.decision(asked.decision.decision_id)
    assert (found.record, found.private, found.body) == (asked.record, asked.private, committed.body)
    assert (found.leaf_index, found.leaf_hash) == (0, merkle.leaf_hash(asked.record))
    assert (found.client_id, found.application_id, found.uscc) == ("bank-1", "APP-1", USCC)
    assert (found.product, found.outcome, found.decided_at) == ("working_capital", "APPROVE", NOW)
    assert found.ruleset_digest == RULESET


def test_the_head_of_the_log_is_the_root_over_all_leaves(store, signer):
    assert store.log_head() == (0, merkle.EMPTY_ROOT)
    hashes = [one.leaf_hash for one in commit_some(store, signer, 11)]
    assert list(store.leaf_hashes()) == hashes
    assert store.log_head() == (11, merkle.root_of(hashes))


def test_a_client_finds_only_its_own_decisions(store, signer):
    mine, theirs = decision(application(1)), decision(application(1), client_id="bank-2")
    for one in (mine, theirs):
        commit(store, signer, draft(one))
    assert store.decision(theirs.decision_id, "bank-1") is None
    assert store.decision(theirs.decision_id, "bank-2") is not None
    assert [one.decision_id for one in store.decisions("bank-1")[0]] == [mine.decision_id]
    assert len(store.decisions(None)[0]) == 2


def test_pages_run_from_the_newest_to_the_oldest_without_gap_or_overlap(store, signer):
    commit_some(store, signer, 7)
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page, cursor = store.decisions("bank-1", cursor, 3)
        seen += [one.leaf_index for one in page]
        pages += 1
    assert (seen, pages) == ([6, 5, 4, 3, 2, 1, 0], 3)


def test_a_page_that_ends_with_the_last_decision_has_no_cursor(store, signer):
    commit_some(store, signer, 3)
    assert store.decisions("bank-1", None, 3)[1] is None


@pytest.mark.parametrize("cursor", ["", "x", "YmVmb3JlOg", "é", "YmVmb3JlOi0x", "a" * 500, "\x00"])
def test_a_cursor_of_ones_own_making_is_refused(sqlite_store, cursor):
    with pytest.raises(InputError, match="not a cursor"):
        sqlite_store.decisions("bank-1", cursor, 3)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_page_has_between_one_and_a_thousand_decisions(sqlite_store, limit):
    with pytest.raises(InputError):
        sqlite_store.decisions("bank-1", None, limit)


def test_each_decision_gives_all_in_order_across_pages(sqlite_store, signer, monkeypatch):
    monkeypatch.setattr("decision_service.store.decisions.PAGE", 4)
    commit_some(sqlite_store, signer, 9)
    assert [one.leaf_index for one in sqlite_store.each_decision()] == list(range(9))


def test_a_changed_exposure_stores_nothing(store, signer):
    seen = store.exposure_state(USCC, NOW)
    commit(store, signer, draft(decision(application(1))), expected=seen)
    before = counts(store)
    with pytest.raises(ExposureChanged):
        commit(store, signer, draft(decision(application(2))), expected=seen)
    assert counts(store) == before
    commit(store, signer, draft(decision(application(2))), expected=store.exposure_state(USCC, NOW))


def test_another_customers_decision_does_not_change_the_exposure(store, signer):
    seen = store.exposure_state(USCC, NOW)
    commit(store, signer, draft(decision(application(1, uscc=OTHER))))
    commit(store, signer, draft(decision(application(2))), expected=seen)


def test_a_group_members_reservation_changes_the_exposure(store, signer):
    control(store, OTHER, USCC, "parent")
    seen = store.exposure_state(USCC, NOW)
    commit(store, signer, draft(decision(application(1, uscc=OTHER))))
    assert store.exposure_state(USCC, NOW) == replace(seen, group_reserved=100_000)


def test_a_new_group_member_changes_the_exposure(store, signer):
    seen = store.exposure_state(USCC, NOW)
    control(store, OTHER, USCC, "parent")
    with pytest.raises(ExposureChanged):
        commit(store, signer, draft(decision(application(1))), expected=seen)


def control(store, uscc, other, link):
    store.write_records("relations", [(uscc, f"{other}|{link}", Relation(other, link))], source_time=NOW, now=NOW)


def test_a_failure_while_rendering_stores_nothing(store):
    def finish(leaf_index, leaf_hash):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.commit_decision(draft(decision(application(1))), expected=None, finish=finish, now=NOW)
    assert set(counts(store).values()) == {0}
    assert store.log_head()[0] == 0


@pytest.mark.parametrize("event", [*(f"INSERT ON {name}" for name in TABLES), "UPDATE ON log_head"])
def test_whichever_write_fails_nothing_is_half_written(sqlite_store, signer, event):
    commit_some(sqlite_store, signer, 2)
    sqlite_store.begin("bank-1", "key-D-bank-1-APP-9", "body-1", NOW)
    before = counts(sqlite_store), sqlite_store.log_head()
    with sqlite_store._database.write() as connection:
        connection.execute(
            text(f"CREATE TRIGGER planted BEFORE {event} BEGIN SELECT RAISE(ABORT, 'planted failure'); END")
        )
    with pytest.raises(StoreError, match="planted failure"):
        commit(sqlite_store, signer, draft(decision(application(9))))
    assert (counts(sqlite_store), sqlite_store.log_head()) == before
    with sqlite_store._database.write() as connection:
        connection.execute(text("DROP TRIGGER planted"))
    commit(sqlite_store, signer, draft(decision(application(9))))
    assert verified(sqlite_store, signer).ok


def test_a_key_that_has_been_answered_meanwhile_stores_no_second_decision(store, signer):
    commit(store, signer, draft(decision(application(1)), key="K"))
    with pytest.raises(StillRunning):
        commit(store, signer, draft(decision(application(1), decision_id="D-2"), key="K"))
    assert counts(store)["decisions"] == 1


@pytest.mark.parametrize(
    ("outcome", "reserved"), [(Outcome.APPROVE, 100_000), (Outcome.REFER, 0), (Outcome.DECLINE, 0)]
)
def test_only_an_approval_reserves(store, signer, outcome, reserved):
    commit(store, signer, draft(decision(application(1), outcome=outcome)))
    assert store.exposure_state(USCC, NOW).reserved == reserved


@pytest.mark.parametrize(
    ("age", "reserved"),
    [
        (timedelta(0), 100_000),
        (timedelta(hours=24) - timedelta(microseconds=1), 100_000),
        (timedelta(hours=24), 0),
    ],
)
def test_a_reservation_ends_after_24_hours(store, signer, age, reserved):
    commit(store, signer, draft(decision(application(1))))
    assert store.exposure_state(USCC, NOW + age).reserved == reserved


@pytest.mark.parametrize("second", ["1000.00", "400.00", "2500.00"])
def test_an_application_is_approved_once_while_its_reservation_stands(store, signer, second):
    commit(store, signer, draft(decision(application(1, amount="1000.00"))))
    again = decision(application(1, amount=second), decision_id="D-2")
    assert reserved(store, again.application, NOW)
    with pytest.raises(ExposureChanged):
        commit(store, signer, draft(again))
    assert store.decision("D-2", None) is None
    assert store.exposure_state(USCC, NOW).reserved == 100_000


def test_an_application_may_be_approved_again_after_its_reservation_has_expired(store, signer):
    commit(store, signer, draft(decision(application(1, amount="1000.00"))))
    later = NOW + timedelta(hours=24)
    assert not reserved(store, application(1), later)
    commit(store, signer, draft(decision(application(1, amount="400.00"), decision_id="D-2", now=later)))
    assert store.exposure_state(USCC, later).reserved == 40_000


def test_one_application_id_for_two_customers_reserves_for_both(store, signer):
    control(store, USCC, OTHER, "control")
    commit(store, signer, draft(decision(application(1))))
    commit(store, signer, draft(decision(application(1, uscc=OTHER), decision_id="D-2")))
    assert store.exposure_state(USCC, NOW) == ExposureState(100_000, 100_000, ("bank-1",), group=(OTHER,))


def test_two_banks_reserve_side_by_side(store, signer):
    for client_id in ("bank-2", "bank-1"):
        commit(store, signer, draft(decision(application(1, amount="2500000.00"), client_id=client_id)))
    assert store.exposure_state(USCC, NOW) == ExposureState(LINE, 0, ("bank-1", "bank-2"))


@pytest.mark.parametrize(
    ("age", "clients"),
    [(timedelta(days=30) - timedelta(microseconds=1), ("bank-1",)), (timedelta(days=30), ())],
)
def test_applicants_count_for_30_days_whatever_was_decided(store, signer, age, clients):
    commit(store, signer, draft(decision(application(1), outcome=Outcome.DECLINE)))
    assert store.exposure_state(USCC, NOW + age).clients == clients


def test_erasing_values_keeps_the_record_and_the_proofs(store, signer):
    committed = commit_some(store, signer, 3)
    store.erase_private("D-bank-1-APP-1", NOW, signer.receipt)
    found = store.decision("D-bank-1-APP-1")
    assert (found.private, found.leaf_hash) == (None, committed[1].leaf_hash)
    report = verified(store, signer)
    assert report.ok, report.findings
    assert (report.leaves, report.decisions, report.erased) == (4, 3, 1)
    assert [str(one) for one in report.erasures] == [
        "leaf 3: the values of decision D-bank-1-APP-1 were erased at 2026-11-24T02:30:15.123456Z;"
        " it can be proven, not replayed"
    ]


def test_what_is_erased_already_is_not_erased_again(store, signer):
    commit_some(store, signer, 1)
    for day in range(3):
        store.erase_private("D-bank-1-APP-0", NOW + timedelta(days=day), signer.receipt)
    assert store.log_head()[0] == 2
    assert len(verified(store, signer).erasures) == 1


def test_erased_values_are_in_no_file_any_more(sqlite_store, sqlite_url, signer):
    asked = draft(decision(application(1)))
    marks = [asked.private[at : at + 40] for at in (0, len(asked.private) // 2, len(asked.private) - 40)]
    commit(sqlite_store, signer, asked)
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent

    def found() -> list[bytes]:
        files = [file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")]
        return [mark for mark in marks if any(mark in content for content in files)]

    assert found() == marks
    sqlite_store.erase_private(asked.decision.decision_id, NOW, signer.receipt)
    assert found() == []


def test_a_long_reader_does_not_hold_up_an_erasure(sqlite_store, signer):
    commit_some(sqlite_store, signer, 2)
    hashes = sqlite_store.leaf_hashes()
    next(hashes)
    began = time.monotonic()
    sqlite_store.erase_private("D-bank-1-APP-1", NOW, signer.receipt)
    assert time.monotonic() - began < 2
    hashes.close()


def test_erasing_what_does_not_exist_is_said(store, signer):
    with pytest.raises(NotFound):
        store.erase_private("D-9", NOW, signer.receipt)


def test_amounts_are_kept_to_the_fen(store, signer):
    commit(store, signer, draft(decision(application(1, amount="4999999.99"))))
    assert store.exposure_state(USCC, NOW).reserved == int(Decimal("4999999.99") * 100)
