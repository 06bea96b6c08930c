"""Leases of idempotency keys: who works on a key now. Nothing of them needs to survive the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from threading import Lock
from typing import Any, Protocol

from sqlalchemy import bindparam, delete, or_, select, tuple_

from decision_service.errors import IdempotencyConflict, StillRunning, StoreError
from decision_service.store.database import Database, Query
from decision_service.store.statements import SQLITE, insert_into
from decision_service.store.tables import LEASES, moment_text

LEASE = timedelta(seconds=60)
NOBODY = ""
"""In the place of a client, of whom there is none where processes take turns."""
MOST_LEFT = 1_000
"""Keys that are kept to be given back once the database is there again; others end by time."""
BODY_BITS = 16
Rows = list[tuple[Any, ...]]
_FLOCK = struct.Struct("hhqqi4x")  # Linux's struct flock: type, whence, start, length, process


class Leases(Protocol):
    """At most one holder per client and key."""

    def take(
        self, client_id: str, key: str, *, body_digest: str, now: datetime, then: Query | None = None
    ) -> Rows | None:
        """Hold a key until ``release``, the holder's death or the end of the lease.

        Where that asks the database, the rows of ``then`` are asked with it, once the key is held, and are returned.
        Raises ``StillRunning`` when another request holds it, ``IdempotencyConflict`` when that one has another body.
        """

    def release(self, client_id: str, key: str) -> None:
        """Give a key back; one that is not held stays as it is."""

    def giving_back(self, client_id: str, key: str) -> Query | None:
        """The change that gives a key back in the transaction of its answer, if there is one."""

    def given_back(self, client_id: str, key: str) -> None:
        """An answer is durable, and with it ``giving_back``: the key answers from now on, lease or not."""

    def expire(self, now: datetime) -> None:
        """Forget leases whose holders never came back."""

    def close(self) -> None:
        """Give back what this process holds."""


def leases_of(database: Database) -> Leases:
    """The kernel's locks beside a SQLite file on Linux, a table elsewhere."""
    if database.dialect == SQLITE and hasattr(fcntl, "F_OFD_SETLK"):
        return KernelLeases(database, f"{database.url.database}.leases")
    return TableLeases(database)


@contextmanager
def turn_of(leases: Leases, work: str, now: datetime) -> Iterator[bool]:
    """Whether the caller is the one of all processes to do some work; another's turn ends with it, or by time.

    Two who do it at once would only do the same twice.
    """
    try:
        leases.take(NOBODY, work, body_digest="", now=now)
    except StillRunning:
        yield False
        return
    try:
        yield True
    finally:
        leases.release(NOBODY, work)


def same_body(known: str, given: str) -> None:
    """Raises ``IdempotencyConflict`` when a key came with another body."""
    if known != given:
        raise IdempotencyConflict(
            "this key was used with another body", where="Idempotency-Key", remedy="use a new key for a new request"
        )


def still_running() -> StillRunning:
    """The error for a key that is held."""
    return StillRunning("a request with this key is under way", where="Idempotency-Key", remedy="retry shortly")


@dataclass(frozen=True, slots=True)
class _Held:
    body_digest: str
    expires_at: datetime
    start: int
    length: int


class KernelLeases:
    """A lease is a locked range of bytes of an empty file: no writing, and the kernel frees what a dead process held.

    The range begins at a hash of client and key; its length tells the body apart. Within a process a lease also ends
    by time; another process's ends with its holder, because nobody can take a lock from a process that lives.
    """

    def __init__(self, database: Database, path: str) -> None:
        self._database = database
        self._path = path
        self._mutex = Lock()
        self._held: dict[tuple[str, str], _Held] = {}
        self._descriptor: int | None = None
        _forget_after_fork(self)

    def take(
        self, client_id: str, key: str, *, body_digest: str, now: datetime, then: Query | None = None
    ) -> Rows | None:
        """See ``Leases``."""
        with self._database.errors(), self._mutex:
            self._expire(now)
            held = self._held.get((client_id, key))
            if held is not None:
                same_body(held.body_digest, body_digest)
                raise still_running()
            start, length = _start(client_id, key), _length(body_digest)
            if not self._set(fcntl.F_WRLCK, start, length):
                self._refuse(start, length)
            self._held[client_id, key] = _Held(body_digest, now + LEASE, start, length)
            return None

    def release(self, client_id: str, key: str) -> None:
        """See ``Leases``."""
        with self._database.errors(), self._mutex:
            self._end(client_id, key)

    def giving_back(self, client_id: str, key: str) -> None:
        """There is none: the lock is no part of the database."""

    def given_back(self, client_id: str, key: str) -> None:
        """See ``Leases``."""
        with suppress(StoreError):
            self.release(client_id, key)

    def expire(self, now: datetime) -> None:
        """See ``Leases``."""
        with self._database.errors(), self._mutex:
            self._expire(now)

    def _expire(self, now: datetime) -> None:
        for client_id, key in [name for name, held in self._held.items() if held.expires_at <= now]:
            self._end(client_id, key)

    def _end(self, client_id: str, key: str) -> None:
        held = self._held.pop((client_id, key), None)
        if held is not None:
            self._set(fcntl.F_UNLCK, held.start, held.length)

    def _refuse(self, start: int, length: int) -> None:
        """Another process holds the range; ask the kernel which one, since its length tells the body."""
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        kind, _, known_start, known_length, _ = _FLOCK.unpack(fcntl.fcntl(self._open(), fcntl.F_OFD_GETLK, asked))
        if kind != fcntl.F_UNLCK and known_start == start:
            same_body(str(known_length), str(length))
        raise still_running()

    def _set(self, kind: int, start: int, length: int) -> bool:
        try:
            fcntl.fcntl(self._open(), fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def close(self) -> None:
        """See ``Leases``."""
        descriptor, self._descriptor = self._descriptor, None
        self._mutex, self._held = Lock(), {}
        if descriptor is not None:
            os.close(descriptor)


class TableLeases:
    """A lease is a row that expires, for databases that processes of several machines share."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owners: dict[tuple[str, str], str] = {}
        self._left: deque[Query] = deque(maxlen=MOST_LEFT)
        self._looked: datetime | None = None
        _forget_after_fork(self)

    def take(
        self, client_id: str, key: str, *, body_digest: str, now: datetime, then: Query | None = None
    ) -> Rows | None:
        """See ``Leases``. Not durable: losing the row to a power failure only means that nobody is running."""
        owner = uuid.uuid4().hex
        lease = {"client_id": client_id, "key": key, "body_digest": body_digest}
        times = {"expires_at": moment_text(now + LEASE), "taken_at": moment_text(now)}
        taking = _taking, {**lease, **times, "owner": owner}
        self._tidy(now)
        with self._database.loose_session(shared=True) as session:
            session.foresee([taking, *(() if then is None else (then,))])
            if session.row(*taking) is not None:
                self._owners[client_id, key] = owner
                return None if then is None else session.rows(*then)
            holder = session.row(_holder, lease)
        if holder is not None:
            same_body(holder[0], body_digest)
        raise still_running()

    def release(self, client_id: str, key: str) -> None:
        """See ``Leases``."""
        change = self.giving_back(client_id, key)
        self._owners.pop((client_id, key), None)
        self._left.append(change)
        self._give_back_what_was_left()

    def _tidy(self, now: datetime) -> None:
        """Now and then forget what nobody came back for."""
        self._give_back_what_was_left()
        if self._looked is None or now - self._looked > LEASE:
            self._looked = now
            self.expire(now)

    def _give_back_what_was_left(self) -> None:
        """Also what a database that was away could not be told."""
        while self._left:
            change = self._left.popleft()
            try:
                with self._database.loose_session(shared=True) as session:
                    session.change(*change)
            except StoreError:
                self._left.appendleft(change)
                raise

    def giving_back(self, client_id: str, key: str) -> Query:
        """See ``Leases``."""
        owner = self._owners.get((client_id, key), "")
        return _release, {"given_client_id": client_id, "given_key": key, "given_owner": owner}

    def given_back(self, client_id: str, key: str) -> None:
        """See ``Leases``."""
        self._owners.pop((client_id, key), None)

    def expire(self, now: datetime) -> None:
        """See ``Leases``."""
        with self._database.loose_session() as session:
            session.change(_expire, {"now": moment_text(now)})

    def close(self) -> None:
        """See ``Leases``; rows end by time."""
        self._owners.clear()
        self._left.clear()


def _start(client_id: str, key: str) -> int:
    """62 bits of a hash: that two requests of one moment meet by chance is out of the question."""
    named = f"{len(client_id)}:{client_id}{key}".encode()
    return int.from_bytes(blake2b(named, digest_size=8).digest()) >> 2


def _length(body_digest: str) -> int:
    hashed = blake2b(body_digest.encode(), digest_size=8).digest()
    return 1 + (int.from_bytes(hashed) & ((1 << BODY_BITS) - 1))


def _taking(dialect: str) -> Any:
    """Insert the lease, or take over one that has expired; returns a row if either happened.

    One's own counts as taken: who asks again because the answer was lost holds it.
    """
    statement, held = insert_into(LEASES, dialect), LEASES.c
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[held.client_id, held.key],
        set_={name: new[name] for name in ("body_digest", "expires_at", "owner")},
        where=or_(held.expires_at <= bindparam("taken_at", type_=held.expires_at.type), held.owner == new.owner),
    ).returning(held.key)


def _holder(_: str) -> Any:
    return select(LEASES.c.body_digest).where(
        LEASES.c.client_id == bindparam("client_id"), LEASES.c.key == bindparam("key")
    )


def _release(_: str) -> Any:
    return delete(LEASES).where(
        LEASES.c.client_id == bindparam("given_client_id"),
        LEASES.c.key == bindparam("given_key"),
        LEASES.c.owner == bindparam("given_owner"),
    )


def _expire(_: str) -> Any:
    """In the order in which keys are taken, and without waiting for any."""
    held = LEASES.c
    ended = select(held.client_id, held.key).where(held.expires_at <= bindparam("now", type_=held.expires_at.type))
    ended = ended.order_by(held.client_id, held.key).with_for_update(skip_locked=True)
    return delete(LEASES).where(tuple_(held.client_id, held.key).in_(ended))


def _forget_after_fork(leases: KernelLeases | TableLeases) -> None:
    """A forked worker holds nothing: it closes its copy of the file, by which the parent's locks stay the parent's."""
    reference: Callable[[], KernelLeases | TableLeases | None] = weakref.ref(leases)

    def forget() -> None:
        found = reference()
        if found is not None:
            found.close()

    os.register_at_fork(after_in_child=forget)
