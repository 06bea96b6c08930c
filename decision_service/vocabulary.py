"""The words every room shares: application, client, outcome, reason, decision. Frozen types without behaviour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any

FEED_MAX_AGE: Mapping[str, timedelta] = {
    "registrations": timedelta(days=7),  # daily
    "lists": timedelta(days=7),  # daily; court, market regulator, tax and others
    "overdues": timedelta(days=7),  # daily bank feedback
    "relations": timedelta(days=7),  # daily
    "control_changes": timedelta(days=7),  # daily
    "exposures": timedelta(days=1),  # bank exposure older than a day: the sum is unknown
    "months": timedelta(days=45),  # monthly
    "counterparties": timedelta(days=100),  # quarterly
    "tax_ratings": timedelta(days=480),  # yearly in April, and events
}
"""How old a feed's newest delivery may be: beyond that, what it does not say is unknown."""

RESERVATION = timedelta(hours=24)
"""How long an approval counts as exposure without the bank's own report of it."""

CLIENT_ID = re.compile(r"(?=.{1,64}\Z)[a-z0-9]+(-[a-z0-9]+)*")
"""A client's id, which is also the name of its folder of rules: one spelling only, on every file system."""


class Outcome(IntEnum):
    """What we do with an application; the larger value is the stricter."""

    APPROVE = 0
    REFER = 1
    DECLINE = 2


@dataclass(frozen=True, slots=True)
class CreditApplication:
    """What a bank sent. ``amount`` in CNY with at most two decimals."""

    application_id: str
    product: str
    amount: Decimal
    term_months: int
    purpose: str
    authorization_id: str
    uscc: str


@dataclass(frozen=True, slots=True)
class Client:
    """An authenticated caller. ``kind`` is bank, fintech, risk, auditor, steward or admin."""

    client_id: str
    name: str
    kind: str


ANY = "any"
"""The id of whoever of a kind it may have been."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts on the rules: ``kind`` is ``client`` or ``os_user``, ``id`` the client's id or the user's number.

    ``also`` are those who may be the same human: who made the client's key, by whose rights a user acts or who is said
    to be behind root. An id ``ANY`` among them is everybody of its kind.
    """

    kind: str
    id: str
    name: str
    also: tuple["Person", ...] = ()

    def is_same_as(self, other: "Person") -> bool:
        """Whether the two may be one: names change, kind and id tell persons apart, and a doubt makes them the same."""
        return self._may_be(other) or other._may_be(self)

    def doubt(self, other: "Person") -> str:
        """Why two whose kinds and ids differ are taken for one person; ``""`` when they do not differ."""
        for one, another in ((self, other), (other, self)):
            if (self.kind, self.id) != (other.kind, other.id) and one._may_be(another):
                return f"{one} may be {another}"
        return ""

    def _may_be(self, other: "Person") -> bool:
        return any(one.kind == other.kind and one.id in (other.id, ANY) for one in (self, *self.also))

    def __str__(self) -> str:
        return f"{self.name} ({self.kind} {self.id})"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a decision: its code, the rule behind it, the customer's text in both languages."""

    code: str
    rule: str
    zh: str
    en: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """The identity of a model that took part in a decision."""

    name: str
    version: str
    digest: str


SeenValue = float | str | None
"""A value that a model read: a number in its own unit, an industry's section, or ``None`` where nothing is known."""


@dataclass(frozen=True, slots=True)
class ScoreReason:
    """One input of the model behind ``score`` (``pd_xgb``, ``pd_lstm``) that speaks against the enterprise.

    ``effect`` is how far the log-odds of ``pd_12m`` fall when this input alone is ``healthy``. Of a series ``seen`` and
    ``healthy`` are means of the last twelve months, the ``change`` is that of the last three against those before.
    """

    score: str
    name: str
    effect: float
    seen: SeenValue
    healthy: SeenValue
    change: float | None = None
    healthy_change: float | None = None


@dataclass(frozen=True, slots=True)
class ScoreReasons:
    """``stated``: largest first; ``base`` and ``shares`` (by score and input), if asked for, sum to the log-odds of
    ``pd_12m``."""

    base: float
    shares: Mapping[str, float]
    stated: tuple[ScoreReason, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities of default in twelve months, rounded to six decimals; ``None`` is unknown.

    ``contributions`` maps an indicator's name to its share of the XGBoost margin (log-odds); empty when not computed.
    ``features`` is what the models read, so that a re-score can be compared. ``reasons`` are those of ``pd_12m``, given
    where the score is a reason of the decision; the largest first.
    """

    pd_xgb: Decimal | None = None
    pd_lstm: Decimal | None = None
    pd_12m: Decimal | None = None
    status: str = "unavailable"
    models: tuple[ModelVersion, ...] = ()
    problems: tuple[str, ...] = ()
    contributions: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[ScoreReason, ...] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A platform decision. Money in CNY; times aware, UTC."""

    decision_id: str
    application: CreditApplication
    client_id: str
    outcome: Outcome
    approved_amount: Decimal | None
    limit: Decimal | None
    card: str | None
    whitelisted: bool | None
    decided_at: datetime
    due_at: datetime | None
    scores: Scores
    grade: str | None
    reasons: tuple[Reason, ...]
    conditions: tuple[str, ...]
    rate_spread_bp: int
    ruleset_version: str
    ruleset_digest: str
