"""What every test runs under: fewer examples on each commit, what stays is not looked at again, tables made once."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings

from bench.postgres import execute, programs, running
from decision_service.store import store, upgrade

SHARE = 4
"""Without the slow tests, a property is tried on one in so many of its examples."""
FEWEST = 25
SETTINGS = "_hypothesis_internal_use_settings"
NUMBERS = count()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Properties are tried on all their examples where the slow tests run."""
    if config.getoption("markexpr") != "not slow":
        return
    for test in {item.function for item in items if isinstance(item, pytest.Function)}:
        if is_hypothesis_test(test):
            given = getattr(test, SETTINGS, None) or settings.default
            fewer = min(given.max_examples, max(FEWEST, given.max_examples // SHARE))
            setattr(test, SETTINGS, settings(given, max_examples=fewer))


def pytest_collection() -> None:
    """What is imported and collected is no garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end, so that no collection of garbage need look at it again."""
    if "mlflow" in sys.modules:
        copy_migrated_registries()
    copy_migrated_stores()
    gc.enable()
    gc.collect()
    gc.freeze()


def copy_migrated_registries() -> None:
    """MLflow migrates an empty SQLite database in some forty steps; each is given a copy of one instead."""
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    migrate = utils._upgrade_db
    migrated = cache(lambda: migrated_by(lambda url: migrate(create_engine(url))))

    def migrated_or_copied(engine: Any) -> None:
        if engine.dialect.name != "sqlite" or not filled(engine, migrated):
            migrate(engine)

    utils._upgrade_db = migrated_or_copied


def copy_migrated_stores() -> None:
    """So is each store that a test opens in this process; ``upgrade`` stays as it is."""
    migrate, migrated = store.migrate, cache(lambda: migrated_by(upgrade))

    def copied_and_migrated(database: Any) -> None:
        with database.errors():
            if database.dialect == "sqlite" and is_empty(database.engine):
                with database._turn():
                    filled(database.engine, migrated)
        migrate(database)

    store.migrate = copied_and_migrated


def migrated_by(migrate: Callable[[str], None]) -> sqlite3.Connection:
    """In memory, the tables that a migration makes of an empty file."""
    with TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/empty.db")
        kept = sqlite3.connect(":memory:", check_same_thread=False)
        with closing(sqlite3.connect(f"{folder}/empty.db")) as made:
            made.backup(kept)
    return kept


def filled(engine: Any, migrated: Callable[[], sqlite3.Connection]) -> bool:
    """Whether a database was empty, and now has these tables."""
    if not is_empty(engine):
        return False
    with closing(engine.raw_connection()) as raw:
        migrated().backup(raw.driver_connection)
    return True


def is_empty(engine: Any) -> bool:
    with closing(engine.raw_connection()) as raw:
        found: int = raw.driver_connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return found == 0


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server that lives as long as the test run, with a migrated database ``template``."""
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL programs on this machine (initdb, postgres)")
    with running(place, durable=False) as url:
        execute(url, "CREATE DATABASE template_store")
        upgrade(url + "template_store")
        yield url


@pytest.fixture
def postgresql_url(postgresql: str) -> Iterator[str]:
    """A migrated PostgreSQL database of its own."""
    name = f"store_{next(NUMBERS)}"
    execute(postgresql, f"CREATE DATABASE {name} TEMPLATE template_store")
    yield postgresql + name
    execute(postgresql, f"DROP DATABASE {name} WITH (FORCE)")
