"""`rules publish|approve|activate|rollback|list|show|export|switch` as two people use them."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from decision_service import login as logins
from decision_service.audit.release import read_person, written_person
from decision_service.cli import main
from decision_service.commands import rules_release
from decision_service.rulebook.files import load
from decision_service.store import Store
from decision_service.vocabulary import Person
from decision_service.workbench.gates import GATES
from decision_service.workbench.judging import Gate, GateResult
from tests.api.real import RULES

IT = Person("os_user", "4000", "it")
"""Who created the keys."""


class Desk:
    """A home with two members of the risk team, an admin and a bank; a traceback fails the test at once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {
            "DECISION_HOME": str(home),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
            "DECISION_RULES": str(RULES),
            "DECISION_KEY": None,
        }
        store = Store.open(f"sqlite:///{home}/decisions.db")
        kinds = {"ann": "risk", "bob": "risk", "eve": "admin", "bank": "bank", "gone": "risk"}
        now = datetime.now(UTC)
        added = {name: store.add_client(name, kind, now, created_by=IT) for name, kind in kinds.items()}
        store.revoke_client(added["gone"][0].client_id, datetime.now(UTC))
        store.close()
        self.keys = {name: key for name, (_, key) in added.items()}
        self.ids = {name: client.client_id for name, (client, _) in added.items()}

    def run(self, person: str | None, *arguments: str) -> Result:
        key = {} if person is None else {"DECISION_KEY": self.keys[person]}
        result = CliRunner().invoke(main, ("rules", *arguments), env={**self.environ, **key})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    def json(self, person: str | None, *arguments: str) -> Any:
        result = self.run(person, *arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, person: str | None, *arguments: str) -> str:
        result = self.run(person, *arguments)
        assert result.exit_code == 1, result.output
        return result.stderr

    def released(self, folder: Path) -> str:
        """Publish, approve and activate a folder; its version."""
        self.json("ann", "publish", str(folder))
        self.json("bob", "approve", str(folder))
        return str(self.json("ann", "activate", str(folder))["version"])

    def states(self) -> dict[str, str]:
        return {row["version"]: row["state"] for row in self.json(None, "list")}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "home")


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three versions that differ from the shipped rules in nothing but their name."""
    found = {}
    for name in ("one", "two", "three"):
        folder = tmp_path_factory.mktemp("versions") / name
        shutil.copytree(RULES, folder)
        (folder / "VERSION").write_text(f"{name}\n")
        found[name] = folder
    return found


@pytest.fixture(autouse=True)
def quick_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """All gates have tests of their own; here only the first runs, so that these tests stay quick."""
    monkeypatch.setattr(rules_release, "GATES", GATES[:1])


def test_a_version_is_published_approved_by_another_person_activated_and_listed(desk: Desk, versions) -> None:
    first = desk.json(None, "activate", str(versions["one"]))
    assert (first["how"], first["new"], first["person"]["kind"]) == ("installed", True, "os_user")
    published = desk.json("ann", "publish", str(versions["two"]), "--note", "下调")
    assert [gate["gate"] for gate in published["gates"]] == ["check"] and published["new"]
    assert desk.states() == {"one": "active", "two": "published"}
    desk.json("bob", "approve", "two")
    assert desk.states() == {"one": "active", "two": "approved"}
    active = desk.json("ann", "activate", "two")
    assert (active["how"], active["instead_of"]) == ("activated", first["digest"])
    assert desk.states() == {"one": "no longer active", "two": "active"}
    row = desk.json(None, "list")[1]
    assert [row[act]["person"]["name"] for act in ("published", "approved", "activated")] == ["ann", "bob", "ann"]
    assert row["published"]["note"] == "下调"
    table = desk.run(None, "list").stdout
    assert "ann" in table and "no longer active" in table
    verified = CliRunner().invoke(main, ("audit", "verify", "--json"), env=desk.environ)
    told = json.loads(verified.stdout)
    assert told["ok"] and (told["publications"], told["approvals"], told["activations"]) == (1, 1, 2)


def test_whoever_published_a_version_is_refused_as_its_approver_and_both_are_named(desk: Desk, versions) -> None:
    desk.json("ann", "publish", str(versions["one"]))
    said = desk.refused("ann", "approve", "one")
    assert said.count(f"ann (client {desk.ids['ann']})") == 2 and "two persons" in said
    desk.json("eve", "approve", "one")
    assert desk.json("bob", "approve", "one")["new"] is False, "once is enough"


def test_the_user_of_the_machine_is_a_person_too(desk: Desk, versions) -> None:
    desk.json(None, "publish", str(versions["one"]))
    assert f"os_user {logins.os_user().id}" in desk.refused(None, "approve", "one")
    told = {"kind": "client", "id": desk.ids["ann"], "name": "ann", "also": [written_person(IT)]}
    assert desk.json("ann", "approve", "one")["person"] == told


def test_who_created_a_key_and_who_holds_it_are_one_person(desk: Desk, versions) -> None:
    """Whoever may act as root can create a key of the risk team at any time, and keep it."""
    environ = {**desk.environ, "DECISION_RULES": str(RULES)}
    for name in ("mine", "yours"):
        made = CliRunner().invoke(main, ("clients", "add", "--name", name, "--kind", "risk", "--json"), env=environ)
        desk.keys[name] = json.loads(made.stdout)["key"]
    desk.json(None, "publish", str(versions["one"]))
    said = desk.refused("mine", "approve", "one")
    assert "two persons, and mine (client" in said and f"may be {logins.os_user()}" in said
    desk.json("ann", "approve", "one")
    desk.json("mine", "publish", str(versions["two"]))
    desk.refused(None, "approve", "two")
    desk.json("yours", "approve", "two")
    desk.json("mine", "switch", "off", "--all", "--note", "x")
    assert "takes two persons, and" in desk.refused(None, "switch", "on", "--all", "--note", "x")
    listed = json.loads(CliRunner().invoke(main, ("clients", "list", "--json"), env=environ).stdout)
    assert [one["created_by"] for one in listed if one["name"] == "mine"] == [str(logins.os_user())]


def test_a_key_whose_creator_nobody_knows_is_no_second_person_beside_a_user(desk: Desk, versions) -> None:
    store = Store.open(f"sqlite:///{desk.home}/decisions.db")
    desk.keys["old"] = store.add_client("old", "risk", datetime.now(UTC))[1]
    store.close()
    desk.json(None, "publish", str(versions["one"]))
    assert "old (client" in desk.refused("old", "approve", "one")
    desk.json("ann", "publish", str(versions["two"]))
    desk.json("old", "approve", "two")


STRANGERS = {"bank": "of the kind bank", "gone": "no client holds this key"}


@pytest.mark.parametrize(("person", "said"), STRANGERS.items(), ids=STRANGERS)
def test_only_keys_of_the_risk_team_and_of_admins_act_on_rules(desk: Desk, versions, person: str, said: str) -> None:
    desk.json("ann", "publish", str(versions["one"]))
    for arguments in (["approve", "one"], ["rollback"], ["switch", "off", "--all", "--note", "x"]):
        result = desk.run(person, *arguments)
        assert result.exit_code == 2 and said in result.stderr and desk.keys[person] not in result.output


def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, login: int | None, uid: int, sudo: str = "") -> Person:
    """Who a process is taken for by its login, its user and what sudo says."""
    (tmp_path / "loginuid").write_text(str(2**32 - 1 if login is None else login))
    monkeypatch.setattr(logins, "LOGIN", tmp_path / "loginuid")
    monkeypatch.setattr(logins.os, "getuid", lambda: uid)
    monkeypatch.setenv("SUDO_UID", sudo)
    return logins.os_user()


USERS = {
    "who logged in, through sudo": ((4711, 0, "4712"), "4711", ["0"]),
    "who logged in, as another user": ((4711, 4712, ""), "4711", ["4712"]),
    "who logged in, as themselves": ((4711, 4711, "4712"), "4711", []),
    "without a login the user": ((None, 4711, "4712"), "4711", []),
    "without a login root, whoever sudo names": ((None, 0, "4711"), "0", ["4711"]),
    "root, whom sudo names itself": ((None, 0, "0"), "0", []),
    "root, of whom sudo says nonsense": ((None, 0, "\u00b2"), "0", []),
    "root, of whom sudo says too much": ((None, 0, "9" * 99), "0", []),
}


@pytest.mark.parametrize(("process", "number", "also"), USERS.values(), ids=USERS)
def test_a_user_is_who_logged_in(monkeypatch, tmp_path: Path, process, number: str, also: list[str]) -> None:
    found = user(monkeypatch, tmp_path, *process)
    assert (found.kind, found.id, [one.id for one in found.also]) == ("os_user", number, also)


PAIRS = {
    "two who logged in, both as root": ((4711, 0), (4712, 0), False),
    "one who logged in, as root and as themselves": ((4711, 0), (4711, 4711), True),
    "one who logged in, and root without a login": ((4711, 0), (None, 0), True),
    "one who logged in and never was root, and root": ((4711, 4711), (None, 0), False),
    "one who became another, and that other": ((4711, 4712), (4712, 4712), True),
    "root, and root by the name of another": ((None, 0), (None, 0, "4711"), True),
    "root by the names of two": ((None, 0, "4712"), (None, 0, "4711"), True),
    "root by the name of another, and that other": ((None, 0, "4711"), (None, 4711), True),
    "root by the name of another, and a third": ((None, 0, "4711"), (None, 4712), False),
}


@pytest.mark.parametrize(("one", "other", "same"), PAIRS.values(), ids=PAIRS)
def test_whoever_may_be_one_person_is_no_two(monkeypatch, tmp_path: Path, one, other, same: bool) -> None:
    first, second = user(monkeypatch, tmp_path, *one), user(monkeypatch, tmp_path, *other)
    assert first.is_same_as(second) is second.is_same_as(first) is same
    again = read_person(json.loads(json.dumps(written_person(first))))
    assert again == first, "the log keeps it"


@pytest.mark.parametrize("text", [None, "", "abc", "-1", "4294967295\n"])
def test_a_kernel_that_knows_no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None) -> None:
    monkeypatch.setattr(logins, "LOGIN", tmp_path / "loginuid")
    if text is not None:
        (tmp_path / "loginuid").write_text(text)
    assert logins.os_user().id == str(os.getuid())


def test_what_nobody_published_or_approved_is_refused(desk: Desk, versions) -> None:
    desk.json(None, "activate", str(versions["one"]))
    assert "publish it" in desk.refused("ann", "activate", str(versions["two"]))
    assert "publish it" in desk.refused("ann", "approve", str(versions["two"]))
    assert "not published" in desk.refused("ann", "approve", "one")
    desk.json("ann", "publish", str(versions["two"]))
    refused = desk.refused("ann", "activate", "two")
    assert "not approved" in refused and "other than its publisher" in refused and "publish it" not in refused
    assert desk.states() == {"one": "active", "two": "published"}


def test_publishing_the_same_texts_again_changes_nothing(desk: Desk, versions, tmp_path: Path) -> None:
    first = desk.json("ann", "publish", str(versions["one"]))
    copy = Path(shutil.copytree(versions["one"], tmp_path / "copy"))
    again = desk.json("bob", "publish", str(copy))
    assert (again["new"], again["leaf_index"], again["person"]["name"]) == (False, first["leaf_index"], "ann")
    assert "nothing changed" in desk.run("bob", "publish", str(copy)).stdout
    assert "ann" in desk.refused("ann", "approve", "one"), "it still takes somebody else than who published first"


def test_activating_what_is_active_changes_nothing(desk: Desk, versions) -> None:
    desk.released(versions["one"])
    assert desk.json("ann", "activate", "one")["new"] is False
    assert "before" in desk.run("ann", "activate", "one").stdout


def test_a_rollback_goes_back_and_further_back_and_never_forth(desk: Desk, versions) -> None:
    for name in ("one", "two", "three"):
        desk.released(versions[name])
    back = desk.json("bob", "rollback", "--note", "too many referrals")
    assert (back["version"], back["how"], back["note"]) == ("two", "rolled back", "too many referrals")
    assert desk.json("bob", "rollback")["version"] == "one"
    assert "no other version was active before" in desk.refused("bob", "rollback")
    assert desk.json("ann", "activate", "three")["version"] == "three", "forth again by its name"
    assert desk.json("bob", "rollback")["version"] == "one"


def test_a_scheduled_activation_comes_is_listed_and_is_cancelled_by_a_later_word(desk: Desk, versions) -> None:
    desk.released(versions["one"])
    desk.json("ann", "publish", str(versions["two"]))
    desk.json("bob", "approve", "two")
    at = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    scheduled = desk.json("ann", "activate", "two", "--at", at)
    assert scheduled["scheduled"] and datetime.fromisoformat(scheduled["effective_at"]).isoformat() == at
    assert desk.states() == {"one": "active", "two": "scheduled"}
    assert "scheduled for" in desk.run(None, "list").stdout
    again = desk.run("ann", "activate", "one")
    assert again.exit_code == 0 and "cancelled: version two was to become active" in again.stdout
    assert desk.states() == {"one": "active", "two": "approved"}


MOMENTS = ["yesterday", "2026-01-01", "2026-12-01T00:00:00", "2020-01-01T00:00:00Z", "2101-01-01T00:00:00Z"]


@pytest.mark.parametrize("at", MOMENTS)
def test_a_moment_that_is_none_or_has_passed_is_told(desk: Desk, at: str) -> None:
    result = desk.run("ann", "activate", "one", "--at", at)
    assert result.exit_code == 2 and "--at" in result.stderr


def test_the_first_version_of_a_store_cannot_be_for_later(desk: Desk, versions) -> None:
    desk.json("ann", "publish", str(versions["one"]))
    desk.json("bob", "approve", "one")
    assert "no version is active yet" in desk.refused("ann", "activate", "one", "--at", "2100-01-01T00:00:00Z")


def test_a_version_is_found_by_name_digest_beginning_and_folder(desk: Desk, versions, tmp_path: Path) -> None:
    desk.released(versions["one"])
    desk.json("ann", "publish", str(versions["two"]))
    digest = load(versions["two"]).digest
    for called in ("two", digest, digest[:15], digest.removeprefix("sha256:")[:9], str(versions["two"])):
        assert desk.json(None, "show", called)["digest"] == digest
    for called in ("thr", "four", "sha256:", "", str(tmp_path / "nowhere")):
        assert desk.run(None, "show", called).exit_code == 2


def test_a_name_that_two_versions_have_is_ambiguous(desk: Desk, versions, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(versions["one"], tmp_path / "copy"))
    (copy / "parameters.yaml").write_text((copy / "parameters.yaml").read_text(encoding="utf-8") + "# more\n")
    for folder in (versions["one"], copy):
        desk.json("ann", "publish", str(folder))
    said = desk.run("bob", "approve", "one")
    assert said.exit_code == 2 and "2 versions are called so" in said.stderr and load(copy).digest in said.stderr
    desk.json("bob", "approve", load(copy).digest)


def test_the_files_of_a_version_come_back_to_the_byte_its_cases_too(desk: Desk, versions, tmp_path: Path) -> None:
    desk.json("ann", "publish", str(versions["one"]))
    target = tmp_path / "before"
    told = desk.json(None, "export", "one", str(target))
    files = {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert len(files) == told["files"] and Path("cases/cards.yaml") in files
    assert files == {path: (versions["one"] / path).read_bytes() for path in files}
    assert desk.json("bob", "publish", str(target))["new"] is False
    full = desk.run(None, "export", "one", str(target))
    assert full.exit_code == 2 and "not an empty folder" in full.stderr


def test_a_report_is_kept_and_its_hash_is_in_the_log(desk: Desk, versions, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_bytes(b"<html>swap sets</html>")
    told = desk.json("ann", "publish", str(versions["one"]), "--report", str(report))
    digest = "sha256:" + sha256(report.read_bytes()).hexdigest()
    assert told["report"] == digest and digest in desk.run(None, "show", "one").stdout
    store = Store.open(f"sqlite:///{desk.home}/decisions.db")
    assert store.attachment(digest) == report.read_bytes()
    store.close()


def test_a_publication_without_a_report_says_why(desk: Desk, versions) -> None:
    first = desk.run("ann", "publish", str(versions["one"]))
    assert "no report: no version is active to compare with" in first.stdout
    desk.json("bob", "approve", "one")
    desk.json("ann", "activate", "one")
    assert "there is no enterprise on record" in desk.run("ann", "publish", str(versions["two"])).stdout
    assert desk.json("ann", "publish", str(versions["three"]))["report"] is None


def test_the_version_that_was_installed_has_nothing_to_be_compared_with(desk: Desk, versions) -> None:
    desk.json(None, "activate", str(versions["one"]))
    assert "no report: these very texts decide already" in desk.run("ann", "publish", str(versions["one"])).stdout


def test_what_a_gate_refuses_is_not_published_and_nothing_is_stored(
    desk: Desk, versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = (*GATES[:1], Gate("strict", lambda candidate: GateResult(False, "1 problem", ("AUTO-001: no",))))
    monkeypatch.setattr(rules_release, "GATES", gates)
    for command, said in (("publish", "not published"), ("activate", "not activated")):
        result = desk.run("ann", command, str(versions["one"]))
        assert result.exit_code == 1 and said in result.stderr and "AUTO-001: no" in result.stdout
        told = json.loads(desk.run("ann", command, str(versions["one"]), "--json").stdout)
        assert [gate["passed"] for gate in told["gates"]] == [True, False]
    assert desk.json(None, "list") == []


def test_notes_are_one_line_that_people_can_read(desk: Desk, versions) -> None:
    for note in ("two\nlines", "bell\a", "x" * 1_001, "half \ud800"):
        assert desk.run("ann", "publish", str(versions["one"]), "--note", note).exit_code == 2
    assert desk.json(None, "list") == []


def test_a_switch_goes_off_by_one_person_and_on_by_another(desk: Desk) -> None:
    off = desk.json("ann", "switch", "off", "--all", "--note", "模型异常")
    assert (off["scope"], off["state"], off["new"]) == ("all", "off", True)
    assert desk.json("bob", "switch", "off", "--all", "--note", "too")["new"] is False, "it is off already"
    assert [one["person"]["name"] for one in desk.json(None, "switch", "list")] == ["ann"]
    assert "two persons" in desk.refused("ann", "switch", "on", "--all", "--note", "fine again")
    assert desk.json("bob", "switch", "on", "--all", "--note", "fine again")["state"] == "on"
    assert desk.json(None, "switch", "list") == []
    assert "is not switched off" in desk.refused("bob", "switch", "on", "--all", "--note", "again")


@pytest.mark.parametrize("note", ["", "   "])
def test_a_switch_says_why(desk: Desk, note: str) -> None:
    for state in ("off", "on"):
        result = desk.run("ann", "switch", state, "--all", "--note", note)
        assert result.exit_code == 2 and "--note: it is empty; say why" in result.stderr
    assert desk.json(None, "switch", "list") == []


def test_a_version_that_runs_as_a_shadow_is_marked_in_the_list(desk: Desk, versions) -> None:
    desk.json(None, "activate", str(versions["one"]))
    desk.json("ann", "publish", str(versions["two"]))
    desk.json("ann", "shadow", "start", "two")
    assert {row["version"]: row["shadow"] for row in desk.json(None, "list")} == {"one": False, "two": True}
    assert desk.run(None, "list").stdout.count("published, runs as a shadow") == 1
    assert "published, runs as a shadow" in desk.run(None, "show", "two").stdout
    desk.json("ann", "shadow", "stop", "two")
    assert "shadow" not in desk.run(None, "list").stdout


def test_a_switch_has_exactly_one_scope_that_exists(desk: Desk, versions) -> None:
    desk.json(None, "activate", str(versions["one"]))
    good = {"--product": "invoice_loan", "--industry": "35", "--client": desk.ids["bank"]}
    for option, value in good.items():
        told = desk.json("ann", "switch", "off", option, value, "--note", "x")
        assert told["scope"] == f"{option.removeprefix('--')}:{value}"
    assert len(desk.json(None, "switch", "list")) == 3
    for wrong in (
        [], ["--all", "--product", "invoice_loan"], ["--product", "bill_poll"], ["--industry", "00"],
        ["--industry", "3"], ["--client", "nobody"], ["--product", ""],
    ):  # fmt: skip
        result = desk.run("ann", "switch", "off", *wrong, "--note", "x")
        assert result.exit_code == 2 and result.stderr, wrong
    assert len(desk.json(None, "switch", "list")) == 3


def test_everything_can_be_switched_off_before_any_rules_are_there(desk: Desk) -> None:
    assert desk.json("ann", "switch", "off", "--all", "--note", "not yet")["new"]
    assert desk.run("ann", "switch", "off", "--product", "invoice_loan", "--note", "x").exit_code == 2
