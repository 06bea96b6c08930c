"""The command `decision-service`: exit codes, readable output, no tracebacks, and the whole way on a small city."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from decision_service.audit.record import FACT_PREFIX, values_of
from decision_service.cli import main
from decision_service.commands.console import width
from decision_service.commands.demo import Show, Shown, ask_all, read_showcase, visitor
from decision_service.permissions import KINDS, kinds_with
from decision_service.portrait.series import SERIES, WINDOW
from decision_service.settings import Settings
from decision_service.store import Store
from tests.api.real import RULES, write_feeds


class Shell:
    """Runs commands against one home; a traceback fails the test at once."""

    def __init__(self, home: Path, feeds: Path) -> None:
        self.feeds = feeds
        self.home = home
        self.environ = {
            "DECISION_HOME": str(home),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
            "DECISION_RULES": str(RULES),
        }

    def run(self, *arguments: str, **environ: str) -> Result:
        result = CliRunner().invoke(main, arguments, env={**self.environ, **environ})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    def fine(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.fine(*arguments, "--json"))


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("feeds")
    return folder, write_feeds(folder)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, shows: tuple[Path, Any]) -> Shell:
    """A home with rules and feeds. There are no models, so nothing is approved."""
    shell = Shell(tmp_path_factory.mktemp("home"), shows[0])
    shell.fine("rules", "activate", str(RULES))
    shell.fine("feeds", "load", str(shows[0]))
    return shell


@pytest.fixture
def fresh(tmp_path: Path, shows: tuple[Path, Any]) -> Shell:
    return Shell(tmp_path / "home", shows[0])


def applications(shows: tuple[Path, dict[str, dict[str, Any]]], *keys: str) -> list[dict[str, Any]]:
    return [shows[1][key]["application"] for key in keys]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        yield (*path, name), command


@pytest.mark.parametrize("path", [path for path, _ in commands(main)], ids=" ".join)
def test_every_command_helps_with_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    assert f"Example: decision-service {path[0]}" in " ".join(result.output.split())


def test_the_commands_of_the_contract_are_there() -> None:
    names = {" ".join(path) for path, _ in commands(main)}
    assert {
        "serve", "decide", "replay", "demo", "clients add", "clients list", "clients revoke",
        "clients limit", "rules check",
        "rules test", "rules list", "rules publish", "rules approve", "rules activate", "rules rollback",
        "audit verify", "feeds load", "portrait show",
    } <= names  # fmt: skip


def test_a_client_s_key_is_shown_once_and_its_end_is_listed(fresh: Shell) -> None:
    added = fresh.json("clients", "add", "--name", "Bank", "--kind", "bank")
    assert set(added) == {"client_id", "key"}
    assert added["key"] not in fresh.fine("clients", "list")
    fresh.fine("clients", "revoke", added["client_id"])
    ended = fresh.json("clients", "list")[0]["revoked_at"]
    assert ended
    again = fresh.run("clients", "revoke", added["client_id"])
    assert again.exit_code == 1 and f"was revoked before, at {ended}" in again.stderr and not again.stdout
    assert fresh.json("clients", "list")[0]["revoked_at"] == ended


def test_how_much_a_client_may_send_is_shown_set_and_reset(fresh: Shell) -> None:
    bank = fresh.json("clients", "add", "--name", "Bank", "--kind", "bank")["client_id"]
    assert {row["whose"] for row in fresh.json("clients", "limit", bank)} == {"general"}
    fresh.fine("clients", "limit", bank, "decide=5/1")
    rows = {row.pop("kind"): row for row in fresh.json("clients", "limit", bank, "read=7/60")}
    assert rows["decide"] == {"requests": 5, "seconds": 1, "whose": "own"}
    assert rows["read"]["whose"] == "own" and rows["write"]["whose"] == "general"
    assert {row["whose"] for row in fresh.json("clients", "limit", bank, "--reset")} == {"general"}
    for wrong in (("nobody",), ("nobody", "read=1/1"), (bank, "read=0/1"), (bank, "--reset", "read=1/1")):
        assert fresh.run("clients", "limit", *wrong).exit_code == 2
    assert fresh.run("clients", "limit", bank, DECISION_LIMITS="decide").exit_code == 2


def test_the_kinds_of_clients_are_explained_as_the_api_treats_them() -> None:
    output = CliRunner().invoke(main, ["clients", "add", "--help"]).output
    told = {kind: re.search(rf"^ +{kind} +(.*)$", output, re.MULTILINE) for kind in KINDS}
    texts = {kind: match[1] for kind, match in told.items() if match is not None}
    deciding = {kind for kind in KINDS if "applies" in texts[kind] or "as a bank" in texts[kind]}
    assert texts.keys() == set(KINDS)
    assert {kind for kind in KINDS if "reads everybody's" in texts[kind]} == {k for k in KINDS if KINDS[k].sees_all}
    assert deciding == set(kinds_with("decisions:write"))
    assert {kind for kind in KINDS if "simulates" in texts[kind]} | deciding == set(kinds_with("simulations:run"))


def test_decided_applications_verify_and_replay_identically(city: Shell, shows, tmp_path: Path) -> None:
    file = tmp_path / "applications.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in applications(shows, "approve", "yellow", "red-whitelist")))
    lines = [json.loads(line) for line in city.fine("decide", str(file), "--json").splitlines()]
    assert [line["outcome"] for line in lines] == ["REFER", "REFER", "DECLINE"]
    assert "MODEL_DOWN" in {reason["code"] for reason in lines[0]["reasons"]}
    assert city.json("audit", "verify")["ok"] is True
    assert city.json("replay", "--all")["different"] == {}
    assert city.json("replay", lines[0]["decision_id"]) == {"identical": 1, "erased": 0, "different": {}}


def test_the_same_file_again_gives_the_same_decisions_unless_asked_anew(city: Shell, shows, tmp_path: Path) -> None:
    file = tmp_path / "applications.json"
    file.write_text(json.dumps(applications(shows, "control", "purpose"), indent=2))
    first = city.fine("decide", str(file), "--json")
    assert city.fine("decide", str(file), "--json") == first
    assert city.fine("decide", str(file), "--json", "--again") != first
    assert "decided before" in city.fine("decide", str(file))


def test_what_cannot_be_decided_is_told_by_line_and_the_rest_is_decided(city: Shell, shows, tmp_path: Path) -> None:
    good, wrong, stranger = applications(shows, "approve", "yellow", "dispute")
    wrong = {**wrong, "amount": "1e-7", "colour": "red"}
    stranger = {**stranger, "enterprise": {"uscc": "91350100M000100Y43"}}
    file = tmp_path / "mixed.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in (good, wrong, stranger)))
    result = city.run("decide", str(file), "--json")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert f"{file}:2: amount must be money" in result.stderr and "colour is not a field" in result.stderr
    assert f"{file}:3:" in result.stderr and "is not on record" in result.stderr


NOT_APPLICATIONS = {"empty": b"", "blank": b"\n\n", "not JSON": b"\x00\xff", "half": b'[{"a":', "deep": b"[" * 9_000}


@pytest.mark.parametrize("content", NOT_APPLICATIONS.values(), ids=NOT_APPLICATIONS.keys())
def test_a_file_without_applications_cannot_be_run(city: Shell, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "applications.json"
    file.write_bytes(content)
    result = city.run("decide", str(file))
    assert result.exit_code == 2
    assert str(file) in result.stderr


def test_another_folder_of_rules_decides_without_becoming_active(city: Shell, shows, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    (folder / "VERSION").write_text("trial-1\n")
    file = tmp_path / "one.json"
    file.write_text(json.dumps(applications(shows, "first-loan")[0]))
    decision = json.loads(city.fine("decide", str(file), "--rules", str(folder), "--json"))
    assert decision["ruleset"]["version"] == "trial-1"
    listed = {row["version"]: row["active"] for row in city.json("rules", "list")}
    assert listed["trial-1"] is False and list(listed.values()).count(True) == 1
    assert city.json("replay", "--all")["different"] == {}


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00+08:00"])
def test_a_moment_needs_its_zone(city: Shell, shows, tmp_path: Path, moment: str) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(applications(shows, "approve")[0]))
    result = city.run("decide", str(file), "--now", moment)
    assert result.exit_code == 2 and "--now" in result.stderr


ENDS_OF_TIME = [
    "0001-01-01T00:00:00+08:00",
    "1999-12-31T23:59:59Z",
    "2101-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
]


@pytest.mark.parametrize("moment", ENDS_OF_TIME)
def test_a_moment_at_the_ends_of_time_is_refused(city: Shell, shows, tmp_path: Path, moment: str) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(applications(shows, "approve")[0]))
    result = city.run("decide", str(file), "--now", moment)
    assert result.exit_code == 2
    assert "--now: " in result.stderr and "out of range; give a moment of the years 2000 to 2100" in result.stderr


@pytest.mark.parametrize("moment", ["2000-01-01T00:00:00+14:00", "2100-12-31T23:59:59.999999-12:00"])
def test_the_first_and_the_last_moment_are_decided(city: Shell, shows, tmp_path: Path, moment: str) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(applications(shows, "control")[0]))
    decision = json.loads(city.fine("decide", str(file), "--now", moment, "--json"))
    assert decision["outcome"] != "APPROVE"


def test_a_decision_of_the_past_says_so(city: Shell, shows, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(applications(shows, "approve")[0]))
    decision = json.loads(city.fine("decide", str(file), "--now", "2026-01-05T09:00:00+08:00", "--json"))
    assert decision["decided_at"] == "2026-01-05T01:00:00.000000Z"


def test_a_changed_byte_is_found_by_verify_and_replay(tmp_path: Path, shows) -> None:
    shell = Shell(tmp_path / "home", shows[0])
    shell.fine("feeds", "load", str(shows[0]))
    file = tmp_path / "one.json"
    file.write_text(json.dumps(applications(shows, "yellow")[0]))
    shell.fine("decide", str(file))
    with sqlite3.connect(tmp_path / "home" / "decisions.db") as database:
        changed = "replace(cast(record as text), '\"outcome\":\"REFER\"', '\"outcome\":\"APPROVE\"')"
        database.execute(f"UPDATE leaves SET record = cast({changed} as blob)")
    verified = shell.run("audit", "verify")
    assert verified.exit_code == 1 and "leaf 1" in verified.stdout
    replayed = shell.run("replay", "--all")
    assert replayed.exit_code == 1 and "outcome: was APPROVE, is REFER" in replayed.stdout


def test_rules_are_checked_with_every_mistake_by_file_and_line(tmp_path: Path, fresh: Shell) -> None:
    assert "fine" in fresh.fine("rules", "check", str(RULES))
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    cards = folder / "cards.yaml"
    cards.write_text(cards.read_text(encoding="utf-8").replace("list_court_dishonest ==", "list_court_dishonset =>", 1))
    (folder / "parameters.yaml").write_text("parameters: [")
    result = fresh.run("rules", "check", str(folder))
    assert result.exit_code == 1
    assert "cards.yaml:" in result.stdout and "parameters.yaml:" in result.stdout
    assert fresh.run("rules", "activate", str(folder)).exit_code == 2


def test_rules_whose_cases_fail_are_not_activated(tmp_path: Path, fresh: Shell) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    cases = folder / "cases" / "cards.yaml"
    cases.write_text(cases.read_text(encoding="utf-8").replace("outcome: DECLINE", "outcome: APPROVE", 1))
    assert fresh.run("rules", "test", str(folder)).exit_code == 1
    result = fresh.run("rules", "activate", str(folder))
    assert result.exit_code == 1 and "not activated" in result.stderr
    assert fresh.json("rules", "list") == []


def test_a_folder_without_cases_is_checked_tested_and_activated_in_vain(tmp_path: Path, fresh: Shell) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder, ignore=shutil.ignore_patterns("cases"))
    told = f"{folder}/cases:1: there are no cases; write cases/*.yaml for the rules\n"
    for command, code in (("check", 1), ("test", 1), ("activate", 2)):
        result = fresh.run("rules", command, str(folder))
        assert (result.exit_code, told in result.output) == (code, True), result.output
        assert len(result.output.splitlines()) == (1 if command == "activate" else 2)
    assert fresh.json("rules", "list") == []


def test_rejected_rows_are_found_something(city: Shell, tmp_path: Path) -> None:
    file = tmp_path / "overdues.csv"
    file.write_text("uscc,record_id,bank,started_on,max_days,cured_on,written_off\nX,1,B,2026-01-01,5,,false\n")
    result = city.run("feeds", "load", str(file))
    assert result.exit_code == 1
    assert "overdues.csv:2" in result.stderr and "rejected rows are in" in result.stderr


def test_a_misspelt_list_is_rejected_by_active_rules_or_else_noted(city: Shell, fresh: Shell, tmp_path: Path) -> None:
    file = tmp_path / "lists.csv"
    file.write_text("uscc,record_id,list_name,listed_on\n91350100M000100Y43,r,list_court_dishonst,2026-01-02\n")
    refused, noted = city.run("feeds", "load", str(file)), fresh.run("feeds", "load", str(file))
    assert refused.exit_code == 1 and "did you mean list_court_dishonest?" in refused.stderr
    assert noted.exit_code == 0 and "no rules are active" in noted.stderr


def test_a_portrait_has_all_32_indicators(city: Shell, shows) -> None:
    uscc = shows[1]["approve"]["uscc"]
    portrait = city.json("portrait", "show", uscc)
    assert [one["indicator"] for one in portrait["indicators"]] == [f"IND{number:02}" for number in range(1, 33)]
    units = {one["indicator"]: one["unit"] for one in portrait["indicators"]}
    assert (units["IND01"], units["IND28"]) == ("%", "years")
    lines = [json.loads(line) for line in city.fine("portrait", "features", "--limit", "3").splitlines()]
    assert len(lines) == 3 and all(len(line["features"]) == 33 for line in lines)


@pytest.mark.parametrize("product", ["working_capital", "invoice_loan"])
def test_what_the_models_read_of_every_enterprise_is_written_as_one_file(
    city: Shell, tmp_path: Path, product: str
) -> None:
    out = tmp_path / "portfolio.parquet"
    told = city.fine("portrait", "features", "--out", str(out), "--product", product)
    rows = pq.read_table(out).to_pylist()
    lines = map(json.loads, city.fine("portrait", "features", "--limit", "100000", "--product", product).splitlines())
    assert told.startswith(f"{len(rows)} enterprises") and list(tmp_path.iterdir()) == [out]
    for row, line in zip(rows, lines, strict=True):
        assert {**row, "uscc": line["uscc"], **line["features"]} == row
        assert [len(month) for month in row["series"]] == [len(SERIES)] * WINDOW and len(row["mask"]) == WINDOW
        hidden = (month for month, shown in zip(row["series"], row["mask"], strict=True) if not shown)
        assert any(row["mask"]) and not any(value is not None for month in hidden for value in month)
    assert city.run("portrait", "features", "--out", str(out), "--columns").exit_code == 2


def test_a_portrait_s_numbers_are_short_enough_to_read(city: Shell, shows) -> None:
    table = city.fine("portrait", "show", shows[1]["approve"]["uscc"]).splitlines()
    assert table[1].split() == ["id", "indicator", "value", "unit", "status", "score"]
    numbers = [word for line in table[3:] for word in line.split() if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?(E.*)?", word)]
    assert len(numbers) > 32 and all(re.fullmatch(r"-?(0|[1-9]\d*)(\.\d{0,3}[1-9])?", number) for number in numbers)


def test_the_terminal_s_user_is_one_lender_however_often_it_decides(fresh: Shell, shows, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(applications(shows, "approve")[0]))
    fresh.fine("feeds", "load", str(fresh.feeds))
    for user in ("ann", "ann", "bob"):
        assert fresh.run("decide", str(file), "--again", LOGNAME=user).exit_code == 0
    clients = [(one["kind"], one["name"]) for one in fresh.json("clients", "list")]
    assert clients == [("bank", "local:ann"), ("bank", "local:bob")]
    with closing(Store.open(f"sqlite:///{fresh.home}/decisions.db")) as store:
        private = [stored.private for stored in store.each_decision() if stored.private is not None]
    assert [values_of(one)[FACT_PREFIX + "lenders_30d"] for one in private] == [1, 1, 2]
    told = " ".join(CliRunner().invoke(main, ["decide", "--help"]).output.split())
    assert "one lender more" in told and "MULTI_LENDER" in told


def test_the_table_of_decisions_names_what_was_approved(city: Shell, shows, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(applications(shows, "yellow")[0]))
    assert city.fine("decide", str(file)).split()[:4] == ["application", "outcome", "approved", "limit"]


def test_serve_tells_whether_the_store_is_empty(city: Shell, fresh: Shell) -> None:
    assert city.run("serve", "--check-empty").exit_code == 1
    assert fresh.run("serve", "--check-empty").exit_code == 0


CANNOT_RUN = {
    "an unknown command": ["fly"],
    "an unknown option": ["replay", "--fast"],
    "nothing to replay": ["replay"],
    "a decision nobody took": ["replay", "d-404"],
    "a file that is not there": ["decide", "nowhere.json"],
    "a folder of rules that is not there": ["rules", "test", "nowhere", "--json"],
    "a folder of rules to activate that is not there": ["rules", "activate", "nowhere"],
    "rejected rows in a file": ["feeds", "load", "nowhere", "--rejects", f"{__file__}/rejects"],
    "a feed that is not there": ["feeds", "load", "nowhere"],
    "a kind of client nobody knows": ["clients", "add", "--name", "x", "--kind", "king"],
    "a client whose name rings a bell": ["clients", "add", "--name", "Bank\a", "--kind", "bank"],
    "a client whose name ends a line": ["clients", "add", "--name", "Bank\nroot", "--kind", "bank"],
    "a client whose name turns the line around": ["clients", "add", "--name", "Bank\u202e", "--kind", "bank"],
    "a client whose name is a book": ["clients", "add", "--name", "x" * 201, "--kind", "bank"],
    "a client without a name": ["clients", "add", "--name", " ", "--kind", "bank"],
    "a client nobody knows": ["clients", "revoke", "nobody"],
    "a code that is none": ["portrait", "show", "123"],
    "an enterprise that is not on record": ["portrait", "show", "91350100M000100Y43"],
    "a port that is none": ["serve", "--port", "0"],
    "a showcase that is none": ["demo", str(RULES / "facts.yaml")],
}


@pytest.mark.parametrize("arguments", CANNOT_RUN.values(), ids=CANNOT_RUN.keys())
def test_what_cannot_run_says_why_and_exits_2(city: Shell, arguments: list[str]) -> None:
    result = city.run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.output.strip()


ARGUMENTS = {
    "an application": ["decide", "PIPE"],
    "a feed": ["feeds", "load", "PIPE"],
    "facts": ["rules", "backtest", "a", "b", "--facts", "PIPE"],
    "a report": ["rules", "publish", "--report", "PIPE", "--note", "x"],
    "a workbook": ["rules", "import-xlsx", "PIPE", str(RULES)],
    "a checkpoint": ["audit", "verify", "--checkpoint", "PIPE"],
    "a showcase": ["demo", "PIPE"],
}


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_a_pipe_instead_of_a_file_is_refused_and_not_waited_for(
    city: Shell, arguments: list[str], tmp_path: Path
) -> None:
    os.mkfifo(pipe := tmp_path / "invoices.csv")
    result = city.run(*(str(pipe) if one == "PIPE" else one for one in arguments))
    assert result.exit_code == 2
    assert f"{pipe}: this is a pipe, not a regular file; " in result.output


def test_a_pipe_that_a_manifest_names_is_told_and_not_waited_for(city: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "overdues.csv")
    entry = {"kind": "overdues", "file": "overdues.csv", "source_time": "2024-01-31T06:00:00+08:00"}
    (tmp_path / "manifest.json").write_text(json.dumps({"as_of": "2024-01-31", "feeds": [entry]}), encoding="utf-8")
    result = city.run("feeds", "load", str(tmp_path))
    assert (result.exit_code, "overdues.csv: this is a pipe, not a regular file" in result.output) == (1, True)


SETTINGS = {
    "an empty home": {"DECISION_HOME": " "},
    "a home that is a file": {"DECISION_HOME": __file__},
    "a database that is no URL": {"DECISION_DATABASE_URL": "decisions.db"},
    "a database of another kind": {"DECISION_DATABASE_URL": "mysql://localhost/x"},
    "a tracking URI that is none": {"MLFLOW_TRACKING_URI": "mlruns"},
    "a port in words": {"DECISION_PORT": "http"},
    "a port beyond 65,535": {"DECISION_PORT": "65536"},
    "no workers": {"DECISION_WORKERS": "0"},
    "a host with a blank": {"DECISION_HOST": "my host"},
    "an alias with a slash": {"DECISION_MODEL_ALIAS": "a/b"},
}


@pytest.mark.parametrize("environ", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_setting_that_is_not_usable_is_named_and_exits_2(fresh: Shell, environ: dict[str, str]) -> None:
    result = fresh.run("clients", "list", **environ)
    assert result.exit_code == 2
    assert next(iter(environ)) in result.stderr or "database" in result.stderr or "store" in result.stderr


def test_a_database_s_password_is_never_printed(fresh: Shell) -> None:
    result = fresh.run("clients", "list", DECISION_DATABASE_URL="postgresql://u:geheim@127.0.0.1:1/x")
    assert result.exit_code == 2
    assert "geheim" not in result.output


def test_settings_survive_the_way_through_the_environment(tmp_path: Path) -> None:
    settings = Settings.from_environ({"DECISION_HOME": str(tmp_path), "DECISION_PORT": "9000"})
    again = Settings.from_environ(settings.environ())
    assert (again.database_url, again.port, again.home) == (settings.database_url, 9000, tmp_path)


def test_chinese_counts_twice_as_wide() -> None:
    assert (width("红牌 red"), width("")) == (8, 0)


def test_the_demo_shows_one_fen_more_below_its_firm_and_asks_it_first(tmp_path: Path, monkeypatch) -> None:
    sound, line, last = (
        {
            "uscc": f"firm {number}",
            "story": {"zh": "企业", "en": f"firm {number}"},
            "application": {"application_id": f"A{number}", "amount": amount},
            "expected_outcome": "APPROVE",
        }
        for number, amount in ((1, "3000000.00"), (2, "5000000.00"), (3, "1000000.00"))
    )
    showcase = tmp_path / "showcase.json"
    showcase.write_text(json.dumps([sound, line, last]))
    shows = read_showcase(showcase)
    assert [show.story["en"] for show in shows] == ["firm 1", "firm 2", "The same firm, one fen more", "firm 3"]
    assert shows[2].application["enterprise"] == shows[1].application["enterprise"]
    asked: list[str] = []

    def answer(port: int, key: str, show: Show) -> Shown:
        asked.append(show.application["application_id"])
        return Shown(show, 201, {}, 0.0, False)

    monkeypatch.setattr("decision_service.commands.demo.ask", answer)
    assert [one.show for one in ask_all(1, "key", shows)] == shows
    assert asked == ["A2-over", "A1", "A2", "A3"]


def test_the_demo_s_client_ends_with_the_demo_also_when_it_fails(fresh: Shell) -> None:
    found = Settings.from_environ(fresh.environ)
    with pytest.raises(KeyboardInterrupt), visitor(found) as key:
        assert [one["revoked_at"] for one in fresh.json("clients", "list")] == [None]
        assert key
        raise KeyboardInterrupt
    (ended,) = fresh.json("clients", "list")
    assert ended["name"] == "demo" and ended["revoked_at"]


@pytest.mark.slow
def test_the_demo_serves_decides_verifies_replays_and_ends_by_itself(city: Shell, shows, tmp_path: Path) -> None:
    without_scores = [
        {**show, "expected_outcome": None, "expected_reasons": []} for show in list(shows[1].values())[:4]
    ]
    showcase = tmp_path / "showcase.json"
    showcase.write_text(json.dumps(without_scores, default=str))
    run = subprocess.run(
        [sys.executable, "-m", "decision_service", "demo", str(showcase), "--json"],
        env={**os.environ, **city.environ},
        capture_output=True,
        text=True,
        timeout=180,
        cwd=RULES.parent,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert [one["answer"]["outcome"] for one in report["decisions"]] == ["REFER"] * 4
    assert all(report["checks"].values())
    assert [one["revoked_at"] is None for one in city.json("clients", "list") if one["name"] == "demo"] == [False]
