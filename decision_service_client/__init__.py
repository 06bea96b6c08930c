"""A client of the financing credit platform for banks: decisions, what follows them, and their evidence.

``Client`` has a method for each call; ``verify`` trusts nothing but a pinned key. See docs/banks.md.
"""

from decision_service_client import calls
from decision_service_client.case_records import Objection, ObjectionAct, RecordKey, RestsOn, Waiting
from decision_service_client.client import AsyncClient, Client
from decision_service_client.credentials import BearerKey, PrivateKeyJwt
from decision_service_client.errors import (
    BadRequest,
    Changed,
    ClientError,
    EnterpriseUnknown,
    Forbidden,
    IdempotencyConflict,
    InvalidFields,
    NotFound,
    NotNow,
    Problem,
    ProblemError,
    ServerFault,
    StillRunning,
    TokenRefused,
    TooManyRequests,
    Unanswered,
    Unauthorized,
    Unavailable,
    VerificationError,
)
from decision_service_client.evidence import Evidence, PublicKey, open_checkpoint, verify, verify_receipt
from decision_service_client.exchange import Retry
from decision_service_client.records import Application, Decision, Outcome, Proof

__all__ = [
    "Application",
    "AsyncClient",
    "BadRequest",
    "BearerKey",
    "Changed",
    "Client",
    "ClientError",
    "Decision",
    "EnterpriseUnknown",
    "Evidence",
    "Forbidden",
    "IdempotencyConflict",
    "InvalidFields",
    "NotFound",
    "NotNow",
    "Objection",
    "ObjectionAct",
    "Outcome",
    "PrivateKeyJwt",
    "Problem",
    "ProblemError",
    "Proof",
    "PublicKey",
    "RecordKey",
    "RestsOn",
    "Retry",
    "ServerFault",
    "StillRunning",
    "TokenRefused",
    "TooManyRequests",
    "Unanswered",
    "Unauthorized",
    "Unavailable",
    "VerificationError",
    "Waiting",
    "calls",
    "open_checkpoint",
    "verify",
    "verify_receipt",
]
