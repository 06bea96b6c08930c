"""The schemas in a real editor back end: what it offers, explains and underlines while somebody edits rules."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workbench.editor import Editor

RULES = Path(__file__).parents[2] / "rules"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """yaml-language-server, the back end of the YAML extensions of the usual editors, in a temporary folder."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are needed to run yaml-language-server")
    folder = tmp_path_factory.mktemp("editor")
    install = [npm, "install", "--no-fund", "--no-audit", "--silent", "--prefix", str(folder), "yaml-language-server"]
    try:
        subprocess.run(install, check=True, capture_output=True, timeout=300, cwd=folder)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"yaml-language-server could not be installed: {error}")
    server = folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    found = Editor([node, str(server), "--stdio"], RULES)
    yield found
    found.close()


def place(text: str, before: str, *, after: int = 0) -> tuple[int, int]:
    """Line and column right behind the first ``before`` in a text."""
    head = text[: text.index(before) + len(before) + after]
    return head.count("\n"), len(head) - head.rfind("\n") - 1


def opened(editor: Editor, path: str, before: str, after: str) -> tuple[str, str]:
    """A shipped file, opened beside the real one with one text replaced; ``|`` is where the cursor will stand."""
    text = (RULES / path).read_text(encoding="utf-8")
    assert before in text, before
    text = text.replace(before, after.replace("|", ""), 1)
    name = "draft_" + "".join(char if char.isalnum() else "_" for char in before + after)
    return editor.open((RULES / path).with_name(f"{name}.yaml"), text), text


OFFERED = [
    ("outcomes", "credit_policy.yaml", "outcome: DECLINE", "outcome: ", {"APPROVE", "REFER", "DECLINE"}),
    ("reason codes", "cards.yaml", "reason: RED_COURT", "reason: ", {"RED_COURT", "AUTO_OK", "CARD_RED"}),
    ("facts that rules set", "cards.yaml", "sets: {card: red}", "sets: {c|}", {"card", "whitelisted"}),
    ("cards", "cards.yaml", "sets: {card: red}", "sets: {card: ", {"none", "yellow", "red"}),
    ("facts of a condition", "limits.yaml", "when: card == yellow", "when: ", {"pd_12m", "amount"}),
    ("effects", "limits.yaml", "effects: {limit_cap: industry.max_limit_cny}", "effects: {l|}", {"limit_factor"}),
    ("parameters", "parameters.yaml", "{name: auto_cap,", "{name: ", {"auto_cap", "auto_approval"}),
    ("a parameter's choices", "parameters.yaml", "value: enabled", "value: ", {"enabled", "disabled"}),
    ("facts of a case", "cases/amounts.yaml", "facts: {amount: 4_000_000.00}", "facts: {p|}", {"policy.auto_cap"}),
    ("profiles", "cases/amounts.yaml", "base: sound_manufacturer", "base: ", {"sound_manufacturer"}),
    ("rules of a case", "cases/amounts.yaml", "misses: [NA-02]", "misses: [", {"NA-02", "AUTO-001", "RED-01"}),
    (
        "keys of a record",
        "cases/edge_cases.yaml",
        "- {year: 2021, rating: A, published_on: 2022-04-15}",
        "- {|}",
        {"year", "rating"},
    ),
    ("required facts", "products/working_capital.yaml", "required: [registration_status,", "required: [", {"pd_12m"}),
]


@pytest.mark.parametrize(("what", "path", "before", "after", "offered"), OFFERED, ids=[one[0] for one in OFFERED])
def test_what_is_offered(editor: Editor, what: str, path: str, before: str, after: str, offered: set[str]) -> None:
    uri, text = opened(editor, path, before, after)
    shown = editor.completions(uri, *place(text, after.partition("|")[0]))
    assert offered <= set(shown), sorted(shown)


HOVERED = [
    ("an outcome", "credit_policy.yaml", "outc", ["结果", "The outcome"]),
    ("a fact of a profile", "cases/profiles.yaml", "debt_to_asset_ra", ["资产负债率", "range: 0 to 5", "level: 2"]),
    ("a parameter's value", "parameters.yaml", "auto_cap, val", ["单户秒批上限", "money in CNY"]),
    ("a reason", "cards.yaml", "    reas", ["原因代码", "reasons.yaml"]),
    ("a date", "lists.yaml", "effective_fr", ["生效日期", "In force from this date on"]),
]


@pytest.mark.parametrize(("what", "path", "before", "told"), HOVERED, ids=[one[0] for one in HOVERED])
def test_what_is_explained(editor: Editor, what: str, path: str, before: str, told: list[str]) -> None:
    text = (RULES / path).read_text(encoding="utf-8")
    shown = editor.hover(editor.open(RULES / path, text), *place(text, before))
    assert [one for one in told if one not in shown] == [], shown


UNDERLINED = [
    ("an outcome", "credit_policy.yaml", "outcome: DECLINE", "outcome: REJECT", "APPROVE"),
    ("a reason code", "cards.yaml", "reason: RED_COURT", "reason: RED_COURTS", "RED_COURT"),
    ("an undeclared fact", "limits.yaml", "when: card == yellow", "when: cart == yellow", "only facts of facts.yaml"),
    ("money", "parameters.yaml", "value: 5_000_000.00", "value: 5_000e3", "without an exponent"),
]


@pytest.mark.parametrize(("what", "path", "before", "after", "told"), UNDERLINED, ids=[one[0] for one in UNDERLINED])
def test_what_is_underlined(editor: Editor, what: str, path: str, before: str, after: str, told: str) -> None:
    uri, text = opened(editor, path, before, after)
    lines = [(line, message) for line, message in editor.mistakes(uri)]
    assert [line for line, _ in lines] == [place(text, after)[0]], lines
    assert told in lines[0][1]


@pytest.mark.parametrize("path", sorted(path.relative_to(RULES).as_posix() for path in RULES.rglob("*.yaml")))
def test_nothing_is_underlined_in_a_shipped_file(editor: Editor, path: str) -> None:
    text = (RULES / path).read_text(encoding="utf-8")
    uri = editor.open((RULES / path).with_name(f"copy_of_{Path(path).name}"), text)
    assert editor.mistakes(uri) == []
