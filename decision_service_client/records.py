"""What is sent and what is answered: frozen dataclasses. Money is ``Decimal`` in CNY, times are aware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from decision_service_client.errors import Problem


class Outcome(StrEnum):
    """What comes of an application."""

    APPROVE = "APPROVE"
    REFER = "REFER"
    DECLINE = "DECLINE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A credit application. ``amount`` is exact: a ``Decimal`` or an integer, at most two decimals.

    Raises ``TypeError`` for an amount of another type, ``ValueError`` for one that is no sum of yuan and fen.
    """

    application_id: str
    product: str
    amount: Decimal | int
    term_months: int
    purpose: str
    authorization_id: str
    uscc: str

    def __post_init__(self) -> None:
        money(self.amount)

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        return {
            "application_id": self.application_id,
            "product": self.product,
            "amount": money(self.amount),
            "term_months": self.term_months,
            "purpose": self.purpose,
            "authorization_id": self.authorization_id,
            "enterprise": {"uscc": self.uscc},
        }


def money(amount: Decimal | int) -> str:
    """CNY with two decimals. Raises ``TypeError`` for a float, ``ValueError`` for what has more than two decimals."""
    if not isinstance(amount, (Decimal, int)) or isinstance(amount, bool):
        exact = f'Decimal("{amount:.2f}")' if isinstance(amount, float) else 'Decimal("3000000.00")'
        raise TypeError(f"{amount!r} is not exact; give a Decimal, such as {exact}, or an integer of yuan")
    found = Decimal(amount)
    if not found.is_finite():
        raise ValueError(f"{amount} is no amount; give a Decimal with at most two decimals")
    if found * 100 % 1:
        raise ValueError(f"{amount} has more than two decimals; round it as your books do")
    return f"{found:.2f}"


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities of default in twelve months, and the portrait's grade; ``None`` is unknown."""

    pd_12m: Decimal | None
    pd_xgb: Decimal | None
    pd_lstm: Decimal | None
    grade: str | None


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason, the rule behind it, and the customer's text in both languages."""

    code: str
    rule: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class RulesetRef:
    """Which ruleset decided."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model took part."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where something stands in the log: leaf hash in hex, signature in base64."""

    leaf_index: int
    leaf_hash: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What decisions and simulations have in common."""

    outcome: Outcome
    limit: Decimal | None
    card: str | None
    whitelisted: bool | None
    scores: Scores
    reasons: tuple[Reason, ...]
    conditions: tuple[str, ...]
    rate_spread_bp: int
    ruleset: RulesetRef
    models: tuple[ModelRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Assessment):
    """A decision. ``answer`` are the bytes in which it was answered: keep them with the proof.

    ``replayed``: the same request had been answered before.
    """

    decision_id: str
    application_id: str
    approved_amount: Decimal | None
    decided_at: datetime
    due_at: datetime | None
    receipt: Receipt
    answer: bytes = field(default=b"", repr=False, compare=False)
    replayed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation(Assessment):
    """What would be decided; never a decision."""

    overridden_facts: tuple[str, ...]
    as_of: date


@dataclass(frozen=True, slots=True)
class Proof:
    """The evidence of a decision. ``record`` in base64, hashes in hex; ``public_key`` is told, never to be trusted."""

    decision_id: str
    record: str
    leaf_index: int
    leaf_hash: str
    tree_size: int
    inclusion_proof: tuple[str, ...]
    checkpoint: str
    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done, and what may be done next."""

    act: str
    at: datetime
    state: str
    due_at: datetime | None
    allowed: tuple[str, ...]
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Done):
    """What was done with an application."""

    decision_id: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted; the id only where it is the reader's own."""

    kind: str
    id: str | None


@dataclass(frozen=True, slots=True)
class PastAct:
    """One act of a history."""

    act: str
    at: datetime
    by: Actor | None
    details: Mapping[str, Any]
    leaf_index: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """An application from its arrival on."""

    decision_id: str
    application_id: str
    outcome: Outcome
    state: str
    asked: Decimal
    approved: Decimal | None
    holds_until: datetime | None
    contract_id: str | None
    drawn: Decimal
    repaid: Decimal
    overdue_days: int
    due_at: datetime | None
    allowed: tuple[str, ...]
    acts: tuple[PastAct, ...]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many lines of a batch had which outcome."""

    APPROVE: int
    REFER: int
    DECLINE: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it stands. ``state``: queued, running, finished, cancelling, cancelled."""

    batch_id: str
    state: str
    lines: int
    done: int
    outcomes: Outcomes
    refused: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancelled_at: datetime | None

    @property
    def has_ended(self) -> bool:
        """Whether no further line will be decided."""
        return self.state in ("finished", "cancelled")


@dataclass(frozen=True, slots=True)
class BatchLine:
    """What became of a line: its decision, or the problem because of which there is none."""

    line: int
    application_id: str | None
    status: int
    decision: Decision | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; its ``id`` is the cursor to go on from."""

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook. ``secret`` is told once, when it is made; ``etag`` is what changes of it need."""

    webhook_id: str
    url: str
    types: tuple[str, ...]
    description: str
    state: str
    notice: str | None
    created_at: datetime
    updated_at: datetime
    waiting: int | None = None
    oldest_waits_since: datetime | None = None
    secret: str | None = field(default=None, repr=False)
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """A new key of a webhook; those before stay valid until then."""

    secret: str = field(repr=False)
    others_valid_until: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of an event at a webhook."""

    event_id: str
    type: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    status: int | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The ruleset in force for the caller."""

    version: str
    digest: str
    in_force_on: date
    rules: int
    products: tuple[str, ...]
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Models:
    """The models in use, and why others are not."""

    models: tuple[ModelRef, ...]
    problems: tuple[str, ...]
