"""A client of the real application in process, with a wire that can be made to fail."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from flask import Flask
from werkzeug.serving import make_server

from decision_service.api.application import http_application
from decision_service.api.batch_work import BatchFollower
from decision_service.api.platform import PlatformService
from decision_service.api.service import Runtime
from decision_service.identity.desk import Issuer
from decision_service.webhooks.reach import Reach
from decision_service_client import Application, BearerKey, Client, Retry
from tests.api.real import FixedScorer, open_platform, write_feeds

URL = "http://127.0.0.1"
QUICK = Retry(deadline=5.0, first_pause=0.001, longest_pause=0.002)
Fault = Callable[[httpx.Request, Callable[[], httpx.Response]], httpx.Response]
"""What the wire does with a request; the second argument lets it through."""


@dataclass
class Wire(httpx.BaseTransport):
    """Applies one fault after the other, then lets all requests through; keeps what was sent."""

    app: Any
    faults: Iterator[Fault] = field(default_factory=lambda: iter(()))
    sent: list[httpx.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._through = httpx.WSGITransport(self.app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.sent.append(request)

        def passed() -> httpx.Response:
            response = self._through.handle_request(request)
            response.read()
            return response

        return next(self.faults, _whole)(request, passed)

    def bodies(self) -> set[tuple[bytes, str | None]]:
        """What was sent, with its key."""
        return {(one.content, one.headers.get("Idempotency-Key")) for one in self.sent}


def _whole(request: httpx.Request, passed: Callable[[], httpx.Response]) -> httpx.Response:
    return passed()


class Served:
    """A platform with one bank, and clients of it."""

    def __init__(self, home: Path) -> None:
        self.shows = write_feeds(home / "feeds")
        self.scorer = FixedScorer()
        self.platform = open_platform(home, self.scorer, home / "feeds")
        self.ahead = timedelta()
        self.app = http_application(Runtime(PlatformService(self.platform), lambda: _now() + self.ahead), version="1")
        self.keys: dict[str, str] = {}
        self.bank, self.key = self.platform.store.add_client("bank", "bank", _now())
        self.public_key = self.platform.signer.public.text()

    def client(self, *faults: Fault, retry: Retry = QUICK, key: str | None = None) -> tuple[Client, Wire]:
        """A client, of the bank or of who has this key, whose first requests meet these faults."""
        wire = Wire(self.app, iter(faults))
        return Client(URL, BearerKey(key or self.key), retry=retry, http=httpx.Client(transport=wire)), wire

    def key_of(self, name: str, kind: str) -> str:
        """The key of another client of the platform, made when it is first asked for."""
        if name not in self.keys:
            _, self.keys[name] = self.platform.store.add_client(name, kind, _now())
        return self.keys[name]

    def application(self, show: str = "approve", **changes: Any) -> Application:
        """A showcase application."""
        body = dict(self.shows[show]["application"])
        uscc = body.pop("enterprise")["uscc"]
        return Application(**{**body, "amount": Decimal(body["amount"]), "uscc": uscc, **changes})

    def small(self, number: str, **changes: Any) -> Application:
        """One that may be approved many times over."""
        return self.application(application_id=number, amount=Decimal("1000.00"), **changes)

    def work_off(self, batch_id: str) -> None:
        """Decide a batch to its end."""
        follower = BatchFollower(self.platform, _now)
        for _ in range(5):
            found = self.platform.store.batches().find(batch_id, None)
            assert found is not None
            if found.state == "finished":
                return
            follower.advance(float("inf"))
        raise AssertionError("the batch does not end")

    def decided(self) -> int:
        """How many decisions are stored."""
        return sum(1 for _ in self.platform.store.each_decision())


BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str, kind: str) -> list[str]:
    """The blocks of a kind on a page."""
    return [text for found, text in BLOCK.findall(page) if found == kind]


@contextmanager
def listening(served: Served) -> Iterator[str]:
    """The platform on a port of this machine, with its batches worked off; the address."""
    apps: list[Flask] = []
    server = make_server("127.0.0.1", 0, lambda given, start: apps[0](given, start), threaded=True)
    url = f"http://127.0.0.1:{server.server_port}"
    service = PlatformService(served.platform, Reach(), Issuer(url))
    apps.append(http_application(Runtime(service, _now), version="1"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    follower = BatchFollower(served.platform, _now)
    follower.start()
    try:
        yield url
    finally:
        follower.stop()
        server.shutdown()
        thread.join()


def _now() -> datetime:
    return datetime.now(UTC)
