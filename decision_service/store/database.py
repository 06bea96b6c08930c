"""Connections and transactions on SQLite (WAL, durable commits, fair queue of writers) or PostgreSQL."""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from psycopg import OperationalError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from decision_service.errors import InputError, StoreError
from decision_service.store.statements import POSTGRESQL, SQLITE, Build, prepared
from decision_service.store.together import errand, one_by_one
from decision_service.store.wire import FORGOTTEN, SETTINGS, Answer, Asked, Transaction, Wire, asked_of

BUSY_TIMEOUT_MS = 10_000
ERASURE_TIMEOUT_MS = 200
MOST_CONNECTIONS = 16
"""Connections of one process to PostgreSQL that sessions use at a time; whoever wants a further one waits for it.

Up to as many for leases, which commit otherwise, are kept beside those for all else.
"""
WAIT_SECONDS = 10.0
Query = tuple[Any, ...]
"""What builds a statement, its values, and the lengths of the lists in it."""
Ask = Callable[[Sequence[Asked]], list[Answer]]
_OF_PARENTS: list[Any] = []
"""What a forked process keeps of its parents' connections, because dropping one would close it."""


class Session:
    """One transaction on the driver's own connection, for the statements of a decision.

    SQLAlchemy keeps the pool and writes the statements; running each through it costs several times what SQLite does.
    On PostgreSQL, whose answers come from another process, a decision asks several things at once.
    """

    __slots__ = ("_ask", "_dialect", "_foreseen")

    def __init__(self, ask: Ask, dialect: str) -> None:
        self._ask = ask
        self._dialect = dialect
        self._foreseen: dict[Asked, Answer] = {}

    def rows(self, build: Build, values: Mapping[str, Any], *lengths: int) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._answer(self._asked(build, values, *lengths)).rows

    def row(self, build: Build, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row, if any."""
        return next(iter(self.rows(build, values)), None)

    def change(self, build: Build, values: Mapping[str, Any], *lengths: int) -> int:
        """Run an INSERT, UPDATE or DELETE; how many rows it changed."""
        return self._answer(self._asked(build, values, *lengths)).changed

    def changes(self, changes: Iterable[Query]) -> list[int]:
        """Run several in their order; how many rows each changed."""
        return [answer.changed for answer in self._ask([self._asked(*one) for one in changes])]

    def foresee(self, queries: Iterable[Query]) -> None:
        """Run in their order, at once, what will be asked next; each is then answered by what was found now.

        SQLite answers in this process: nothing is gained there, and nothing done.
        """
        if self._dialect == SQLITE:
            return
        asked = list(dict.fromkeys(self._asked(*one) for one in queries))
        self._foreseen = dict(zip(asked, self._ask(asked), strict=True))

    def _asked(self, build: Build, values: Mapping[str, Any], *lengths: int) -> Asked:
        statement = prepared(build, self._dialect, *lengths)
        return statement.text, tuple([values[name] for name in statement.names])

    def _answer(self, asked: Asked) -> Answer:
        if self._foreseen and (foreseen := self._foreseen.pop(asked, None)) is not None:
            return foreseen
        return self._ask([asked])[0]


class Database:
    """One database. Reading sees one snapshot (SQLite) or each statement's (PostgreSQL); writing is durable.

    ``read`` and ``write`` give SQLAlchemy's connection, ``read_session`` and ``write_session`` the quick one.
    """

    def __init__(self, url: str) -> None:
        """Raises ``StoreError`` for a URL that names neither a SQLite file nor a PostgreSQL database."""
        self.url = _usable(url)
        self.dialect = self.url.get_backend_name()
        self._errors: tuple[type[Exception], ...] = (SQLAlchemyError,)
        with self.errors():
            self.engine = _sqlite(self.url) if self.dialect == SQLITE else _postgresql(self.url)
        self._driver_error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        self._errors = (SQLAlchemyError, self._driver_error)
        self._writing = self.engine.execution_options(write=True)
        self._queue = _Queue(f"{self.url.database}.lock")
        self._turn = self._queue.turn if self.dialect == SQLITE else nullcontext
        self._idle: list[Any] = []
        self._idle_loose: list[Any] = []
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._reading, self._loosely = partial(self._journeys, loose=False), partial(self._journeys, loose=True)
        _forget_connections_after_fork(self)

    @property
    def place(self) -> str:
        """The database for error messages, without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads."""
        with self.errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction: committed at the end of the block, rolled back by any exception."""
        with self.errors(), self._turn(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def read_session(self, *, shared: bool = False) -> Iterator[Session]:
        """As ``read``, without SQLAlchemy on the way of each statement.

        What is asked in ``shared`` ones by requests that are answered together goes to PostgreSQL as one.
        """
        if self.dialect == SQLITE:
            with self.errors(), self._kept() as connection:
                connection.execute("BEGIN")
                yield Session(partial(_asked_of_sqlite, connection), self.dialect)
            return
        with self.errors():
            yield self._travelling(self._reading, shared)

    @contextmanager
    def write_session(self) -> Iterator[Session]:
        """As ``write``, without SQLAlchemy on the way of each statement."""
        if self.dialect == SQLITE:
            with self.errors(), self._queue.turn(), self._kept() as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield Session(partial(_asked_of_sqlite, connection), self.dialect)
                connection.commit()
            return
        with self.errors(), self._lent() as wire:
            transaction = Transaction(wire)
            yield Session(transaction.ask, self.dialect)
            transaction.commit()

    @contextmanager
    def loose_session(self, *, shared: bool = False) -> Iterator[Session]:
        """For what need not outlive a power failure: on PostgreSQL what is asked at once is a transaction of its own.

        ``shared`` as in ``read_session``.
        """
        if self.dialect == SQLITE:
            with self.write_session() as session:
                yield session
            return
        with self.errors():
            yield self._travelling(self._loosely, shared)

    def session_on(self, connection: Connection) -> Session:
        """The quick session in the transaction of a connection that ``write`` gave."""
        ask: Callable[[Any, Sequence[Asked]], list[Answer]] = _asked_of_sqlite if self.dialect == SQLITE else asked_of
        return Session(partial(ask, connection.connection.driver_connection), self.dialect)

    def _travelling(self, journeys: Callable[..., list[Any]], shared: bool) -> Session:
        alone = partial(self._journey, loose=journeys is self._loosely)
        return Session(partial(errand, journeys) if shared else alone, self.dialect)

    def _journeys(self, given: Sequence[Sequence[Asked]], *, loose: bool) -> list[Any]:
        """What several ask, as one journey; what fails so is asked by each alone. What is read is asked once."""
        try:
            if loose:
                return self._in_order(given)
            different = list(dict.fromkeys(one for some in given for one in some))
            found = dict(zip(different, self._journey(different, loose), strict=True))
            return [[found[one] for one in some] for some in given]
        except (self._driver_error, UnicodeEncodeError) as error:
            if is_operational(error):
                raise
            return one_by_one(partial(self._journey, loose=loose), given)

    def _in_order(self, given: Sequence[Sequence[Asked]]) -> list[list[Answer]]:
        """Changes of several in the order of their first two values, everywhere: no two wait for each other's rows."""
        order = sorted(range(len(given)), key=lambda place: [values[:2] for _, values in given[place]])
        answers = iter(self._journey([one for place in order for one in given[place]], loose=True))
        found = {place: [next(answers) for _ in given[place]] for place in order}
        return [found[place] for place in range(len(given))]

    def _journey(self, asked: Sequence[Asked], loose: bool) -> list[Answer]:
        """Once more on a new connection if the server or what was prepared is gone: asking twice does no harm."""
        try:
            return self._run(asked, loose)
        except (*FORGOTTEN, OperationalError):
            return self._run(asked, loose)

    def _run(self, asked: Sequence[Asked], loose: bool) -> list[Answer]:
        with self._lent(loose=loose) as wire:
            return wire.run(asked)

    def forget_old_pages(self) -> None:
        """Empty SQLite's write-ahead log, which still holds pages as they were before an erasure.

        A long reader keeps it from being emptied: writers must not wait for that, the next erasure does it then.
        """
        if self.dialect == SQLITE:
            with self.errors(), self._turn(), self._kept() as connection:
                connection.execute(f"PRAGMA busy_timeout={ERASURE_TIMEOUT_MS}").close()
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
                connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}").close()

    def close(self) -> None:
        """Close all connections that nobody uses now."""
        self._queue.close()
        self.engine.dispose()
        self._close_idle()

    def _close_idle(self) -> None:
        for idle in (self._idle, self._idle_loose):
            while idle:
                idle.pop().close()

    def forget_connections(self) -> None:
        """In a forked process: those of the parent are neither used nor closed."""
        self._queue.close()
        self.engine.dispose(close=False)
        _OF_PARENTS.extend([*self._idle, *self._idle_loose])
        self._idle, self._idle_loose = [], []
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What database or disk refuse becomes a ``StoreError``; what cannot be text at all an ``InputError``."""
        try:
            yield
        except self._errors as error:
            cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise StoreError(
                f"the store failed: {cause}", where=self.place, remedy="see that it runs and has space"
            ) from error
        except UnicodeDecodeError as error:
            raise StoreError(
                "the store holds text that is not Unicode", where=self.place, remedy="see the database's encoding"
            ) from error
        except UnicodeEncodeError as error:
            raise InputError("this text is not Unicode", remedy="send text without lone surrogates") from error
        except OSError as error:
            raise StoreError(
                f"the store failed: {error}", where=self.place, remedy="see its path and rights"
            ) from error

    @contextmanager
    def _kept(self) -> Iterator[Any]:
        """One of our own SQLite connections, without SQLAlchemy's pool, which costs more than a statement.

        Taking from a list and giving back are atomic, so threads and nested sessions never share one. A connection
        that cannot roll back is not given back.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._opened()
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.rollback()
            self._idle.append(connection)

    def _opened(self) -> Any:
        """A new connection, prepared as all others, that the pool does not know any more."""
        lent = self.engine.raw_connection()
        connection = lent.driver_connection
        lent.detach()
        return connection

    @contextmanager
    def _lent(self, *, loose: bool = False) -> Iterator[Wire]:
        """One of our own PostgreSQL connections, on which what is asked outside a transaction stands for itself.

        What ``loose`` ones commit is written through to disk a moment later.
        """
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise StoreError("all connections are in use", where=self.place, remedy="send the same request again")
        idle = self._idle_loose if loose else self._idle
        try:
            try:
                wire = idle.pop()
            except IndexError:
                wire = self._wired(loose)
            try:
                yield wire
            finally:
                self._back(wire, idle)
        finally:
            self._places.release()

    def _wired(self, loose: bool) -> Wire:
        connection = self._opened()
        connection.autocommit = True
        connection.execute(SETTINGS)
        if loose:
            connection.execute("SET synchronous_commit = off")
        return Wire(connection)

    def _back(self, wire: Wire, idle: list[Any]) -> None:
        """Take a connection back: rolled back what is not committed; a lost one takes all others with it."""
        with suppress(self._driver_error):
            wire.rollback()
        if not wire.closed:
            idle.append(wire)
            return
        # A server that went away took all connections with it: the next request must open new ones.
        self._close_idle()
        self.engine.dispose()


def is_operational(error: BaseException) -> bool:
    """Whether a driver's error is about the database, and not about what was asked of it."""
    return any(of.__name__ == "OperationalError" for of in type(error).__mro__)


def _asked_of_sqlite(connection: Any, asked: Sequence[Asked]) -> list[Answer]:
    cursors = (connection.execute(*one) for one in asked)
    return [Answer(cursor.fetchall(), cursor.rowcount) for cursor in cursors]


class _Queue:
    """Writers of a SQLite file wait in the kernel, in order of arrival; SQLite's own waiting sleeps and guesses.

    The kernel frees the lock of a process that dies. No two hold the same open file, so threads queue as well.
    """

    def __init__(self, lock: str) -> None:
        self._lock = lock
        self._idle: list[int] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits until it is the caller's turn to write."""
        try:
            descriptor = self._idle.pop()
        except IndexError:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            self._idle.append(descriptor)

    def close(self) -> None:
        """Close the files that nobody holds; in a forked process this leaves its parent's as they are."""
        while self._idle:
            os.close(self._idle.pop())


def missing_file(url: str) -> Path | None:
    """The SQLite file that a URL names, if it does not exist; of PostgreSQL only opening can tell.

    Raises ``StoreError``.
    """
    parsed = _usable(url)
    file = Path(str(parsed.database))
    return file if parsed.get_backend_name() == SQLITE and not file.exists() else None


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


def _postgresql(url: URL) -> Engine:
    return create_engine(url, connect_args={"client_encoding": "utf8"})  # whatever the environment says


def _sqlite(url: URL) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where this module says, not where the driver guesses
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",  # what is erased is overwritten, not only forgotten
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _forget_connections_after_fork(database: Database) -> None:
    """A forked worker must never use its parent's connections, nor close them."""
    reference: Callable[[], Database | None] = weakref.ref(database)

    def forget() -> None:
        found = reference()
        if found is not None:
            found.forget_connections()

    os.register_at_fork(after_in_child=forget)
