"""Following the log: each event is sent to whoever wants it, at least once, in the order of its application."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from decision_service import __version__
from decision_service.audit.signing import Signer
from decision_service.decide import Platform
from decision_service.errors import DecisionServiceError
from decision_service.following import Follower
from decision_service.store import Attempt, Delivery, Webhook, WebhookKey
from decision_service.store.webhooks import DELIVERED, GIVEN_UP, PENDING
from decision_service.webhooks.sending import Reply, Sender
from decision_service.webhooks.signing import Secret, signed

RETRIES = tuple(timedelta(seconds=one) for one in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""Waits after the attempts that failed, of which there is one more: three days and some hours in all."""
JITTER = 0.1
LONGEST_WAIT = timedelta(days=1)
MOST_GIVEN_UP = 3
"""After so many events in a row that were given up a webhook rests."""
GONE = 410
ENDPOINTS = 16
"""Endpoints to which one process sends at the same time."""
AT_ONCE = 50
"""Deliveries of one endpoint that are looked up together."""
LONGEST_PAUSE = timedelta(seconds=60)
"""An endpoint that failed is left alone for a while, whatever else waits for it; longer each time up to this."""
HEADERS = {"Content-Type": "application/json", "User-Agent": f"decision-service/{__version__}"}

log = logging.getLogger(__name__)


def secret_of(signer: Signer, webhook: Webhook, key: WebhookKey) -> Secret:
    """The bytes of a key, which are stored nowhere."""
    return Secret(key.kind, signer.derived(f"webhook {webhook.webhook_id} {key.place}"))


def jittered(wait: timedelta) -> timedelta:
    """About the same, so that what failed together does not come back together."""
    return wait * random.uniform(1 - JITTER, 1 + JITTER)


@dataclass(frozen=True, slots=True)
class _Pause:
    until: datetime
    failures: int


class WebhookFollower(Follower):
    """Delivers in threads of its own, one process at a time; each endpoint at its own pace."""

    name = "webhooks"
    _pool: ThreadPoolExecutor

    def __init__(
        self,
        platform: Platform,
        clock: Callable[[], datetime],
        sender: Sender,
        *,
        spread: Callable[[timedelta], timedelta] = jittered,
    ) -> None:
        super().__init__(platform, clock)
        self._sender = sender
        self._spread = spread
        self._pauses: dict[int, _Pause] = {}
        self._running: dict[int, Future[None]] = {}

    def _is_needed(self) -> bool:
        return bool(self._platform.store.webhooks().active())

    def _turn(self) -> AbstractContextManager[bool]:
        return self._platform.store.webhooks().turn(self._clock())

    def _work(self, ends: float) -> None:
        """What is being sent at the end of the turn is waited for, so that no two processes send it."""
        self._platform.store.webhooks().forget(self._clock())
        with ThreadPoolExecutor(ENDPOINTS, "webhooks") as self._pool:
            super()._work(ends)

    def _step(self, ends: float) -> bool:
        return time.monotonic() < ends and self._begin(ends)

    def advance(self, ends: float) -> None:
        """Send what is due now, and wait for it."""
        with ThreadPoolExecutor(ENDPOINTS, "webhooks") as self._pool:
            self._begin(ends)

    def _begin(self, ends: float) -> bool:
        """Begin to send to each endpoint to which nothing is being sent; whether there is any endpoint."""
        store = self._platform.store.webhooks()
        found = store.active()
        for webhook, client_id in found:
            running, pause = self._running.get(webhook.number), self._pauses.get(webhook.number)
            if running is not None and not running.done():
                continue
            store.read_ahead(webhook, client_id, self._clock())
            if pause is None or pause.until <= self._clock():
                self._running[webhook.number] = self._pool.submit(self._send_due, webhook, ends)
        return bool(found)

    def _send_due(self, webhook: Webhook, ends: float) -> None:
        """Send until nothing is due, the endpoint fails or the time is over."""
        store = self._platform.store.webhooks()
        try:
            while due := store.due(webhook, self._clock(), AT_ONCE):
                for delivery in due:
                    if time.monotonic() > ends or self._end.is_set() or not self._deliver(webhook, delivery):
                        return
        except DecisionServiceError as error:
            self._alarm(str(error))
        except Exception as error:  # what breaks for one endpoint must not end the others
            log.error("a webhook failed", exc_info=error, extra={"webhook_id": webhook.webhook_id})

    def _deliver(self, webhook: Webhook, delivery: Delivery) -> bool:
        """One attempt; whether the endpoint accepted it."""
        store, now = self._platform.store.webhooks(), self._clock()
        secrets = [secret_of(self._platform.signer, webhook, key) for key in store.keys(webhook, now)]
        if not secrets:
            return False  # the webhook was deleted meanwhile
        headers = {**HEADERS, **signed(secrets, delivery.event_id, delivery.body, now)}
        reply = self._sender.post(webhook.url, headers, delivery.body)
        now = self._clock()
        store.note(delivery, self._attempt(delivery, reply, now), now, most_given_up=MOST_GIVEN_UP)
        self._pace(webhook, reply, now)
        return reply.is_accepted

    def _attempt(self, delivery: Delivery, reply: Reply, now: datetime) -> Attempt:
        if reply.is_accepted:
            return Attempt(DELIVERED, now, reply.status, None)
        if reply.status == GONE:
            return Attempt(PENDING, now, reply.status, None, rests="its endpoint answered 410 Gone")
        if delivery.attempts >= len(RETRIES):
            return Attempt(GIVEN_UP, now, reply.status, reply.error or None)
        wait = max(self._spread(RETRIES[delivery.attempts]), timedelta(seconds=reply.retry_after))
        return Attempt(PENDING, now + min(wait, LONGEST_WAIT * (1 + JITTER)), reply.status, reply.error or None)

    def _pace(self, webhook: Webhook, reply: Reply, now: datetime) -> None:
        if reply.is_accepted:
            self._pauses.pop(webhook.number, None)
            return
        before = self._pauses.get(webhook.number)
        failures = 1 if before is None else before.failures + 1
        pause = min(timedelta(seconds=2 ** min(failures - 1, 10)), LONGEST_PAUSE)
        self._pauses[webhook.number] = _Pause(now + pause, failures)
