"""Everything this client raises: one tree. What the platform refuses is a ``ProblemError`` of its own kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that was not acceptable."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """An act that the state admits, and where it is posted to."""

    act: str
    address: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem details (RFC 9457). ``type`` is stable; tell the platform ``request_id`` when something is unclear.

    ``errors`` blame fields; ``admits`` says what may be done instead where the state does not admit an act.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()
    admits: tuple[Admitted, ...] = ()


class ClientError(Exception):
    """The root of the tree."""


class Unanswered(ClientError):
    """No whole answer within the deadline: whether the platform acted is not known.

    The same call with the same ``key`` finds out and never acts twice; keep the key.
    """

    def __init__(self, what: str, key: str | None = None) -> None:
        super().__init__(what if key is None else f"{what}; go on with the idempotency key {key}")
        self.key = key


class VerificationError(ClientError):
    """Evidence that does not hold: the decision must not be relied on. The text says which step failed."""


class TokenRefused(ClientError):
    """The platform gives no access token for this client, key or scope."""


class ProblemError(ClientError):
    """The platform answered with a problem. ``key`` is the idempotency key of the call, if it had one."""

    def __init__(self, problem: Problem, key: str | None = None) -> None:
        blamed = "".join(f"; {one.field}: {one.message}" for one in problem.errors)
        super().__init__(f"{problem.status} {problem.type}: {problem.detail or problem.title}{blamed}")
        self.problem = problem
        self.key = key


class BadRequest(ProblemError):
    """400, 413, 415: the request cannot be read."""


class Unauthorized(ProblemError):
    """401: the key or token is not known, was revoked or has expired."""


class Forbidden(ProblemError):
    """403: this client may not do that."""


class NotFound(ProblemError):
    """404: no such thing, or another client's."""


class EnterpriseUnknown(NotFound):
    """404: the enterprise is not in the platform's records."""


class StillRunning(ProblemError):
    """409: the same request is under way, and was so to the end of the deadline."""


class NotNow(ProblemError):
    """409: the state of the application does not admit that; its history tells which state."""


class Changed(ProblemError):
    """412: somebody else changed it meanwhile; read it again."""


class InvalidFields(ProblemError):
    """422: ``problem.errors`` names each field."""


class IdempotencyConflict(ProblemError):
    """422: the key belongs to a request with another body; the old key keeps its answer."""


class TooManyRequests(ProblemError):
    """429: over the quota to the end of the deadline."""


class Unavailable(ProblemError):
    """502, 503, 504: no answer could be given to the end of the deadline."""


class ServerFault(ProblemError):
    """500: a fault of the platform; whether it acted is told by sending the same request again."""


_BY_TYPE = {
    "/problems/enterprise-unknown": EnterpriseUnknown,
    "/problems/still-running": StillRunning,
    "/problems/not-now": NotNow,
    "/problems/idempotency-conflict": IdempotencyConflict,
}
_BY_STATUS = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    412: Changed,
    413: BadRequest,
    415: BadRequest,
    422: InvalidFields,
    429: TooManyRequests,
    500: ServerFault,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem_error(problem: Problem, key: str | None = None) -> ProblemError:
    """The exception for a problem: by its type, else by its status."""
    kind = _BY_TYPE.get(problem.type) or _BY_STATUS.get(problem.status, ProblemError)
    return kind(problem, key)
