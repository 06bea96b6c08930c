"""Acts on the rules in the store: which ruleset decides when, which switches are off, and activations of before."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from store_samples import NOW, RULESET, SOURCES, USCC, application, commit, decision, draft, verified

from decision_service.audit.canonical import canonical, moment
from decision_service.audit.merkle import frontier_of, leaf_hash
from decision_service.audit.release import ACTIVATED, OFF, ON, Act, Named, activation, switch
from decision_service.audit.signing import Signer
from decision_service.errors import Refused, StoreError
from decision_service.portrait.records import Registration
from decision_service.store import InForce, Store
from decision_service.store.database import Database
from decision_service.store.migrate import MIGRATIONS
from tests.releasing import ANN, BOB

HOUR = timedelta(hours=1)


def say(store: Store, signer: Any, digest: str, at: datetime, effective_at: datetime | None = None) -> None:
    content = activation(Named(digest, "v1"), Act(ANN, at), how=ACTIVATED, effective_at=effective_at)
    store.append_release(lambda _: content, signer.receipt)


def flip(store: Store, signer: Any, scope: str, state: str) -> None:
    store.append_release(lambda _: switch(scope, Act(ANN, NOW), state=state), signer.receipt)


def test_nothing_is_active_at_first(store):
    assert store.in_force(NOW) == InForce()


def test_the_last_one_activated_is_active_also_within_one_moment(store, signer):
    before = None
    for digest in ("b", "a", "b"):
        say(store, signer, digest, NOW)
        assert store.in_force(NOW) == InForce(digest, NOW, before)
        before = digest


def test_what_is_said_for_at_once_holds_whatever_a_slow_clock_says(store, signer):
    say(store, signer, "a", NOW + HOUR)
    assert store.in_force(NOW).digest == "a"


SCHEDULES = {
    "before its moment the one before decides": ([("a", 0, 0), ("b", 1, 9)], 8, "a", ["b"]),
    "from its moment on it decides": ([("a", 0, 0), ("b", 1, 9)], 9, "b", []),
    "a later word for at once cancels it": ([("a", 0, 0), ("b", 1, 9), ("c", 2, 2)], 9, "c", []),
    "a later word for an earlier moment cancels it": ([("a", 0, 0), ("b", 1, 9), ("c", 2, 8)], 9, "c", []),
    "a later word for the same moment cancels it": ([("a", 0, 0), ("b", 1, 9), ("c", 2, 9)], 9, "c", []),
    "a later word for a later moment leaves it": ([("a", 0, 0), ("b", 1, 8), ("c", 2, 9)], 8, "b", ["c"]),
    "both are to come in their order": ([("a", 0, 0), ("b", 1, 8), ("c", 2, 9)], 7, "a", ["b", "c"]),
    "what is cancelled does not come": ([("a", 0, 0), ("b", 1, 9), ("c", 2, 8)], 7, "a", ["c"]),
    "a first one that is still to come decides nothing yet": ([("a", 0, 5)], 4, None, ["a"]),
}


@pytest.mark.parametrize(("said", "hour", "active", "coming"), SCHEDULES.values(), ids=SCHEDULES)
def test_the_last_word_wins(store, signer, said, hour, active, coming):
    for digest, at, effective_at in said:
        say(store, signer, digest, NOW + at * HOUR, NOW + effective_at * HOUR)
    found = store.in_force(NOW + hour * HOUR)
    assert (found.digest, [digest for digest, _ in found.coming]) == (active, coming)


def test_an_act_sees_all_acts_before_it_and_may_be_refused_or_come_to_nothing(store, signer):
    flip(store, signer, "all", OFF)

    def refuse(history):
        assert [(event.kind, event.subject, event.how, event.person) for event in history] == [
            ("switch", "all", "off", ANN)
        ]
        raise Refused("no")

    with pytest.raises(Refused):
        store.append_release(refuse, signer.receipt)
    assert store.append_release(lambda _: None, signer.receipt) is None
    assert len(store.releases()) == store.log_head()[0] == 1


def test_a_record_that_cannot_be_read_is_a_store_error(sqlite_store, signer):
    flip(sqlite_store, signer, "all", OFF)
    with sqlite_store._database.write() as connection:
        connection.execute(text("UPDATE leaves SET record = x'5b5d'"))
    with pytest.raises(StoreError, match="audit verify"):
        sqlite_store.releases()


SWITCHES = {
    "nothing said": ([], ()),
    "off for all": ([("all", OFF)], ("all",)),
    "off and on again": ([("all", OFF), ("all", ON)], ()),
    "off, on and off again": ([("all", OFF), ("all", ON), ("all", OFF)], ("all",)),
    "off for its product": ([("product:working_capital", OFF)], ("product:working_capital",)),
    "off for its client": ([("client:bank-1", OFF)], ("client:bank-1",)),
    "off for its industry": ([("industry:35", OFF)], ("industry:35",)),
    "off for others": ([("product:invoice_loan", OFF), ("client:bank-2", OFF), ("industry:36", OFF)], ()),
    "on for its product leaves all off": ([("all", OFF), ("product:working_capital", ON)], ("all",)),
    "two that concern it": ([("industry:35", OFF), ("all", OFF)], ("all", "industry:35")),
}


@pytest.mark.parametrize(("said", "off"), SWITCHES.values(), ids=SWITCHES)
def test_a_situation_has_the_switches_that_concern_the_application(store, signer, said, off):
    store.write_records("registrations", [(USCC, "r", registration())], source_time=NOW, now=NOW)
    for scope, state in said:
        flip(store, signer, scope, state)
    found = store.situation("bank-1", application(1), NOW)
    assert found is not None and found.switched_off == off


def test_two_stores_over_one_database_see_a_switch_at_once(sqlite_url, signer):
    with closing(Store.open(sqlite_url)) as first, closing(Store.open(sqlite_url)) as second:
        assert second.switched_off(["all"]) == ()
        flip(first, signer, "all", OFF)
        assert second.switched_off(["all"]) == ("all",)


def test_activations_of_before_become_release_events_and_verify(request, url, signer):
    url = _empty(request, url)
    _with_old_activations(url, signer, ["2026-11-01", "2026-11-02"])
    with closing(Store.open(url)) as store:
        (first, second) = store.releases()
        assert (first.kind, first.how, first.subject, first.person) == ("activation", "activated", RULESET, None)
        assert first.at == first.effective_at == datetime.fromisoformat("2026-11-01T00:00:00Z")
        assert store.in_force(NOW) == InForce(RULESET, second.at, RULESET)
        report = verified(store, signer)
        assert report.ok, report.findings
        assert (report.leaves, report.acts["activation"]) == (2, 2)
        say(store, signer, RULESET, NOW)
        found = [str(one) for one in verified(store, signer).findings]
        assert found == ["leaf 2: a version was activated that nobody but its publisher had approved"]


def registration() -> Any:
    return Registration(USCC, "Firm", "company", "active", NOW.date(), "35", "2017")


def _empty(request: pytest.FixtureRequest, url: str) -> str:
    """A database without tables: SQLite has none yet, in PostgreSQL those of the template are dropped."""
    if url.startswith("postgresql"):
        with closing(Database(url)) as database, database.write() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    return url


def _with_old_activations(url: str, signer: Any, days: list[str]) -> None:
    """A store of the first tables, in which the program of then activated a ruleset on some days."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with closing(Database(url)) as database, database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        saved = "INSERT INTO rulesets VALUES (:digest, 'v1', :sources, :at)"
        sources = canonical(SOURCES).decode()
        connection.execute(text(saved), {"digest": RULESET, "sources": sources, "at": moment(NOW)})
        hashes = []
        for index, day in enumerate(days):
            at = f"{day}T00:00:00.000000Z"
            ruleset = {"digest": RULESET, "version": "v1"}
            record = canonical({"type": "activation", "format": 1, "ruleset": ruleset, "activated_at": at})
            hashes.append(leaf_hash(record))
            signature = signer.receipt(RULESET, index, hashes[-1])["signature"]
            leaf = {"index": index, "hash": hashes[-1], "record": record}
            connection.execute(text("INSERT INTO leaves VALUES (:index, :hash, :record)"), leaf)
            row = {"index": index, "digest": RULESET, "at": at, "signature": signature}
            connection.execute(text("INSERT INTO activations VALUES (:index, :digest, :at, :signature)"), row)
        frontier = frontier_of(hashes)
        head = {"size": frontier.size, "frontier": frontier.to_bytes(), "root": frontier.root()}
        connection.execute(text("UPDATE log_head SET size = :size, frontier = :frontier, root = :root"), head)


def test_two_persons_are_told_apart_by_kind_and_id():
    assert ANN.is_same_as(ANN) and not ANN.is_same_as(BOB)
    assert str(ANN) == "Ann (client c-ann)"


UNDONE = {
    "the state of a switch": "UPDATE release_events SET how = 'on' WHERE kind = 'switch'",
    "the scope of a switch": "UPDATE release_events SET subject = 'product:none' WHERE kind = 'switch'",
    "the kind of an act": "UPDATE release_events SET kind = 'shadow' WHERE kind = 'switch'",
    "a row deleted": "DELETE FROM release_events WHERE kind = 'switch'",
    "a row and its leaf deleted": "DELETE FROM release_events WHERE kind = 'switch';"
    " DELETE FROM leaves WHERE leaf_index = 2",
    "a row moved to another leaf": "UPDATE release_events SET leaf_index = 3 WHERE kind = 'switch'",
    "a later row invented": "INSERT INTO release_events SELECT 3, kind, 'on', subject, at, effective_at, signature"
    " FROM release_events WHERE kind = 'switch'",
    "a later row and its leaf invented": "INSERT INTO leaves SELECT 4, leaf_hash,"
    " CAST(replace(CAST(record AS TEXT), '\"off\"', '\"on\"') AS BLOB) FROM leaves WHERE leaf_index = 2;"
    " INSERT INTO release_events SELECT 4, kind, 'on', subject, at, effective_at, signature FROM release_events"
    " WHERE kind = 'switch'; UPDATE log_head SET size = 5",
    "row and record changed alike": "UPDATE release_events SET how = 'on' WHERE kind = 'switch';"
    " UPDATE leaves SET record = CAST(replace(CAST(record AS TEXT), '\"off\"', '\"on\"') AS BLOB) WHERE leaf_index = 2",
    "a signature": "UPDATE release_events SET signature = (SELECT signature FROM release_events WHERE leaf_index = 0)"
    " WHERE kind = 'switch'",
    "a record emptied": "UPDATE leaves SET record = x'' WHERE leaf_index = 2",
    "a record turned into a number": "UPDATE leaves SET record = 7 WHERE leaf_index = 2",
    "the version that is active": "UPDATE release_events SET subject = 'sha256:cd' WHERE leaf_index = 1",
    "when it became active": "UPDATE release_events SET effective_at = '2099-01-01T00:00:00.000000Z'"
    " WHERE leaf_index = 1",
    "its activation deleted": "DELETE FROM release_events WHERE leaf_index = 1",
    "the head of the log deleted": "DELETE FROM log_head",
}


@pytest.fixture
def office(sqlite_store: Store, sqlite_url: str, signer: Any) -> Iterator[tuple[Store, sqlite3.Connection]]:
    """Two activations, all switched off, one decision; a store that has seen all of it, and raw access to its file."""
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as raw:
        for digest in ("sha256:aa", "sha256:bb"):
            say(sqlite_store, signer, digest, NOW)
        flip(sqlite_store, signer, "all", OFF)
        commit(sqlite_store, signer, draft(decision(application(0))))
        running = Store.open(sqlite_url, signer.public.receipt_is_valid)
        assert running.in_force(NOW).digest == "sha256:bb" and running.switched_off(["all"]) == ("all",)
        yield running, raw
        running.close()


@pytest.mark.parametrize("statements", UNDONE.values(), ids=UNDONE)
def test_nobody_undoes_an_act_by_writing_to_the_tables(office, sqlite_url, signer, statements):
    running, raw = office
    raw.executescript(statements)
    with pytest.raises(StoreError, match="audit verify"):
        running.in_force(NOW)
    try:
        assert running.switched_off(["all"]) == ("all",), "it had seen what was signed"
    except StoreError as error:
        assert "audit verify" in str(error)
    with closing(Store.open(sqlite_url, signer.public.receipt_is_valid)) as fresh:
        for read in (lambda: fresh.switched_off(["all"]), lambda: fresh.in_force(NOW), fresh.releases):
            with pytest.raises(StoreError, match="audit verify"):
                read()
        with pytest.raises(StoreError, match="audit verify"):
            fresh.append_release(lambda _: switch("all", Act(BOB, NOW), state=ON), signer.receipt)


def test_what_was_undone_and_is_restored_counts_again(office):
    running, raw = office
    raw.execute("UPDATE release_events SET how = 'on' WHERE kind = 'switch'")
    with pytest.raises(StoreError):
        running.in_force(NOW)
    raw.execute("UPDATE release_events SET how = 'off' WHERE kind = 'switch'")
    assert running.in_force(NOW).digest == "sha256:bb"


def test_an_act_signed_by_another_key_counts_for_nothing(office, sqlite_url):
    running, _ = office
    with closing(Store.open(sqlite_url)) as forger:
        flip(forger, Signer(Ed25519PrivateKey.generate()), "all", ON)
    for read in (lambda: running.switched_off(["all"]), lambda: running.in_force(NOW)):
        with pytest.raises(StoreError, match="was not signed by the log's key"):
            read()


def test_an_act_is_verified_once_and_a_look_for_new_ones_reads_no_record(office, sqlite_url, signer):
    seen = []

    def is_signed(subject, receipt):
        seen.append(subject)
        return signer.public.receipt_is_valid(subject, receipt)

    with closing(Store.open(sqlite_url, is_signed)) as store:
        for _ in range(3):
            assert store.in_force(NOW).digest == "sha256:bb" and store.switched_off(["all"]) == ("all",)
        assert seen == ["sha256:aa", "sha256:bb", "all"]
        flip(office[0], signer, "all", ON)
        assert store.switched_off(["all"]) == () and seen[3:] == ["all"]


def test_acts_beside_decisions_by_other_processes_are_never_taken_for_tampering(url, signer):
    """Readers begin their transactions while others commit: what one thread knows may be newer than what one reads."""
    with closing(Store.open(url, signer.public.receipt_is_valid)) as reader, closing(Store.open(url)) as writer:
        done = threading.Event()
        failed: list[Exception] = []

        def read(check: Callable[[], Any]) -> None:
            while not done.is_set():
                try:
                    check()
                except Exception as error:
                    failed.append(error)
                    return

        checks = (lambda: reader.switched_off(["all"]), lambda: reader.in_force(NOW), reader.releases)
        threads = [threading.Thread(target=read, args=(check,)) for check in checks]
        for thread in threads:
            thread.start()
        for number in range(60):
            flip(writer, signer, "all", OFF if number % 2 == 0 else ON)
            commit(writer, signer, draft(decision(application(number))))
        done.set()
        for thread in threads:
            thread.join()
        assert not failed and reader.switched_off(["all"]) == () and len(reader.releases()) == 60
