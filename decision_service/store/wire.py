"""PostgreSQL by psycopg's wrapper of libpq: statements that are prepared once, and travel several at a time.

psycopg's own cursors cost about as much processor time as the statements of a decision take in the server.
"""

from __future__ import annotations

import select
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Connection, DataError, InternalError, NotSupportedError, OperationalError, RawCursor, errors
from psycopg.pq import ConnStatus, ExecStatus, PipelineStatus
from psycopg.pq.abc import PGresult

Asked = tuple[str, tuple[Any, ...]]
"""A statement's text, with $1, $2, … for its values, and these."""
BINARY = 1
FORGOTTEN = (errors.InvalidSqlStatementName, errors.FeatureNotSupported)
"""After ``DISCARD ALL`` by something between here and the server, and after a migration of a table."""
SETTINGS = """
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s'
"""
"""Who stops while it holds the log, whatever stops it, holds up the others no longer than this."""


class Answer(NamedTuple):
    """What a statement gave: its rows, and how many it changed or found."""

    rows: list[tuple[Any, ...]]
    changed: int


def _number(content: bytes) -> int:
    return int.from_bytes(content, signed=True)


def _real(content: bytes) -> float:
    return float(struct.unpack("!d", content)[0])


_READ: Mapping[int, Callable[[bytes], Any]] = {
    16: lambda content: content != b"\x00",  # bool
    17: bytes,  # bytea
    20: _number,  # int8
    21: _number,  # int2
    23: _number,  # int4
    25: bytes.decode,  # text
    701: _real,  # float8
    1042: bytes.decode,  # char(n)
    1043: bytes.decode,  # varchar
}
"""How columns are read, by the number of their type in PostgreSQL's catalogue (pg_type.dat)."""


class Wire:
    """One connection. It must not be used by two threads at once."""

    def __init__(self, connection: Connection[Any]) -> None:
        """``connection`` is idle, and each of its statements a transaction of its own unless one is begun."""
        self._connection = connection
        self._libpq = connection.pgconn
        self._names: dict[str, bytes] = {}
        self._made = 0
        self._readable, self._ready = select.poll(), select.poll()
        self._readable.register(self._libpq.socket, select.POLLIN)
        self._ready.register(self._libpq.socket, select.POLLIN | select.POLLOUT)

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked of it any more."""
        return self._connection.closed

    def close(self) -> None:
        """Close it, whatever its state."""
        self._connection.close()

    def rollback(self) -> None:
        """Leave a transaction that was begun, if any. Raises ``psycopg.Error``."""
        self._connection.rollback()

    def run(self, asked: Sequence[Asked]) -> list[Answer]:
        """Run statements in their order, all sent before the first is answered.

        Outside of a transaction they are one. Raises ``psycopg.Error`` for the first that fails, after which none is
        run.
        """
        statements = [(text, *_written(values)) for text, values in asked]
        try:
            return self._read(self._send(statements))
        except FORGOTTEN:
            self.close()  # what it has prepared is not there any more, or not for tables as they are now
            raise
        finally:
            if self._libpq.status != ConnStatus.OK or self._libpq.pipeline_status != PipelineStatus.OFF:
                self.close()  # lost, half sent or half read, it is of no use

    def _send(self, statements: Sequence[tuple[str, list[bytes | None], list[int]]]) -> list[tuple[str, bytes] | None]:
        """Of each result to come: the statement that it prepares, with its name, or ``None`` for rows."""
        libpq, names = self._libpq, dict[str, bytes]()
        coming: list[tuple[str, bytes] | None] = []
        libpq.enter_pipeline_mode()
        for text, values, formats in statements:
            name = self._names.get(text) or names.get(text)
            if name is None:
                self._made += 1
                name = names[text] = b"decision_%d" % self._made
                libpq.send_prepare(name, text.encode())
                coming.append((text, name))
            libpq.send_query_prepared(name, values, formats, BINARY)
            coming.append(None)
        libpq.pipeline_sync()
        while libpq.flush():
            if any(event & ~select.POLLOUT for _, event in self._ready.poll()):
                libpq.consume_input()
        return coming

    def _read(self, coming: Sequence[tuple[str, bytes] | None]) -> list[Answer]:
        answers: list[Answer] = []
        failure: Exception | None = None
        for prepared in coming:
            result = self._result()
            if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED):
                if failure is None:
                    failure = errors.error_from_result(result)
                if self._libpq.status != ConnStatus.OK:
                    raise failure
            elif prepared is not None:
                self._names[prepared[0]] = prepared[1]
            elif failure is None:
                answers.append(_answer(result))
            self._libpq.get_result()  # the end of this statement's results
        if self._result().status != ExecStatus.PIPELINE_SYNC:
            raise OperationalError("the server's answers are out of step")
        self._libpq.exit_pipeline_mode()
        if failure is not None:
            raise failure
        return answers

    def _result(self) -> PGresult:
        libpq = self._libpq
        while libpq.is_busy():
            self._readable.poll()
            libpq.consume_input()
        result = libpq.get_result()
        if result is None:
            raise OperationalError("the server's answers are out of step")
        return result


class Transaction:
    """Statements that count once ``commit`` returns; begun with what is asked first."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._begun = self._failed = False

    def ask(self, asked: Sequence[Asked]) -> list[Answer]:
        """Run statements in their order. Raises ``psycopg.Error``."""
        opening: list[Asked] = [] if self._begun else [("BEGIN ISOLATION LEVEL READ COMMITTED", ())]
        self._begun = True
        try:
            return self._wire.run([*opening, *asked])[len(opening) :]
        except BaseException:
            self._failed = True
            raise

    def commit(self) -> None:
        """Raises ``psycopg.Error``, also after a statement that failed: PostgreSQL would answer by rolling back."""
        if self._failed:
            raise InternalError("a statement of this transaction failed")
        if self._begun:
            self._wire.run([("COMMIT", ())])


def asked_of(connection: Connection[Any], asked: Sequence[Asked]) -> list[Answer]:
    """As ``Wire.run``, in the transaction of a connection of which psycopg keeps count."""
    answers = []
    for text, values in asked:
        cursor = RawCursor(connection).execute(text, values)
        answers.append(Answer(cursor.fetchall() if cursor.description is not None else [], cursor.rowcount))
    return answers


def _written(values: Sequence[Any]) -> tuple[list[bytes | None], list[int]]:
    """Values as the server takes them, and which of them are bytes. Raises ``psycopg.Error``."""
    written: list[bytes | None] = []
    for value in values:
        if isinstance(value, str):
            if "\0" in value:
                raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
            written.append(value.encode())
        elif value is None or isinstance(value, bytes):
            written.append(value)
        elif isinstance(value, int):
            written.append(b"%d" % value)
        elif isinstance(value, float):
            written.append(float.__repr__(value).encode())
        else:
            raise NotSupportedError(f"a value of the type {type(value).__name__} cannot be written")
    return written, [BINARY if isinstance(value, bytes) else 0 for value in values]


def _answer(result: PGresult) -> Answer:
    names = range(result.nfields)
    try:
        read = [(column, _READ[result.ftype(column)]) for column in names]
    except KeyError as error:
        raise NotSupportedError(f"a column of the type {error.args[0]} cannot be read") from None
    rows = []
    for row in range(result.ntuples):
        contents = [(of, result.get_value(row, column)) for column, of in read]
        rows.append(tuple([None if content is None else of(content) for of, content in contents]))
    return Answer(rows, result.command_tuples or 0)
