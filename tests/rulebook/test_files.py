"""The loader: what a rulebook holds once loaded, and every mistake with file, line and remedy."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from decision_service.errors import RulebookError
from decision_service.rulebook import files
from decision_service.rulebook.files import load, load_sources
from decision_service.rulebook.rules import Effects, Stage
from decision_service.vocabulary import Outcome
from tests.rulebook.small_rulebook import DECISION, INDUSTRIES, RULE, SOURCES, STATUS, TODAY, ruleset


def test_a_loaded_rule_says_what_its_file_says() -> None:
    loaded = ruleset()
    by_id = {rule.id: rule for rule in loaded.rules}
    automatic, limit, red = by_id["AUTO-1"], by_id["LIM-2"], by_id["RED-1"]
    assert (automatic.stage, automatic.outcome, automatic.reason) == (Stage.DECISION, Outcome.APPROVE, "AUTO_OK")
    assert (automatic.file, automatic.line, automatic.effective_from) == ("decision.yaml", 3, date(2023, 10, 15))
    assert automatic.title == {"zh": "秒批", "en": "instant"} and automatic.reference == "rule six"
    assert limit.effects == Effects(500_000, None, 50, ("no_increase", "watch"))
    assert by_id["LIM-1"].effects == Effects(limit_cap="industry.ceiling")
    assert red.sets == (("card", "red"),)
    assert by_id["WL-1"].sets == (("whitelisted", 1),)


def test_a_rule_is_in_force_from_its_first_day_and_not_on_its_last() -> None:
    loaded = ruleset()
    assert [rule.id for rule in loaded.in_force(date(2023, 10, 14)).rules(Stage.DECISION)] == []
    assert "AMT-1" in {rule.id for rule in loaded.in_force(date(2023, 10, 15)).rules(Stage.DECISION)}
    assert "AMT-1" in {rule.id for rule in loaded.in_force(date(2029, 12, 31)).rules(Stage.DECISION)}
    assert "AMT-1" not in {rule.id for rule in loaded.in_force(date(2030, 1, 1)).rules(Stage.DECISION)}


def test_parameters_are_those_in_force_on_the_date() -> None:
    loaded = ruleset()
    assert loaded.in_force(date(2024, 12, 31)).parameters("plain", "35") == {
        "policy.line": 500_000_000,
        "product.term": 12,
        "industry.cutoff": 45_000,
        "industry.ceiling": 2_000_000_000,
    }
    later = loaded.in_force(date(2025, 1, 1)).parameters("plain", "35")
    assert (later["policy.line"], later["industry.cutoff"]) == (600_000_000, 40_000)
    assert loaded.in_force(date(2023, 10, 14)).parameters("plain", "35") == {}


INDUSTRY_STATUS = [
    ("35", date(2024, 6, 3), "covered"),
    ("06", date(2024, 6, 3), "excluded"),
    ("99", date(2024, 6, 3), "unknown"),
    ("", date(2024, 6, 3), "unknown"),
    ("51", date(2023, 12, 31), "covered"),
    ("51", date(2024, 1, 1), "unknown"),
]


@pytest.mark.parametrize(("code", "on", "status"), INDUSTRY_STATUS)
def test_an_industry_without_a_row_in_force_is_unknown_and_has_no_parameters(code: str, on: date, status: str) -> None:
    rules = ruleset().in_force(on)
    assert rules.industry_status(code) == status
    assert ("industry.cutoff" in rules.parameters("plain", code)) == (status == "covered")


def test_an_unknown_product_has_no_parameters() -> None:
    assert "product.term" not in ruleset().in_force(TODAY).parameters("other", "35")


def test_version_and_digest_follow_the_texts() -> None:
    loaded = ruleset()
    assert loaded.digest == load_sources(dict(reversed(list(SOURCES.items())))).digest
    assert loaded.version == loaded.digest.removeprefix("sha256:")[:12]
    assert ruleset(decision=DECISION + "# a comment\n").digest != loaded.digest
    named = load_sources({**SOURCES, "VERSION": "2024.06\n"})
    assert named.version == "2024.06" and named.digest != loaded.digest


def test_a_folder_and_its_texts_from_memory_are_the_same_ruleset(tmp_path: Path) -> None:
    _write(tmp_path, {**SOURCES, "README.md": "not a rule", "cases/x.yaml": "cases: []"})
    (tmp_path / "status.yaml").write_bytes(STATUS.replace("\n", "\r\n").encode())
    from_folder = load(tmp_path)
    again = load_sources(from_folder.sources)
    assert (again.digest, again.version, again.rules) == (from_folder.digest, from_folder.version, from_folder.rules)
    assert again.reasons == from_folder.reasons and again.products == from_folder.products
    assert "README.md" not in from_folder.sources and "cases/x.yaml" not in from_folder.sources


def _write(folder: Path, sources: dict[str, str]) -> None:
    for path, text in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())


def socket_at(path: Path) -> None:
    """A socket where a file should be; its name may be longer than a socket's address can be."""
    with socket.socket(socket.AF_UNIX) as listening:
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{descriptor}/{path.name}")
        finally:
            os.close(descriptor)


UNREADABLE: list[tuple[str, Callable[[Path], None], str]] = [
    (
        "not UTF-8",
        lambda path: path.write_bytes(b"stage: status\nx: \xff\xfe\n"),
        "status.yaml:2: byte 17 is not UTF-8",
    ),
    ("too large", lambda path: path.write_bytes(b"#" * (files.MAX_FILE_BYTES + 1)), "bytes; keep it below"),
    ("a folder", lambda path: (path.unlink(), path.mkdir())[0], "this is a folder, not a regular file; put a regular"),
    ("a pipe", lambda path: (path.unlink(), os.mkfifo(path))[0], "this is a pipe, not a regular file; put a regular"),
    ("a socket", lambda path: (path.unlink(), socket_at(path))[0], "this is a socket, not a regular file"),
    ("a device", lambda path: (path.unlink(), os.symlink("/dev/zero", path))[0], "this is a device, not a regular"),
    ("a link to itself", lambda path: (path.unlink(), os.symlink(path, path))[0], "where it leads if it is a link"),
    (
        "a dangling link",
        lambda path: (path.unlink(), os.symlink("/nowhere/at/all", path))[0],
        "the file is not readable",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE])
def test_a_file_that_cannot_be_read_is_a_problem_not_a_traceback(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    _write(tmp_path, dict(SOURCES))
    spoil(tmp_path / "status.yaml")
    with pytest.raises(RulebookError) as caught:
        load(tmp_path)
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_missing_folder_and_an_empty_folder_are_problems(tmp_path: Path) -> None:
    with pytest.raises(RulebookError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(RulebookError) as caught:
        load(tmp_path)
    assert {problem.what for problem in caught.value.problems} == {"the file is missing"}


def test_a_stored_text_with_half_a_character_is_a_problem() -> None:
    with pytest.raises(RulebookError, match="half a character"):
        load_sources({**SOURCES, "status.yaml": STATUS + "# \ud800"})


SPOILS = ("", "{", "]", ":", "-", "\t", "\n", "\"", "null", "1e400", "&a ", "*a", "!x ", "---\n", "#", "|", "9" * 30)


def test_whatever_is_spoilt_the_loader_loads_or_reports() -> None:
    chance = random.Random(20240603)
    reported = 0
    for _ in range(400):
        path = chance.choice(sorted(SOURCES))
        text = SOURCES[path]
        at, length = chance.randrange(len(text)), chance.randrange(20)
        spoilt = text[:at] + chance.choice(SPOILS) + text[at + length :]
        try:
            load_sources({**SOURCES, path: spoilt})
        except RulebookError as error:
            reported += 1
            assert error.problems and all(problem.line >= 1 and problem.file for problem in error.problems)
    assert 200 < reported < 400


def test_seventy_eight_industries_and_two_hundred_rules_load_in_three_seconds() -> None:
    rules = "stage: decision\nrules:\n" + "".join(RULE.replace("NEW-1", f"NEW-{n}") for n in range(200))
    header = INDUSTRIES.split("\n", 1)[0]
    lines = [f"{code:02d},名称,0.05,1000000,{year}-01-01,,x" for code in range(10, 88) for year in range(2020, 2024)]
    started = time.perf_counter()
    loaded = load_sources({**SOURCES, "many.yaml": rules, "industries.csv": "\n".join([header, *lines])})
    assert time.perf_counter() - started < 3
    assert len(loaded.rules) == 208 and len(loaded.industries.keys()) == 78
