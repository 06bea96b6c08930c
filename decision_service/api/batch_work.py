"""Working batches off: line by line, each as a decision of its own, beside the requests and never in their way."""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from decision_service.api import bodies, problems
from decision_service.api.decisions import digest_of
from decision_service.api.failures import Failure, failure
from decision_service.api.platform import PlatformService
from decision_service.api.problems import TYPES, bad_json
from decision_service.api.render import decision_bytes
from decision_service.api.schemas import ApplicationSchema
from decision_service.decide import Decided, Platform, decide
from decision_service.errors import DecisionServiceError, StillRunning, StoreError
from decision_service.following import Follower
from decision_service.store import Batch, LineResult
from decision_service.vocabulary import Client

SLICE = 20
"""Lines of one batch before those of the next have their turn."""
SLICE_SECONDS = 1.0
SHARE = 0.1
"""Of a worker's time at most this much goes to batches while it answers requests; all of it when it has none."""
ATTEMPTS = 5
"""How often a line is tried that the platform, not the store, fails to decide."""
LONGEST_LINE = 16 * 1024
KEPT = 8
"""Batches whose lines are held in memory."""
CREATED = 201
Counted = Callable[[str], None]
"""Is told of each line that is done: its outcome, or ``refused``."""

log = logging.getLogger(__name__)
_APPLICATION = ApplicationSchema()


def key_of(batch: Batch, line: int) -> str:
    """The idempotency key of a line: with blanks, so that it can be none that a client sends."""
    return f"batch {batch.batch_id} {line}"


class LineDesk:
    """Decides lines: one that was decided before, by whoever, has the same decision again."""

    def __init__(self, platform: Platform, clock: Callable[[], datetime]) -> None:
        self._platform = platform
        self._clock = clock
        self._declared = PlatformService(platform).field_problems
        self._attempts: dict[tuple[int, int], int] = defaultdict(int)

    def result(self, batch: Batch, line: int, text: bytes, client: Client) -> LineResult | None:
        """What becomes of a line; ``None`` while the platform cannot tell. Raises ``StoreError``."""
        document: Any = None
        try:
            document = _read(text)
            decided = self._decided(batch, line, document, client)
        except (StoreError, StillRunning):
            raise
        except DecisionServiceError as error:
            found = failure(error)
            if found.type.status >= 500 and self._may_try_again(batch, line, error):
                return None
            return _refused(batch, line, document, found)
        except Exception as error:  # a line that breaks the program stops no other line
            log.error("a line failed", exc_info=error, extra={"batch_id": batch.batch_id, "line": line})
            return _refused(batch, line, document, Failure(TYPES["internal-error"], "the failure was recorded"))
        outcome = decided.outcome.name if decided.outcome else json.loads(decided.body)["outcome"]
        return LineResult(line, CREATED, _name(document), decided.decision_id, outcome)

    def _decided(self, batch: Batch, line: int, document: Any, client: Client) -> Decided:
        application = bodies.loaded(_APPLICATION, document, self._declared)
        return decide(
            application,
            client=client,
            idempotency_key=key_of(batch, line),
            body_digest=digest_of(application),
            platform=self._platform,
            render=decision_bytes,
            now=self._clock(),
        )

    def _may_try_again(self, batch: Batch, line: int, error: DecisionServiceError) -> bool:
        self._attempts[batch.number, line] += 1
        if self._attempts[batch.number, line] < ATTEMPTS:
            return True
        log.error("a line cannot be decided: %s", error, extra={"batch_id": batch.batch_id, "line": line})
        return False


def _read(text: bytes) -> dict[str, Any]:
    if len(text) > LONGEST_LINE:
        raise bad_json(f"the line has {len(text):,} bytes", f"send at most {LONGEST_LINE:,} in a line")
    return bodies.read(text)


def _refused(batch: Batch, line: int, document: Any, found: Failure) -> LineResult:
    body = problems.body(found.type, found.detail, request_id=batch.request_id, lang="en", errors=found.errors)
    return LineResult(line, found.type.status, _name(document), problem=body.decode())


def _name(document: Any) -> str | None:
    """The application's own number, if the line has one that can be told."""
    name = document.get("application_id") if isinstance(document, dict) else None
    return name if isinstance(name, str) and len(name) <= 64 else None


class BatchFollower(Follower):
    """Works the batches of a store off in a thread of its own: one process at a time, clients in turns.

    ``is_busy`` tells whether the process answers requests now: then batches take a small share of its time.
    """

    name = "batches"
    share = SHARE

    def __init__(
        self,
        platform: Platform,
        clock: Callable[[], datetime],
        *,
        is_busy: Callable[[], bool] = lambda: False,
        counted: Counted = lambda what: None,
    ) -> None:
        super().__init__(platform, clock)
        self._is_busy = is_busy
        self._counted = counted
        self._lines = LineDesk(platform, clock)
        self._texts: dict[int, tuple[bytes, ...]] = {}
        self._served: dict[str, int] = {}

    def _is_needed(self) -> bool:
        return bool(self._platform.store.batches().unfinished())

    def _turn(self) -> AbstractContextManager[bool]:
        return self._platform.store.batches().turn(self._clock())

    def _step(self, ends: float) -> bool:
        return self.advance(ends)

    def advance(self, ends: float) -> bool:
        """Decide slices of batches until a moment (of the monotonic clock); whether anything is left that waits."""
        while time.monotonic() < ends and not self._end.is_set():
            found = self._next_of_each_client()
            if not found:
                return False
            advanced = [self._slice(batch) for batch in found]
            if not any(advanced):
                return True
        return False

    def _next_of_each_client(self) -> list[Batch]:
        """One batch of each client: the next after the one that was served last, the oldest after the newest."""
        by_client: dict[str, deque[Batch]] = defaultdict(deque)
        for batch in self._platform.store.batches().unfinished():
            by_client[batch.client_id].append(batch)
        found = []
        for client_id, batches in by_client.items():
            last = self._served.get(client_id, -1)
            chosen = next((one for one in batches if one.number > last), batches[0])
            self._served[client_id] = chosen.number
            found.append(chosen)
        return found

    def _slice(self, batch: Batch) -> bool:
        """Decide some lines and note what became of them; whether anything was done."""
        try:
            return self._worked(batch)
        except (StoreError, StillRunning) as error:
            self._alarm(str(error))
            return False

    def _worked(self, batch: Batch) -> bool:
        known, ends = self._platform.store.batches(), time.monotonic() + SLICE_SECONDS
        texts, wanted = self._text(batch), True
        results: list[LineResult] = []
        try:
            for line in range(batch.done + 1, min(batch.done + SLICE, batch.lines) + 1):
                client = known.for_whom(batch)
                wanted = client is not None
                late = bool(results) and time.monotonic() > ends
                if client is None or self._end.is_set() or late:
                    break
                if line == 1:
                    known.begin(batch, self._clock())
                found = self._rested_line(batch, line, texts[line - 1], client)
                if found is None:
                    break
                results.append(found)
        finally:
            if results and known.note(batch, results, self._clock()) is not None:
                for one in results:
                    self._counted(one.outcome or "refused")
        if not wanted:
            known.end(batch, self._clock())
        return bool(results) or not wanted

    def _rested_line(self, batch: Batch, line: int, text: bytes, client: Client) -> LineResult | None:
        began = time.perf_counter()
        found = self._lines.result(batch, line, text, client)
        if self._is_busy():
            self._rest(time.perf_counter() - began)
        return found

    def _text(self, batch: Batch) -> tuple[bytes, ...]:
        found = self._texts.get(batch.number)
        if found is None:
            while len(self._texts) >= KEPT:
                self._texts.pop(next(iter(self._texts)))
            found = self._texts[batch.number] = self._platform.store.batches().content(batch)
        return found
