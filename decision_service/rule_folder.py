"""A folder of rules judged as a whole before it may decide: files, gaps and cases, all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from decision_service.case_runs import NOBODY, enterprise
from decision_service.decide import DECLARED, SHANGHAI, score_values
from decision_service.errors import Problem, RulebookError
from decision_service.kill_switch import SWITCH
from decision_service.lending.exposure import exposure_facts
from decision_service.lending.limits import limit_max
from decision_service.policy import Policy, portrait_mistakes
from decision_service.portrait.records import EnterpriseRecords
from decision_service.portrait.snapshot import snapshot
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.cases import case_texts, cases_of
from decision_service.rulebook.completeness import incomplete, line_of
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import LimitEffects
from decision_service.store import ExposureState
from decision_service.vocabulary import Scores

PLATFORM = (
    *DECLARED,
    SWITCH,
    "application_approved",
    "industry_status",
    "limit_max",
    "card",
    "whitelisted",
    "grade",
)
"""Facts that the way of a decision gives or reads by name."""


def load_policy(folder: Path | str, *, on: date) -> Policy:
    """The policy of a folder that can decide from a business date on. Raises ``RulebookError`` with every problem."""
    policy = Policy(load(folder, checks=(portrait_mistakes,)))
    _raise(_lacking(policy, Path(folder), on))
    policy.prepare(on)
    return policy


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version of the rules that could be read as a whole: what it says, its cases, and the very texts of these.

    ``on`` is the business date by which it is judged.
    """

    policy: Policy
    cases: tuple[Case, ...]
    case_texts: Mapping[str, str]
    on: date


def check_folder(folder: Path | str, *, on: date) -> tuple[Policy, tuple[Case, ...]]:
    """The policy and the cases of a folder. Raises ``RulebookError`` with every problem of both."""
    found = candidate(folder, on=on)
    return found.policy, found.cases


def candidate(folder: Path | str, *, on: date) -> Candidate:
    """A folder judged as a whole, each of its files read once. Raises ``RulebookError`` with every problem.

    Cases are read once the rules can be: they name rules, facts and reasons.
    """
    policy = Policy(load(folder, checks=(portrait_mistakes,)))
    problems = _lacking(policy, Path(folder), on)
    in_cases: list[Problem] = []
    texts = case_texts(folder, in_cases)
    cases: tuple[Case, ...] = ()
    try:
        cases = cases_of(texts, policy.ruleset, problems=in_cases, shown_in=f"{folder}/")
    except RulebookError as error:
        problems += error.problems
    _raise([*problems, *_unusable_records(cases)])
    policy.prepare(on)
    return Candidate(policy, cases, texts, on)


def _lacking(policy: Policy, folder: Path, on: date) -> list[Problem]:
    return [
        Problem(f"{folder}/{problem.file}", problem.line, problem.what, problem.remedy)
        for problem in (*incomplete(policy.ruleset, on=on), *_undeclared(policy))
    ]


def _raise(problems: Iterable[Problem]) -> None:
    if found := tuple(sorted(problems, key=lambda one: (one.file, one.line, one.what))):
        raise RulebookError(found)


def _unusable_records(cases: Iterable[Case]) -> Iterator[Problem]:
    for case in cases:
        try:
            enterprise(case, datetime.combine(case.as_of, time(12), SHANGHAI))
        except RulebookError as error:
            yield from error.problems


def _undeclared(policy: Policy) -> Iterator[Problem]:
    """Names that the platform gives or reads and ``facts.yaml`` does not declare: no application could be decided."""
    sources = policy.ruleset.sources
    for name in sorted(named_by_platform(policy) - set(policy.ruleset.catalogue)):
        where = "lists.yaml" if name in policy.lists else "facts.yaml"
        what = f"'{name}' is a fact that the platform works with, and it is not declared"
        yield Problem(where, line_of(sources, where, name), what, "declare it in facts.yaml")


def named_by_platform(policy: Policy) -> set[str]:
    """Every fact that portrait, exposure, scores and limits give or read, found out by asking them about nobody."""
    now = datetime(2024, 1, 1, 12, tzinfo=SHANGHAI)
    nobody = EnterpriseRecords(NOBODY)
    names = {*PLATFORM, *score_values(Scores()), *exposure_facts(nobody, ExposureState(), client_id="", now=now)}
    for product in policy.ruleset.products:
        portrait = snapshot(
            nobody, registry=policy.registry, lists=policy.lists, industry={}, product=product, now=now
        )
        read = _Asked(product=product)
        limit_max(read, LimitEffects())
        names |= {*portrait.facts, *read.names}
    return names


class _Asked(dict[str, Any]):
    """Facts of which only the given ones are known; remembers which others were asked for."""

    def __init__(self, **known: Any) -> None:
        super().__init__(known)
        self.names: set[str] = set()

    def __missing__(self, name: str) -> None:
        self.names.add(name)
