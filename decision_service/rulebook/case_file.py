"""Reads ``cases/*.yaml``: profiles, and sentences about what must be decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from decision_service.errors import FactError
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.encoding import Fact, FactType, encode_number
from decision_service.rulebook.literals import parse_literal, parse_number
from decision_service.rulebook.overlays import NO_OVERLAY, OVERLAYS, Overlay
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.ruleset import Ruleset
from decision_service.rulebook.syntax import did_you_mean
from decision_service.rulebook.yamltree import Branch, Listing, Node, Scalar
from decision_service.vocabulary import Outcome

UNKNOWN = "unknown"
GONE = "case-names-gone"
COMPUTED = ("status", "lending")
SPREAD, CONDITIONS = "rate_spread_bp", "conditions"
EXPECTATIONS = ("outcome", "reasons", "card", "whitelisted", "limit", SPREAD, CONDITIONS, "unknown")

FactValues = Mapping[str, Exact | None]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a case expects, by name: ``outcome`` always, the others only when written. A value ``None`` is unknown.

    ``reasons`` and ``conditions`` are sets of all codes; ``unknown`` are facts that the reasons must name; ``limit`` is
    in fen, ``rate_spread_bp`` a ``Decimal`` of basis points.
    """

    outcome: Outcome
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence: these facts, on this date, must be decided like this.

    ``policy_on`` is the date whose rules and parameters decide, if it is not ``as_of``; ``client`` is the one whose
    overlay decides, empty for the base.
    """

    name: str
    as_of: date
    expect: Expectation
    base: str | None = None
    industry: str | None = None
    facts: FactValues = field(default_factory=dict)
    records: Mapping[str, Any] = field(default_factory=dict)
    matches: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    profile: FactValues = field(default_factory=dict)
    policy_on: date | None = None
    client: str = ""

    @property
    def decided_by(self) -> date:
        """The business date whose rules and parameters decide the case."""
        return self.policy_on or self.as_of


class CaseFiles:
    """Collects profiles and cases of several files, so that a profile may stand in any of them."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._profiles: dict[str, FactValues] = {}
        self._drafts: list[tuple[Branch, Sheet]] = []

    def add(self, text: str, sheet: Sheet) -> None:
        """Read one file's profiles, and keep its cases until all profiles are known."""
        root = sheet.branch(sheet.tree(text), "the file", optional=("profiles", "cases"))
        if root is None:
            return
        profiles = sheet.free_branch(root.entries.get("profiles"), "profiles")
        for name, node in profiles.entries.items() if profiles else ():
            if name in self._profiles:
                sheet.report(node.line, f"profile {name} stands twice", "rename one")
            self._profiles[name] = self._facts(node, f"profile {name}", sheet)
        for node in sheet.items(root.entries.get("cases"), "cases"):
            branch = sheet.branch(
                node,
                "a case",
                required=("name", "as_of", "expect"),
                optional=("policy_on", "client", "base", "industry", "facts", "records", "matches", "misses"),
            )
            if branch is not None:
                self._drafts.append((branch, sheet))

    def cases(self) -> tuple[Case, ...]:
        """Every case that could be read, in the order written."""
        names: dict[str, str] = {}
        cases = []
        for branch, sheet in self._drafts:
            case = self._case(branch, sheet)
            if case is None:
                continue
            if case.name in names:
                first = names[case.name]
                sheet.report(case.line, f"the case '{case.name}' stands twice, first in {first}", "rename one")
            names.setdefault(case.name, f"{case.file}:{case.line}")
            cases.append(case)
        return tuple(cases)

    def _case(self, branch: Branch, sheet: Sheet) -> Case | None:
        entries = branch.entries
        name = sheet.text(entries.get("name"), "name")
        as_of = sheet.day(entries.get("as_of"), "as_of")
        what = f"case '{name}'"
        policy_on = sheet.day(entries.get("policy_on"), f"{what}: policy_on")
        overlay = self._overlay(entries.get("client"), what, sheet)
        if overlay is None:
            return None
        expect = self._expectation(entries.get("expect"), what, overlay, sheet)
        base = sheet.text(entries.get("base"), f"{what}: base")
        if base is not None and base not in self._profiles:
            hint = did_you_mean(base, self._profiles, otherwise="write it under profiles")
            sheet.report(entries["base"].line, f"{what}: unknown profile '{base}'", hint)
        case_facts = self._facts(entries.get("facts"), what, sheet)
        records = plain(entries["records"]) if "records" in entries else {}
        if not isinstance(records, dict):
            sheet.report(entries["records"].line, f"{what}: records is not a mapping", "write kind: [record, …]")
            records = {}
        if name is None or as_of is None or expect is None:
            return None
        return Case(
            name=name,
            as_of=as_of,
            expect=expect,
            base=base,
            industry=sheet.text(entries.get("industry"), f"{what}: industry"),
            facts=case_facts,
            records=records,
            matches=self._rules(entries.get("matches"), overlay, f"{what}: matches", sheet),
            misses=self._rules(entries.get("misses"), overlay, f"{what}: misses", sheet),
            file=sheet.shown_as,
            line=branch.line,
            profile=self._profiles.get(base or "", {}),
            policy_on=policy_on,
            client=overlay.client,
        )

    def _overlay(self, node: Node | None, what: str, sheet: Sheet) -> Overlay | None:
        """The overlay of the client that a case names; a client without one is a slip that would test the base."""
        client = sheet.text(node, f"{what}: client")
        if client is None or node is None:
            return NO_OVERLAY
        found = self._ruleset.overlays.get(client)
        if found is None:
            remedy = f"add {OVERLAYS}/{client}/, or leave the client out to test what holds for everybody"
            hint = did_you_mean(client, self._ruleset.overlays, otherwise=remedy)
            sheet.report(node.line, f"{what}: the client '{client}' has no overlay", hint)
        return found

    def _rules(self, node: Node | None, overlay: Overlay, what: str, sheet: Sheet) -> tuple[str, ...]:
        ids = [rule.id for rule in (*self._ruleset.rules, *overlay.rules)]
        return self._known(node, ids, what, sheet.coded(GONE))

    def _facts(self, node: Node | None, what: str, sheet: Sheet) -> FactValues:
        branch = sheet.free_branch(node, f"{what}: facts")
        values: dict[str, Exact | None] = {}
        for name, value in branch.entries.items() if branch else ():
            fact = self._ruleset.catalogue.get(name)
            if fact is not None and (fact.derived is not None or fact.source in COMPUTED):
                sheet.report(value.line, f"{what}: '{name}' is computed", "give the facts it is computed from")
            elif fact is not None and _means_unknown(value, fact):
                values[name] = None
            else:
                values[name] = sheet.value(value, name, self._ruleset.catalogue)
        return values

    def _known(self, node: Node | None, known: Iterable[str], what: str, sheet: Sheet) -> tuple[str, ...]:
        names = sheet.names(node, what)
        for name in names:
            if name not in known and node is not None:
                hint = did_you_mean(name, known, otherwise="name one that exists")
                sheet.report(node.line, f"{what}: '{name}' does not exist", hint)
        return names

    def _expectation(self, node: Node | None, what: str, overlay: Overlay, sheet: Sheet) -> Expectation | None:
        branch = sheet.branch(node, f"{what}: expect", required=("outcome",), optional=EXPECTATIONS)
        outcome = sheet.text(branch.entries.get("outcome"), f"{what}: outcome") if branch else None
        if branch is None or outcome is None:
            return None
        if outcome not in Outcome.__members__:
            line = branch.entries["outcome"].line
            sheet.report(line, f"{what}: unknown outcome '{outcome}'", "use APPROVE, REFER or DECLINE")
            return None
        others = {
            name: self._expected(name, value, what, overlay, sheet)
            for name, value in branch.entries.items()
            if name in EXPECTATIONS and name != "outcome"
        }
        return Expectation(Outcome[outcome], others)

    def _expected(self, name: str, node: Node, what: str, overlay: Overlay, sheet: Sheet) -> Any:
        if name == "reasons":
            codes = {**self._ruleset.reasons, **overlay.reasons}
            return frozenset(self._known(node, codes, f"{what}: reasons", sheet))
        if name == "unknown":
            return frozenset(self._known(node, self._ruleset.catalogue, f"{what}: unknown", sheet))
        if name == CONDITIONS:
            rules = (*self._ruleset.rules, *overlay.rules)
            known = {code for rule in rules if rule.effects is not None for code in rule.effects.conditions}
            return frozenset(self._known(node, sorted(known), f"{what}: conditions", sheet))
        if name == SPREAD:
            written = sheet.text(node, f"{what}: {SPREAD}") or "0"
            return sheet.attempt(node.line, f"{what}: {SPREAD}", lambda: parse_number(written))
        if isinstance(node, Scalar) and node.text == UNKNOWN:
            return None
        if name == "limit":
            text = sheet.text(node, f"{what}: limit") or "0"
            return sheet.attempt(
                node.line, f"{what}: limit", lambda: encode_number(FactType.MONEY, parse_number(text))
            )
        value = sheet.value(node, name, self._ruleset.catalogue)
        return bool(value) if isinstance(value, int) else value


def _means_unknown(node: Node, fact: Fact) -> bool:
    """The word ``unknown`` makes a fact unknown, unless it is one of the fact's own choices."""
    return isinstance(node, Scalar) and node.text == UNKNOWN and UNKNOWN not in fact.choices


def plain(node: Node) -> Any:
    """A tree as dicts, lists and values; numbers are int or Decimal, dates are dates, ``null`` is ``None``."""
    if isinstance(node, Branch):
        return {name: plain(value) for name, value in node.entries.items()}
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    if node.quoted:
        return node.text
    if node.text in ("null", "~", ""):
        return None
    try:
        value = parse_literal(node.text)
    except FactError:
        return node.text
    if isinstance(value, Decimal) and "." not in node.text:
        return int(value)
    return value
