"""A version that was damaged in the store is refused by every act that would let it decide, and decides nothing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from decision_service.cli import main
from tests.test_release_commands import Desk, desk, quick_gates, versions  # noqa: F401

DAMAGES = {
    "another text": ("UPDATE rulesets SET sources = replace(sources, 'CARD_RED', 'CARD_RAD')", "has been changed"),
    "a text that no program can read": ("UPDATE rulesets SET sources = substr(sources, 1, 9000)", "is damaged"),
    "a number for a text": ("UPDATE rulesets SET sources = '{\"facts.yaml\": 7}'", "is damaged"),
    "half a character": ("UPDATE rulesets SET sources = '{\"a\": \"\\ud800\"}'", "is damaged"),
    "deep nesting": (f"UPDATE rulesets SET sources = '{'[' * 100_000}'", "is damaged"),
    "another name": ("UPDATE rulesets SET version = 'two-b'", "is version two, and is called two-b"),
    "no texts": ("DELETE FROM rulesets", "no version in the store"),
    "other cases": ("UPDATE attachments SET content = x'7b7d'", "has been changed"),
    "no cases": ("DELETE FROM attachments", "are not in the store"),
    "no report": ("DELETE FROM attachments WHERE content = CAST('report' AS BLOB)", "is not in the store"),
}
OF_TWO = " WHERE digest IN (SELECT subject FROM release_events WHERE kind = 'publication' AND leaf_index > 0)"


class Archive:
    """One and two were active, in this order; raw access to the file of the store."""

    def __init__(self, desk: Desk, versions: dict[str, Path], report: Path) -> None:  # noqa: F811
        self.desk = desk
        desk.json(None, "activate", str(versions["one"]))
        desk.json("ann", "publish", str(versions["two"]), "--report", str(report))

    def damage(self, statement: str) -> None:
        if "rulesets" in statement:
            statement += OF_TWO
        with closing(sqlite3.connect(f"{self.desk.home}/decisions.db", isolation_level=None)) as raw:
            if statement.startswith("UPDATE attachments"):
                statement += " WHERE content <> CAST('report' AS BLOB)"
            assert raw.execute(statement).rowcount > 0

    def leaves(self) -> int:
        with closing(sqlite3.connect(f"{self.desk.home}/decisions.db")) as raw:
            return int(raw.execute("SELECT count(*) FROM leaves").fetchone()[0])

    def fails(self, said: str, *arguments: str) -> None:
        """Refused by Bob with a sentence that names the damage and a remedy; nothing is written."""
        before = self.leaves()
        result = self.desk.run("bob", *arguments)
        assert result.exit_code in (1, 2) and said in result.stderr, (arguments, result.output)
        assert ";" in result.stderr, "it tells what to do"
        assert self.leaves() == before


@pytest.fixture
def archive(desk: Desk, versions: dict[str, Path], tmp_path: Path) -> Archive:  # noqa: F811
    report = tmp_path / "report"
    report.write_text("report")
    return Archive(desk, versions, report)


LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.mark.parametrize(("statement", "said"), DAMAGES.values(), ids=DAMAGES)
def test_no_act_lets_a_damaged_version_decide(archive: Archive, statement: str, said: str) -> None:
    digest = next(row["digest"] for row in archive.desk.json(None, "list") if row["version"] == "two")
    archive.desk.json("bob", "approve", "two")
    archive.desk.json("ann", "activate", "two")
    archive.desk.json("ann", "activate", "two", "--at", LATER)  # so that activating it now is an act
    archive.damage(statement)
    archive.fails(said, "activate", digest)
    archive.fails(said, "activate", digest, "--at", LATER)
    archive.fails(said, "approve", digest)
    if "rulesets" in statement:  # cases and report lie under their digest for both versions
        archive.desk.json("bob", "rollback")


ROLLED_BACK = ("another text", "another name", "no texts", "other cases")


@pytest.mark.parametrize(("statement", "said"), [DAMAGES[name] for name in ROLLED_BACK], ids=ROLLED_BACK)
def test_nobody_rolls_back_to_a_damaged_version(
    archive: Archive, versions: dict[str, Path], statement: str, said: str  # noqa: F811
) -> None:
    archive.desk.json("bob", "approve", "two")
    archive.desk.json("ann", "activate", "two")
    archive.desk.released(versions["three"])
    archive.damage(statement)
    said = {"no version in the store": "is not in the store", DAMAGES["another name"][1]: ""}.get(said, said)
    if said:
        archive.fails(said, "rollback")
    else:
        assert archive.desk.json("bob", "rollback")["version"] == "two", "the log knows its name"
    told = json.loads(CliRunner().invoke(main, ("audit", "verify", "--json"), env=archive.desk.environ).stdout)
    assert not told["ok"]


def test_publishing_a_damaged_version_again_does_not_say_that_all_is_well(
    archive: Archive, versions: dict[str, Path]  # noqa: F811
) -> None:
    archive.damage(DAMAGES["another text"][0])
    archive.fails("has been changed", "publish", str(versions["two"]))
