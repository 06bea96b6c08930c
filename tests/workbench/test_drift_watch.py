"""Watching drift over a store: counted once, judged daily, revised when outcomes come, acting on red."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event, update

from decision_service.audit.record import build_record
from decision_service.audit.release import Act
from decision_service.audit.signing import Signer
from decision_service.cli import main
from decision_service.commands import models_drift
from decision_service.decide import SHANGHAI, Platform
from decision_service.errors import AuditError, InputError, ModelError
from decision_service.portrait.records import Overdue
from decision_service.scoring.stability import Profile, profile
from decision_service.store import DecisionCommit, Store
from decision_service.store.tables import DECISIONS
from decision_service.vocabulary import ModelVersion, Outcome, Scores
from decision_service.workbench import switches
from decision_service.workbench.drift import Watch, default_dates, document, watch
from decision_service.workbench.drift_counts import _flat
from decision_service.workbench.drift_page import html
from tests.releasing import ANN, BOB
from tests.store.store_samples import FACTS, USCC, VERDICTS, Inputs, KnownFacts, application, commit, decision

FIRST = date(2026, 8, 1)
TREES, SEQUENCES = ModelVersion("pd-xgboost", "3", "sha256:aa"), ModelVersion("pd-lstm", "1", "sha256:bb")
RANDOM = np.random.default_rng(11)
TRAINED = profile(RANDOM.normal(0.6, 0.1, (5_000, 1)), ("debt_to_asset_ratio",), RANDOM.beta(2, 60, 5_000))
A_DAY = 40
DAY = timedelta(days=1)
Draw = Callable[[np.random.Generator], float]


def usual(random: np.random.Generator) -> float:
    return float(random.beta(2, 60))


def doubled(random: np.random.Generator) -> float:
    return float(random.beta(2, 60)) * 2.5


def draft(made: Any, facts: KnownFacts, features: dict[str, Any]) -> DecisionCommit:
    record = build_record(
        made,
        facts=facts,
        features=Inputs(series=((1.0,) * 10,) * 24, mask=(True,) * 24, features=features),
        verdicts=VERDICTS,
        idempotency_key=made.decision_id,
        body_digest="",
        code_version="test",
    )
    return DecisionCommit(made, record.body, record.private, made.decision_id, "", None)


@dataclass
class Town:
    """A store with decisions of our choice, and the clock."""

    store: Store
    signer: Signer = field(default_factory=lambda: Signer(Ed25519PrivateKey.generate()))
    number: int = 0

    @property
    def platform(self) -> Platform:
        return cast(Platform, SimpleNamespace(store=self.store, signer=self.signer))

    def decide(self, day: date, *, score: float, approved: bool, leverage: float, off: bool, uscc: str = USCC) -> None:
        self.number += 1
        moment = datetime.combine(day, time(9), SHANGHAI) + timedelta(seconds=self.number % 30_000)
        outcome = Outcome.APPROVE if approved else Outcome.REFER
        made = decision(application(self.number, uscc=uscc), outcome=outcome, now=moment.astimezone(UTC))
        pd_12m = Decimal(f"{score:.6f}")
        scores = Scores(pd_12m, pd_12m, pd_12m, status="ok", models=(TREES, SEQUENCES))
        made = replace(made, decision_id=f"D-{self.number}", scores=scores)
        switch = {"auto_approval_switch": "disabled" if off else "enabled"}
        features = {"debt_to_asset_ratio": leverage, "industry_code": "35"}
        commit(self.store, self.signer, draft(made, KnownFacts({**FACTS.values, **switch}), features))

    def days(
        self,
        first: date,
        count: int,
        *,
        draw: Draw = usual,
        approvals: float = 0.5,
        missing: float = 0.0,
        off: bool = False,
        a_day: int = A_DAY,
    ) -> date:
        """Decisions on some days; the day after the last."""
        for number in range(count):
            day = first + number * DAY
            random = np.random.default_rng(day.toordinal())
            for place in range(a_day):
                self.decide(
                    day,
                    score=draw(random),
                    approved=place < approvals * a_day and not off,
                    leverage=float("nan") if random.random() < missing else float(random.normal(0.6, 0.1)),
                    off=off,
                )
        return first + count * DAY

    def watch(self, now: date, *, day: date | None = None, person: Any = ANN, profile_of: Any = None) -> Watch:
        """As it is called on the morning of a day."""
        at = datetime.combine(now, time(1), SHANGHAI).astimezone(UTC)
        return watch(self.platform, profile_of or profiles, day=day, act=Act(person, at))


def profiles(version: ModelVersion) -> Profile | None:
    return TRAINED if version == TREES else None


def by_kind(found: Watch, model: str = "") -> dict[tuple[str, str], Any]:
    return {(one.measure.kind, one.measure.name): one.measure for one in found.measures if one.measure.model == model}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with closing(opened(tmp_path / "decision-service.db")) as store:
        yield Town(store)


def opened(path: Path) -> Store:
    """A store that does not wait for the disk: thousands of decisions are made here."""
    store = Store.open(f"sqlite:///{path}")
    database = store._database
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    database.close()
    return store


def test_quiet_weeks_have_no_colour_and_running_again_writes_nothing(town: Town) -> None:
    today = town.days(FIRST, 36)
    found = town.watch(today)
    assert (found.day, found.counted, found.off) == (today - DAY, 36, ())
    assert {one.measure.level for one in found.measures} == {"none"}
    trees = by_kind(found, "pd-xgboost/3")
    assert (trees["score", "score"].n, trees["score", "score"].base) == (7 * A_DAY, 5_000)
    assert trees["input", "debt_to_asset_ratio"].value < 0.1
    assert by_kind(found)["approval", ""].value == 0.5
    assert by_kind(found, "pd-lstm/1")["score", "score"].note == "no profile"
    again = town.watch(today)
    assert (again.counted, again.revised, again.measures) == (0, 0, found.measures)


def test_day_by_day_gives_the_same_rows_as_all_days_at_once(town: Town, tmp_path: Path) -> None:
    with closing(opened(tmp_path / "other.db")) as store:
        other = Town(store)
        for one in (town, other):
            one.days(one.days(FIRST, 8, a_day=40), 2, draw=doubled, a_day=40)
        today = FIRST + 10 * DAY
        for number in range(1, 11):
            town.watch(FIRST + number * DAY)
        other.watch(today)
        rows = [
            [(one.measure, one.revision) for one in here.store.drifts().measures("2026-01-01", "2026-12-31")]
            for here in (town, other)
        ]
    assert rows[0] == rows[1] and len(rows[0]) > 50


def test_doubled_scores_are_red_and_switch_their_product_to_people_once(town: Town) -> None:
    today = town.days(town.days(FIRST, 8), 7, draw=doubled)
    found = town.watch(today, person=ANN)
    red = by_kind(found, "pd-xgboost/3")["score", "score"]
    assert (red.level, by_kind(found)["W8", ""].level, by_kind(found)["W8", ""].alert) == ("red", "red", "red")
    assert by_kind(found, "pd-xgboost/3")["input", "debt_to_asset_ratio"].level == "none"
    assert town.store.switched_off(["product:working_capital", "all"]) == ("product:working_capital",)
    (event,) = switches.switched_off(town.platform)
    assert event.person == ANN and event.note.startswith("W8 2026-08-") and "PSI of pd-xgboost/3" in event.note
    switches.switch_on(town.platform, "product:working_capital", Act(BOB, datetime.now(UTC), "looked at it"))
    assert town.watch(today).off == () and town.store.switched_off(["product:working_capital"]) == ()
    town.days(today, 1, draw=doubled)
    assert [one.new for one in town.watch(today + DAY).off] == [True]


def test_the_act_comes_before_the_figure_so_that_a_failure_repeats_it(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = town.days(FIRST, 5, draw=doubled)

    def fails(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("decision_service.store.drift.Drifts.add_measures", fails)
        town.watch(today)
    assert town.store.switched_off(["product:working_capital"]) and not town.store.drifts().measures("0", "9")
    assert [one.new for one in town.watch(today).off] == [False]


def test_a_red_of_weeks_ago_that_is_found_late_switches_nothing(town: Town) -> None:
    today = town.days(town.days(FIRST, 5, draw=doubled), 14)
    found = town.watch(today)
    assert found.off == () and {one.measure.level for one in found.measures} == {"none"}
    long_ago = town.store.drifts().measures("2026-08-05", "2026-08-05")
    assert "red" in {one.measure.level for one in long_ago if one.measure.kind == "W8"}


def test_what_is_switched_off_is_no_fall_of_approvals(town: Town) -> None:
    today = town.days(town.days(FIRST, 28), 4, off=True)
    found = by_kind(town.watch(today))["approval", ""]
    assert (found.n, found.value, found.level) == (3 * A_DAY, None, "none") and found.note == "few"


def test_approvals_that_fall_are_red(town: Town) -> None:
    today = town.days(town.days(FIRST, 28), 7, approvals=0.25)
    found = town.watch(today)
    approval = by_kind(found)["approval", ""]
    assert (approval.value, approval.expected, approval.level) == (0.25, 0.5, "red")
    assert "automatic approvals 25.00%, 50.00% before" in switches.switched_off(town.platform)[0].note


def test_an_input_that_is_not_delivered_any_more_has_a_colour_but_is_no_warning(town: Town) -> None:
    today = town.days(town.days(FIRST, 7), 7, missing=0.6)
    found = town.watch(today)
    missing = by_kind(found, "pd-xgboost/3")["missing", "debt_to_asset_ratio"]
    assert missing.level == "red" and missing.expected == 0.0 and 0.5 < missing.value < 0.7
    assert by_kind(found)["W8", ""].level == "none" and found.off == ()


def test_an_alert_ends_after_three_quiet_evaluations(town: Town) -> None:
    today = town.days(town.days(FIRST, 5, draw=doubled), 13)
    town.watch(today)
    alerts = [one.measure for one in town.store.drifts().measures("2026-08-01", "2026-08-31")]
    colours = [one.alert for one in alerts if one.kind == "W8"]
    levels = [one.level for one in alerts if one.kind == "W8"]
    last_red = len(levels) - 1 - levels[::-1].index("red")
    assert colours[last_red + 1] == "red" and colours[-1] == "none"
    assert colours.index("none", last_red) >= last_red + 4 or "none" not in colours[last_red:-1]


def overdue(started_on: date, **fields: Any) -> Overdue:
    return Overdue("R1", "bank-1", started_on, **{"max_days": 120, **fields})


def report(town: Town, uscc: str, record: Overdue, *, on: date) -> None:
    moment = datetime.combine(on, time(8), SHANGHAI).astimezone(UTC)
    town.store.write_records("overdues", [(uscc, record.record_id, record)], source_time=moment, now=moment)
    town.store.set_feed("overdues", moment)


def test_late_outcomes_are_a_new_revision_and_the_old_one_stays(town: Town) -> None:
    start = date(2025, 6, 1)
    firms = [f"9135010000000{number:04}X" for number in range(500)]
    for number, uscc in enumerate(firms):
        town.decide(start + (number % 5) * DAY, score=0.02, approved=True, leverage=0.6, off=False, uscc=uscc)
    today = start + 400 * DAY
    town.days(today - DAY, 1, a_day=10)
    for uscc in firms[:11]:
        report(town, uscc, overdue(start + 100 * DAY), on=today - DAY)
    report(town, firms[11], overdue(start + 10 * DAY, max_days=30, cured_on=start + 40 * DAY), on=today - DAY)
    report(town, firms[12], overdue(start + 300 * DAY), on=today - DAY)  # 90 days later the year is over
    found = by_kind(town.watch(today))["calibration", ""]
    assert (found.n, found.value, found.expected, found.level) == (500, 0.022, 0.02, "none")
    for uscc in firms[20:60]:
        report(town, uscc, overdue(start + 50 * DAY), on=today)
    later = town.watch(today + DAY, day=today - DAY)
    now = by_kind(later)["calibration", ""]
    assert (now.value, now.level, later.revised) == (0.102, "yellow", 3)
    history = [
        (one.revision, one.measure.value)
        for one in town.store.drifts().revisions((today - DAY).isoformat())
        if one.measure.kind == "calibration" and one.measure.model == ""
    ]
    assert history == [(1, 0.022), (2, 0.102)]


def test_without_reports_of_the_year_nothing_is_known_of_outcomes(town: Town) -> None:
    start = date(2025, 6, 1)
    town.days(start, 5, approvals=1.0)
    town.days(start + 399 * DAY, 1, a_day=10)
    report(town, USCC, overdue(start), on=start + 200 * DAY)
    found = by_kind(town.watch(start + 400 * DAY))["calibration", ""]
    assert (found.note, found.value) == ("no outcomes", None)


@pytest.mark.parametrize(
    ("fields", "defaulted"),
    [
        ({"max_days": 90}, True),
        ({"max_days": 89, "cured_on": date(2026, 5, 1)}, False),
        ({"max_days": 10}, True),
        ({"max_days": 10, "written_off": True, "cured_on": date(2026, 2, 1)}, True),
    ],
)
def test_a_default_is_90_days_past_due_or_a_loan_written_off(fields: dict[str, Any], defaulted: bool) -> None:
    found = default_dates([overdue(date(2026, 1, 1), **fields)], date(2026, 4, 1))
    assert found == ((date(2026, 4, 1),) if defaulted else ())
    if fields == {"max_days": 10}:
        assert default_dates([overdue(date(2026, 1, 1), **fields)], date(2026, 3, 31)) == ()


def test_erased_decisions_count_by_their_record_alone(town: Town) -> None:
    today = town.days(FIRST, 4)
    at = datetime.combine(today, time(), SHANGHAI).astimezone(UTC)
    for number in range(1, 31):
        receipt = town.signer.receipt
        town.store.erase_private(f"D-{number}", at, receipt)
    found = by_kind(town.watch(today), "pd-xgboost/3")
    assert found["score", "score"].n == 4 * A_DAY and found["input", "debt_to_asset_ratio"].n == 4 * A_DAY - 30
    assert by_kind(town.watch(today))["approval", ""].n == 4 * A_DAY - 30


def test_a_day_that_is_not_over_is_refused(town: Town) -> None:
    with pytest.raises(InputError, match="is not over"):
        town.watch(FIRST, day=FIRST)


def test_a_registry_that_does_not_answer_leaves_nothing_half_counted(town: Town) -> None:
    today = town.days(FIRST, 1)

    def silent(_: ModelVersion) -> None:
        raise ModelError("no answer")

    with pytest.raises(ModelError):
        town.watch(today, profile_of=silent)
    assert town.store.drifts().counted_days() == ()
    assert town.watch(today).counted == 1


def test_no_decisions_no_figures(town: Town) -> None:
    assert town.watch(FIRST).measures == ()


def test_the_page_tells_all_in_both_languages_and_loads_nothing(town: Town) -> None:
    today = town.days(town.days(FIRST, 8), 7, draw=doubled, missing=0.4)
    found = town.watch(today)
    history = town.store.drifts().measures("2026-08-01", found.day.isoformat())
    page = html(found, history)
    assert page == html(found, history)
    for text in ("红 red", "PSI of the score", "已关闭秒批 switched off", "debt_to_asset_ratio", "没有训练分布"):
        assert text in page
    assert page.count("<svg") == 3 and "http-equiv" in page and "src=" not in page
    assert json.loads(json.dumps(document(found)))["switched_off"][0]["scope"] == "product:working_capital"


def test_the_command_reports_and_exits_with_1_while_an_alert_stands(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = town.days(town.days(FIRST, 3), 5, draw=doubled)
    at = datetime.combine(today, time(1), SHANGHAI).astimezone(UTC)
    monkeypatch.setattr(models_drift, "now", lambda: at)
    monkeypatch.setattr(models_drift, "profile_of", lambda _, version: profiles(version))
    environ = {"DECISION_HOME": str(tmp_path), "DECISION_DATABASE_URL": f"sqlite:///{tmp_path}/decision-service.db"}
    page = tmp_path / "drift.html"

    def run(*arguments: str, code: int) -> str:
        done = CliRunner().invoke(main, ("models", "drift", *arguments), env=environ)
        assert done.exit_code == code, done.output
        return done.output

    said = run("--html", str(page), code=1)
    assert "8 days counted" in said and "automatic approval switched off for product:working_capital" in said
    assert "<svg" in page.read_text(encoding="utf-8")
    again = json.loads(run("--json", code=1))
    assert (again["days_counted"], again["revised"], again["switched_off"]) == (0, 0, [])
    assert "not over" in run("--day", str(today), code=2)
    assert "is not a day" in run("--day", "yesterday", code=2)


NO_NUMBER = b'{"secret":"","values":{"features":{"a":"x"},"series":[],"mask":[]}}'


@pytest.mark.parametrize("damage", [b"{", b"{}", NO_NUMBER])
def test_a_damaged_record_stops_with_what_to_do(town: Town, damage: bytes) -> None:
    today = town.days(FIRST, 1, a_day=3)
    with town.store._database.write() as connection:
        connection.execute(update(DECISIONS).where(DECISIONS.c.leaf_index == 1).values(private=damage))
    with pytest.raises(AuditError, match="audit verify"):
        town.watch(today)
    assert town.store.drifts().counted_days() == ()


def test_series_of_another_shape_are_left_out_and_the_rest_counts(town: Town) -> None:
    found = _flat([["1.0"] * 10, [None] * 10], 2)
    assert found.split(",") == ["1.0"] * 10 + ["nan"] * 10
    assert _flat([["1.0"] * 9], 1) == "" and _flat([["1.0"] * 10], 2) == ""
