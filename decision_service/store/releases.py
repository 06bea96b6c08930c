"""What people did to the rules, as signed leaves: written one after the other, and what follows for this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, literal_column, or_, select

from decision_service.audit.canonical import canonical, parsed
from decision_service.audit.release import ACTIVATION, EVERYTHING, OFF, SWITCH, person_of, row_of
from decision_service.errors import AuditError, StoreError
from decision_service.store.database import Session
from decision_service.store.log import Sign, append_signed, locked_frontier
from decision_service.store.statements import spread
from decision_service.store.tables import LEAVES, RELEASE_EVENTS, moment_text
from decision_service.vocabulary import Person


def scopes(product: str, industry: str | None, client_id: str) -> tuple[str, ...]:
    """The scopes of switches that an application falls under."""
    own = (f"product:{product}", f"client:{client_id}")
    return (EVERYTHING, *own) if industry is None else (EVERYTHING, *own, f"industry:{industry}")


@dataclass(frozen=True, slots=True)
class ReleaseEvent:
    """One act on the rules. ``subject`` is a ruleset's digest or a switch's scope; ``content`` the leaf's record."""

    leaf_index: int
    kind: str
    how: str
    subject: str
    at: datetime
    effective_at: datetime
    content: Mapping[str, Any]

    @property
    def person(self) -> Person | None:
        """Who did it; unknown of the oldest activations."""
        return person_of(self.content)

    @property
    def note(self) -> str:
        """Why."""
        return str(self.content.get("note", ""))


@dataclass(frozen=True, slots=True)
class InForce:
    """Which ruleset decides at a moment, since when, and which one did so before.

    ``coming`` are scheduled ones with their moments, in order.
    """

    digest: str | None = None
    since: datetime | None = None
    before: str | None = None
    coming: tuple[tuple[str, datetime], ...] = ()


NO_LEAF = 2**62
"""Above the place of every leaf."""
Decide = Callable[[tuple[ReleaseEvent, ...]], Mapping[str, Any] | None]
"""Gives the record of the next act from all acts before it, or ``None`` if there is nothing to write.

Raises ``Refused`` when the act must not be done.
"""


def append_event(session: Session, decide: Decide, *, sign: Sign) -> ReleaseEvent | None:
    """Let ``decide`` see the whole history under the log's lock, and append what it says as a signed leaf."""
    locked_frontier(session)  # of two who act at once, the second must see what the first did
    content = decide(history(session))
    if content is None:
        return None
    row = row_of(content)
    entry = append_signed(session, canonical(content), subject=row["subject"], sign=sign)
    session.change(_new_event, {**entry, **row})
    return _event((entry["leaf_index"], *row.values(), canonical(content)))


def history(session: Session) -> tuple[ReleaseEvent, ...]:
    """Every act on the rules, oldest first. Raises ``StoreError`` when a record cannot be read."""
    return tuple(_event(row) for row in session.rows(_history, {}))


def in_force(session: Session, now: datetime) -> InForce:
    """The last word on what decides at ``now``, and what is to come.

    Of the activations that are effective the newest counts, so that a later one cancels an earlier one that was
    scheduled for afterwards. One said to be effective at once is so whatever a slow clock says.
    """
    place, digest, since = session.row(_active, {"now": moment_text(now), "below": NO_LEAF}) or (-1, None, None)
    before = session.row(_active, {"now": since, "below": place}) if since is not None else None
    coming: list[tuple[str, datetime]] = []
    for scheduled, text in session.rows(_coming, {"now": moment_text(now), "place": place}):
        later = datetime.fromisoformat(text)
        coming = [one for one in coming if one[1] < later] + [(scheduled, later)]
    moment = None if since is None else datetime.fromisoformat(since)
    return InForce(digest, moment, None if before is None else before[1], tuple(coming))


def switched_off(session: Session, scopes: Iterable[str]) -> tuple[str, ...]:
    """Those of ``scopes`` for which automatic approval is switched off, sorted."""
    asked = sorted(scopes)
    rows = session.rows(_switches, spread("scope", asked), len(asked))
    return tuple(sorted(scope for scope, state in dict(rows).items() if state == OFF))


def _event(row: tuple[Any, ...]) -> ReleaseEvent:
    leaf_index, kind, how, subject, at, effective_at, record = row
    try:
        content = parsed(record)
        if not isinstance(content, dict):
            raise TypeError("it is not an object")
        moments = datetime.fromisoformat(at), datetime.fromisoformat(effective_at)
    except (AuditError, TypeError, ValueError, AttributeError) as error:
        what = f"leaf {leaf_index} of the log cannot be read: {error}"
        raise StoreError(what, remedy="run: decision-service audit verify") from error
    return ReleaseEvent(leaf_index, kind, how, subject, *moments, content)


_COLUMNS = (
    RELEASE_EVENTS.c.leaf_index,
    RELEASE_EVENTS.c.kind,
    RELEASE_EVENTS.c.how,
    RELEASE_EVENTS.c.subject,
    RELEASE_EVENTS.c.at,
    RELEASE_EVENTS.c.effective_at,
)


def _history(_: str) -> Any:
    joined = select(*_COLUMNS, LEAVES.c.record).join_from(
        RELEASE_EVENTS, LEAVES, LEAVES.c.leaf_index == RELEASE_EVENTS.c.leaf_index
    )
    return joined.order_by(RELEASE_EVENTS.c.leaf_index)


def _activations(*columns: Any) -> Select[Any]:
    return select(*columns).where(RELEASE_EVENTS.c.kind == literal_column(f"'{ACTIVATION}'"))


def _active(_: str) -> Any:
    known = RELEASE_EVENTS.c
    now = bindparam("now", type_=known.at.type)
    effective = or_(known.effective_at <= now, known.effective_at == known.at)
    candidates = _activations(func.max(known.leaf_index)).where(effective, known.leaf_index < bindparam("below"))
    newest = candidates.scalar_subquery()
    return select(known.leaf_index, known.subject, known.effective_at).where(known.leaf_index == newest)


def _coming(_: str) -> Any:
    known = RELEASE_EVENTS.c
    later = known.effective_at > bindparam("now", type_=known.at.type)
    found = _activations(known.subject, known.effective_at).where(later, known.leaf_index > bindparam("place"))
    return found.order_by(known.leaf_index)


def _switches(_: str, scopes: int) -> Any:
    """The newest switch of each scope, found at its place however often it went off and on."""
    known = RELEASE_EVENTS.c
    of_kind = known.kind == literal_column(f"'{SWITCH}'")
    asked = [known.subject == bindparam(f"scope_{place}", type_=known.subject.type) for place in range(scopes)]
    newest = [select(func.max(known.leaf_index)).where(of_kind, scope).scalar_subquery() for scope in asked]
    return select(known.subject, known.how).where(known.leaf_index.in_(newest))


def _new_event(_: str) -> Any:
    return insert(RELEASE_EVENTS)
