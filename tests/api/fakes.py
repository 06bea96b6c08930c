"""A small platform in memory that follows the same contract as the real one, for tests of the HTTP layer alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from decision_service.api.service import Page
from decision_service.audit.signing import Signer
from decision_service.errors import IdempotencyConflict, Inadmissible, NotFound, StillRunning, StoreError
from decision_service.identity.desk import IdentityDesk, Issuer
from decision_service.vocabulary import Client, CreditApplication, Decision, ModelVersion, Outcome, Reason, Scores
from tests.api.signing import FakeClientKeys

NOW = datetime(2026, 11, 24, 2, 0, 0, 123456, UTC)
USCC = "91350100M000100Y43"
KEYS = {
    "bank-key": Client("c-bank", "Bank of the River", "bank"),
    "other-key": Client("c-other", "Bank of the Hill", "bank"),
    "fintech-key": Client("c-fintech", "Quick Credit", "fintech"),
    "risk-key": Client("c-risk", "Risk team", "risk"),
    "auditor-key": Client("c-auditor", "Auditor", "auditor"),
    "steward-key": Client("c-steward", "Data steward", "steward"),
    "admin-key": Client("c-admin", "Administrator", "admin"),
}


@dataclass(frozen=True)
class Answer:
    """What ``decide`` gives."""

    decision_id: str
    body: bytes
    outcome: Outcome | None


@dataclass
class FakeService:
    """Approves everything of the one enterprise it knows. ``fail`` is raised by every call that reads the store."""

    fail: Exception | None = None
    without_rules: bool = False
    running: set[str] = field(default_factory=set)
    stored: dict[tuple[str, str], tuple[str, Answer]] = field(default_factory=dict)
    owners: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    look_ups: int = 0
    keys: FakeClientKeys = field(default_factory=FakeClientKeys)

    def __post_init__(self) -> None:
        signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
        self.desk = IdentityDesk(self.keys, signer, Issuer())  # type: ignore[arg-type]

    def identity(self) -> IdentityDesk:
        return self.desk

    def client(self, key: str) -> Client | None:
        self.look_ups += 1
        return KEYS.get(key)

    def choices(self) -> Mapping[str, Sequence[str]]:
        return {} if self.without_rules else {"product": ("working_capital", "invoice_loan")}

    def field_problems(self, fields: Mapping[str, Any]) -> list[tuple[str, str]]:
        if self.without_rules:
            raise StoreError("no ruleset is active")
        known = {"product": ("working_capital", "invoice_loan"), "purpose": ("working_capital", "payroll")}
        return [
            (name, f"{fields[name]!r} is not a choice; use one of {', '.join(choices)}")
            for name, choices in known.items()
            if name in fields and fields[name] not in choices
        ]

    def decide(self, application, *, client, idempotency_key, body_digest, render, now) -> Answer:
        self._check()
        place = (client.client_id, idempotency_key)
        if idempotency_key in self.running:
            raise StillRunning("a request with this key is under way")
        if place in self.stored:
            digest, answer = self.stored[place]
            if digest != body_digest:
                raise IdempotencyConflict("the key was used with another body")
            return Answer(answer.decision_id, answer.body, None)
        if problems := self.field_problems({name: getattr(application, name) for name in ("product", "purpose")}):
            raise Inadmissible(tuple(problems))
        if application.uscc != USCC:
            raise NotFound(f"enterprise {application.uscc} is not on record", where="enterprise.uscc")
        decision = decision_of(application, client, f"d-{len(self.stored)}", now)
        index = len(self.stored)
        body = render(decision, {"leaf_index": index, "leaf_hash": "00" * 32, "signature": "sig"})
        self.stored[place] = (body_digest, Answer(decision.decision_id, body, decision.outcome))
        self.owners[decision.decision_id] = (client.client_id, body)
        return self.stored[place][1]

    def decision(self, decision_id: str, owner: str | None) -> bytes:
        self._check()
        found = self.owners.get(decision_id)
        if found is None or owner not in (None, found[0]):
            raise NotFound("there is no such decision", remedy="check the id; only one's own decisions can be read")
        return found[1]

    def decisions(self, owner: str | None, *, after: str | None, limit: int) -> Page:
        self._check()
        mine = [(key, body) for key, (whose, body) in reversed(self.owners.items()) if owner in (None, whose)]
        start = 0 if after is None else int(after.removeprefix("before_"))
        shown = mine[start : start + limit]
        more = start + limit < len(mine)
        return Page(tuple(body for _, body in shown), f"before_{start + limit}" if more else None)

    def explanation(self, decision_id: str, owner: str | None, *, lang: str, openness: int) -> dict[str, Any]:
        self.decision(decision_id, owner)
        facts = {"list_court_dishonest": 3, "revenue_12m": 2}
        return {"lang": lang, "facts": [name for name, level in facts.items() if level <= openness]}

    def proof(self, decision_id: str, owner: str | None) -> dict[str, Any]:
        self.decision(decision_id, owner)
        return {"leaf_index": 0}

    def checkpoint(self) -> str:
        self._check()
        return "city.example/log\n0\nroot\n"

    def simulate(self, request, *, client, now) -> dict[str, Any]:
        self._check()
        return {"simulation": True, "facts": sorted(request.facts)}

    def ruleset(self, *, client: Client, now: datetime) -> dict[str, Any]:
        self._check()
        return {"version": "v1", "digest": "sha256:00", "in_force_on": "2026-11-24", "rules": 1,
                "products": ["working_capital"], "purposes": ["payroll"]}  # fmt: skip

    def models(self) -> dict[str, Any]:
        return {"models": [{"name": "pd-xgboost", "version": "1", "digest": "sha256:00"}], "problems": []}

    def ready(self) -> tuple[str, ...]:
        self._check()
        return ()

    def _check(self) -> None:
        if self.fail is not None:
            raise self.fail


def decision_of(application: CreditApplication, client: Client, decision_id: str, now: datetime) -> Decision:
    """An approved decision with every field filled."""
    return Decision(
        decision_id=decision_id,
        application=application,
        client_id=client.client_id,
        outcome=Outcome.APPROVE,
        approved_amount=application.amount,
        limit=Decimal("3600000"),
        card="none",
        whitelisted=False,
        decided_at=now,
        due_at=now + timedelta(days=3),
        scores=Scores(
            pd_xgb=Decimal("0.011"),
            pd_lstm=Decimal("0.014"),
            pd_12m=Decimal("0.012345"),
            status="ok",
            models=(ModelVersion("pd-xgboost", "3", "sha256:1"),),
        ),
        grade="P2",
        reasons=(Reason("AUTO_OK", "AUTO-001", "自动审批通过", "Approved automatically"),),
        conditions=("GUARANTEE",),
        rate_spread_bp=25,
        ruleset_version="v1",
        ruleset_digest="sha256:00",
    )


def application(**changes: Any) -> dict[str, Any]:
    """A sound body, with some fields changed; ``...`` leaves one out."""
    body = {
        "application_id": "A-1",
        "product": "working_capital",
        "amount": "3000000.00",
        "term_months": 12,
        "purpose": "payroll",
        "authorization_id": "AUTH-1",
        "enterprise": {"uscc": USCC},
        **changes,
    }
    return {name: value for name, value in body.items() if value is not ...}


def store_down() -> StoreError:
    """What a full disk looks like from here."""
    return StoreError("disk is full at /var/secret/path", remedy="free some space")
