"""The store: clients, records, decisions, the log and rulesets in SQLite or PostgreSQL; the only place with SQL."""

from decision_service.store.acts import Act, Written
from decision_service.store.batches import Answered, Batch, Batches, LineResult, NewBatch
from decision_service.store.challengers import Challenged, ChallengerResult, Challengers
from decision_service.store.client_keys import ClientKey, ClientKeys, KeyHolder
from decision_service.store.clients import ClientEntry
from decision_service.store.decisions import Committed, DecisionCommit, StoredDecision
from decision_service.store.drift import DayCount, DayMeasure, Drifts, Revised, Watched
from decision_service.store.events import Event, Stretch
from decision_service.store.exposure import ExposureChanged, ExposureState
from decision_service.store.idempotency import Asked, KeptAnswer, Stored
from decision_service.store.lives import Borrower, Lives, Standing, Waiting
from decision_service.store.migrate import upgrade
from decision_service.store.objections import Objections, ObjectionStanding, StoredObjection, Subject
from decision_service.store.records import ToldRepair
from decision_service.store.releases import InForce, ReleaseEvent, scopes
from decision_service.store.rulesets import RulesetEntry
from decision_service.store.shadows import Shadowed, ShadowResult, ShadowRun, Shadows
from decision_service.store.store import Situation, Store
from decision_service.store.webhooks import Attempt, Delivery, NewWebhook, Webhook, WebhookKey, Webhooks

__all__ = [
    "Act",
    "Answered",
    "Asked",
    "Attempt",
    "Batch",
    "Batches",
    "Borrower",
    "Challenged",
    "ChallengerResult",
    "Challengers",
    "ClientEntry",
    "ClientKey",
    "ClientKeys",
    "Committed",
    "DayCount",
    "DayMeasure",
    "DecisionCommit",
    "Delivery",
    "Drifts",
    "Event",
    "ExposureChanged",
    "ExposureState",
    "InForce",
    "KeptAnswer",
    "KeyHolder",
    "LineResult",
    "Lives",
    "NewBatch",
    "NewWebhook",
    "ObjectionStanding",
    "Objections",
    "ReleaseEvent",
    "Revised",
    "RulesetEntry",
    "ShadowResult",
    "ShadowRun",
    "Shadowed",
    "Shadows",
    "Situation",
    "Standing",
    "Store",
    "Stored",
    "StoredDecision",
    "StoredObjection",
    "Stretch",
    "Subject",
    "ToldRepair",
    "Waiting",
    "Watched",
    "Webhook",
    "WebhookKey",
    "Webhooks",
    "Written",
    "scopes",
    "upgrade",
]
