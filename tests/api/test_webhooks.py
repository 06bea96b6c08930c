"""Webhooks over the real platform and a real receiver, with a clock that tests move."""

from __future__ import annotations

import json
import threading
import time
import uuid
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook as Verifier

from decision_service.api.application import http_application
from decision_service.api.event_schemas import DATA, EventListSchema
from decision_service.api.platform import PlatformService
from decision_service.api.service import Runtime
from decision_service.api.webhook_schemas import DeliveryListSchema, WebhookMadeSchema, WebhookStandingSchema
from decision_service.store.webhooks import Webhooks
from decision_service.webhooks.follow import RETRIES, WebhookFollower
from decision_service.webhooks.reach import Reach
from decision_service.webhooks.sending import Sender
from tests.api.test_real_platform import City, _now

URL = "/v1/webhooks"
ALL = ["decision.made", "ruleset.switched"]


class Receiver:
    """An endpoint that answers as told."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.attempts: list[tuple[dict[str, str], bytes]] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                one = ({name.lower(): value for name, value in self.headers.items()}, body)
                receiver.attempts.append(one)
                if 200 <= receiver.status < 300:
                    receiver.got.append(one)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]


class Scene:
    """A city whose clock is moved by hand, a receiver, and a follower over them."""

    def __init__(self, city: City) -> None:
        self.city, self.time = city, _now()
        reach = Reach(local=True)
        city.app = http_application(Runtime(PlatformService(city.platform, reach), lambda: self.time), version="1")
        self.receiver, self.sender = Receiver(), Sender(reach)
        self.follower = self.new_follower()

    def now(self) -> datetime:
        return self.time

    def new_follower(self) -> WebhookFollower:
        return WebhookFollower(self.city.platform, self.now, self.sender, spread=lambda wait: wait)

    def send(self, method: str, path: str, body: Any = None, *, kind: str = "bank", **headers: str) -> Any:
        given = {**self.city.bearer(kind), "Idempotency-Key": str(uuid.uuid4())}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.city.http().open(path, method=method, json=body, headers=given)

    def hook(self, kind: str = "bank", url: str | None = None, **changes: Any) -> dict[str, Any]:
        answer = self.send("POST", URL, {"url": url or self.receiver.url, "types": ALL, **changes}, kind=kind)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.get_json()
        assert WebhookMadeSchema().validate(found) == {}
        return found

    def standing(self, hook: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.city.get(f"{URL}/{hook['webhook_id']}").get_json()
        assert WebhookStandingSchema().validate(found) == {}
        return found

    def deliveries(self, hook: dict[str, Any]) -> list[dict[str, Any]]:
        found = self.city.get(f"{URL}/{hook['webhook_id']}/deliveries").get_json()
        assert DeliveryListSchema().validate(found) == {}
        return list(found["deliveries"])

    def run(self) -> None:
        self.follower.advance(time.monotonic() + 30)

    def decide(self, name: str, kind: str = "bank") -> str:
        answer = self.city.post("yellow", kind=kind, application_id=name)
        return f"evt_{answer.get_json()['receipt']['leaf_index']}"

    def pass_(self, total: timedelta, step: timedelta = timedelta(minutes=10)) -> None:
        ends = self.time + total
        while self.time < ends:
            self.time = min(self.time + step, ends)
            self.run()


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    found = City(tmp_path_factory.mktemp("webhooks"))
    yield found
    found.platform.store.close()


@pytest.fixture
def scene(city: City) -> Iterator[Scene]:
    found = Scene(city)
    yield found
    found.receiver.server.shutdown()
    kept = city.platform.store.webhooks()
    for hook in kept.list(None):
        kept.remove(kept.find(hook.webhook_id, None))


def test_own_events_arrive_verifiable_and_say_no_more_than_ids_and_states(scene: Scene) -> None:
    scene.decide("BEFORE-1")
    hook = scene.hook()
    mine, theirs = scene.decide("WH-1"), scene.decide("WH-2", "fintech")
    scene.run()
    assert scene.receiver.ids() == [mine] and theirs != mine
    headers, body = scene.receiver.got[0]
    content = Verifier(hook["secret"]).verify(body, headers)
    assert content["id"] == mine and content["type"] == "decision.made"
    assert set(content["data"]) == {"decision_id", "application_id", "outcome"}
    assert content["data"]["application_id"] == "WH-1" and scene.city.shows["yellow"]["uscc"].encode() not in body
    (delivery,) = scene.deliveries(hook)
    assert (delivery["event_id"], delivery["state"], delivery["status"]) == (mine, "delivered", 200)


def test_down_for_two_days_each_event_arrives_once_and_in_order(scene: Scene) -> None:
    hook = scene.hook()
    scene.receiver.status = 503
    sent = [(name, scene.decide(name)) for name in ("A", "B", "A", "B", "A")]
    scene.pass_(timedelta(days=2), timedelta(hours=1))
    assert scene.receiver.got == [] and scene.standing(hook)["state"] == "active"
    tried = {headers["webhook-id"] for headers, _ in scene.receiver.attempts}
    assert tried == {sent[0][1], sent[1][1]}  # those behind wait for the first of their application
    scene.follower = scene.new_follower()  # and a restart forgets nothing
    scene.receiver.status = 204
    scene.pass_(timedelta(days=1), timedelta(hours=1))
    got = scene.receiver.ids()
    assert sorted(got) == sorted(event for _, event in sent) and len(set(got)) == 5
    for application in ("A", "B"):
        own = [event for name, event in sent if name == application]
        assert [event for event in got if event in own] == own


def test_the_schedule_is_that_of_the_specification_and_then_the_webhook_rests(scene: Scene) -> None:
    hook = scene.hook()
    scene.receiver.status = 500
    for name in ("G1", "G2", "G3"):
        scene.decide(name)
    scene.pass_(sum(RETRIES, timedelta()) + timedelta(hours=9), timedelta(minutes=30))
    assert len(scene.receiver.attempts) == 3 * (len(RETRIES) + 1)
    found = scene.standing(hook)
    assert found["state"] == "disabled" and "given up" in found["notice"]
    assert {one["state"] for one in scene.deliveries(hook)} == {"given_up"}
    late, scene.receiver.status = scene.decide("G4"), 200
    scene.pass_(timedelta(hours=1))
    assert scene.receiver.got == []
    tag = scene.city.get(f"{URL}/{hook['webhook_id']}").headers["ETag"]
    assert scene.send("PATCH", f"{URL}/{hook['webhook_id']}", {"state": "active"}, If_Match=tag).status_code == 200
    scene.pass_(timedelta(minutes=2))
    assert scene.receiver.ids() == [late] and scene.standing(hook)["notice"] is None


def test_gone_disables_and_retry_after_is_waited_for(scene: Scene) -> None:
    hook = scene.hook()
    scene.receiver.status, scene.receiver.headers = 429, {"Retry-After": "3600"}
    scene.decide("RA")
    scene.run()
    scene.pass_(timedelta(minutes=50))
    assert len(scene.receiver.attempts) == 1
    scene.receiver.status = 410
    scene.pass_(timedelta(minutes=20))
    assert (scene.standing(hook)["state"], len(scene.receiver.attempts)) == ("disabled", 2)


def test_a_redirect_is_a_failure_and_is_not_followed(scene: Scene) -> None:
    hook, elsewhere = scene.hook(), Receiver()
    event = scene.decide("MOVED")
    for status, wait in zip((301, 302, 303, 307, 308), (timedelta(0), *RETRIES), strict=False):
        scene.receiver.status, scene.receiver.headers = status, {"Location": elsewhere.url}
        scene.time += max(wait, timedelta(minutes=2))
        scene.run()
        (delivery,) = scene.deliveries(hook)
        assert (delivery["event_id"], delivery["state"], delivery["status"]) == (event, "pending", status)
    elsewhere.server.shutdown()
    assert elsewhere.attempts == [] and scene.receiver.got == [] and len(scene.receiver.attempts) == 5


INSIDE = (
    "https://10.0.0.1/", "https://192.168.1.1/hook", "https://172.16.0.1/", "https://100.64.0.1/", "https://0.0.0.0/",
    "https://169.254.169.254/latest/meta-data", "https://100.100.100.200/latest/meta-data", "https://168.63.129.16/",
    "https://[fd00:ec2::254]/", "https://[fe80::1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/",
    "https://167772161/", "https://0x0a000001/", "https://012.0.0.1/", "https://10.1/", "https://u:p@93.184.216.34/",
    "https://93.184.216.34@10.0.0.1/", "https://93.184.216.34:22/", "http://93.184.216.34/", "file:///etc/passwd",
    "gopher://127.0.0.1:6379/", "https://93.184.216.34/#@10.0.0.1", "https://10。0。0。1/", "https://no-such.invalid/",
)  # fmt: skip


@pytest.mark.parametrize("url", INSIDE)
def test_an_address_inside_is_refused_when_made_and_when_changed(scene: Scene, url: str) -> None:
    made = scene.send("POST", URL, {"url": url, "types": ALL})
    hook = scene.hook()
    changed = scene.send("PATCH", f"{URL}/{hook['webhook_id']}", {"url": url}, If_Match="*")
    for answer in (made, changed):
        assert answer.status_code == 422, answer.text
        assert [error["field"] for error in answer.get_json()["errors"]] == ["url"]
    assert scene.standing(hook)["url"] == scene.receiver.url


def test_while_two_keys_are_valid_both_sign(scene: Scene) -> None:
    hook = scene.hook()
    path = f"{URL}/{hook['webhook_id']}/secret"
    first = scene.send("POST", path, {"signature": "ed25519", "keep_hours": 2}, Idempotency_Key="rotate-1")
    again = scene.send("POST", path, {"signature": "ed25519", "keep_hours": 2}, Idempotency_Key="rotate-1")
    assert (first.status_code, again.data, again.headers["Idempotent-Replayed"]) == (201, first.data, "true")
    public = Ed25519PublicKey.from_public_bytes(b64decode(first.get_json()["secret"].removeprefix("whpk_")))
    scene.decide("ROT-1")
    scene.run()
    headers, body = scene.receiver.got[-1]
    Verifier(hook["secret"]).verify(body, headers)
    newest, older = headers["webhook-signature"].split(" ")
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    public.verify(b64decode(newest.removeprefix("v1a,")), message)
    assert older.startswith("v1,")
    scene.time += timedelta(hours=3)
    scene.decide("ROT-2")
    scene.run()
    assert " " not in scene.receiver.got[-1][0]["webhook-signature"]


def test_who_dies_after_sending_sends_the_same_id_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.hook()
    event = scene.decide("DIES")
    with monkeypatch.context() as patched:
        patched.setattr(Webhooks, "note", lambda *_, **__: (_ for _ in ()).throw(SystemError))
        scene.run()
    scene.follower = scene.new_follower()
    scene.run()
    assert scene.receiver.ids() == [event, event]


def test_one_process_at_a_time_and_a_dead_endpoint_holds_up_nobody(scene: Scene) -> None:
    kept = scene.city.platform.store.webhooks()
    with kept.turn(scene.time) as mine, kept.turn(scene.time) as also:
        assert (mine, also) == (True, False)
    dead = scene.hook(url="http://127.0.0.1:9/dead")
    scene.hook()
    event = scene.decide("ALIVE")
    scene.run()
    assert scene.receiver.ids() == [event]
    assert scene.deliveries(dead)[0]["error"] == "no connection"


def test_ping_and_replay(scene: Scene) -> None:
    old = scene.decide("OLD-1")
    hook = scene.hook()
    path = f"{URL}/{hook['webhook_id']}"
    pings = {scene.send("POST", f"{path}/test", Idempotency_Key="p").get_json()["event_id"] for _ in range(2)}
    scene.run()
    assert scene.receiver.ids() == list(pings)
    told = json.loads(scene.receiver.got[0][1])
    assert (told["type"], set(told["data"])) == ("ping", set(DATA["ping"]))
    before = f"evt_{int(old.removeprefix('evt_')) - 1}"
    for _ in range(2):
        assert scene.send("POST", f"{path}/replay", {"after": before}).status_code == 202
        scene.run()
    assert scene.receiver.ids()[1:] == [old, old]


def test_one_key_is_one_request_whatever_is_asked_of_webhooks(scene: Scene) -> None:
    made = scene.send("POST", URL, {"url": scene.receiver.url, "types": ALL}, Idempotency_Key="made")
    path = made.headers["Location"]
    asked: dict[str, tuple[str, Any]] = {
        "decided": ("/v1/decisions", {**scene.city.shows["yellow"]["application"], "application_id": "ONE-KEY"}),
        "hook": (URL, {"url": scene.receiver.url, "types": ALL}),
        "secret": (f"{path}/secret", {"keep_hours": 24}),
        "tested": (f"{path}/test", None),
        "replay": (f"{path}/replay", {"after": "evt_start"}),
        "batch": ("/v1/decision-batches", {"applications": [{}]}),
    }
    first = {key: scene.send("POST", where, body, Idempotency_Key=key) for key, (where, body) in asked.items()}
    assert {key: one.status_code for key, one in first.items() if one.status_code not in (201, 202)} == {}
    for key in [*asked, "made"]:
        for other, (where, body) in asked.items():
            again = scene.send("POST", where, body, Idempotency_Key=key)
            if key == other:
                assert (again.status_code, again.data) == (first[key].status_code, first[key].data), key
                assert again.headers["Idempotent-Replayed"] == "true", key
            elif (key, other) != ("made", "hook"):  # the same request
                assert (again.status_code, again.get_json()["type"]) == (422, "/problems/idempotency-conflict"), other
    changed = scene.send("POST", f"{path}/secret", {"keep_hours": 0}, Idempotency_Key="secret")
    assert changed.status_code == 422, "nobody is told that the old key has ended while it has not"
    elsewhere = scene.send("POST", URL, asked["hook"][1], kind="fintech", Idempotency_Key="decided")
    assert elsewhere.status_code == 201, "another client's keys are its own"


def test_a_deleted_webhook_s_key_stays_that_of_its_request(scene: Scene) -> None:
    body = {"url": scene.receiver.url, "types": ALL}
    first = scene.send("POST", URL, body, Idempotency_Key="deleted-1")
    hook = first.get_json()
    path = f"{URL}/{hook['webhook_id']}"
    assert scene.send("DELETE", path, If_Match=first.headers["ETag"]).status_code == 204
    scene.receiver.url = "http://unreachable.invalid/"  # what was answered is not checked anew
    again = scene.send("POST", URL, body, Idempotency_Key="deleted-1")
    assert (again.status_code, again.data, again.headers["Idempotent-Replayed"]) == (201, first.data, "true")
    other = scene.send("POST", URL, {**body, "description": "another"}, Idempotency_Key="deleted-1")
    assert (other.status_code, other.get_json()["type"]) == (422, "/problems/idempotency-conflict")
    decision = {**scene.city.shows["yellow"]["application"], "application_id": "WH-deleted"}
    assert scene.send("POST", "/v1/decisions", decision, Idempotency_Key="deleted-1").status_code == 422
    for method, where in (("GET", ""), ("GET", "/deliveries"), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        asked = {"description": "x"} if method == "PATCH" else None
        assert scene.send(method, path + where, asked, If_Match=first.headers["ETag"]).status_code == 404, method
    assert hook["webhook_id"] not in scene.city.get(URL).text
    scene.decide("WH-after-deletion")
    scene.run()
    assert scene.receiver.got == []


def test_deliveries_are_read_page_by_page_pings_among_them(scene: Scene) -> None:
    hook = scene.hook()
    path = f"{URL}/{hook['webhook_id']}"
    made: list[str] = []
    for number in range(3):
        made += [scene.send("POST", f"{path}/test").get_json()["event_id"] for _ in "ab"]
        made.append(scene.decide(f"WH-page-{number}"))
        scene.run()
    seen, query = list[str](), "?limit=2"
    while True:
        page = scene.city.get(f"{path}/deliveries{query}").get_json()
        assert DeliveryListSchema().validate(page) == {} and len(page["deliveries"]) <= 2
        seen += [one["event_id"] for one in page["deliveries"]]
        if page["next"] is None:
            break
        query = f"?limit=2&after={page['next']}"
    assert seen == made[::-1]
    for query in ("?after=evt_1", "?after=before_", "?before=evt_1", "?after=before_1%00"):
        assert scene.city.get(f"{path}/deliveries{query}").status_code == 422, query


def test_of_many_at_once_with_one_key_one_makes_the_webhook(scene: Scene) -> None:
    body = {"url": scene.receiver.url, "types": ALL}

    def send(_: int) -> Any:
        return scene.send("POST", URL, body, Idempotency_Key="at-once")

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(send, range(32)))
    assert {one.status_code for one in answers} <= {201, 409}
    assert len({one.data for one in answers if one.status_code == 201}) == 1
    assert len(scene.city.get(URL).get_json()["webhooks"]) == 1


def test_events_can_be_read_and_are_one_s_own(scene: Scene) -> None:
    start = scene.city.get("/v1/events").get_json()["newest"]
    mine, theirs = scene.decide("EV-1"), scene.decide("EV-2", "fintech")
    for kind, expected in (("bank", [mine]), ("fintech", [theirs]), ("auditor", [mine, theirs])):
        page = scene.city.get(f"/v1/events?after={start}&types=decision.made", kind).get_json()
        assert EventListSchema().validate(page) == {}
        assert [one["id"] for one in page["events"]] == expected and page["next"] == theirs
    page = scene.city.get("/v1/events?limit=1&types=ruleset.switched").get_json()
    assert page["events"] and page["next"] != page["newest"]
    for query in ("?after=x", "?after=evt_999999", "?types=nothing", "?limit=0", "?more=1"):
        assert scene.city.get(f"/v1/events{query}").status_code == 422


def test_others_webhooks_do_not_exist_and_changes_need_the_state_they_saw(scene: Scene) -> None:
    key = str(uuid.uuid4())
    body = {"url": scene.receiver.url, "types": ALL}
    first, again = (scene.send("POST", URL, body, Idempotency_Key=key) for _ in range(2))
    assert first.data == again.data and again.headers["Idempotent-Replayed"] == "true"
    assert scene.send("POST", URL, {**body, "description": "x"}, Idempotency_Key=key).status_code == 422
    path = first.headers["Location"]
    for method, where in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        change = {"description": "x"} if method == "PATCH" else None
        assert scene.send(method, path + where, change, kind="fintech", If_Match="*").status_code == 404
    assert scene.send("POST", URL, body, kind="auditor").status_code == 403
    assert scene.send("PATCH", path, {"description": "x"}).status_code == 428
    changed = scene.send("PATCH", path, {"description": "x"}, If_Match=first.headers["ETag"])
    assert (changed.status_code, changed.get_json()["description"]) == (200, "x")
    assert scene.send("PATCH", path, {"state": "disabled"}, If_Match=first.headers["ETag"]).status_code == 412
    assert scene.send("DELETE", path, If_Match=first.headers["ETag"]).status_code == 412
    assert scene.send("DELETE", path, If_Match=changed.headers["ETag"]).status_code == 204
    assert scene.city.get(path).status_code == 404
    inside = scene.send("POST", URL, {"url": "https://10.0.0.1/", "types": ALL})
    assert inside.status_code == 422 and inside.get_json()["errors"][0]["field"] == "url"
    assert json.loads(scene.city.get(URL).data) == {"webhooks": []}
