"""Connections and transactions on SQLite (WAL, durable commits, fair queue of writers) or PostgreSQL."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from decision_service.errors import InputError, StoreError

BUSY_TIMEOUT_MS = 10_000
MAPPED_BYTES = 1 << 30
SQLITE = "sqlite"
POSTGRESQL = "postgresql"


class Database:
    """One database. ``read`` sees one snapshot (SQLite) or each statement's (PostgreSQL); ``write`` is durable."""

    def __init__(self, url: str) -> None:
        """Raises ``StoreError`` for a URL that names neither a SQLite file nor a PostgreSQL database."""
        self.url = _usable(url)
        self.dialect = self.url.get_backend_name()
        with store_errors(self.place):
            self.engine = _sqlite(self.url) if self.dialect == SQLITE else create_engine(self.url)
        self._writing = self.engine.execution_options(write=True)
        self._hasty = self.engine.execution_options(write=True, hasty=True)
        self._lock = f"{self.url.database}.lock" if self.dialect == SQLITE else None
        _forget_connections_after_fork(self.engine)

    @property
    def place(self) -> str:
        """The database for error messages, without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads."""
        with store_errors(self.place), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """One write transaction: committed at the end of the block, rolled back by any exception.

        With ``durable=False`` a power failure may lose it (never half of it): for leases.
        """
        engine = self._writing if durable else self._hasty
        with store_errors(self.place), _queued(self._lock), engine.begin() as connection:
            if not durable and self.dialect == POSTGRESQL:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            yield connection

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def insert_into(table: Table, dialect: str) -> Any:
    """The dialect's INSERT, which knows ``on_conflict_do_update``."""
    return sqlite.insert(table) if dialect == SQLITE else postgresql.insert(table)


@contextmanager
def store_errors(place: str) -> Iterator[None]:
    """What the database or the disk refuses becomes a ``StoreError``; what cannot be text at all an ``InputError``."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(f"the store failed: {cause}", where=place, remedy="see that it runs and has space") from error
    except UnicodeEncodeError as error:
        raise InputError("this text is not Unicode", remedy="send text without lone surrogates") from error
    except OSError as error:
        raise StoreError(f"the store failed: {error}", where=place, remedy="see its path and rights") from error


@contextmanager
def _queued(lock: str | None) -> Iterator[None]:
    """Writers of a SQLite file wait in the kernel, in order of arrival; SQLite's own waiting sleeps and guesses.

    The kernel frees the lock of a process that dies. Each holder opens the file itself, so threads queue as well.
    """
    if lock is None:
        yield
        return
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _usable(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            "this is not a database URL", remedy="give sqlite:///path/to/file.db or postgresql://host/database"
        ) from error
    if parsed.get_backend_name() == POSTGRESQL:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != SQLITE or not parsed.database or parsed.database == ":memory:":
        raise StoreError(
            f"{parsed.drivername} cannot hold the store",
            remedy="give sqlite:///path/to/file.db or postgresql://host/database",
        )
    return parsed


def _sqlite(url: URL) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begin says, not where the driver guesses
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        f"mmap_size={MAPPED_BYTES}",  # another process's commit empties the page cache; mapped pages need no reading
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("write"):
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get('hasty') else 'FULL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _forget_connections_after_fork(engine: Engine) -> None:
    """A forked worker must never use its parent's connections, nor close them."""
    reference: Callable[[], Engine | None] = weakref.ref(engine)

    def forget() -> None:
        found = reference()
        if found is not None:
            found.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
