"""What every test runs under: what stays is not looked at again, tables of registries and databases are made once."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import Any

import pytest

from bench.postgres import execute, programs, running
from decision_service.store import upgrade

NUMBERS = count()


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end, so that no collection of garbage need look at it again."""
    if "mlflow" in sys.modules:
        copy_migrated_registries()
    gc.collect()
    gc.freeze()


def copy_migrated_registries() -> None:
    """MLflow migrates an empty SQLite database in some forty steps; all but the first are given a copy of the first."""
    from mlflow.store.db import utils

    migrate, kept = utils._upgrade_db, sqlite3.connect(":memory:", check_same_thread=False)

    def migrated_or_copied(engine: Any) -> None:
        if engine.dialect.name != "sqlite" or is_migrated(engine):
            migrate(engine)
        elif kept.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            migrate(engine)
            with closing(engine.raw_connection()) as raw:
                raw.driver_connection.backup(kept)
        else:
            with closing(engine.raw_connection()) as raw:
                kept.backup(raw.driver_connection)

    utils._upgrade_db = migrated_or_copied


def is_migrated(engine: Any) -> bool:
    with closing(engine.raw_connection()) as raw:
        found = raw.driver_connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'")
        return bool(found.fetchone()[0])


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
