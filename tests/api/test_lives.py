"""Applications after their decisions, over the real platform: reviews, final decisions, contracts, evidence."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from decision_service.api import life_schemas, objection_schemas
from decision_service.api.application import http_application
from decision_service.api.chinese import in_chinese
from decision_service.api.life_schemas import ActSchema, HistorySchema, QueueSchema
from decision_service.api.platform import PlatformService
from decision_service.api.schemas import ProblemSchema
from decision_service.api.service import Runtime
from decision_service.commands.audit import verified
from decision_service.governance.objection import FOLLOWING
from decision_service.governance.refusals import REFUSALS
from decision_service.lending.life import ACTS
from decision_service.lending.review_reasons import FINAL_REASONS, REVIEW_REASONS
from decision_service.review_clock import ReviewClock
from decision_service.store.lives import Lives, Waiting
from tests.api.real import FixedScorer, open_platform, write_feeds
from tests.api.test_bad_input import ENGLISH

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KINDS = {"bank": "bank", "other": "bank", "fintech": "fintech", "risk": "risk", "risk2": "risk", "auditor": "auditor"}


class City:
    """One platform with its clients and a clock that tests move."""

    def __init__(self, home: Path) -> None:
        self.shows = write_feeds(home / "feeds")
        self.scorer = FixedScorer()
        self.platform = open_platform(home, self.scorer, home / "feeds")
        self.now = datetime.now(UTC)
        self.app = http_application(Runtime(PlatformService(self.platform), lambda: self.now), version="1")
        made = {name: self.platform.store.add_client(name, kind, self.now) for name, kind in KINDS.items()}
        self.keys = {name: key for name, (_, key) in made.items()}
        self.ids = {name: client.client_id for name, (client, _) in made.items()}

    def decide(self, show: str, who: str = "bank", **changes: Any) -> dict[str, Any]:
        fresh = {"application_id": f"A-{uuid.uuid4()}"}
        answer = self.post("/v1/decisions", {**self.shows[show]["application"], **fresh, **changes}, who)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def post(self, path: str, body: dict[str, Any], who: str = "bank", key: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.keys[who]}", "Idempotency-Key": key or str(uuid.uuid4())}
        return self.app.test_client().post(path, json=body, headers=headers)

    def act(self, decision: dict[str, Any], act: str, body: dict[str, Any], who: str = "bank", **given: Any) -> Any:
        return self.post(f"/v1/decisions/{decision['decision_id']}/{act}", body, who, **given)

    def get(self, path: str, who: str = "bank") -> Any:
        return self.app.test_client().get(path, headers={"Authorization": f"Bearer {self.keys[who]}"})

    def history(self, decision: dict[str, Any], who: str = "bank") -> Any:
        return self.get(f"/v1/decisions/{decision['decision_id']}/history", who)

    def pending(self, show: str) -> int:
        return self.platform.store.exposure_state(self.uscc(show), self.now).reserved

    def uscc(self, show: str) -> str:
        return str(self.shows[show]["application"]["enterprise"]["uscc"])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    made = City(tmp_path_factory.mktemp("city"))
    yield made
    made.platform.store.close()


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[City]:
    """A city where nothing was decided yet, so that its clock may stand at any day: acts never precede decisions."""
    made = City(tmp_path)
    yield made
    made.platform.store.close()


@pytest.fixture(autouse=True)
def sound_models(city: City) -> Iterator[None]:
    yield
    city.scorer.pd = FixedScorer().pd


def final(amount: str = "", **changes: Any) -> dict[str, Any]:
    if not amount:
        return {"outcome": "DECLINE", "reason": "BANK_POLICY", **changes}
    return {"outcome": "APPROVE", "amount": amount, "reason": "BANK_APPROVED", **changes}


def moved(city: City, amount: str, contract: str = "C-1") -> dict[str, Any]:
    return {"amount": amount, "on": today(city), "contract_id": contract}


def today(city: City) -> str:
    return (city.now + timedelta(hours=8)).date().isoformat()


def reviewed(amount: str = "", **changes: Any) -> dict[str, Any]:
    if not amount:
        return {"outcome": "DECLINE", "reason": "REPAYMENT_DOUBTFUL", **changes}
    return {"outcome": "APPROVE", "amount": amount, "reason": "DOCUMENTS_SOUND", **changes}


def state_of(answer: Any, status: int = 201) -> str:
    assert answer.status_code == status, answer.text
    document = answer.get_json()
    assert not ActSchema().validate(document)
    return str(document["state"])


def refusal(answer: Any) -> str:
    assert answer.status_code == 409 and answer.get_json()["type"] == "/problems/not-now", answer.text
    return said(str(answer.get_json()["detail"]))


def said(message: str) -> str:
    assert not ENGLISH.search(in_chinese(message)), message
    return message


def blamed(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422 and answer.get_json()["type"] == "/problems/invalid-fields", answer.text
    return {one["field"]: said(one["message"]) for one in answer.get_json()["errors"]}


def findings(city: City) -> list[str]:
    return [str(one) for one in verified(city.platform).findings]


def test_an_approved_application_lives_to_its_end_and_counts_as_exposure_all_the_while(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("approve")
    assert city.pending("approve") == 300_000_000

    assert state_of(city.act(made, "final", final("2500000.00", contract_id="C-1", comment="贷审会通过"))) == "committed"
    assert city.pending("approve") == 250_000_000, "less than what was reserved is committed"
    assert state_of(city.act(made, "drawdowns", moved(city, "1000000.00"))) == "drawn"
    city.now += 2 * DAY
    assert city.pending("approve") == 250_000_000, "a commitment does not lapse"
    assert state_of(city.act(made, "drawdowns", moved(city, "500000"))) == "drawn"
    assert state_of(city.act(made, "overdues", {**moved(city, "1000.00"), "days": 2})) == "overdue"
    assert state_of(city.act(made, "repayments", moved(city, "1000.00"))) == "overdue"
    city.now += DAY
    cured = {"days": 0, "on": today(city), "contract_id": "C-1"}
    assert state_of(city.act(made, "overdues", cured)) == "drawn"
    assert city.pending("approve") == 250_000_000 - 100_000
    assert state_of(city.act(made, "repayments", moved(city, "1499000.00"))) == "repaid"
    assert city.pending("approve") == 100_000_000, "what was not drawn is still committed"
    closed = city.act(made, "closure", {"end": "settled", "on": today(city), "contract_id": "C-1"})
    assert state_of(closed) == "closed"
    assert city.pending("approve") == 0

    history = city.history(made).get_json()
    assert not HistorySchema().validate(history)
    assert [one["act"] for one in history["acts"]] == [
        "submitted", "scored", "decided", "final", "drawn", "drawn", "overdue", "repaid", "overdue", "repaid", "closed",
    ]  # fmt: skip
    assert history["acts"][3]["details"]["texts"] == {"zh": "银行审批通过", "en": "the bank approves"}
    assert history["acts"][3]["by"] == {"kind": "bank", "id": city.ids["bank"]}
    assert history["allowed"] == [] and history["drawn"] == "1500000.00" and history["contract_id"] == "C-1"
    assert findings(city) == []


Why = str | dict[str, str]
Cases = dict[str, tuple[list[tuple[str, dict[str, Any]]], tuple[str, dict[str, Any]], Why]]
NOT_ADMITTED: Cases = {
    "drawn before it is final": ([], ("drawdowns", {}), "cannot be drawn while it is approved"),
    "final twice": ([("final", final())], ("final", final()), "it is refused"),
    "drawn after a refusal": ([("final", final())], ("drawdowns", {}), "it is refused"),
    "repaid before it is drawn": ([("final", final("1.00"))], ("repayments", {}), "it is committed"),
    "reviewed although the rules approved": ([], ("review", reviewed("1.00")), "while it is approved"),
    "assigned although nothing waits": ([], ("assignment", {}), "while it is approved"),
}
UNACCEPTABLE: Cases = {
    "more than was approved": ([], ("final", final("3000000.01")), {"amount": "more would be lent"}),
    "more than was committed": (
        [("final", final("1.00"))],
        ("drawdowns", {"amount": "1.01"}),
        {"amount": "more would be drawn than the bank committed to: at most 1.00"},
    ),
    "more than was drawn": (
        [("final", final("9.00")), ("drawdowns", {"amount": "5.00"})],
        ("repayments", {"amount": "5.01"}),
        {"amount": "more would be repaid"},
    ),
    "another contract": (
        [("final", final("9.00")), ("drawdowns", {"amount": "5.00"})],
        ("drawdowns", {"amount": "1.00", "contract_id": "C-2"}),
        {"contract_id": "it belongs to another contract: C-1"},
    ),
    "settled while something is owed": (
        [("final", final("9.00")), ("drawdowns", {"amount": "5.00"})],
        ("closure", {"end": "settled", "amount": None}),
        {"end": "it is not settled"},
    ),
    "cancelled although something was drawn": (
        [("final", final("9.00")), ("drawdowns", {"amount": "5.00"})],
        ("closure", {"end": "cancelled", "amount": None}),
        {"end": "it is not cancelled"},
    ),
    "overdue for longer than it is drawn": (
        [("final", final("9.00")), ("drawdowns", {"amount": "5.00"})],
        ("overdues", {"days": 1, "amount": "5.00"}),
        {"days": "it would be overdue for longer"},
    ),
    "in the future": ([("final", final("9.00"))], ("drawdowns", {"on": "2099-01-01"}), {"on": "it lies before its"}),
    "before the decision": ([("final", final("9.00"))], ("drawdowns", {"on": "2020-01-01"}), {"on": "it lies before"}),
    "wrong in every way": (
        [("final", final("9.00")), ("drawdowns", {"amount": "5.00"})],
        ("overdues", {"days": 9, "amount": "6.00", "contract_id": "C-2", "on": "2099-01-01"}),
        {"amount": "more would be overdue", "contract_id": "it belongs to another", "on": "it lies"},
    ),
}


@pytest.mark.parametrize(
    ("before", "act", "why"),
    [*NOT_ADMITTED.values(), *UNACCEPTABLE.values()],
    ids=[*NOT_ADMITTED.keys(), *UNACCEPTABLE.keys()],
)
def test_what_the_state_does_not_admit_is_refused_and_leaves_nothing(
    city: City, before: list[tuple[str, dict[str, Any]]], act: tuple[str, dict[str, Any]], why: Why
) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("whitelist", amount="3000000.00")

    def sent(name: str, body: dict[str, Any]) -> Any:
        whole = body if name in ("final", "review", "assignment") else {**moved(city, "1.00"), **body}
        by = "risk" if name in ("review", "assignment") else "bank"
        return city.act(made, name, {key: value for key, value in whole.items() if value is not None}, by)

    for step in before:
        state_of(sent(*step))
    leaves = city.platform.store.log_head()[0]
    answer = sent(*act)
    if isinstance(why, str):
        assert why in refusal(answer)
    else:
        told = blamed(answer)
        assert set(told) == set(why) and all(told[field].startswith(begin) for field, begin in why.items())
    assert city.platform.store.log_head()[0] == leaves
    if city.history(made).get_json()["state"] == "approved":
        state_of(city.act(made, "final", final()))
    elif city.pending("whitelist"):
        sent("repayments", {"amount": "5.00"})
        state_of(sent("closure", {"amount": None, "end": "settled" if len(before) > 1 else "cancelled"}))
    assert city.pending("whitelist") == 0


def test_what_the_state_admits_instead_is_told_with_its_address(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("whitelist", amount="1000.00")
    answer = city.act(made, "drawdowns", moved(city, "1.00"))
    assert not ProblemSchema().validate(answer.get_json())
    admitted = answer.get_json()["admits"]
    assert admitted == [{"act": "final", "address": f"/v1/decisions/{made['decision_id']}/final"}]
    assert state_of(city.post(admitted[0]["address"], final())) == "refused"
    assert "admits" not in city.act(made, "drawdowns", moved(city, "1.00")).get_json(), "nothing more"


def test_every_act_has_an_address_that_is_served(city: City) -> None:
    served = {rule.rule for rule in city.app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    for thing, known, acts in (
        ("decisions/<decision_id>", life_schemas.PLACES, ACTS),
        ("objections/<objection_id>", objection_schemas.PLACES, set(FOLLOWING)),
    ):
        assert set(known) == set(acts)
        assert {f"/v1/{thing}/{place}" for place in known.values()} <= served


def test_an_approval_that_nobody_made_final_lapses_after_a_day(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("invoice")
    city.now += 24 * HOUR
    assert city.history(made).get_json()["state"] == "lapsed" and city.pending("invoice") == 0
    assert "no approval of the platform stands" in refusal(city.act(made, "final", final("300000.00")))
    assert state_of(city.act(made, "final", final())) == "refused"


def test_a_refusal_by_the_bank_frees_the_customer_at_once_and_the_application_may_come_again(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("invoice")
    again = {"application_id": made["application_id"]}
    assert city.decide("invoice", **again)["outcome"] == "REFER", "it is approved already"
    state_of(city.act(made, "final", final()))
    assert city.pending("invoice") == 0
    second = city.decide("invoice", **again)
    assert second["outcome"] == "APPROVE" and city.pending("invoice") == 30_000_000
    state_of(city.act(second, "final", final("300000.00")))
    assert city.decide("invoice", **again)["outcome"] == "REFER", "and again, now by its commitment"
    assert findings(city) == []


def test_a_referred_application_is_taken_reviewed_and_reserved(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("over-limit")
    before = city.pending("over-limit")
    assert "cannot be reviewed while it is queued" in refusal(city.act(made, "review", reviewed("1.00"), "risk"))
    assert state_of(city.act(made, "assignment", {}, "risk")) == "assigned"
    assert "somebody else" in refusal(city.act(made, "review", reviewed("1.00"), "risk2"))
    assert state_of(city.act(made, "assignment", {"assignee": city.ids["risk2"]}, "risk")) == "assigned"
    wrong = city.act(made, "assignment", {"assignee": "nobody-1"}, "risk")
    assert wrong.status_code == 422 and wrong.get_json()["errors"][0]["field"] == "assignee"
    answer = city.act(made, "review", reviewed("1500000.00", comment="面谈纪要：王某某"), "risk2")
    assert state_of(answer) == "approved"
    assert city.pending("over-limit") == before + 150_000_000
    assert "more would be lent" in blamed(city.act(made, "final", final("1500000.01")))["amount"]
    assert state_of(city.act(made, "final", final("1500000.00"))) == "committed"

    mine, theirs = city.history(made).get_json(), city.history(made, "auditor").get_json()
    assert "面谈纪要" not in str(mine) and city.ids["risk2"] not in str(mine), "a bank sees no reviewer and no notes"
    assert "面谈纪要" in str(theirs) and city.ids["risk2"] in str(theirs)
    assert findings(city) == []


def test_a_comment_is_erased_with_its_decision_and_the_log_still_verifies(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("purpose")
    state_of(city.act(made, "assignment", {}, "risk"))
    state_of(city.act(made, "review", reviewed(comment="Confidential Zhang"), "risk"))
    assert "Confidential Zhang" in city.history(made, "risk").text
    store = city.platform.store
    store.erase_private(made["decision_id"], city.now, city.platform.signer.receipt)
    state_of(city.act(made, "final", final(comment="Confidential Li")))
    told = city.history(made, "risk").text
    assert "Confidential" not in told
    home = Path(str(store._database.url.database)).parent
    assert not [one for one in home.glob("*.db*") if b"Confidential" in one.read_bytes()]
    assert findings(city) == []


def test_what_the_rules_decline_now_nobody_may_approve(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("over-limit")
    state_of(city.act(made, "assignment", {}, "risk"))
    city.scorer.pd = Decimal("0.900000")
    assert "PD_DECLINE" in refusal(city.act(made, "review", reviewed("100000.00"), "risk"))
    assert state_of(city.act(made, "review", reviewed(), "risk")) == "declined"
    assert "no approval of the platform stands" in refusal(city.act(made, "final", final("1.00")))


def test_a_reviewer_must_know_of_what_the_customer_took_up_meanwhile(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("control")
    state_of(city.act(made, "assignment", {}, "risk"))
    key = "review-of-control"
    other = city.decide("control", who="other")
    state_of(city.act(other, "assignment", {}, "risk2"))
    state_of(city.act(other, "review", reviewed("1000000.00"), "risk2"))
    told = blamed(city.act(made, "review", reviewed("1000000.00"), "risk", key=key))["exposure_total"]
    assert "more than the decision saw" in told
    total = told.rsplit("send ", 1)[1]
    knowing = reviewed("1000000.00", exposure_total=total)
    assert state_of(city.act(made, "review", knowing, "risk", key=key)) == "approved"


def test_a_repetition_of_what_is_approved_is_ended_by_a_person_or_the_bank_and_the_first_stands(city: City) -> None:
    first = city.decide("approve", amount="1000.00")
    again, third = (city.decide("approve", amount="1000.00", application_id=first["application_id"]) for _ in range(2))
    assert {"APP_REPEATED"} <= {one["code"] for one in again["reasons"]} and again["outcome"] == "REFER"
    before = city.pending("approve")
    city.act(again, "assignment", {}, "risk")
    assert "APPLICATION_REPEATED" in refusal(city.act(again, "review", reviewed("1000.00"), "risk"))
    ended = city.act(again, "review", reviewed(reason="APPLICATION_REPEATED"), "risk")
    assert state_of(ended) == "declined"
    assert state_of(city.act(third, "final", final(reason="APPLICATION_REPEATED"))) == "refused"
    waiting = {one["decision_id"] for one in city.get("/v1/reviews?limit=100", "risk").get_json()["reviews"]}
    assert not waiting & {again["decision_id"], third["decision_id"]}
    assert city.history(first).get_json()["state"] == "approved" and city.pending("approve") == before
    told = city.history(again).get_json()["acts"][-1]["details"]["texts"]
    assert told == {"zh": "该申请已获批准，以原决定为准", "en": "it is approved already: that decision stands"}
    assert state_of(city.act(first, "final", final("1000.00", contract_id="C-first"))) == "committed"


def test_the_page_lists_the_reasons_that_each_act_admits() -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "life.md").read_text(encoding="utf-8")
    told = {tuple(map(str.strip, line.split("|")[1:-1])) for line in page.splitlines() if line.count("|") == 5}
    lists = {"review": REVIEW_REASONS, "final": FINAL_REASONS}
    admitted = {
        (f"{act} `{outcome}`", f"`{code}`", said["zh"], said["en"])
        for act, reasons in lists.items()
        for outcome, group in reasons.items()
        for code, said in group.items()
    }
    assert {row for row in told if row[0].partition(" ")[0] in lists} == admitted
    objections = (docs / "objections.md").read_text(encoding="utf-8")
    assert [code for code, said in REFUSALS.items() if f"`{code}` {said['zh']} · {said['en']}" not in objections] == []


def test_a_code_says_the_same_in_every_list() -> None:
    texts: dict[str, Any] = {}
    for table in (REVIEW_REASONS, FINAL_REASONS):
        for group in table.values():
            for code, said in group.items():
                assert texts.setdefault(code, said) == said and set(said) == {"zh", "en"}


def test_the_queue_begins_with_whitelisted_customers_then_goes_by_due_time(city: City) -> None:
    city.now = datetime.now(UTC)
    first, second = city.decide("first-loan"), city.decide("whitelist-yellow")
    city.now += timedelta(seconds=1)
    third = city.decide("first-loan", who="other")
    seen, after = [], ""
    while True:
        page = city.get(f"/v1/reviews?limit=2{after}", "risk").get_json()
        assert not QueueSchema().validate(page)
        seen += page["reviews"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    ids = [one["decision_id"] for one in seen]
    assert len(ids) == len(set(ids)) and {first["decision_id"], second["decision_id"], third["decision_id"]} <= {*ids}
    places = [(not one["whitelisted"], one["due_at"]) for one in seen]
    assert places == sorted(places)
    assert {one["due_at"] for one in seen if one["decision_id"] == first["decision_id"]} == {first["due_at"]}
    state_of(city.act(first, "assignment", {}, "risk"))
    mine = city.get("/v1/reviews?state=assigned&limit=100", "risk").get_json()["reviews"]
    assert [(one["assignee"], one["state"]) for one in mine if one["decision_id"] == first["decision_id"]] == [
        (city.ids["risk"], "assigned")
    ]
    state_of(city.act(first, "final", final()))
    rest = city.get("/v1/reviews?limit=100", "auditor").get_json()["reviews"]
    assert first["decision_id"] not in [one["decision_id"] for one in rest], "the bank has withdrawn it"
    assert city.get("/v1/reviews", "bank").status_code == 403
    assert city.get("/v1/reviews?after=nonsense", "risk").status_code == 422


def test_the_clock_stands_still_while_documents_are_awaited_twice_at_most(quiet: City) -> None:
    quiet.now = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # a Tuesday, 10:00
    made = quiet.decide("dispute")
    assert made["due_at"] == "2026-11-27T09:30:00.000000Z"
    state_of(quiet.act(made, "assignment", {}, "risk"))
    state_of(quiet.act(made, "pause", {"comment": "needs the lease"}, "risk"))
    assert quiet.history(made).get_json()["due_at"] is None
    quiet.now += DAY
    resumed = quiet.act(made, "resume", {}).get_json()
    assert resumed["due_at"] == "2026-11-30T09:30:00.000000Z", "it stood still over Tuesday's close"
    headers = {"Authorization": f"Bearer {quiet.keys['risk']}", "Idempotency-Key": "no body"}
    path = f"/v1/decisions/{made['decision_id']}"
    state_of(quiet.app.test_client().post(f"{path}/pause", headers={**headers, "Idempotency-Key": "no-body"}))
    assert quiet.app.test_client().post(f"{path}/review", headers=headers).status_code == 415, "a body is needed"
    quiet.now += HOUR
    assert quiet.act(made, "resume", {}, "risk").get_json()["due_at"] == "2026-11-30T09:30:00.000000Z"
    assert "2 times" in refusal(quiet.act(made, "pause", {}, "risk"))


def test_the_clock_reads_nothing_of_which_nothing_can_be_due(quiet: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day's referrals are many, and the clock of reviews shares a worker with decisions."""
    quiet.now = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    quiet.decide("yellow")
    seen: list[int] = []
    original = Lives.waiting

    def waiting(self: Lives, decided_by: datetime | None = None) -> tuple[Waiting, ...]:
        found = original(self, decided_by)
        seen.append(len(found))
        return found

    monkeypatch.setattr(Lives, "waiting", waiting)
    clock = ReviewClock(quiet.platform, lambda: quiet.now)
    for later, count in ((timedelta(hours=6), 0), (timedelta(hours=23, minutes=59), 1), (DAY, 1)):
        quiet.now = datetime(2026, 11, 24, 9, 30, tzinfo=UTC) + later
        written = clock.look()
        assert seen[-1] == count and len(written) == (later == DAY), later


def test_reminders_and_breaches_are_told_once_in_the_log(quiet: City) -> None:
    quiet.now = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    late, done = quiet.decide("yellow"), quiet.decide("old-code")
    clock, another = ReviewClock(quiet.platform, lambda: quiet.now), ReviewClock(quiet.platform, lambda: quiet.now)

    def told(made: dict[str, Any]) -> list[str]:
        clock.look()
        another.look()
        found = quiet.platform.store.acts("notice", made["decision_id"])
        return [f"{one.how} {one.details.get('day', '')}".strip() for one in found]

    quiet.now = datetime(2026, 11, 25, 9, 29, 59, tzinfo=UTC)
    assert told(late) == []
    quiet.now += timedelta(seconds=1)
    assert told(late) == told(late) == ["sla.near 1"]
    quiet.now += DAY
    assert told(late) == ["sla.near 1", "sla.near 2"]
    entry = [one for one in quiet.get("/v1/reviews?limit=100", "risk").get_json()["reviews"]]
    assert {one["sla"] for one in entry if one["decision_id"] == late["decision_id"]} == {"near"}
    state_of(quiet.act(done, "final", final()))
    quiet.now += DAY
    assert told(late) == ["sla.near 1", "sla.near 2", "sla.breached"]
    assert told(done) == ["sla.near 1", "sla.near 2"], "who has decided in time is not told to be late"
    assert findings(quiet) == []


def test_a_key_means_one_request_and_is_answered_alike_for_ever(city: City) -> None:
    city.now = datetime.now(UTC)
    made, key = city.decide("invoice"), str(uuid.uuid4())
    first = city.act(made, "final", final("1.00"), key=key)
    state_of(first)
    city.now += DAY
    again = city.act(made, "final", final("1.00"), key=key)
    assert (again.status_code, again.data, again.headers["Idempotent-Replayed"]) == (201, first.data, "true")
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    for other in (
        city.act(made, "final", final(), key=key),
        city.act(made, "drawdowns", moved(city, "1.00"), key=key),
        city.post("/v1/decisions", city.shows["invoice"]["application"], key=key),
    ):
        assert other.status_code == 422 and other.get_json()["type"] == "/problems/idempotency-conflict"
    taken = str(uuid.uuid4())
    assert city.post("/v1/decisions", city.shows["approve"]["application"], key=taken).status_code == 201
    assert city.act(made, "drawdowns", moved(city, "1.00"), key=taken).status_code == 422
    headers = {"Authorization": f"Bearer {city.keys['bank']}"}
    path = f"/v1/decisions/{made['decision_id']}/closure"
    missing = city.app.test_client().post(path, json={"end": "settled", "on": today(city)}, headers=headers)
    assert missing.status_code == 400
    assert city.act(made, "drawdowns", moved(city, "1.00"), who="other", key=key).status_code == 404


def test_nobody_sees_or_moves_what_belongs_to_another(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("invoice")
    bodies = {
        "final": final("1.00"),
        "drawdowns": moved(city, "1.00"),
        "repayments": moved(city, "1.00"),
        "overdues": {**moved(city, "1.00"), "days": 1},
        "closure": {"end": "settled", "on": today(city)},
        "resume": {},
    }
    for act, body in bodies.items():
        assert city.act(made, act, body, "other").status_code == 404
        assert city.act(made, act, body, "fintech").status_code == (404 if act == "resume" else 403)
    for act, body in {"assignment": {}, "review": reviewed(), "pause": {}}.items():
        assert city.act(made, act, body, "bank").status_code == 403
    assert city.history(made, "other").status_code == 404 and city.history(made, "fintech").status_code == 404


BAD_BODIES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("final", {}, {"outcome", "reason"}),
    ("final", {"outcome": "APPROVE", "reason": "BANK_APPROVED"}, {"amount"}),
    ("final", {"outcome": "DECLINE", "amount": "1", "reason": "BANK_APPROVED"}, {"amount", "reason"}),
    ("final", {"outcome": "REFER", "reason": "WHY"}, {"outcome", "reason"}),
    ("final", {"outcome": "APPROVE", "reason": "WHY", "more": 1}, {"amount", "reason", "more"}),
    ("final", {"outcome": "APPROVE", "reason": "BANK_APPROVED", "amount": "x"}, {"amount"}),
    ("final", {"outcome": "DECLINE", "reason": 1, "amount": "x"}, {"amount", "reason"}),
    ("overdues", {"days": 3, "on": "x"}, {"amount", "on", "contract_id"}),
    ("final", final(contract_id="C-1"), {"contract_id"}),
    ("drawdowns", {"amount": "0", "on": "yesterday", "contract_id": ""}, {"amount", "on", "contract_id"}),
    ("overdues", {"days": 0, "amount": "1.00", "on": "2026-11-24", "contract_id": "C-1"}, {"amount"}),
    ("overdues", {"days": 3, "on": "2026-11-24", "contract_id": "C-1"}, {"amount"}),
    ("closure", {"end": "forgotten", "on": "2026-11-24", "more": 1}, {"end", "more"}),
    ("resume", {"comment": "two\nlines"}, {"comment"}),
]


@pytest.mark.parametrize(("act", "body", "wrong"), BAD_BODIES)
def test_fields_that_are_not_acceptable_are_all_named(
    city: City, act: str, body: dict[str, Any], wrong: set[str]
) -> None:
    answer = city.act({"decision_id": "none"}, act, body)
    assert answer.status_code == 422
    assert {one["field"] for one in answer.get_json()["errors"]} == wrong


def test_who_changes_the_store_behind_the_log_is_found_out(city: City) -> None:
    city.now = datetime.now(UTC)
    made = city.decide("approve", amount="1000.00")
    state_of(city.act(made, "final", final("1000.00", comment="fine")))
    database, place = city.platform.store._database, {"id": made["decision_id"]}
    tampers = {
        "UPDATE lives SET amount = amount + 1 WHERE decision_id = :id": "not what its acts have left",
        "UPDATE lives SET state = 'closed' WHERE decision_id = :id": "not what its acts have left",
        "UPDATE acts SET how = 'closed' WHERE subject = :id": "the record says 'final'",
        "UPDATE acts SET private = NULL WHERE subject = :id": "no erasure is on record",
        "UPDATE acts SET signature = '' WHERE subject = :id": "signature does not verify",
    }
    assert findings(city) == []
    for tamper, told in tampers.items():
        with database.write() as connection:
            kept = {
                table: connection.execute(text(f"SELECT * FROM {table} WHERE {column} = :id"), place).mappings().one()
                for table, column in (("acts", "subject"), ("lives", "decision_id"))
            }
            connection.execute(text(tamper), place)
        assert any(told in one for one in findings(city)), tamper
        with database.write() as connection:
            for table, column in (("acts", "subject"), ("lives", "decision_id")):
                row = {name: value for name, value in kept[table].items() if name != column}
                changes = ", ".join(f"{name} = :{name}" for name in row)
                connection.execute(text(f"UPDATE {table} SET {changes} WHERE {column} = :id"), {**row, **place})
    assert findings(city) == []


def test_parallel_retries_of_one_act_are_one_act(city: City) -> None:
    city.now = datetime.now(UTC)
    made, key = city.decide("invoice"), str(uuid.uuid4())
    before = city.platform.store.log_head()[0]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: city.act(made, "final", final("1.00"), key=key), range(32)))
    good = [one for one in found if one.status_code == 201]
    assert len({one.data for one in good}) == 1
    for one in found:
        assert one.status_code == 201 or (one.status_code == 409 and one.headers["Retry-After"])
    assert city.platform.store.log_head()[0] == before + 1
