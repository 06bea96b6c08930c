"""The control links among all relations on record, as an index that is read from both ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, literal_column, select, union_all

from decision_service.lending.exposure import controls
from decision_service.portrait.records import Relation
from decision_service.store.database import Query, Session
from decision_service.store.statements import is_any, padded, spread
from decision_service.store.tables import CONTROL_EDGES

MOST_EDGES = 1_000
"""Edges read in one step. A party with more is no group that a sum over it could describe."""


def write_edges(connection: Connection, relations: Mapping[str, Iterable[Relation]]) -> None:
    """Replace the edges of enterprises and persons by those of all their relations on record."""
    connection.execute(delete(CONTROL_EDGES).where(CONTROL_EDGES.c.uscc.in_(relations)))
    edges = [
        {"uscc": uscc, "other": relation.other, "link": relation.link}
        for uscc, found in relations.items()
        for relation in found
        if controls(relation)
    ]
    if edges:
        connection.execute(insert(CONTROL_EDGES), edges)


def asks_neighbours(parties: Collection[str]) -> Query:
    """What ``neighbours`` asks."""
    of = padded(sorted(parties))
    return _neighbours, spread("party", of), len(of)


def neighbours(session: Session, parties: Collection[str]) -> Collection[str] | None:
    """Who shares an edge with any of the parties; ``None`` when there are ``MOST_EDGES`` or more."""
    rows = session.rows(*asks_neighbours(parties))
    return None if len(rows) >= MOST_EDGES else {row[0] for row in rows}


def controllers(session: Session, uscc: str) -> tuple[str, ...]:
    """Who says by its own relations that it controls an enterprise, sorted."""
    return tuple(row[0] for row in session.rows(*asks_controllers(uscc)))


def asks_controllers(uscc: str) -> Query:
    """What ``controllers`` asks."""
    return _controllers, {"uscc": uscc}


def _neighbours(_: str, parties: int) -> Any:
    outward = select(CONTROL_EDGES.c.other).where(is_any(CONTROL_EDGES.c.uscc, "party", parties))
    inward = select(CONTROL_EDGES.c.uscc).where(is_any(CONTROL_EDGES.c.other, "party", parties))
    # Both bounds are literals: SQLAlchemy would bind an offset of its own, which has no name.
    return union_all(outward, inward).limit(literal_column(str(MOST_EDGES))).offset(literal_column("0"))


def _controllers(_: str) -> Any:
    edge = CONTROL_EDGES.c
    own = (edge.other == bindparam("uscc"), edge.link == literal_column("'control'"))
    return select(edge.uscc).where(*own).order_by(edge.uscc)
