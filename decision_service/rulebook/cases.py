"""Runs the cases of a ruleset: what differs from the expectation, and which rules no case ever matches or misses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from decision_service.errors import FactError, Problem, RulebookError
from decision_service.rulebook.case_file import CONDITIONS, SPREAD, Case, CaseFiles
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.coverage import ComparisonCoverage, Coverage
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.files import CASES, read_file
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.rules import LimitEffects, Stage
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from decision_service.vocabulary import Outcome, Reason


class Assessed(Protocol):
    """What the evaluation of a case must give: ``limit`` in fen, ``matched`` and ``unknown`` as rule ids.

    ``facts`` are those after every stage.
    """

    @property
    def outcome(self) -> Outcome: ...
    @property
    def reasons(self) -> tuple[Reason, ...]: ...
    @property
    def card(self) -> str | None: ...
    @property
    def whitelisted(self) -> bool | None: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def effects(self) -> LimitEffects: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def matched(self) -> tuple[str, ...]: ...
    @property
    def unknown(self) -> tuple[str, ...]: ...


Evaluate = Callable[[RulesInForce, Facts], Assessed]
FactsFromRecords = Callable[[Case, RulesInForce], Mapping[str, Any]]
"""The facts that a case's ``records`` say (Decimal, int, bool, str; ``None`` unknown); only those they speak about."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that was decided otherwise than it expects; ``differences`` are sentences."""

    case: Case
    differences: tuple[str, ...]

    @property
    def problem(self) -> Problem:
        """The failure as a problem with file and line."""
        what = f"case '{self.case.name}': {'; '.join(self.differences)}"
        return Problem(self.case.file, self.case.line, what, "correct the case, or the rule it is about")


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """Names of the cases that match a rule, miss it, or leave it unknown."""

    matched: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseReport:
    """The result of running cases; ``coverage`` has every rule by name, overlays' too, ``comparisons`` what is in them.

    ``ran`` are the cases, in the order they ran.
    """

    ran: tuple[Case, ...]
    failures: tuple[Failure, ...]
    coverage: Mapping[str, RuleCoverage]
    comparisons: tuple[ComparisonCoverage, ...]

    @property
    def cases(self) -> int:
        """How many cases ran."""
        return len(self.ran)

    @property
    def gaps(self) -> tuple[ComparisonCoverage, ...]:
        """Comparisons of which no case shows a state."""
        return tuple(one for one in self.comparisons if one.missing)

    @property
    def never_matched(self) -> tuple[str, ...]:
        """Rules that no case matches."""
        return tuple(rule_id for rule_id, seen in self.coverage.items() if not seen.matched)

    @property
    def never_missed(self) -> tuple[str, ...]:
        """Rules that no case misses."""
        return tuple(rule_id for rule_id, seen in self.coverage.items() if not seen.missed)

    @property
    def passed(self) -> bool:
        """Whether every case came out as expected and every rule was matched by one and missed by another."""
        return not (self.failures or self.never_matched or self.never_missed)


def load_cases(folder: Path | str, ruleset: Ruleset) -> tuple[Case, ...]:
    """The cases of a rule folder (its ``cases/*.yaml``). Raises ``RulebookError`` with every ``Problem``."""
    problems: list[Problem] = []
    texts = case_texts(folder, problems)
    return cases_of(texts, ruleset, problems=problems, shown_in=f"{folder}/")


def case_texts(folder: Path | str, problems: list[Problem]) -> dict[str, str]:
    """Texts of a folder's cases by path inside the folder; files that cannot be cases become problems."""
    folder = Path(folder)
    where = folder / CASES
    paths = sorted(path for pattern in ("*.yaml", "*.yml") for path in where.rglob(pattern))
    if not paths:
        problems.append(Problem(str(where), 1, "there are no cases", "write cases/*.yaml for the rules"))
    texts: dict[str, str] = {}
    for path in paths:
        if path.parent != where or path.suffix != ".yaml":
            what = "this file is not read by anything"
            problems.append(Problem(str(path), 1, what, "keep cases beside each other and end their names in .yaml"))
        elif (text := read_file(path, problems)) is not None:
            texts[path.relative_to(folder).as_posix()] = text
    return texts


def cases_of(
    texts: Mapping[str, str], ruleset: Ruleset, *, problems: Iterable[Problem] = (), shown_in: str = ""
) -> tuple[Case, ...]:
    """The cases in texts by path. Raises ``RulebookError`` with every ``Problem``, those found before among them."""
    found = list(problems)
    files = CaseFiles(ruleset)
    for path, text in texts.items():
        files.add(text, Sheet(path, found, folder=shown_in))
    cases = files.cases()
    if found:
        raise RulebookError(tuple(sorted(found, key=lambda one: (one.file, one.line, one.what))))
    return cases


def run_cases(
    ruleset: Ruleset,
    cases: Iterable[Case],
    *,
    evaluate: Evaluate,
    facts_from_records: FactsFromRecords | None = None,
) -> CaseReport:
    """Evaluate each case by what its client had in force on its date. Raises ``RulebookError`` for unusable records."""
    seen: dict[str, tuple[list[str], list[str], list[str]]] = {rule.name: ([], [], []) for rule in ruleset.every_rule()}
    comparisons = Coverage(ruleset.every_rule(), ruleset.catalogue)
    failures, ran = [], []
    for case in cases:
        ran.append(case)
        rules = ruleset.in_force(case.decided_by, case.client)
        assessed = evaluate(rules, case_facts(case, rules, facts_from_records=facts_from_records))
        differences = tuple(_differences(case, assessed))
        if differences:
            failures.append(Failure(case, differences))
        for stage in Stage:
            for rule in rules.rules(stage):
                seen[rule.name][_column(rule.id, assessed)].append(case.name)
        comparisons.add(case.name, rules, assessed.facts)
    coverage = {name: RuleCoverage(*map(tuple, columns)) for name, columns in sorted(seen.items())}
    return CaseReport(tuple(ran), tuple(failures), coverage, comparisons.comparisons())


def _column(rule_id: str, assessed: Assessed) -> int:
    if rule_id in assessed.matched:
        return 0
    return 2 if rule_id in assessed.unknown else 1


def case_facts(case: Case, rules: RulesInForce, *, facts_from_records: FactsFromRecords | None = None) -> Facts:
    """The facts of a case: parameters in force, then its profile, its industry, its records, its own facts."""
    product = case.facts.get("product", case.profile.get("product"))
    values: dict[str, Exact | None] = {**rules.parameters(str(product), case.industry or ""), **case.profile}
    if case.industry is not None:
        values["industry_status"] = rules.industry_status(case.industry)
    if case.records:
        if facts_from_records is None:
            what = f"case '{case.name}' has records, and nothing that reads them"
            raise RulebookError((Problem(case.file, case.line, what, "give facts_from_records"),))
        for name, value in facts_from_records(case, rules).items():
            values[name] = None if value is None else _encoded(case, name, value, rules)
    return Facts(rules.catalogue, {**values, **case.facts})


def _encoded(case: Case, name: str, value: Any, rules: RulesInForce) -> Exact:
    try:
        return rules.catalogue.encode(name, value)
    except FactError as error:
        what = f"case '{case.name}': records: {error.where}: {error.what}"
        raise RulebookError((Problem(case.file, case.line, what, error.remedy),)) from error


def _differences(case: Case, assessed: Assessed) -> Iterator[str]:
    if assessed.outcome is not case.expect.outcome:
        codes = ", ".join(sorted({f"{one.code} by {one.rule or 'no rule'}" for one in assessed.reasons})) or "no reason"
        yield f"expected {case.expect.outcome.name}, got {assessed.outcome.name} ({codes})"
    got = {
        "reasons": frozenset(one.code for one in assessed.reasons),
        "card": assessed.card,
        "whitelisted": assessed.whitelisted,
        "limit": assessed.limit,
        SPREAD: Decimal(assessed.effects.rate_spread_bp),
        CONDITIONS: frozenset(assessed.effects.conditions),
    }
    for name, expected in case.expect.others.items():
        if name == "unknown":
            named = {fact for one in assessed.reasons for fact in one.facts}
            if expected - named:
                yield f"expected the reasons to name {_shown(expected - named)} as unknown, they name {_shown(named)}"
        elif got[name] != expected:
            yield f"expected {name} {_shown(expected)}, got {_shown(got[name])}"
    for rule_id in case.matches:
        if rule_id not in assessed.matched:
            yield f"expected {rule_id} to match, it {'is unknown' if rule_id in assessed.unknown else 'does not'}"
    for rule_id in case.misses:
        if rule_id in assessed.matched or rule_id in assessed.unknown:
            yield f"expected {rule_id} not to match, it {'does' if rule_id in assessed.matched else 'is unknown'}"


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, (frozenset, set)):
        return f"[{', '.join(sorted(value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value // 100:,}.{value % 100:02d}" if isinstance(value, int) else str(value)
