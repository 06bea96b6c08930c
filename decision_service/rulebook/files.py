"""Loads a folder of rule files, or the same texts from memory, into a ruleset; every mistake is reported at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from decision_service.errors import Problem, RulebookError
from decision_service.regular_file import REMEDY, irregular
from decision_service.rulebook.fact_file import read_facts
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.invariants import Invariant, read_invariants
from decision_service.rulebook.overlay_file import Base, client_of, read_overlay, unread
from decision_service.rulebook.overlays import Overlay
from decision_service.rulebook.parameter_file import (
    read_excluded,
    read_industries,
    read_policy,
    read_product,
    read_table,
)
from decision_service.rulebook.parameters import ParameterRow, ParameterTable
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.rule_file import NO_TEXT, read_reasons, read_rules
from decision_service.rulebook.rules import Product, ReasonCode, Rule
from decision_service.rulebook.ruleset import RESERVED_REASONS, Ruleset, digest_of
from decision_service.rulebook.syntax import did_you_mean
from decision_service.rulebook.yamltree import Branch, Node

REQUIRED_FILES = (
    "facts.yaml",
    "reasons.yaml",
    "parameters.yaml",
    "industries.csv",
    "industries_excluded.csv",
    "lists.yaml",
    "indicators.csv",
)
MAX_FILE_BYTES = 4_000_000
MAX_FILES = 500
CASES = "cases"
UNREADABLE = "check its rights, and where it leads if it is a link"
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


Check = Callable[[Mapping[str, str]], Iterable[Problem]]
"""Finds further mistakes in the texts, by path inside the folder: files that another room reads."""


def load(folder: Path | str, *, checks: Iterable[Check] = ()) -> Ruleset:
    """The ruleset of a folder. Raises ``RulebookError`` with every ``Problem``, each naming file and line."""
    folder = Path(folder)
    problems: list[Problem] = []
    if not folder.is_dir():
        raise RulebookError((Problem(str(folder), 1, "there is no such folder", "name the folder of rule files"),))
    sources = read_sources(folder, problems)
    return _load(sources, problems, shown_in=f"{folder}/", checks=checks)


def load_sources(sources: Mapping[str, str], *, checks: Iterable[Check] = ()) -> Ruleset:
    """The same ruleset from stored texts by path inside the folder. Raises ``RulebookError``."""
    problems = [
        Problem(path, 1, "the text holds half a character (a lone surrogate)", "store the file's UTF-8 text")
        for path, text in sources.items()
        if any("\ud800" <= char <= "\udfff" for char in text)
    ]
    if problems:
        raise RulebookError(tuple(problems))
    return _load(sources, problems, shown_in="", checks=checks)


def read_sources(folder: Path, problems: list[Problem]) -> dict[str, str]:
    """Texts of all rule files but the cases, by path inside the folder."""
    paths = sorted(
        path
        for pattern in ("*.yaml", "*.yml", "*.csv", "VERSION")
        for path in folder.rglob(pattern)
        if path.relative_to(folder).parts[0] != CASES
    )
    if len(paths) > MAX_FILES:
        problems.append(Problem(str(folder), 1, f"{len(paths)} files", f"keep at most {MAX_FILES} rule files"))
    texts: dict[str, str] = {}
    for path in paths[:MAX_FILES]:
        text = read_file(path, problems)
        if text is not None:
            texts[path.relative_to(folder).as_posix()] = text
    problems += unread(folder, set(paths))
    return texts


def read_file(path: Path, problems: list[Problem]) -> str | None:
    """A file's text, or ``None`` after noting why it cannot be read."""
    try:
        if (what := irregular(path)) is not None:
            problems.append(Problem(str(path), 1, what, f"{REMEDY}, or remove it"))
            return None
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            problems.append(Problem(str(path), 1, f"the file has {size:,} bytes", f"keep it below {MAX_FILE_BYTES:,}"))
            return None
        text = path.read_bytes().decode()
        if "\0" not in text:
            return text
        line = text[: text.index("\0")].count("\n") + 1
        problems.append(Problem(str(path), line, "the line holds a NUL byte", "save the file as plain UTF-8 text"))
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        problems.append(Problem(str(path), line, f"byte {error.start} is not UTF-8", "save the file as UTF-8"))
    except OSError as error:
        problems.append(Problem(str(path), 1, f"the file is not readable: {error.strerror}", UNREADABLE))
    return None


@dataclass
class _Draft:
    """What has been read so far."""

    catalogue: FactCatalogue
    rules: list[Rule] = field(default_factory=list)
    reasons: dict[str, ReasonCode] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    product_rows: list[ParameterRow] = field(default_factory=list)
    policy: list[ParameterRow] = field(default_factory=list)
    industries: list[ParameterRow] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    invariants: tuple[Invariant, ...] = ()
    overlays: dict[str, Overlay] = field(default_factory=dict)


def _load(
    sources: Mapping[str, str], problems: list[Problem], *, shown_in: str, checks: Iterable[Check]
) -> Ruleset:
    reader = _Reader(sources, problems, shown_in)
    draft = reader.read()
    for check in checks:
        reader.note(check(sources))
    if problems:
        raise RulebookError(tuple(sorted(problems, key=lambda one: (one.file, one.line, one.what))))
    digest = digest_of(sources)
    return Ruleset(
        version=sources["VERSION"].strip() if "VERSION" in sources else digest.removeprefix("sha256:")[:12],
        digest=digest,
        sources=dict(sources),
        catalogue=draft.catalogue,
        rules=tuple(sorted(draft.rules, key=lambda rule: rule.id)),
        reasons=draft.reasons,
        products=draft.products,
        industries=ParameterTable(draft.industries),
        excluded_industries=draft.excluded,
        product_parameters=ParameterTable(draft.product_rows),
        policy=ParameterTable(draft.policy),
        lists=sources["lists.yaml"],
        indicators=sources["indicators.csv"],
        invariants=draft.invariants,
        overlays=draft.overlays,
    )


class _Reader:
    """Reads every source once, facts first, and then checks what only all files together can show."""

    def __init__(self, sources: Mapping[str, str], problems: list[Problem], shown_in: str) -> None:
        self._sources = sources
        self._problems = problems
        self._shown_in = shown_in
        self._unread: set[str] = set()

    def read(self) -> _Draft:
        for path in REQUIRED_FILES:
            if path not in self._sources and not self._noted(path):
                self._sheet(path).report(1, "the file is missing", "add it; a ruleset needs it")
        draft = _Draft(read_facts(self._sources.get("facts.yaml", ""), self._quiet_sheet("facts.yaml")))
        if not draft.catalogue:
            if not self._noted("facts.yaml"):
                self._sheet("facts.yaml").report(1, "no fact is declared", "declare the facts that rules read")
            self._read_syntax()
            return draft
        for path in sorted(set(self._sources) - {"facts.yaml"}):  # industries.csv comes before the excluded ones
            if client_of(path) is None:
                self._read_one(path, draft)
        if not draft.rules and not self._problems:
            self._sheet("facts.yaml").report(1, "there is no rule beside this file", "add a file with stage and rules")
        self._check_rules(draft.rules, draft.reasons)
        self._read_overlays(draft)
        self._check_reasons(draft)
        self._check_products(draft)
        return draft

    def note(self, found: Iterable[Problem]) -> None:
        """Take up mistakes that another room found, but for lines and files that are known to be wrong."""
        known = {(problem.file, problem.line) for problem in self._problems}
        for problem in found:
            sheet = self._sheet(problem.file)
            if problem.file not in self._unread and (sheet.shown_as, problem.line) not in known:
                sheet.report(problem.line, problem.what, problem.remedy)

    def _read_syntax(self) -> None:
        """Without facts every name would be a mistake; what remains is whether the files can be read at all."""
        for path in sorted(set(self._sources) - {"facts.yaml"}):
            if path.endswith(".yaml"):
                self._tree(path, self._sheet(path))

    def _tree(self, path: str, sheet: Sheet) -> Node | None:
        root = sheet.tree(self._sources[path])
        if root is None:
            self._unread.add(path)
        return root

    def _sheet(self, path: str) -> Sheet:
        return Sheet(path, self._problems, folder=self._shown_in)

    def _quiet_sheet(self, path: str) -> Sheet:
        """A missing file has been reported as such; that its text is empty is no second mistake."""
        return self._sheet(path) if path in self._sources else Sheet(path, [])

    def _noted(self, path: str) -> bool:
        return any(problem.file == f"{self._shown_in}{path}" for problem in self._problems)

    def _read_one(self, path: str, draft: _Draft) -> None:
        text, sheet, catalogue = self._sources[path], self._sheet(path), draft.catalogue
        if path == "industries.csv":
            draft.industries = read_industries(text, catalogue, sheet)
        elif path == "industries_excluded.csv":
            draft.excluded = read_excluded(text, {row.key for row in draft.industries}, sheet)
        elif path == "indicators.csv":
            if not list(read_table(text, sheet, required=("id", "name"), optional=None)):
                sheet.report(1, "the file has no usable line", "restore the indicators")
        elif path == "VERSION":
            if not VERSION.fullmatch(text.strip()):
                sheet.report(1, "the version is unusable", "use up to 64 letters, digits, dots, hyphens")
        elif path.endswith(".yaml") and ("/" not in path or path.startswith("products/")):
            self._read_yaml(path, draft, sheet)
        else:
            sheet.report(1, "this file is not read by anything", "move it to its place, or remove it")

    def _read_yaml(self, path: str, draft: _Draft, sheet: Sheet) -> None:
        root = self._tree(path, sheet)
        if root is None:
            return
        if path == "reasons.yaml":
            draft.reasons = read_reasons(root, sheet)
        elif path == "parameters.yaml":
            draft.policy = read_policy(root, draft.catalogue, sheet)
        elif path == "invariants.yaml":
            draft.invariants = read_invariants(root, draft.catalogue, sheet)
        elif path == "lists.yaml":
            sheet.branch(root, "the file", required=("lists",))
        elif path.startswith("products/"):
            product, rows = read_product(root, draft.catalogue, sheet)
            draft.product_rows += rows
            if product is not None:
                draft.products[product.name] = product
        elif isinstance(root, Branch) and "stage" in root.entries:
            draft.rules += read_rules(root, draft.catalogue, sheet)
        else:
            sheet.report(root.line, "this file is not a rule file", "begin it with stage: status, limit or decision")

    def _read_overlays(self, draft: _Draft) -> None:
        """Every overlay over the whole base, which has been read before."""
        base = Base(draft.catalogue, {rule.id: rule for rule in draft.rules}, draft.reasons)
        clients = {path: client for path in sorted(self._sources) if (client := client_of(path)) is not None}
        for client in sorted(set(clients.values())):
            files = [(self._sheet(path), self._sources[path]) for path in clients if clients[path] == client]
            overlay = draft.overlays[client] = read_overlay(client, files, base)
            self._check_rules(overlay.rules, {**draft.reasons, **overlay.reasons} if draft.reasons else {})

    def _check_rules(self, rules: Iterable[Rule], reasons: Mapping[str, ReasonCode]) -> None:
        first: dict[str, Rule] = {}
        for rule in rules:
            sheet = self._sheet(rule.file)
            if rule.id in first:
                where = f"{first[rule.id].file}:{first[rule.id].line}"
                sheet.report(rule.line, f"rule {rule.id} stands twice, first in {where}", "rename one")
            first.setdefault(rule.id, rule)
            if rule.reason is not None and rule.reason not in reasons and reasons:
                hint = did_you_mean(rule.reason, reasons, otherwise="add its texts to reasons.yaml")
                what = f"rule {rule.id}: unknown reason code '{rule.reason}'"
                sheet.coded(NO_TEXT).report(rule.line, what, hint)

    def _check_reasons(self, draft: _Draft) -> None:
        for code in RESERVED_REASONS if draft.reasons else ():
            if code not in draft.reasons:
                sheet = self._sheet("reasons.yaml").coded(NO_TEXT)
                sheet.report(1, f"the platform's own code {code} is missing", "add it")

    def _check_products(self, draft: _Draft) -> None:
        declared = draft.catalogue["product"].choices if "product" in draft.catalogue else ()
        for name in declared:
            if name not in draft.products and not self._noted(f"products/{name}.yaml"):
                sheet = self._sheet(f"products/{name}.yaml")
                sheet.report(1, "the file is missing", f"add it, or remove {name} from the fact product")
        for name in draft.products:
            if name not in declared:
                sheet = self._sheet(f"products/{name}.yaml")
                sheet.report(1, f"the fact product has no choice {name}", "declare it in facts.yaml")
