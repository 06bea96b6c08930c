"""What every test runs under: what stays is not looked at again, and the tables of a registry are made once."""

from __future__ import annotations

import gc
import sqlite3
import sys
from contextlib import closing
from typing import Any


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
