"""What each kind of client may do: the one table behind keys, access tokens, every guarded call and its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from decision_service.vocabulary import Client

SCOPES: Mapping[str, str] = {
    "decisions:write": "Apply for decisions, one by one or in batches",
    "decisions:read": "Read decisions, batches, explanations, proofs and histories",
    "final:write": "Take the final decision on an approved application",
    "contracts:write": "Report drawdowns, repayments, arrears and the end of contracts",
    "reviews:read": "Read the queue of referred applications",
    "reviews:write": "Assign, decide and pause referred applications",
    "reviews:resume": "Let a paused application go on",
    "objections:read": "Read objections and their histories",
    "objections:write": "Object to records and decisions, and appeal",
    "objections:rule": "Accept, check, rule on and close objections",
    "webhooks:read": "Read webhooks and their deliveries",
    "webhooks:write": "Make, change and try webhooks",
    "events:read": "Read events",
    "simulations:run": "Simulate",
    "rulesets:read": "Read which rules are in force",
    "models:read": "Read which models are in use",
    "log:read": "Read checkpoints of the log",
}
"""Scopes and what they allow."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of client: whether it sees everybody's decisions or its own, and facts up to which level of openness."""

    scopes: frozenset[str]
    sees_all: bool = False
    openness: int = 3


_IN_FORCE = frozenset({"rulesets:read", "models:read", "log:read"})
_READING = _IN_FORCE | {"decisions:read", "webhooks:read", "events:read"}
_OBJECTING = frozenset({"objections:read", "objections:write"})
_DECIDING = _READING | _OBJECTING | {"decisions:write", "reviews:resume", "webhooks:write", "simulations:run"}
KINDS: Mapping[str, Kind] = {
    "bank": Kind(_DECIDING | {"final:write", "contracts:write"}),
    "fintech": Kind(_DECIDING, openness=2),
    "risk": Kind(
        _READING | {"reviews:read", "reviews:write", "reviews:resume", "webhooks:write", "simulations:run"},
        sees_all=True,
    ),
    "auditor": Kind(_READING | {"reviews:read", "objections:read"}, sees_all=True),
    "steward": Kind(_IN_FORCE | _OBJECTING | {"objections:rule"}),
    "admin": Kind(_READING | {"simulations:run"}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client and the scopes of what it has shown: a key has all of its kind, a token what it says.

    A token ends at ``expires_at`` and, if bound, counts only beside the certificate of that thumbprint (``x5t#S256``).
    """

    client: Client
    scopes: frozenset[str]
    expires_at: datetime | None = None
    certificate: str | None = None


def kinds_with(scope: str) -> tuple[str, ...]:
    """The kinds of clients that may have a scope."""
    return tuple(name for name, kind in KINDS.items() if scope in kind.scopes)
