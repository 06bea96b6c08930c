"""What is answered about objections and reviews: frozen dataclasses, as in ``records``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from decision_service_client.records import Done, PastAct, Reason


@dataclass(frozen=True, slots=True)
class RecordKey:
    """What identifies a record among those of its enterprise.

    ``kind`` is ``lists`` or ``overdues`` (``key``: its record_id), ``tax_ratings`` (the year), ``indicators`` (IND14).
    """

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class EnterpriseKey:
    """Whose record it is."""

    uscc: str


@dataclass(frozen=True, slots=True)
class RestsOn:
    """A record that a reason rests on; where its fact is above the reader, ``withheld`` and nothing more."""

    reason: str
    rule: str
    fact: str | None = None
    label: str | None = None
    enterprise: EnterpriseKey | None = None
    record: RecordKey | None = None
    withheld: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectionAct(Done):
    """What was done with an objection."""

    objection_id: str


@dataclass(frozen=True, slots=True)
class Due:
    """A step and the moment by which it has to be done; ``None`` where the calendar of that year is not known."""

    step: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Objection:
    """An objection as it stands. ``effect`` is what it makes of its record now: ``disputed``, ``struck`` or nothing."""

    objection_id: str
    target: Mapping[str, Any]
    state: str
    instance: int
    ruling: str | None
    effect: str | None
    effect_since: datetime | None
    filed_at: datetime
    due_at: datetime | None
    steps: tuple[Due, ...]
    sla: str | None
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObjectionHistory(Objection):
    """An objection with all acts."""

    acts: tuple[PastAct, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A referred application that waits for people. ``sla``: running, near, paused or breached."""

    decision_id: str
    application_id: str
    client_id: str
    product: str
    amount: Decimal
    card: str | None
    whitelisted: bool | None
    decided_at: datetime
    reasons: tuple[Reason, ...]
    state: str
    assignee: str | None
    due_at: datetime | None
    sla: str
    pauses: int
