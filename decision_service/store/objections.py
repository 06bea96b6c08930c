"""Objections: acts in the log, and beside them what stands after the last and what it makes of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, func, insert, null, select, type_coerce, update

from decision_service.audit.act import OBJECTION, NewAct
from decision_service.errors import InputError, NotNow
from decision_service.governance.objection import DECIDED
from decision_service.portrait.disputes import LISTS, REPAIRED, STRUCK
from decision_service.store.acts import Act, Written, acts_of, append_act
from decision_service.store.cursors import cursor_before, place_before
from decision_service.store.database import Database, Session
from decision_service.store.log import Sign, locked_frontier
from decision_service.store.records import stored_record
from decision_service.store.releases import IsSigned
from decision_service.store.tables import ACTS, DECISIONS, OBJECTIONS, RECORDS, moment_text

MOST_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class ObjectionStanding:
    """What stands after the acts. ``open_about`` is what it is about while it is open; ``effect`` is on its record.

    ``erased`` says that comments are to be forgotten.
    """

    state: str
    open_about: str | None
    effect: str | None = None
    effect_at: datetime | None = None
    effect_digest: str | None = None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class StoredObjection:
    """An objection as the store knows it; ``leaf_index`` is that of its filing."""

    leaf_index: int
    objection_id: str
    client_id: str
    uscc: str
    record_kind: str | None
    record_key: str | None
    about: str | None
    decision_id: str | None
    state: str
    effect: str | None
    effect_at: datetime | None
    effect_digest: str | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What an objection is about, and whose it is."""

    objection_id: str
    client_id: str
    uscc: str
    record_kind: str | None = None
    record_key: str | None = None
    decision_id: str | None = None


Record = Any
Next = Callable[[tuple[Act, ...], Record, datetime], tuple[NewAct, ObjectionStanding]]
"""Gives the next act from all before it, the record on file and the moment of the newest decision, and what stands
after the act.

An act is not earlier than any decision. Raises ``NotNow``, ``NotFound``.
"""

_COLUMNS = tuple(OBJECTIONS.c[name] for name in StoredObjection.__slots__)
_STORED = select(*_COLUMNS)


class Objections:
    """The objections of a store. Every method may raise ``StoreError``."""

    def __init__(self, database: Database, is_signed: IsSigned | None) -> None:
        self._database = database
        self._is_signed = is_signed

    def acts(self, objection_id: str) -> tuple[Act, ...]:
        """All acts on an objection, oldest first."""
        with self._database.read_session() as session:
            return acts_of(session, OBJECTION, objection_id, self._is_signed)

    def find(self, objection_id: str, client_id: str | None = None) -> StoredObjection | None:
        """One objection; with ``client_id`` only if it is that client's."""
        with self._database.read() as connection:
            row = connection.execute(_STORED.where(OBJECTIONS.c.objection_id == objection_id)).one_or_none()
        return None if row is None or client_id not in (None, row.client_id) else StoredObjection(*row)

    def page(
        self, client_id: str | None, *, state: str | None = None, after: str | None = None, limit: int = 50
    ) -> tuple[tuple[StoredObjection, ...], str | None]:
        """Newest first, and the cursor of the next page. Raises ``InputError`` for a bad cursor or limit."""
        if not 1 <= limit <= MOST_LISTED:
            raise InputError(f"{limit} objections cannot be listed", where="limit", remedy=f"1 to {MOST_LISTED}")
        statement = _STORED.order_by(OBJECTIONS.c.leaf_index.desc()).limit(limit + 1)
        if client_id is not None:
            statement = statement.where(OBJECTIONS.c.client_id == client_id)
        if state is not None:
            statement = statement.where(OBJECTIONS.c.state == state)
        if after is not None:
            statement = statement.where(OBJECTIONS.c.leaf_index < place_before(after))
        with self._database.read() as connection:
            found = tuple(StoredObjection(*row) for row in connection.execute(statement))
        return found[:limit], cursor_before(found[limit - 1].leaf_index) if len(found) > limit else None

    def open(self) -> tuple[StoredObjection, ...]:
        """Those on which somebody still has to act, oldest first."""
        statement = _STORED.where(OBJECTIONS.c.open_about.is_not(None)).order_by(OBJECTIONS.c.leaf_index)
        with self._database.read() as connection:
            return tuple(StoredObjection(*row) for row in connection.execute(statement))

    def of_enterprises(self, codes: Sequence[str]) -> tuple[StoredObjection, ...]:
        """Those that make something of a record of these enterprises."""
        statement = _STORED.where(OBJECTIONS.c.uscc.in_(codes), OBJECTIONS.c.effect.is_not(None))
        statement = statement.order_by(OBJECTIONS.c.leaf_index)
        with self._database.read() as connection:
            return tuple(StoredObjection(*row) for row in connection.execute(statement))

    def with_effect(self, effect: str) -> tuple[StoredObjection, ...]:
        """Those that make this of their record, oldest first."""
        statement = _STORED.where(OBJECTIONS.c.effect == effect).order_by(OBJECTIONS.c.leaf_index)
        with self._database.read() as connection:
            return tuple(StoredObjection(*row) for row in connection.execute(statement))

    def delivered(self, objection: StoredObjection) -> Any:
        """The record that is objected to as its feed delivered it; ``None`` when there is none."""
        named = objection.uscc, objection.record_kind or "", objection.record_key or ""
        with self._database.read_session() as session:
            return stored_record(session, *named)

    def repaired(self) -> dict[str, tuple[str, ...]]:
        """Enterprises of which a record was ruled wrong or repaired at its source, and when such was last heard."""
        ruled = select(OBJECTIONS.c.uscc, type_coerce(func.max(OBJECTIONS.c.effect_at), Text))
        ruled = ruled.where(OBJECTIONS.c.effect == STRUCK).group_by(OBJECTIONS.c.uscc)
        told = select(RECORDS.c.uscc, type_coerce(RECORDS.c.received_at, Text))
        told = told.where(RECORDS.c.kind == LISTS, RECORDS.c.payload.like(f'%"{REPAIRED}"%'))
        found: dict[str, tuple[str, ...]] = {}
        with self._database.read() as connection:
            for statement in (ruled, told):
                for uscc, at in connection.execute(statement):
                    found[uscc] = (*found.get(uscc, ()), at)
        return found

    def ruled_on(self, uscc: str, kind: str, key: str) -> tuple[str, ...]:
        """The ids of the objections to a record that were ruled on, oldest first."""
        known = OBJECTIONS.c
        named = (known.uscc == uscc, known.record_kind == kind, known.record_key == key, known.state.in_(DECIDED))
        statement = select(known.objection_id).where(*named).order_by(known.leaf_index)
        with self._database.read() as connection:
            return tuple(connection.execute(statement).scalars())

    def act(self, session: Session, subject: Subject, decide: Next, *, sign: Sign) -> Written:
        """Write what ``decide`` makes of all acts so far. The session is that of ``Store.once``.

        Raises ``NotNow`` when another objection to the same thing is open.
        """
        locked_frontier(session)  # of two who act at once, the second must see what the first did
        before = acts_of(session, OBJECTION, subject.objection_id, self._is_signed)
        record = None
        if subject.record_kind is not None:
            record = stored_record(session, subject.uscc, subject.record_kind, subject.record_key or "")
        new, standing = decide(before, record, _newest(session))
        _alone(session, subject, standing)
        written = append_act(session, OBJECTION, subject.objection_id, new, sign=sign)
        stands = _standing(standing, new.at)
        if before:
            session.change(_stands, {**stands, "given_id": subject.objection_id})
        else:
            session.change(_new, {**_filing(subject, new), **stands, "leaf_index": written.act.leaf_index})
        if standing.erased:
            session.change(_forget, {"kind": OBJECTION, "given_id": subject.objection_id})
        return written

    def write(self, subject: Subject, decide: Next, *, sign: Sign) -> Written:
        """As ``act``, in a transaction of its own; what it erased is not left in files."""
        with self._database.write_session() as session:
            written = self.act(session, subject, decide, sign=sign)
        self._database.forget_old_pages()
        return written


def _newest(session: Session) -> datetime:
    (newest,) = session.rows(_newest_decision, {})[0]
    return datetime.fromisoformat(newest or "1970-01-01T00:00:00Z")


def _alone(session: Session, subject: Subject, standing: ObjectionStanding) -> None:
    row = session.row(_open, {"open_about": standing.open_about}) if standing.open_about is not None else None
    if row is not None and row[0] != subject.objection_id:
        raise NotNow("an objection of yours to the same thing is open", remedy="wait for its ruling")


def _filing(subject: Subject, new: NewAct) -> dict[str, Any]:
    return {
        "objection_id": subject.objection_id,
        "client_id": subject.client_id,
        "uscc": subject.uscc,
        "record_kind": subject.record_kind,
        "record_key": subject.record_key,
        "about": new.details["target"].get("list"),
        "decision_id": subject.decision_id,
    }


def _standing(standing: ObjectionStanding, at: datetime) -> dict[str, Any]:
    since = standing.effect_at
    return {
        "state": standing.state,
        "open_about": standing.open_about,
        "effect": standing.effect,
        "effect_at": None if since is None else moment_text(since),
        "effect_digest": standing.effect_digest,
        "changed_at": moment_text(at),
    }


def _open(_: str) -> Any:
    return select(OBJECTIONS.c.objection_id).where(OBJECTIONS.c.open_about == bindparam("open_about"))


def _new(_: str) -> Any:
    return insert(OBJECTIONS)


def _stands(_: str) -> Any:
    changing = ("state", "open_about", "effect", "effect_at", "effect_digest", "changed_at")
    statement = update(OBJECTIONS).where(OBJECTIONS.c.objection_id == bindparam("given_id"))
    return statement.values({name: bindparam(name) for name in changing})


def _forget(_: str) -> Any:
    owned = ACTS.c.kind == bindparam("kind"), ACTS.c.subject == bindparam("given_id")
    return update(ACTS).where(*owned).values(private=null())


def _newest_decision(_: str) -> Any:
    return select(func.max(DECISIONS.c.decided_at))
