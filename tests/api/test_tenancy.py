"""Whatever clients do beside one another, no answer tells one what only another has; logs and metrics tell less."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from decision_service.api.application import http_application
from decision_service.api.batch_work import BatchFollower
from decision_service.api.platform import PlatformService
from decision_service.api.service import Runtime
from decision_service.portrait.records import ListEntry
from decision_service.webhooks.reach import Reach
from tests.api.test_objections import PROVEN, Town

FIRMS = {"bank": "approve", "other": "yellow", "fintech": "whitelist"}
"""Each client has a firm of its own, so that its code is nobody else's."""
LISTS = ("/v1/decisions?limit=1", "/v1/decision-batches", "/v1/objections", "/v1/webhooks")
THINGS = ("decision", "batch", "objection", "webhook")
READ: dict[str, tuple[str, ...]] = {
    "decision": ("", "/explanation", "/proof", "/history"),
    "batch": ("", "/results"),
    "objection": ("", "/history"),
    "webhook": ("", "/deliveries"),
}
AT = {
    "decision": "/v1/decisions",
    "batch": "/v1/decision-batches",
    "objection": "/v1/objections",
    "webhook": "/v1/webhooks",
}
LENT = {"amount": "1.00", "on": "2026-01-01", "contract_id": "C"}
WRITTEN: dict[str, dict[str, Any]] = {
    "decision": {
        "/final": {"outcome": "DECLINE", "reason": "BANK_POLICY"},
        "/drawdowns": LENT,
        "/repayments": LENT,
        "/overdues": {**LENT, "days": 1},
        "/closure": {"end": "settled", "on": "2026-01-01", "contract_id": "C"},
        "/resume": {},
    },
    "batch": {"/cancellation": {}},
    "objection": {"/appeal": PROVEN, "/acceptance": {}},
    "webhook": {"/secret": {}, "/test": {}, "/replay": {"after": "evt_start"}},
}
clients = st.sampled_from(sorted(FIRMS))
some = st.integers(0, 1_000)


@dataclass
class Own:
    """What only one client has: ids by kind, and all texts that must not reach others."""

    things: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in THINGS})
    texts: set[bytes] = field(default_factory=set)
    logged: set[bytes] = field(default_factory=set)
    events: set[str] = field(default_factory=set)

    def add(self, kind: str, given: str) -> None:
        self.things[kind].append(given)
        self.texts.add(given.encode())
        self.logged.add(given.encode())

    @property
    def private(self) -> set[bytes]:
        """All but what a line of the log may name: ids of clients and of what they have."""
        return self.texts - self.logged


class Clients(RuleBasedStateMachine):
    """Two banks and a fintech over one platform, whose stewards and reviewers work as well."""

    town: ClassVar[Town]
    lines: ClassVar[list[dict[str, Any]]]

    @initialize()
    def begin(self) -> None:
        """New clients of the same kinds, with new keys."""
        store, now = self.town.platform.store, self.town.now
        self.keys, self.start = dict(self.town.keys), f"evt_{store.webhooks().newest()}"
        self.own = {name: Own() for name in FIRMS}
        for name in FIRMS:
            kind = "fintech" if name == "fintech" else "bank"
            client, self.keys[name] = store.add_client(f"name-of-{uuid.uuid4()}", kind, now)
            texts = (client.client_id, client.name, self.town.uscc(FIRMS[name]))
            self.own[name].texts |= {text.encode() for text in texts}
            self.own[name].logged.add(client.client_id.encode())

    def call(self, who: str, method: str, path: str, body: Any = None, **given: str) -> Any:
        key = given.get("key") or self.text(who)
        headers = {"Authorization": f"Bearer {self.keys[who]}", "Idempotency-Key": key, "If-Match": "*"}
        self.lines.clear()
        answer = self.town.app.test_client().open(path, method=method, json=body, headers=headers)
        assert answer.status_code < 500, answer.text
        if who in FIRMS:
            self.check(who, answer)
        return answer

    def text(self, who: str) -> str:
        """A text of which others must not hear."""
        made = str(uuid.uuid4())
        if who in FIRMS:
            self.own[who].texts.add(made.encode())
        return made

    def check(self, who: str, answer: Any) -> None:
        told = answer.data + str(answer.headers).encode()
        for name, own in self.own.items():
            if name != who:
                leaked = [text for text in own.texts if text in told]
                assert not leaked, f"{who} is told {leaked} of {name}: {told!r}"
        line = json.dumps(self.lines).encode()
        assert len(self.lines) == 1 and not self.named(line, who), f"the log tells too much of {who}: {line!r}"

    def named(self, told: bytes, who: str | None = None) -> list[bytes]:
        """What a text for operators names, though it may name at most the ids of one client."""
        wrong = [own.private if name == who else own.texts for name, own in self.own.items()]
        return [text for texts in wrong for text in texts if text in told]

    def application(self, who: str) -> dict[str, Any]:
        return {**self.town.shows[FIRMS[who]]["application"], "amount": "1000.00", "application_id": self.text(who)}

    def one(self, who: str, kind: str, which: int) -> str | None:
        found = self.own[who].things[kind]
        return found[which % len(found)] if found else None

    @rule(who=clients, key=st.sampled_from(["", "k1", "k2"]))
    def decide(self, who: str, key: str) -> None:
        """Under a key of one's own, or one that others use too."""
        answer = self.call(who, "POST", "/v1/decisions", self.application(who), key=key)
        if answer.status_code == 201:
            document = answer.get_json()
            self.own[who].add("decision", document["decision_id"])
            self.own[who].events.add(f"evt_{document['receipt']['leaf_index']}")

    @rule(who=clients)
    def send_a_batch(self, who: str) -> None:
        lines = {"applications": [self.application(who), {"application_id": self.text(who)}]}
        answer = self.call(who, "POST", "/v1/decision-batches", lines)
        self.own[who].add("batch", answer.get_json()["batch_id"])

    @rule()
    def work_batches_off(self) -> None:
        BatchFollower(self.town.platform, lambda: self.town.now).advance(float("inf"))
        for who, own in self.own.items():
            for batch in own.things["batch"]:
                for line in self.call(who, "GET", f"/v1/decision-batches/{batch}/results").text.splitlines():
                    if (decision := json.loads(line).get("decision")) is not None:
                        own.texts.add(decision["decision_id"].encode())
                        own.logged.add(decision["decision_id"].encode())

    @rule(who=clients, which=some)
    def lend(self, who: str, which: int) -> None:
        decision = self.one(who, "decision", which)
        if decision is not None:
            contract = self.text(who)
            body = {"outcome": "APPROVE", "amount": "10.00", "reason": "BANK_APPROVED", "contract_id": contract}
            self.call(who, "POST", f"/v1/decisions/{decision}/final", {**body, "comment": self.text(who)})
            today = self.town.today().isoformat()
            drawn = {"amount": "5.00", "on": today, "contract_id": contract}
            self.call(who, "POST", f"/v1/decisions/{decision}/drawdowns", drawn)

    @rule(who=clients, which=some, of_decision=st.booleans())
    def object(self, who: str, which: int, of_decision: bool) -> None:
        body: dict[str, Any] = {**PROVEN, "comment": self.text(who), "authorization_id": self.text(who)}
        decision = self.one(who, "decision", which)
        if of_decision and decision is not None:
            body["decision_id"] = decision
        else:
            firm = {"uscc": self.town.uscc(FIRMS[who])}
            body |= {"enterprise": firm, "record": {"kind": "lists", "key": f"L-{FIRMS[who]}"}}
        answer = self.call(who, "POST", "/v1/objections", body)
        if answer.status_code == 201:
            self.own[who].add("objection", answer.get_json()["objection_id"])

    @rule(who=clients, which=some, act=st.sampled_from(["acceptance", "source-check", "ruling", "application"]))
    def rule_on_an_objection(self, who: str, which: int, act: str) -> None:
        if (objection := self.one(who, "objection", which)) is not None:
            self.town.step(objection, act)

    @rule(who=clients)
    def make_a_webhook(self, who: str) -> None:
        url = f"http://127.0.0.1:9/{self.text(who)}"
        body = {"url": url, "types": ["decision.made", "application.final"], "description": self.text(who)}
        answer = self.call(who, "POST", "/v1/webhooks", body)
        if answer.status_code == 201:
            made = answer.get_json()
            self.own[who].add("webhook", made["webhook_id"])
            self.own[who].texts.add(made["secret"].encode())

    @rule(who=clients, which=some)
    def follow(self, who: str, which: int) -> None:
        """What would be sent to a webhook is its client's own."""
        if (hook := self.one(who, "webhook", which)) is None:
            return
        kept = self.town.platform.store.webhooks()
        found = kept.find(hook, None)
        kept.read_ahead(found, found.client_id, self.town.now)
        for delivery in kept.due(found, self.town.now, 100):
            others = [text for name, own in self.own.items() if name != who for text in own.texts]
            assert not [text for text in others if text in delivery.body]

    @rule(who=clients, owner=clients, kind=st.sampled_from(THINGS), which=some, path=some)
    def reach_for_anothers(self, who: str, owner: str, kind: str, which: int, path: int) -> None:
        """What is another's answers as what does not exist, byte for byte."""
        known = self.one(owner, kind, which)
        if who == owner or known is None:
            return
        calls = [("GET", end, None) for end in READ[kind]] + [("POST", *one) for one in WRITTEN[kind].items()]
        if kind == "webhook":
            calls += [("PATCH", "", {"description": "x"}), ("DELETE", "", None)]
        method, end, body = calls[path % len(calls)]
        answers = [self.call(who, method, f"{AT[kind]}/{one}{end}", body) for one in (known, str(uuid.uuid4()))]
        told = [{**one.get_json(), "request_id": None} for one in answers]
        assert answers[0].status_code in (403, 404) and told[0] == told[1], told

    @rule(who=clients, owner=clients, which=some)
    def object_to_anothers_decision(self, who: str, owner: str, which: int) -> None:
        known = self.one(owner, "decision", which)
        if who != owner and known is not None:
            body = {**PROVEN, "decision_id": known, "authorization_id": "AUTH"}
            assert self.call(who, "POST", "/v1/objections", body).status_code == 404

    @rule(who=clients, owner=clients)
    def object_to_what_another_has_seen(self, who: str, owner: str) -> None:
        """A record that no decision of one's own has used is as one that is not."""
        if who != owner:
            firm, keys = {"uscc": self.town.uscc(FIRMS[owner])}, (f"L-{FIRMS[owner]}", "L-none")
            bodies = [{**PROVEN, "enterprise": firm, "record": {"kind": "lists", "key": key}} for key in keys]
            answers = [self.call(who, "POST", "/v1/objections", {**one, "authorization_id": "AUTH"}) for one in bodies]
            told = [{**one.get_json(), "request_id": None} for one in answers]
            assert answers[0].status_code == 404 and told[0] == told[1], told

    @rule(owner=clients, kind=st.sampled_from(THINGS), which=some, key=st.sampled_from(["", "k1", "x.y.z"]))
    def a_stranger_learns_nothing(self, owner: str, kind: str, which: int, key: str) -> None:
        """Without a key, or with one that is none, what exists and what does not are the same."""
        if (known := self.one(owner, kind, which)) is not None:
            client, headers = self.town.app.test_client(), {"Authorization": f"Bearer {key}"} if key else {}
            answers = [client.get(f"{AT[kind]}/{one}", headers=headers) for one in (known, str(uuid.uuid4()))]
            assert [one.status_code for one in answers] == [401, 401]
            told = [{**one.get_json(), "request_id": None} for one in answers]
            assert told[0] == told[1] and not self.named(answers[0].data + str(answers[0].headers).encode())

    @invariant()
    def metrics_name_nobody_and_nothing(self) -> None:
        if hasattr(self, "own"):
            assert not self.named(self.town.app.test_client().get("/metrics").data)

    @rule(owner=clients, which=some)
    def an_auditor_reads_and_changes_nothing(self, owner: str, which: int) -> None:
        if (known := self.one(owner, "decision", which)) is not None:
            assert self.call("auditor", "GET", f"/v1/decisions/{known}/history").status_code == 200
            for end, body in WRITTEN["decision"].items():
                assert self.call("auditor", "POST", f"/v1/decisions/{known}{end}", body).status_code == 403

    @invariant()
    def what_is_listed_is_ones_own(self) -> None:
        for who in getattr(self, "own", {}):
            for path in LISTS:
                self.call(who, "GET", path)
            page = self.call(who, "GET", f"/v1/events?limit=200&after={self.start}").get_json()
            events = {one["id"] for one in page["events"]}
            others = set().union(*(own.events for name, own in self.own.items() if name != who))
            assert not events & others

    @rule(who=clients, which=some)
    def read_ones_own(self, who: str, which: int) -> None:
        for kind in THINGS:
            if (known := self.one(who, kind, which)) is not None:
                for end in READ[kind]:
                    assert self.call(who, "GET", f"{AT[kind]}/{known}{end}").status_code == 200


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Clients]]:
    town = Town(tmp_path_factory.mktemp("tenancy"))
    service = PlatformService(town.platform, Reach(local=True))
    lines: list[dict[str, Any]] = []
    runtime = Runtime(service, lambda: town.now)
    town.app = http_application(runtime, version="1", told=lambda **told: lines.append(told))
    for show in FIRMS.values():
        entry = ListEntry(f"L-{show}", "list_abnormal_operation", town.today())
        town.deliver(show, "lists", entry.record_id, entry)
    yield type("TheseClients", (Clients,), {"town": town, "lines": lines})
    town.platform.store.close()


def _settings(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def test_no_answer_tells_a_client_anything_of_anothers(machine: type[Clients]) -> None:
    run_state_machine_as_test(machine, settings=_settings(3, 12))  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_no_answer_tells_a_client_anything_of_anothers_in_long_runs(machine: type[Clients]) -> None:
    run_state_machine_as_test(machine, settings=_settings(100, 50))  # type: ignore[no-untyped-call]
