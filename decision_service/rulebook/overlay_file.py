"""Reads one client's folder ``overlays/<client>/``: its rule files, its rows of policy, its reason codes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from decision_service.errors import Problem
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.overlays import OVERLAYS, Overlay
from decision_service.rulebook.parameter_file import read_rows
from decision_service.rulebook.parameters import ParameterRow, ParameterTable
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.rule_file import read_reasons, read_rules
from decision_service.rulebook.rules import ReasonCode, Rule
from decision_service.rulebook.ruleset import POLICY
from decision_service.rulebook.yamltree import Branch, Listing, Node, Scalar
from decision_service.vocabulary import CLIENT_ID

PARAMETERS, REASONS = "parameters.yaml", "reasons.yaml"
HOLDS = f"an overlay holds rule files, {PARAMETERS} and {REASONS}"
BASE_ONLY: Mapping[str, str] = {
    "facts.yaml": "declare facts",
    "industries.csv": "change industries",
    "industries_excluded.csv": "change industries",
    "indicators.csv": "change indicators",
    "lists.yaml": "change lists",
    "invariants.yaml": "make claims",
    "products": "change products",
    "cases": "hold cases",
}
"""What an overlay cannot do, by the file or folder that would do it in the base."""


@dataclass(frozen=True, slots=True)
class Base:
    """What an overlay is laid over: the declared facts, the base's rules by id and its reason codes."""

    catalogue: FactCatalogue
    rules: Mapping[str, Rule]
    reasons: Mapping[str, ReasonCode]


@dataclass
class _Draft:
    """What has been read of one overlay so far."""

    rules: list[Rule] = field(default_factory=list)
    reasons: dict[str, ReasonCode] = field(default_factory=dict)
    policy: list[ParameterRow] = field(default_factory=list)


def client_of(path: str) -> str | None:
    """The folder of ``overlays/`` that a file lies in; ``None`` for a file of the base."""
    parts = path.split("/")
    return parts[1] if parts[0] == OVERLAYS and len(parts) > 2 else None


def unread(folder: Path, paths: Collection[Path]) -> Iterator[Problem]:
    """Overlays of which nothing is among the ``paths`` that will be read, and files in them that nothing reads.

    In the base such a file is somebody's note. Here it may be a rule that a bank believes to be in force.
    """
    for place in sorted((folder / OVERLAYS).rglob("*")):
        if place.is_dir():
            if place.parent == folder / OVERLAYS and not any(place in path.parents for path in paths):
                remedy = f"add its files or remove the folder; {HOLDS}"
                yield Problem(str(place), 1, "the overlay has no file that could be read", remedy)
        elif place not in paths and place.suffix != ".md" and not place.name.startswith("."):
            yield Problem(str(place), 1, "this file is not read by anything", f"end its name in .yaml; {HOLDS}")


def read_overlay(client: str, files: Iterable[tuple[Sheet, str]], base: Base) -> Overlay:
    """The overlay of a client from its files; every mistake is reported to the file's sheet."""
    draft = _Draft()
    for number, (sheet, text) in enumerate(files):
        if number == 0 and not CLIENT_ID.fullmatch(client):
            remedy = "name the folder by the client's id: small letters, digits and single hyphens"
            sheet.report(1, f"'{client}' cannot be the id of a client", remedy)
        _read_file(sheet, text, draft, base)
    own = tuple(replace(rule, client=client) for rule in sorted(draft.rules, key=lambda rule: rule.id))
    return Overlay(client, own, draft.reasons, ParameterTable(draft.policy))


def _read_file(sheet: Sheet, text: str, draft: _Draft, base: Base) -> None:
    first, *deeper = sheet.file.split("/")[2:]
    if first in BASE_ONLY or deeper or not first.endswith(".yaml"):
        sheet.report(1, f"an overlay cannot {BASE_ONLY.get(first, 'hold this file')}", HOLDS)
        return
    root = sheet.tree(text)
    if root is None:
        return
    if first == REASONS:
        draft.reasons = read_reasons(root, sheet)
        _check_new(root, base.reasons, sheet)
    elif first == PARAMETERS:
        draft.policy = _rows(root, base.catalogue, sheet)
    elif isinstance(root, Branch) and "stage" in root.entries:
        found = read_rules(root, base.catalogue, sheet)
        _check_stages(found, base.rules, sheet)
        draft.rules += found
    else:
        sheet.report(root.line, "this file is not a rule file", "begin it with stage: status, limit or decision")


def _rows(root: Node, catalogue: FactCatalogue, sheet: Sheet) -> list[ParameterRow]:
    branch = sheet.branch(root, "the file", required=("parameters",))
    rows = read_rows(branch.entries.get("parameters") if branch else None, POLICY, POLICY, catalogue, sheet)
    if branch is not None and isinstance(node := branch.entries.get("parameters"), Listing) and not node.items:
        sheet.report(branch.line, "the file has no rows", "write a row or delete the file")
    return rows


def _check_new(root: Node, known: Collection[str], sheet: Sheet) -> None:
    """The texts of a code of the base are the same for everybody."""
    listing = root.entries.get("reasons") if isinstance(root, Branch) else None
    for node in listing.items if isinstance(listing, Listing) else ():
        code = node.entries.get("code") if isinstance(node, Branch) else None
        if isinstance(code, Scalar) and code.text in known:
            what = f"reason {code.text} is a code of the base, which an overlay cannot redefine"
            sheet.report(node.line, what, "give it a code of its own")


def _check_stages(rules: Iterable[Rule], known: Mapping[str, Rule], sheet: Sheet) -> None:
    """A rule that stands in another's place does so in the same stage."""
    for rule in rules:
        replaced = known.get(rule.id)
        if replaced is not None and replaced.stage is not rule.stage:
            what = f"rule {rule.id} replaces a rule of stage {replaced.stage.value} ({replaced.file}:{replaced.line})"
            sheet.report(rule.line, f"{what} by one of stage {rule.stage.value}", "keep the stage, or use a new id")
