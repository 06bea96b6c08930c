"""Whose request is next: clients in turns, each with few waiting, and who is over its quota is not looked at."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from decision_service.api import problems
from decision_service.api.limits import Limiter, kind_of
from decision_service.api.metrics import Metrics
from decision_service.api.problems import TYPES
from decision_service.store.together import Outcome, together

STRANGER = ""
"""Whoever has not been seen to be a client of this process shares one place in the queue."""
MOST_KNOWN = 4_096
MOST_TOGETHER = 8
"""Requests that are answered together: more would hold the log, and with it the other workers, for long."""
HELD_SECONDS = 0.5
"""After which a 429 is told, less than any ``Retry-After``: who does not wait is slowed by its own connections."""
MOST_HELD = 256
"""Refusals of one process that wait; more are told at once."""
ALONE_SECONDS = 1.0
"""A client may fill a company when no other has asked for so long; else one of each client's requests is in it."""
MOST_WAITING = 256
"""Whole requests of one client that wait in one process; far more than one client's connections need."""
Refusal = tuple[list[tuple[str, str]], bytes]
"""Headers and body of a 429."""


class Turnstile:
    """A process answers one request at a time, or several decisions together."""

    def __init__(
        self,
        limiter: Limiter | None,
        metrics: Metrics,
        *,
        most: int = MOST_WAITING,
        held_seconds: float = HELD_SECONDS,
        told: Callable[..., None] | None = None,
    ) -> None:
        self._limiter = limiter
        self._metrics = metrics
        self._most = most
        self._held_seconds = held_seconds
        self._held = 0
        self._told = told
        self._known: dict[str, str] = {}
        self._arrived: dict[str, float] = {}
        self._waiting: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._passing = False

    def learn(self, authorization: str, client_id: str) -> None:
        """Whose requests carry a header; the view that authenticates tells."""
        if self._known.get(authorization) != client_id:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[authorization] = client_id

    def whose(self, authorization: str) -> str:
        """The client that sent a header lately; nothing rests on it but the order of requests and 429s."""
        return self._known.get(authorization, STRANGER)

    def refusal(self, client_id: str, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """A 429 for a client that is over its quota or has too many requests waiting, in its language."""
        kind = kind_of(method, path)
        if self._limiter is not None and (seconds := self._limiter.blocked(client_id, kind)):
            return self._refused(client_id, kind, "quota", seconds, headers)
        if len(self._waiting.get(client_id, ())) >= self._most:
            return self._refused(client_id, kind, "crowd", 1.0, headers)
        return None

    def _refused(self, client_id: str, kind: str, why: str, seconds: float, headers: Mapping[str, str]) -> Refusal:
        request_id = uuid.uuid4().hex
        self._metrics.turned_away(kind, why)
        if self._told is not None:
            self._told(request_id=request_id, client_id=client_id or None, kind=kind, status=429, why=why)
        crowd = f"more than {self._most} requests wait at once"
        told = crowd if why == "crowd" else f"the quota ({kind}) is used up"
        return refused(seconds, told, request_id, problems.language(headers.get("accept-language", "")))

    async def hold(self) -> None:
        """Let who is refused wait a little, unless too many do."""
        if self._held < MOST_HELD:
            self._held += 1
            try:
                await asyncio.sleep(self._held_seconds)
            finally:
                self._held -= 1

    async def turn(self, client_id: str, work: Callable[[], Any], *, sociable: bool = False) -> Any:
        """What ``work`` gives, done when it is this request's turn: one of each client's after another, in order.

        ``sociable`` works whose turns follow each other are done together.
        """
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._arrived[client_id] = loop.time()
        self._waiting.setdefault(client_id, deque()).append(_Waiting(mine, work, sociable))
        if not self._passing:
            self._passing = True
            loop.call_soon(self._next)
        return await mine

    def _next(self) -> None:
        company = self._company()
        try:
            outcomes = together([one.work for one in company])
            for one, outcome in zip(company, outcomes, strict=True):
                one.answer(outcome)
        finally:
            for one in company:
                if not one.future.done():
                    one.future.cancel()
            self._passing = bool(self._waiting)
            if self._passing:  # after those that have just arrived were put in their queues
                asyncio.get_running_loop().call_soon(self._next)

    def _company(self) -> list["_Waiting"]:
        """Whose turn it is, and who may be with it."""
        company: list[_Waiting] = []
        ends = self._ends()
        while self._waiting and len(company) < ends:
            client_id, queue = next(iter(self._waiting.items()))
            if company and not queue[0].sociable:
                break
            first = queue.popleft()
            self._waiting.move_to_end(client_id)
            if not queue:
                del self._waiting[client_id]
            if not first.future.done():
                company.append(first)
                if not first.sociable:
                    break
        return company

    def _ends(self) -> int:
        """How large a company may be: with one request of each that waits, unless one client is by itself."""
        since = asyncio.get_running_loop().time() - ALONE_SECONDS
        for client_id in [one for one, at in self._arrived.items() if at < since and one not in self._waiting]:
            del self._arrived[client_id]
        return MOST_TOGETHER if len(self._arrived) < 2 else min(MOST_TOGETHER, len(self._waiting))


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request in its client's queue."""

    future: asyncio.Future[Any]
    work: Callable[[], Any]
    sociable: bool

    def answer(self, outcome: Outcome) -> None:
        """Hand over how it ended; who hung up gets the answer by its key."""
        if self.future.done():
            return
        if outcome.error is None:
            self.future.set_result(outcome.value)
        elif isinstance(outcome.error, StopIteration):  # which no future takes
            self.future.set_exception(RuntimeError("a request ended by StopIteration"))
        else:
            self.future.set_exception(outcome.error)


def refused(seconds: float, why: str, request_id: str, lang: str) -> Refusal:
    """A 429 made without the application."""
    problem = TYPES["too-many-requests"]
    detail = f"{why}; wait as long as Retry-After says"
    body = problems.body(problem, detail, request_id=request_id, lang=lang, errors=())
    headers = [
        ("Content-Type", problems.CONTENT_TYPE),
        ("Content-Length", str(len(body))),
        ("Content-Language", lang),
        ("Retry-After", str(math.ceil(seconds) or 1)),
        ("X-Request-Id", request_id),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    ]
    return headers, body
