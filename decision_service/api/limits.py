"""Rate limits: what each client may send of each kind, counted over all workers; told as the IETF's RateLimit fields.

draft-ietf-httpapi-ratelimit-headers: ``RateLimit-Policy: "decide";q=1000;w=10`` and ``RateLimit: "decide";r=999;t=1``.
"""

from __future__ import annotations

import fcntl
import logging
import math
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from decision_service.api.metrics import BATCHES
from decision_service.api.problems import HttpProblem
from decision_service.errors import InputError, StoreError
from decision_service.quotas import DEFAULTS, Quota

READING = frozenset({"GET", "HEAD", "OPTIONS"})
COMPUTED = ("/explanation", "/proof")
OWN_SECONDS = 1.0
"""How long quotas of clients are remembered."""
MOST_BLOCKED = 10_000
TIMEOUTS, REMOTE_SECONDS = ("socket_timeout", "socket_connect_timeout"), 0.2
DOWN_SECONDS = 10.0
"""How long a counter elsewhere that did not answer is not asked again."""
log = logging.getLogger(__name__)
Own = Mapping[str, Mapping[str, Quota]]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a request is admitted, how many more would be, and after how many seconds something changes."""

    admitted: bool
    remaining: int
    seconds: float


class Meter(Protocol):
    """Counts requests by name."""

    def take(self, name: str, quota: Quota) -> Standing:
        """Count one request, if it is admitted."""


def kind_of(method: str, path: str) -> str:
    """Which quota a request counts against."""
    if method in READING:
        return "compute" if path.endswith(COMPUTED) else "read"
    if method == "POST" and path == "/v1/decisions":
        return "decide"
    if method == "POST" and path == BATCHES:
        return "batch"
    return "compute" if path == "/v1/simulations" else "write"


class SharedMeter:
    """The generic cell rate algorithm in a file that the workers of a machine map; in memory alone without a path.

    A cell holds the moment at which a client's past requests are used up. Names share cells by a hash of 64 bits.
    """

    CELLS, PROBES = 4_096, 16
    _CELL = struct.Struct("<Qd")

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._file = -1
        size = self.CELLS * self._CELL.size
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._file, size)
        self._cells = mmap.mmap(self._file, size)

    def take(self, name: str, quota: Quota) -> Standing:
        """See ``Meter``."""
        tag = int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) or 1
        interval, now = quota.seconds / quota.count, self._clock()
        with self._turn():
            place = self._place(tag, now)
            known, until = self._CELL.unpack_from(self._cells, place)
            used = max(until, now) if known == tag else now
            if used + interval - now > quota.seconds + 1e-9:
                return Standing(False, 0, used + interval - now - quota.seconds)
            used += interval
            self._CELL.pack_into(self._cells, place, tag, used)
        return Standing(True, int((quota.seconds - (used - now)) / interval + 1e-9), used - now)

    def _place(self, tag: int, now: float) -> int:
        """The name's own cell, else the first that holds nothing any more, else the one that is free soonest."""
        best, soonest = 0, math.inf
        for probe in range(self.PROBES):
            place = (tag + probe) % self.CELLS * self._CELL.size
            known, until = self._CELL.unpack_from(self._cells, place)
            if known == tag:
                return place
            until = 0.0 if until <= now else until
            if until < soonest:
                best, soonest = place, until
        return best

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._lock:
            if self._file < 0:
                yield
                return
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)


class RemoteMeter:
    """A counter that several machines share: Redis, or whatever else the library ``limits`` has a URL for.

    While it does not answer, this machine counts by itself.
    """

    def __init__(self, url: str, fallback: Meter) -> None:
        try:
            from limits import RateLimitItemPerSecond
            from limits.errors import ConfigurationError, StorageError
            from limits.storage import storage_from_string
            from limits.strategies import SlidingWindowCounterRateLimiter
        except ImportError as error:
            raise InputError(
                "the library limits is not installed", where="DECISION_LIMITS_URL", remedy="pip install '.[redis]'"
            ) from error
        try:
            options: dict[str, Any] = {} if url == "memory://" else dict.fromkeys(TIMEOUTS, REMOTE_SECONDS)
            storage = storage_from_string(url, wrap_exceptions=True, **options)
            self._counter: Any = SlidingWindowCounterRateLimiter(storage)
        except (ConfigurationError, ValueError, TypeError) as error:
            # Never shown: the URL may hold a password.
            raise InputError(
                f"no counter can be there ({type(error).__name__})",
                where="DECISION_LIMITS_URL",
                remedy="give a URL such as redis://host:6379/0",
            ) from error
        self._item: Any = RateLimitItemPerSecond
        self._fallback = fallback
        self._error: Any = StorageError
        self._down_until = 0.0

    def take(self, name: str, quota: Quota) -> Standing:
        """See ``Meter``."""
        if time.monotonic() < self._down_until:
            return self._fallback.take(name, quota)
        item = self._item(quota.count, quota.seconds)
        try:
            admitted = bool(self._counter.hit(item, name))
            reset, remaining = self._counter.get_window_stats(item, name)
        except self._error as error:
            log.error("the shared counter of requests does not answer (%s)", type(error.__cause__).__name__)
            self._down_until = time.monotonic() + DOWN_SECONDS
            return self._fallback.take(name, quota)
        seconds = max(reset - time.time(), 0.0)
        return Standing(admitted, max(remaining, 0), seconds if admitted else max(seconds, quota.seconds / quota.count))


class Limiter:
    """Admits the requests of clients. ``own`` gives the quotas that clients have of their own."""

    def __init__(
        self,
        quotas: Mapping[str, Quota] = DEFAULTS,
        *,
        meter: Meter | None = None,
        own: Callable[[], Own] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quotas = quotas
        self._meter = meter or SharedMeter(clock=clock)
        self._read_own = own
        self._clock = clock
        self._own: Own = {}
        self._own_until = 0.0
        self._blocked: dict[tuple[str, str], float] = {}

    def admit(self, client_id: str, kind: str) -> dict[str, str]:
        """The headers that tell the client where it stands. Raises a 429 problem."""
        quota = self._quota(client_id, kind)
        found = self._meter.take(f"{client_id}:{kind}", quota)
        headers = fields(quota, found)
        if not found.admitted:
            if len(self._blocked) >= MOST_BLOCKED:
                self._blocked.clear()
            self._blocked[client_id, kind] = self._clock() + found.seconds
            raise too_many(quota, headers, found.seconds)
        return headers

    def blocked(self, client_id: str, kind: str) -> float:
        """For how many seconds a client is known not to be admitted: those requests need not be looked at."""
        until = self._blocked.get((client_id, kind))
        return 0.0 if until is None else max(until - self._clock(), 0.0)

    def _quota(self, client_id: str, kind: str) -> Quota:
        now = self._clock()
        if now >= self._own_until:
            self._own_until = now + OWN_SECONDS
            try:
                self._own = self._read_own()
            except StoreError as error:  # the request itself will tell
                log.warning("quotas of clients cannot be read: %s", error)
        return self._own.get(client_id, {}).get(kind) or self._quotas[kind]


def fields(quota: Quota, found: Standing) -> dict[str, str]:
    """The two fields of the draft."""
    return {
        "RateLimit-Policy": f'"{quota.name}";q={quota.count};w={quota.seconds}',
        "RateLimit": f'"{quota.name}";r={found.remaining};t={math.ceil(found.seconds)}',
    }


def too_many(quota: Quota, headers: Mapping[str, str], seconds: float) -> HttpProblem:
    """The 429 problem of a quota that is used up."""
    return HttpProblem(
        "too-many-requests",
        f"more than {quota.count} requests ({quota.name}) in {quota.seconds} s",
        remedy="wait as long as Retry-After says, and send more slowly",
        headers={**headers, "Retry-After": str(math.ceil(seconds) or 1)},
    )
