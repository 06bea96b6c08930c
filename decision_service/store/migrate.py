"""Brings a database to the newest tables, or says that it is newer than this program."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from decision_service.errors import StoreError
from decision_service.store.database import Database
from decision_service.store.statements import POSTGRESQL

MIGRATIONS = Path(__file__).with_name("migrations")
ADVISORY_LOCK = 7_118_312_701  # any number that no other program on the same PostgreSQL database uses


def upgrade(url: str) -> None:
    """Run all migrations that the database lacks. Raises ``StoreError``."""
    database = Database(url)
    try:
        migrate(database)
    finally:
        database.close()


def migrate(database: Database) -> None:
    """As ``upgrade``, on an open database. Several processes may call it at once: one migrates, the others wait."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    with database.read() as connection:
        if _version(connection) == newest:
            return
    with database.write() as connection:
        if database.dialect == POSTGRESQL:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"the store's tables are not this program's: {error}",
                where=database.place,
                remedy="use the version of the program that wrote them, or a newer one",
            ) from error


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
