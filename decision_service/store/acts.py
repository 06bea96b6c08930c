"""Acts on a single thing, as signed leaves: each is written after its writer has seen all that came before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select

from decision_service.audit.act import NOTICE, NewAct, act_record, act_row, is_whole_act
from decision_service.audit.canonical import parsed
from decision_service.audit.merkle import leaf_hash
from decision_service.audit.record import values_of
from decision_service.errors import AuditError, StoreError
from decision_service.store.database import Session
from decision_service.store.erasures import is_erased
from decision_service.store.log import Sign, append, locked_frontier
from decision_service.store.releases import REMEDY, IsSigned
from decision_service.store.tables import ACTS, LEAVES


@dataclass(frozen=True, slots=True)
class Act:
    """One act. ``by`` is the client's kind and id; ``private`` what may be erased, and then is empty."""

    leaf_index: int
    kind: str
    how: str
    subject: str
    client_id: str | None
    at: datetime
    by: tuple[str, str] | None
    details: Mapping[str, Any]
    private: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """An act that has just been written, and its receipt."""

    act: Act
    receipt: Mapping[str, Any]


def acts_of(session: Session, kind: str, subject: str, is_signed: IsSigned | None) -> tuple[Act, ...]:
    """All acts of a kind on a subject, oldest first. Raises ``StoreError`` for one that is not as it was signed."""
    rows = session.rows(_acts, {"kind": kind, "subject": subject})
    return tuple(_verified(row, is_signed) for row in rows)


def append_act(session: Session, kind: str, subject: str, new: NewAct, *, sign: Sign) -> Written:
    """Append an act as a leaf signed by ``sign``. Raises ``AuditError``."""
    frontier = locked_frontier(session)
    content, record = act_record(kind, subject, new)
    hashed, place = leaf_hash(record.body), frontier.size
    append(session, frontier, hashed=hashed, record=record.body)
    receipt = sign(subject, place, hashed)
    row = {**act_row(content), "leaf_index": place, "signature": receipt["signature"]}
    # What is erased stays so: of what is said about it later only the commitments are kept.
    kept = record.private if record.private and not is_erased(session, subject) else None
    session.change(_new_act, {**row, "private": kept})
    act = Act(place, kind, new.how, subject, new.client_id, new.at, new.by, content["details"], new.private)
    return Written(act, receipt)


def append_notice(session: Session, subject: str, new: NewAct, *, sign: Sign) -> Written | None:
    """Append a notice, unless its ``once`` was written before."""
    locked_frontier(session)  # of two who notice the same, the second must see what the first wrote
    if session.row(_noticed, {"kind": NOTICE, "once": new.once}) is not None:
        return None
    return append_act(session, NOTICE, subject, new, sign=sign)


def _verified(row: tuple[Any, ...], is_signed: IsSigned | None) -> Act:
    leaf_index, kind, how, subject, client_id, at, once, private, signature, hashed, record = row
    try:
        content = parsed(record)
        expected = act_row(content)
        opened = values_of(private) if private is not None else {}
    except (AuditError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"leaf {leaf_index}, an act on {subject}, cannot be read", remedy=REMEDY) from error
    columns = {"kind": kind, "how": how, "subject": subject, "client_id": client_id, "at": at, "once": once}
    if leaf_hash(record) != hashed or expected != columns or not is_whole_act(content):
        raise StoreError(f"leaf {leaf_index}, an act on {subject}, is not what its row says", remedy=REMEDY)
    receipt = {"leaf_index": leaf_index, "leaf_hash": hashed.hex(), "signature": signature}
    if is_signed is not None and not is_signed(subject, receipt):
        raise StoreError(f"leaf {leaf_index}, an act on {subject}, was not signed by the log's key", remedy=REMEDY)
    by = None if content["by"] is None else (content["by"]["kind"], content["by"]["id"])
    moment = datetime.fromisoformat(at)
    return Act(leaf_index, kind, how, subject, client_id, moment, by, content["details"], opened)


def _acts(_: str) -> Any:
    columns = ("leaf_index", "kind", "how", "subject", "client_id", "at", "once", "private", "signature")
    found = select(*(ACTS.c[name] for name in columns), LEAVES.c.leaf_hash, LEAVES.c.record)
    found = found.join_from(ACTS, LEAVES, ACTS.c.leaf_index == LEAVES.c.leaf_index)
    owned = ACTS.c.kind == bindparam("kind"), ACTS.c.subject == bindparam("subject")
    return found.where(*owned).order_by(ACTS.c.leaf_index)


def _new_act(_: str) -> Any:
    return insert(ACTS)


def _noticed(_: str) -> Any:
    return select(ACTS.c.leaf_index).where(ACTS.c.kind == bindparam("kind"), ACTS.c.once == bindparam("once"))
