"""Erasing the values behind a decision's commitments, with a signed leaf of the log that says so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, null, select, union_all, update

from decision_service.audit.act import OBJECTION
from decision_service.audit.record import erasure_record
from decision_service.errors import NotFound
from decision_service.store.database import Session
from decision_service.store.log import Sign, append_signed, locked_frontier
from decision_service.store.tables import ACTS, DECISIONS, ERASURES, moment_text


def erase_private(session: Session, decision_id: str, *, now: datetime, sign: Sign) -> None:
    """Erase the values and their secret, and note it in the log; once is enough. Raises ``NotFound``."""
    locked_frontier(session)  # of two who erase at once, the second must see what the first did
    row = session.row(_private, {"given_id": decision_id})
    if row is None:
        raise NotFound(f"there is no decision {decision_id}")
    if row[0]:
        entry = append_signed(session, erasure_record(decision_id, now), subject=decision_id, sign=sign)
        session.change(_note, {**entry, "decision_id": decision_id, "erased_at": moment_text(now)})
        session.change(_forget, {"given_id": decision_id})
        session.change(_forget_acts, {"given_id": decision_id})


def is_erased(session: Session, subject: str) -> bool:
    """Whether a decision's values, or an objection's comments, were erased."""
    values = {"given_id": subject, "once": erasure_once(subject), "kind": OBJECTION}
    return session.row(_erased, values) is not None


def erasure_once(objection_id: str) -> str:
    """What an objection's erasure has as its ``once``: no objection has two, and each is found by it."""
    return f"erased:{objection_id}"


def _erased(_: str) -> Any:
    return union_all(
        select(ERASURES.c.leaf_index).where(ERASURES.c.decision_id == bindparam("given_id")),
        select(ACTS.c.leaf_index).where(ACTS.c.kind == bindparam("kind"), ACTS.c.once == bindparam("once")),
    )


def _private(_: str) -> Any:
    return select(DECISIONS.c.private.is_not(None)).where(DECISIONS.c.decision_id == bindparam("given_id"))


def _note(_: str) -> Any:
    return insert(ERASURES)


def _forget(_: str) -> Any:
    return update(DECISIONS).where(DECISIONS.c.decision_id == bindparam("given_id")).values(private=null())


def _forget_acts(_: str) -> Any:
    return update(ACTS).where(ACTS.c.subject == bindparam("given_id")).values(private=null())
