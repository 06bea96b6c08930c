"""The result of a run of cases as JUnit XML, as CI systems read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree

from decision_service.errors import Problem
from decision_service.rulebook.cases import CaseReport
from decision_service.rulebook.rules import Rule

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold."""


@dataclass(frozen=True, slots=True)
class Test:
    """One test case: where it stands, and what is wrong with it, if anything; ``kind`` is ``failure`` or ``error``."""

    name: str
    file: str
    line: int
    wrong: str = ""
    kind: str = "failure"


def junit(report: CaseReport, rules: Iterable[Rule], *, folder: str, strict: bool) -> bytes:
    """A suite per file of cases with a test per case, and one with a test per rule: a case matches it, another misses.

    ``strict`` adds to the latter what no case shows of a rule's comparisons. Times are left out, so that the same
    cases and rules give the same bytes.
    """
    failures = {failure.case.name: "; ".join(failure.differences) for failure in report.failures}
    cases = [Test(case.name, case.file, case.line, failures.get(case.name, "")) for case in report.ran]
    suites = [(file, list(tests)) for file, tests in groupby(sorted(cases, key=_place), key=lambda one: one.file)]
    covered = [
        Test(f"{rule.name} is covered by cases", f"{folder}/{rule.file}", rule.line, "; ".join(lacking))
        for rule in rules
        for lacking in [_lacking(rule, report, strict)]
    ]
    return _document([*suites, ("coverage", sorted(covered, key=_place))])


def junit_of_mistakes(problems: Iterable[Problem]) -> bytes:
    """Rule files or cases that cannot be used: a test per mistake, each an error."""
    tests = [
        Test(one.what, one.file, one.line, "; ".join(filter(None, (one.what, one.remedy))), kind="error")
        for one in problems
    ]
    return _document([("rule files", tests)])


def _place(test: Test) -> tuple[str, int]:
    return test.file, test.line


def _lacking(rule: Rule, report: CaseReport, strict: bool) -> list[str]:
    never = [("matches", report.never_matched), ("misses", report.never_missed)]
    found = [f"no case {title} it" for title, names in never if rule.name in names]
    gaps = report.gaps if strict else ()
    return found + [gap.gap for gap in gaps if gap.rule.name == rule.name]


def _document(suites: Sequence[tuple[str, Sequence[Test]]]) -> bytes:
    root = ElementTree.Element("testsuites", name="rules")
    _count(root, [test for _, tests in suites for test in tests])
    for name, tests in suites:
        suite = ElementTree.SubElement(root, "testsuite", name=_text(name))
        _count(suite, tests)
        for test in tests:
            _add(suite, test)
    ElementTree.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="utf-8") + b"\n"


def _count(element: ElementTree.Element, tests: Sequence[Test]) -> None:
    element.set("tests", str(len(tests)))
    for kind in ("failure", "error"):
        element.set(f"{kind}s", str(sum(bool(test.wrong) and test.kind == kind for test in tests)))
    element.set("skipped", "0")


def _add(suite: ElementTree.Element, test: Test) -> None:
    named = {"name": test.name, "classname": test.file, "file": test.file, "line": str(test.line)}
    element = ElementTree.SubElement(suite, "testcase", {key: _text(value) for key, value in named.items()})
    if test.wrong:
        wrong = ElementTree.SubElement(element, test.kind, message=_text(test.wrong), type=test.kind)
        wrong.text = _text(f"{test.file}:{test.line}: {test.wrong}")


def _text(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
