"""What the HTTP layer asks of the platform. `platform.py` answers with the real parts, tests with a small fake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from decision_service.api.schemas import SimulationRequest
from decision_service.vocabulary import Client, CreditApplication

if TYPE_CHECKING:
    from decision_service.decide import Decided, Render
    from decision_service.identity.desk import IdentityDesk
    from decision_service.lives import LifeDesk
    from decision_service.objections import ObjectionDesk
    from decision_service.store import Batches
    from decision_service.webhooks.desk import WebhookDesk

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Stored bodies, newest first, and the cursor of the next page."""

    bodies: tuple[bytes, ...]
    next: str | None


class Service(Protocol):
    """The platform as the API sees it. ``owner`` is a client id, or ``None`` for those who may read everything."""

    def client(self, key: str) -> Client | None:
        """The client of a bearer key."""

    def field_problems(self, fields: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What the active ruleset's declarations do not admit of a body's fields: (field, message)."""

    def decide(
        self,
        application: CreditApplication,
        *,
        client: Client,
        idempotency_key: str,
        body_digest: str,
        render: Render,
        now: datetime,
    ) -> Decided:
        """Decide and store; raises what ``decide.decide`` raises."""

    def decision(self, decision_id: str, owner: str | None) -> bytes:
        """The stored body; raises ``NotFound``."""

    def decisions(self, owner: str | None, *, after: str | None, limit: int) -> Page:
        """A page of stored bodies."""

    def choices(self) -> Mapping[str, Sequence[str]]:
        """By field of an application: what the active rules admit of it, where they list it."""

    def explanation(self, decision_id: str, owner: str | None, *, lang: str, openness: int) -> Document:
        """Every rule with what it saw; facts above the openness level are left out. Raises ``NotFound``."""

    def proof(self, decision_id: str, owner: str | None) -> Document:
        """Record, inclusion proof and checkpoint; raises ``NotFound``."""

    def checkpoint(self) -> str:
        """The signed note over the whole log."""

    def identity(self) -> IdentityDesk:
        """Access tokens, and who holds them."""

    def batches(self) -> Batches:
        """Batches of applications."""

    def lives(self) -> LifeDesk:
        """What becomes of applications after their decisions."""

    def objections(self) -> ObjectionDesk:
        """Objections to records and decisions."""

    def webhooks(self) -> WebhookDesk:
        """Webhooks, and the events they send."""

    def simulate(self, request: SimulationRequest, *, client: Client, now: datetime) -> Document:
        """An assessment that is not stored; raises a 422 problem, ``NotFound``."""

    def ruleset(self, *, client: Client, now: datetime) -> Document:
        """The ruleset in force, as far as it concerns the client."""

    def models(self) -> Document:
        """The models in use."""

    def ready(self) -> tuple[str, ...]:
        """What is wrong with models. Raises ``StoreError`` when no decision could be taken."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the views need besides the request."""

    service: Service
    clock: Callable[[], datetime]
