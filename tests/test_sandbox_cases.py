"""The sandbox: each listed row comes out as listed over HTTP, on whatever day, and as often as one likes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from decision_service.api.application import http_application
from decision_service.api.platform import PlatformService
from decision_service.api.service import Runtime
from decision_service.cli import main
from decision_service.radar.intake import load_feeds
from decision_service.radar.uscc import uscc_problem
from decision_service.sandbox import NOT_ON_RECORD, PREFIX, SandboxCase, sandbox_cases
from decision_service.vocabulary import Scores
from decision_service_client import Application, BearerKey, Client, EnterpriseUnknown, Outcome
from ml.city_commands import place_of
from ml.feeds import write_city
from ml.showcase import showcase
from tests.api.real import RULES, VERSION, FixedScorer, open_platform

SOUND = (Decimal("0.003000"),) * 3
MODELS = {
    "pd-refer": (Decimal("0.060000"),) * 3,
    "pd-decline": (Decimal("0.500000"),) * 3,
    "gap": (Decimal("0.003000"), Decimal("0.150000"), Decimal("0.010000")),
}
"""What the models are taken to say (XGBoost, LSTM, pd_12m); that trained ones say so is for `make demo` to show."""
CASES = sandbox_cases()


@dataclass
class Scorer(FixedScorer):
    """Says of each case what its story needs."""

    says: tuple[Decimal, Decimal, Decimal] = SOUND

    def score(self, features: Any, series: Any, mask: Any, **options: Any) -> Scores:
        return Scores(*self.says, "ok", (VERSION,), features=dict(features))


class Sandbox:
    """A platform that holds the sandbox as of some day."""

    def __init__(self, home: Path, now: datetime) -> None:
        self.home, self.now, self.scorer = home, now, Scorer()
        self.platform = open_platform(home, self.scorer)
        self.renew(now)
        app = http_application(Runtime(PlatformService(self.platform), lambda: self.now), version="1")
        _, key = self.platform.store.add_client("bank", "bank", now)
        transport = httpx.WSGITransport(app)
        self.client = Client("http://127.0.0.1", BearerKey(key), http=httpx.Client(transport=transport))
        self.asked = 0

    def renew(self, now: datetime) -> None:
        """What `make sandbox` does."""
        self.now, place, folder = now, place_of(7, None, RULES, now=now), self.home / f"feeds-{now.date()}"
        write_city(folder, showcase(place)[0], place)
        assert load_feeds([folder], self.platform.store, now=now).problem_count == 0

    def outcome(self, case: SandboxCase) -> tuple[Outcome, set[str]]:
        """What comes of a case; an approval is given back."""
        self.scorer.says = MODELS.get(case.key, SOUND)
        self.asked += 1
        body = case.application(f"A-{self.asked}")
        uscc = body.pop("enterprise")["uscc"]
        found = self.client.decide(Application(**{**body, "amount": Decimal(body["amount"]), "uscc": uscc}))
        if found.outcome is Outcome.APPROVE:
            self.client.final(found.decision_id, outcome=Outcome.DECLINE, reason="CUSTOMER_WITHDREW")
        return found.outcome, {one.code for one in found.reasons}

    def surprises(self) -> dict[str, tuple[Outcome, set[str]]]:
        """The cases that do not come out as listed."""
        found = {case.key: self.outcome(case) for case in CASES}
        return {
            case.key: found[case.key]
            for case in CASES
            if found[case.key][0] != case.outcome or not found[case.key][1] >= set(case.reasons)
        }


@pytest.fixture
def sandbox(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path, request.param)
    yield made
    made.platform.store.close()


def noon(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC) + timedelta(hours=4)


DAYS = ["2026-01-01", "2026-02-28", "2026-04-25", "2026-10-01"]


@pytest.mark.parametrize("sandbox", [noon(day) for day in DAYS], ids=DAYS, indirect=True)
def test_every_case_comes_out_as_listed_on_whatever_day_and_again(sandbox: Sandbox) -> None:
    assert sandbox.surprises() == {}
    assert sandbox.surprises() == {}


@pytest.mark.parametrize("sandbox", [noon("2026-01-15")], ids=["loaded in January"], indirect=True)
def test_a_sandbox_that_is_renewed_months_later_comes_out_as_before(sandbox: Sandbox) -> None:
    for day in ("2026-01-16", "2026-08-09"):
        sandbox.renew(noon(day))
        assert sandbox.surprises() == {}


@pytest.mark.parametrize("sandbox", [noon("2026-11-29")], ids=["today"], indirect=True)
def test_a_sandbox_that_is_not_renewed_refers_what_it_would_approve(sandbox: Sandbox) -> None:
    sandbox.now += timedelta(days=3)
    assert sandbox.outcome(CASES[0])[0] is Outcome.REFER


@pytest.mark.parametrize("sandbox", [noon("2026-11-29")], ids=["today"], indirect=True)
def test_one_code_is_never_on_record(sandbox: Sandbox) -> None:
    with pytest.raises(EnterpriseUnknown):
        sandbox.outcome(replace(CASES[0], uscc=NOT_ON_RECORD))


def test_codes_are_valid_and_begin_alike() -> None:
    codes = [*(case.uscc for case in CASES), NOT_ON_RECORD]
    assert len(set(codes)) == len(codes)
    assert [uscc_problem(code) for code in codes if uscc_problem(code)] == []
    assert all(code.startswith(PREFIX) for code in codes)


def test_each_case_has_its_firm() -> None:
    place = place_of(7, None, RULES, now=noon("2026-11-29"))
    firms, entries = showcase(place)
    assert [firm.records.registration.uscc for firm in firms] == [case.uscc for case in CASES]
    assert [f"示例企业（{entry['key']}）" for entry in entries] == [firm.records.registration.name for firm in firms]


def test_the_command_lists_what_the_page_lists(tmp_path: Path) -> None:
    listed = json.loads(CliRunner().invoke(main, ["sandbox", "list", "--json"]).stdout)
    assert [one["application"]["enterprise"]["uscc"] for one in listed["cases"]] == [case.uscc for case in CASES]
    page = (Path(__file__).parents[1] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    for case in CASES:
        reasons = ", ".join(f"`{code}`" for code in case.reasons)
        purpose = "" if case.purpose == "working_capital" else f", purpose `{case.purpose}`"
        asked = f"`{case.product}` {case.amount}{purpose}"
        assert f"| `{case.uscc}` | {case.zh} | {case.en} | {asked} | {case.outcome} | {reasons} |" in page
    assert NOT_ON_RECORD in page


def test_the_command_tells_whether_a_store_holds_the_sandbox(tmp_path: Path) -> None:
    environ = {"DECISION_HOME": str(tmp_path)}
    empty = CliRunner().invoke(main, ["sandbox", "list", "--check-loaded"], env=environ)
    assert empty.exit_code == 1 and "no enterprise" in empty.output
