"""Opening a store: fresh, again, from many processes, at places where there can be none."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from store_samples import NOW, USCC, application, commit, decision, draft

from decision_service.errors import StoreError
from decision_service.store import Store, upgrade
from decision_service.store.database import Database
from decision_service.store.migrate import MIGRATIONS
from decision_service.store.tables import METADATA

CONFIG = Config()
CONFIG.set_main_option("script_location", str(MIGRATIONS))
REVISIONS = [script.revision for script in ScriptDirectory.from_config(CONFIG).walk_revisions()]
FORK = multiprocessing.get_context("fork")


def test_migrations_make_exactly_the_declared_tables(store):
    with store._database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_store_of_any_earlier_program_is_brought_up_to_this_one(url, revision):
    database = Database(url)
    with closing(database), database.write() as connection:
        CONFIG.attributes["connection"] = connection
        command.upgrade(CONFIG, revision)
    with closing(Store.open(url)) as store:
        test_migrations_make_exactly_the_declared_tables(store)


def test_deliveries_that_were_made_before_they_were_counted_are_counted_in_their_order(url):
    hook = "INSERT INTO webhooks VALUES (:n, :n, 'c', :n, 'd', 'u', '', '', 'active', NULL, 0, 0, 1, 't', 't')"
    delivery = (
        "INSERT INTO webhook_deliveries (number, event_id, place, type, subject, body, state, attempts, next_at,"
        " made_at) VALUES (:n, :event, :place, 'ping', 's', :body, 'pending', 0, 't', :at)"
    )
    rows = [("evt_9", 9, "t2"), ("evt_ping_a", 0, "t3"), ("evt_7", 7, "t1"), ("evt_8", 8, "t2")]
    database = Database(url)
    with closing(database), database.write() as connection:
        CONFIG.attributes["connection"] = connection
        command.upgrade(CONFIG, "head")
        command.downgrade(CONFIG, "0012")
        for number in (1, 2):
            connection.execute(text(hook.replace(":n, :n, 'c', :n", f"{number}, '{number}', 'c', '{number}'")))
            for event, place, at in rows:
                given = {"n": number, "event": event, "place": place, "at": at, "body": b""}
                connection.execute(text(delivery), given)
    with closing(Store.open(url)) as store, store._database.read() as connection:
        found = connection.execute(text("SELECT event_id, serial FROM webhook_deliveries ORDER BY number, serial"))
        assert found.all() == [("evt_7", 1), ("evt_8", 2), ("evt_9", 3), ("evt_ping_a", 4)] * 2


def test_a_migrated_store_is_ready_and_opens_again(url):
    upgrade(url)
    for _ in range(2):
        opened = Store.open(url)
        opened.ready()
        opened.close()


def test_a_store_without_its_log_head_is_not_ready(store):
    with store._database.write() as connection:
        connection.execute(text("DELETE FROM log_head"))
    with pytest.raises(StoreError, match="head of the log"):
        store.ready()
    with pytest.raises(StoreError, match="head of the log"):
        store.log_head()


def test_a_store_of_a_newer_program_is_refused(url):
    upgrade(url)
    opened = Store.open(url)
    with opened._database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    opened.close()
    with pytest.raises(StoreError, match="not this program's"):
        Store.open(url)


def test_several_processes_may_create_the_store_at_once(sqlite_url):
    workers = [FORK.Process(target=_open, args=(sqlite_url,)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6


def _open(url):
    store = Store.open(url)
    store.add_client("Bank", "bank", NOW)
    assert store.log_head()[0] == 0


def test_a_forked_worker_uses_connections_of_its_own(store, signer):
    commit(store, signer, draft(decision(application(0))))
    workers = [FORK.Process(target=_commit_some, args=(store, signer, f"bank-{number}")) for number in range(2, 4)]
    for worker in workers:
        worker.start()
    _commit_some(store, signer, "bank-1")
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert store.log_head()[0] == 31


def _commit_some(store, signer, client_id):
    for number in range(1, 11):
        commit(store, signer, draft(decision(application(number), client_id=client_id)))


def test_a_forked_worker_neither_uses_nor_closes_its_parents_idle_connections(sqlite_store):
    kept = _its_connection(sqlite_store)
    assert _its_connection(sqlite_store) is kept, "an idle connection is used again"

    def child():
        assert _its_connection(sqlite_store) is not kept
        sqlite_store.close()
        kept.execute("SELECT 1")  # fails on a connection that is closed

    worker = FORK.Process(target=child)
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    assert _its_connection(sqlite_store) is kept


def test_sessions_at_the_same_time_never_share_a_connection(sqlite_store):
    with sqlite_store._database.read_session() as outer, sqlite_store._database.write_session() as inner:
        assert _connection_of(outer) is not _connection_of(inner)


def test_a_session_that_fails_leaves_nothing_open_behind(sqlite_store):
    for session in (sqlite_store._database.read_session, sqlite_store._database.write_session):
        with pytest.raises(RuntimeError), session() as failing:
            raise RuntimeError
        assert not _connection_of(failing).in_transaction


def _its_connection(store):
    with store._database.read_session() as session:
        return _connection_of(session)


def _connection_of(session):
    [connection] = session._ask.args
    return connection


@pytest.mark.parametrize(
    "bad",
    ["", "store.db", "sqlite://", "sqlite:///:memory:", "mysql://host/db", "sqlite+aiosqlite:///x.db", "://", "sqlite"],
)
def test_a_url_of_no_usable_database_is_refused_with_a_remedy(bad):
    with pytest.raises(StoreError, match="give sqlite:///path/to/file.db or postgresql://host/database"):
        Store.open(bad)


def test_a_server_that_does_not_answer_is_a_store_error_without_the_password():
    with pytest.raises(StoreError) as caught:
        Store.open("postgresql://tester:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_a_store_error(tmp_path):
    (tmp_path / "store.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(f"sqlite:///{tmp_path}/store.db")


@pytest.mark.parametrize("place", ["folder", "file/store.db"])
def test_a_place_where_no_file_can_be_is_a_store_error(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Store.open(f"sqlite:///{tmp_path}/{place}")


def test_folders_are_created(tmp_path):
    Store.open(f"sqlite:///{tmp_path}/a/b/store.db").close()
    assert (tmp_path / "a/b/store.db").exists()


def test_tables_that_vanish_are_a_store_error(sqlite_store, sqlite_url):
    raw = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    for table in ("records", "clients", "decisions"):
        raw.execute(f"DROP TABLE {table}")
    raw.commit()
    for call in (
        lambda: sqlite_store.records(USCC),
        lambda: sqlite_store.client_by_key("x"),
        lambda: sqlite_store.decision("x"),
        lambda: sqlite_store.exposure_state(USCC, NOW),
        lambda: sqlite_store.begin("bank-1", "K", "body", NOW),
        lambda: list(sqlite_store.each_decision()),
    ):
        with pytest.raises(StoreError, match="no such table"):
            call()


def test_every_sqlite_commit_is_durable(sqlite_store):
    for transaction in (sqlite_store._database.read, sqlite_store._database.write):
        with transaction() as connection:
            assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
            assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"


def test_the_lock_file_is_for_the_owner_only(sqlite_url):
    Store.open(sqlite_url).close()
    assert os.stat(Path(sqlite_url.removeprefix("sqlite:///") + ".lock")).st_mode & 0o777 == 0o600
