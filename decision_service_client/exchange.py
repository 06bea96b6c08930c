"""One call, tried until it is answered or its time is over: the steps, which sync and async clients drive alike.

A call is fixed before its first try, key and bytes alike, so a repetition can only find out, never act twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import httpx

from decision_service_client.errors import Problem, ProblemError, Unanswered, problem_error
from decision_service_client.reading import document_of, read

T = TypeVar("T")
UNAVAILABLE = (502, 503, 504)
BEFORE_SENDING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
OURS = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.TooManyRedirects)
"""Faults of the request itself, which no repetition mends."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request and how its answer is read (``read`` raises ``ValueError`` for what is no whole answer).

    ``repeatable``: sending it again after an answer was lost does no harm.
    """

    method: str
    path: str
    read: Callable[[Answer], T]
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to go on, in seconds: in all, for one try, and the pause between tries (doubled, with full jitter)."""

    deadline: float = 60.0
    attempt: float = 10.0
    first_pause: float = 0.2
    longest_pause: float = 10.0


@dataclass(frozen=True, slots=True)
class Send:
    """A step: send the call, with at most so many seconds for it; wants an ``Answer`` or httpx's error."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A step: wait."""

    seconds: float


Steps = Generator[Send | Pause, Answer | httpx.RequestError | None, T]


def steps(call: Call[T], retry: Retry, *, clock: Callable[[], float], chance: Callable[[], float]) -> Steps[T]:
    """The steps of a call, which end with what was read. ``clock`` is monotonic seconds, ``chance`` gives 0 to 1.

    Raises ``ProblemError`` and ``Unanswered``.
    """
    ends, pause = clock() + retry.deadline, retry.first_pause
    while True:
        given = yield Send(max(0.001, min(retry.attempt, ends - clock())))
        found = _judged(call, given)
        if isinstance(found, _Read):
            return found.value
        wait = found.retry_after + pause * chance()
        if not found.may_repeat or clock() + wait >= ends:
            raise found.error
        yield Pause(wait)
        pause = min(2 * pause, retry.longest_pause)


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _Failed:
    error: ProblemError | Unanswered
    may_repeat: bool
    retry_after: float = 0.0


def _judged(call: Call[T], given: Answer | httpx.RequestError | None) -> _Read[T] | _Failed:
    if not isinstance(given, Answer):
        error = Unanswered(f"no answer to {call.method} {call.path} ({type(given).__name__}: {given})", call.key)
        error.__cause__ = given
        return _Failed(error, not isinstance(given, OURS) and (call.repeatable or isinstance(given, BEFORE_SENDING)))
    if not 200 <= given.status < 300:
        return _refused(call, given)
    try:
        return _Read(call.read(given))
    except ValueError as cause:
        error = Unanswered(f"the answer to {call.method} {call.path} is damaged ({cause})", call.key)
        error.__cause__ = cause
        return _Failed(error, call.repeatable)


def _refused(call: Call[T], given: Answer) -> _Failed:
    problem = problem_of(given)
    waits = _seconds(given.headers.get("retry-after", ""))
    if problem.status == 409:
        may_repeat = problem.type == "/problems/still-running"
    elif problem.status in UNAVAILABLE:
        # A gateway's answer may hide that the platform acted; the platform's own 503 says that it did not.
        may_repeat = call.repeatable or problem.type == "/problems/unavailable"
    else:
        may_repeat = problem.status == 429
    return _Failed(problem_error(problem, call.key), may_repeat, waits)


def problem_of(given: Answer) -> Problem:
    """The problem of an answer; of one that is no problem document, such as a gateway's, what can be told."""
    try:
        return read(Problem, {**document_of(given.content), "status": given.status})
    except ValueError:
        said = given.content[:200].decode("utf-8", "replace")
        return Problem("about:blank", "an answer without problem details", given.status, said)


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0


def json_bytes(document: object) -> bytes:
    """Compact JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
