"""Webhooks of two workers to a receiver that is down for two days: nothing is lost, whoever of the workers dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook as Verifier

from tests.api.real import FixedScorer, open_platform, write_feeds
from tests.clocked import ClockedServer
from tests.test_batch_serving import RESPAWN_SECONDS
from tests.test_serving import until

HOUR = timedelta(hours=1)
TYPES = ["decision.made", "application.assigned", "application.paused", "application.resumed", "application.final"]
DOWN = {"no answer at all": None, "busy": 503, "broken": 500, "elsewhere": 302}
LOOK_SECONDS = 1.5
"""After which the workers have looked for what is due."""


class Receiver:
    """One endpoint for each bank by its path; it answers as told, and keeps what it has accepted."""

    def __init__(self) -> None:
        self.status: int | None = 204
        self.accepted: list[tuple[str, dict[str, str], bytes]] = []
        self.attempts = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body, status = self.rfile.read(int(self.headers["Content-Length"])), receiver.status
                receiver.attempts += 1
                if status is None:
                    return
                if status == 204:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    receiver.accepted.append((self.path, headers, body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"


class Scene:
    """Two workers on a moved clock, two banks with a webhook each, and whoever assigns at the platform."""

    def __init__(self, home: Path, url: str | None) -> None:
        shows = write_feeds(home / "feeds")
        platform = open_platform(home, FixedScorer(), home / "feeds", url)
        kinds = {"/a": "bank", "/b": "bank", "risk": "risk"}
        self.keys = {name: platform.store.add_client(name, kind, datetime.now(UTC))[1] for name, kind in kinds.items()}
        platform.store.close()
        self.server = ClockedServer(home, self.keys["risk"], shows["yellow"]["application"], url)
        self.receiver = Receiver()
        self.start = self.get("/a", "/v1/events")["newest"]
        self.hooks = {bank: self.hook(bank) for bank in ("/a", "/b")}

    def post(self, who: str, path: str, body: Any) -> dict[str, Any]:
        """Sent again with its key until it is answered, whatever dies meanwhile."""
        headers = {"Authorization": f"Bearer {self.keys[who]}", "Idempotency-Key": str(uuid.uuid4())}
        found: list[tuple[int, bytes]] = []
        until(lambda: found.append(self.server.request("POST", path, json.dumps(body), **headers)[:2]) is None)
        assert found[0][0] == 201, found
        return dict(json.loads(found[0][1]))

    def get(self, who: str, path: str) -> dict[str, Any]:
        found: list[bytes] = []
        asked = {"Authorization": f"Bearer {self.keys[who]}"}
        until(lambda: found.append(self.server.request("GET", path, None, **asked)[1]) is None)
        return dict(json.loads(found[0]))

    def hook(self, bank: str) -> dict[str, Any]:
        return self.post(bank, "/v1/webhooks", {"url": self.receiver.address(bank), "types": TYPES})

    def apply(self, bank: str) -> None:
        """An application, and its way through the hands of people."""
        asked = {**self.server.application, "application_id": str(uuid.uuid4())}
        one = f"/v1/decisions/{self.post(bank, '/v1/decisions', asked)['decision_id']}"
        for act in ("assignment", "pause", "resume"):
            self.post("risk", f"{one}/{act}", {})
        self.post(bank, f"{one}/final", {"outcome": "DECLINE", "reason": "BANK_POLICY"})

    def expected(self, bank: str) -> list[str]:
        """Ids of all that this bank's webhook is for, as the log has them."""
        found, after = [], self.start
        while True:
            page = self.get(bank, f"/v1/events?limit=200&after={after}")
            found += [one["id"] for one in page["events"] if one["type"] in TYPES]
            if page["next"] == page["newest"]:
                return found
            after = page["next"]

    def all_arrived(self) -> bool:
        time.sleep(LOOK_SECONDS)
        standing = [self.get(bank, f"/v1/webhooks/{hook['webhook_id']}") for bank, hook in self.hooks.items()]
        assert {one["state"] for one in standing} == {"active"}
        behind = [set(self.expected(bank)) - set(self.arrived(bank)) for bank in self.hooks]
        return not any(one["waiting"] for one in standing) and not any(behind)

    def arrived(self, bank: str) -> list[str]:
        return [headers["webhook-id"] for path, headers, _ in list(self.receiver.accepted) if path == bank]

    def kill(self) -> None:
        """One worker, the older one, so that both are hit in turn."""
        victim = self.server.workers()[0]
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        until(lambda: len(self.server.workers()) == 2 and victim not in self.server.workers())

    def close(self) -> None:
        self.server.stop()
        self.receiver.server.shutdown()
        self.receiver.server.server_close()


@pytest.fixture(params=["sqlite", "postgresql"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    url = None if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))
    found = Scene(tmp_path, url)
    yield found
    found.close()


def check(scene: Scene) -> Counter[str]:
    """Everything arrived, nobody else's, in the order of each application; how often each event came."""
    often: Counter[str] = Counter()
    for bank in scene.hooks:
        mine = [(headers["webhook-id"], body) for path, headers, body in scene.receiver.accepted if path == bank]
        often.update(event for event, _ in mine)
        assert {event for event, _ in mine} == set(scene.expected(bank))
        assert len(set(mine)) == len({event for event, _ in mine}), "an id came with two bodies"
        order = defaultdict(list)
        for event, body in dict(mine).items():  # by first arrival
            order[json.loads(body)["data"]["application_id"]].append(int(event.removeprefix("evt_")))
        assert order and all(places == sorted(places) for places in order.values())
    assert not [path for path, _, _ in scene.receiver.accepted if path not in scene.hooks], "a redirect was followed"
    return often


def is_signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """By the very moment that is told: the clock of these workers is not ours."""
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    return Verifier(secret).sign(headers["webhook-id"], at, body.decode()) in headers["webhook-signature"].split(" ")


@pytest.mark.slow
def test_down_for_two_days_while_workers_die_each_event_arrives_in_order(scene: Scene) -> None:
    public = None
    for hour in range(48):
        scene.receiver.status = list(DOWN.values())[hour // 3 % len(DOWN)]
        for bank in scene.hooks:
            scene.apply(bank)
        if hour % 8 == 4:
            scene.kill()
        if hour == 24:
            path = f"/v1/webhooks/{scene.hooks['/a']['webhook_id']}/secret"
            public = scene.post("/a", path, {"signature": "ed25519", "keep_hours": 168})["secret"]
        scene.server.jump(HOUR)
        time.sleep(LOOK_SECONDS)
    assert scene.receiver.accepted == [] and scene.receiver.attempts > 2 * 48
    down = scene.receiver.attempts
    scene.receiver.status, killed = 204, 0
    while not scene.all_arrived():
        if killed < 4:
            scene.kill()
            killed += 1
        scene.server.jump(HOUR)
        time.sleep(RESPAWN_SECONDS)
    often = check(scene)
    both_sign(scene, str(public))
    twice = sum(count - 1 for count in often.values())
    print(f"{len(often)} events, {down} attempts in vain, {twice} came once more under their id, {killed} kills after")
    assert len(often) >= 2 * 48 * 5 and twice <= 2 * (killed + 1)


def both_sign(scene: Scene, public: str) -> None:
    """The keys before and after the rotation both sign for the bank that has rotated; for the other its own alone."""
    key = Ed25519PublicKey.from_public_bytes(b64decode(public.removeprefix("whpk_")))
    for path, headers, body in scene.receiver.accepted:
        assert is_signed(headers, body, scene.hooks[path]["secret"])
        newest, *older = headers["webhook-signature"].split(" ")
        assert len(older) == (path == "/a")
        if older:
            message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            key.verify(b64decode(newest.removeprefix("v1a,")), message)


@pytest.mark.slow
def test_two_workers_at_once_send_each_event_once(scene: Scene) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(scene.apply, [*scene.hooks] * 25))
    until(scene.all_arrived, 120)
    often = check(scene)
    print(f"{len(often)} events, most often {max(often.values())}")
    assert set(often.values()) == {1} and len(often) == 2 * 25 * 5
