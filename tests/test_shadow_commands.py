"""`rules shadow start|stop|list|report` as a risk team uses them, without a server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from decision_service.cli import main
from tests.api.real import RULES
from tests.workbench.test_shadow_follow import STRICTER, TEXTS, Office

REFERRED = "missing"
"""A firm whose applications are referred by both versions."""


class Desk:
    """An office, and the commands over its store; a traceback fails the test at once."""

    def __init__(self, home: Path) -> None:
        self.office = Office(home)
        self.key = self.office.store.add_client("Ann", "risk", datetime.now(UTC))[1]
        self.environ = {
            "DECISION_HOME": str(home),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
            "DECISION_RULES": str(RULES),
            "DECISION_KEY": self.key,
        }

    def run(self, *arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ("rules", "shadow", *arguments), env=self.environ)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.office.store.close()


def test_a_shadow_is_started_listed_reported_and_stopped(desk: Desk) -> None:
    started = desk.json("start", "stricter", "--note", "tighter cap")
    assert (started["version"], started["state"], started["new"]) == ("stricter", "shadow started", True)
    assert (started["person"]["name"], started["note"]) == ("Ann", "tighter cap")
    flipped = desk.office.decide(amount="700000.00")
    desk.office.decide(REFERRED)
    (row,) = desk.json("list")
    assert (row["version"], row["behind"], row["note"]) == ("stricter", 2, "tighter cap")
    (found,) = desk.json("report", code=1)
    assert (found["version"], found["compared"], found["agreement"]["same"]) == ("stricter", 2, 1)
    (flip,) = found["flips"]
    assert (flip["decision_id"], flip["client_id"], flip["amount"]) == (flipped, "bank-01", "700000.00")
    assert (flip["active"], flip["shadow"]) == ("APPROVE", "REFER")
    (rule,) = flip["rules"]
    assert (rule["rule"], rule["active"], rule["shadow"]) == ("NA-02", "missed", "matched")
    assert rule["title"] == {"zh": "单户授信超过秒批上限", "en": "Exposure per customer above the automatic cap"}
    assert desk.json("list")[0]["behind"] == 0
    assert desk.json("stop")["state"] == "shadow stopped"
    assert desk.run("list").stdout == "no shadow runs\n"
    assert desk.json("report", code=1)[0]["flips"] == found["flips"]


def test_the_report_for_people_tells_what_differs_and_limits_the_flips(desk: Desk) -> None:
    desk.run("start", "stricter")
    flips = [desk.office.decide("approve", "700000.00")]
    said = desk.run("report", code=1).stdout
    assert "1 decisions compared, 0 with the same outcome (0.00%, 95 % interval 0.00% to 79.35%)" in said
    assert "APPROVE  REFER" in said and "NA-02" in said and "单户授信超过秒批上限" in said
    assert flips[0] in said and "facts as recorded" in said
    hidden = desk.run("report", "--limit", "0", code=1).stdout
    assert flips[0] not in hidden and "1 more flips" in hidden


def test_stopping_works_out_what_is_left_before_anybody_can_erase_it(desk: Desk) -> None:
    desk.run("start", "stricter")
    decided = desk.office.decide(REFERRED)
    desk.run("stop")
    desk.office.store.erase_private(decided, datetime.now(UTC), desk.office.platform.signer.receipt)
    assert desk.json("report", "stricter")[0]["compared"] == 1


def test_what_is_erased_before_it_was_followed_is_left_out_and_told(desk: Desk) -> None:
    desk.run("start", "stricter")
    decided = desk.office.decide(REFERRED)
    desk.office.store.erase_private(decided, datetime.now(UTC), desk.office.platform.signer.receipt)
    said = desk.run("report").stdout
    assert "0 decisions compared" in said and "left out: 1 decisions (erased)" in said


def test_since_leaves_earlier_decisions_out(desk: Desk) -> None:
    desk.run("start", "stricter")
    desk.office.decide(REFERRED)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert [one["compared"] for one in desk.json("report", "--since", later)] == [0]
    earlier = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert [one["compared"] for one in desk.json("report", "--since", earlier)] == [1]
    assert "--since" in desk.run("report", "--since", "yesterday", code=2).stderr


def test_several_shadows_run_at_once_and_each_is_reported(desk: Desk) -> None:
    desk.office.keep({**TEXTS, "VERSION": "same\n"})
    for version in ("stricter", "same"):
        desk.run("start", version)
    desk.office.decide(amount="700000.00")
    found = {one["version"]: len(one["flips"]) for one in desk.json("report", code=1)}
    assert found == {"stricter": 1, "same": 0}
    assert desk.json("report", "same")[0]["agreement"]["share"] == "1.000000"
    assert "name one" in desk.run("stop", code=2).stderr
    desk.run("stop", "same")
    assert [one["version"] for one in desk.json("report", code=1)] == ["stricter"]


def test_a_version_that_ran_twice_is_reported_over_both_times(desk: Desk) -> None:
    for _ in range(2):
        desk.run("start", "stricter")
        desk.office.decide(REFERRED)
        desk.run("stop")
        desk.office.decide(REFERRED)
    assert desk.json("report", "stricter")[0]["compared"] == 2


def test_the_page_is_written_and_holds_what_the_report_says(desk: Desk, tmp_path: Path) -> None:
    desk.run("start", "stricter")
    decided = desk.office.decide(amount="700000.00")
    desk.run("report", "--html", str(tmp_path / "shadow.html"), code=1)
    page = (tmp_path / "shadow.html").read_text(encoding="utf-8")
    assert decided in page and "单户授信超过秒批上限" in page and "仅影子" in page


FAILURES = {
    "a version that is not there": (("start", "nowhere"), 2, "no version in the store"),
    "a stop without a shadow": (("stop",), 2, "no shadow runs"),
    "a stop of what does not run": (("stop", "stricter"), 1, "is no shadow"),
    "a report without any": (("report",), 2, "ever ran as a shadow"),
    "a report on what never ran": (("report", "stricter"), 2, "never ran as a shadow"),
    "a note of two lines": (("start", "stricter", "--note", "a\nb"), 2, "--note"),
}


@pytest.mark.parametrize(("arguments", "code", "said"), FAILURES.values(), ids=FAILURES)
def test_what_cannot_be_done_is_said_in_a_sentence(desk: Desk, arguments: Any, code: int, said: str) -> None:
    assert said in desk.run(*arguments, code=code).stderr


def test_a_bank_cannot_start_one(desk: Desk) -> None:
    desk.environ["DECISION_KEY"] = desk.office.store.add_client(str(uuid.uuid4()), "bank", datetime.now(UTC))[1]
    assert "kind bank" in desk.run("start", "stricter", code=2).stderr


def test_files_that_the_portrait_reads_are_told_in_the_report(desk: Desk) -> None:
    desk.office.keep({**STRICTER, "VERSION": "lists\n", "lists.yaml": TEXTS["lists.yaml"] + "# changed\n"})
    desk.run("start", "lists")
    desk.office.decide(REFERRED)
    notes = [note["en"] for note in desk.json("report")[0]["notes"]]
    assert any("lists.yaml differs" in note for note in notes) and not any("indicators.csv" in note for note in notes)
