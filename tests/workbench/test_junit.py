"""JUnit XML: its structure as CI systems read it, places, counts, and characters that XML cannot hold."""

from __future__ import annotations

from datetime import date
from xml.etree import ElementTree

import pytest

from decision_service.errors import Problem
from decision_service.rulebook.case_file import Case, Expectation
from decision_service.rulebook.cases import CaseReport, Failure, RuleCoverage
from decision_service.rulebook.coverage import Coverage
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.syntax import parse_condition
from decision_service.vocabulary import Outcome
from decision_service.workbench.junit import junit, junit_of_mistakes
from tests.rulebook.small_rulebook import ruleset

CATALOGUE = ruleset().catalogue
ROOT = {"name", "tests", "failures", "errors", "skipped"}
CASE = {"name", "classname", "file", "line"}


def case(name: str, *, file: str = "rules/cases/a.yaml", line: int = 3) -> Case:
    return Case(name, date(2024, 6, 3), Expectation(Outcome.REFER), file=file, line=line)


RULE = Rule("R-1", Stage.DECISION, {}, parse_condition("years > 3", CATALOGUE), file="d.yaml", line=7)
SEEN = RuleCoverage(("one",), ("two",))


def report(*cases: Case, failures: tuple[Failure, ...] = (), seen: RuleCoverage = SEEN) -> CaseReport:
    return CaseReport(cases, failures, {"R-1": seen}, Coverage([RULE], CATALOGUE).comparisons())


def parsed(document: bytes) -> ElementTree.Element:
    """The root, after what every reader of the format relies on was checked."""
    root = ElementTree.fromstring(document)
    assert root.tag == "testsuites" and set(root.attrib) == ROOT
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in root:
        assert suite.tag == "testsuite" and set(suite.attrib) == ROOT
        counts = {"tests": len(suite), "skipped": 0}
        for kind in ("failure", "error"):
            counts[f"{kind}s"] = len(suite.findall(f"testcase/{kind}"))
        assert {name: int(suite.get(name, "")) for name in counts} == counts
        total = {name: total[name] + counts[name] for name in total}
        for test in suite:
            assert test.tag == "testcase" and set(test.attrib) == CASE and int(test.get("line", ""))
            for wrong in test:
                assert set(wrong.attrib) == {"message", "type"} and wrong.text
    assert {name: int(root.get(name, "")) for name in total} == total
    return root


def junit_of(one: CaseReport, *, strict: bool = False) -> ElementTree.Element:
    return parsed(junit(one, [RULE], folder="rules", strict=strict))


def test_a_suite_per_file_of_cases_with_a_test_per_case_in_the_order_of_their_lines() -> None:
    cases = [case("late", line=9), case("other", file="rules/cases/b.yaml"), case("early", line=2)]
    root = junit_of(report(*cases))
    assert [suite.get("name") for suite in root] == ["rules/cases/a.yaml", "rules/cases/b.yaml", "coverage"]
    assert [(test.get("name"), test.get("file"), test.get("line")) for test in root[0]] == [
        ("early", "rules/cases/a.yaml", "2"),
        ("late", "rules/cases/a.yaml", "9"),
    ]
    assert root.get("failures") == "0"


def test_a_failing_case_tells_its_differences_and_its_place() -> None:
    wrong = case("wrong", line=5)
    failure = Failure(wrong, ("expected REFER, got APPROVE", "expected card red, got none"))
    root = junit_of(report(case("fine"), wrong, failures=(failure,)))
    (found,) = root.findall(".//failure")
    assert found.get("message") == "expected REFER, got APPROVE; expected card red, got none"
    assert found.text == f"rules/cases/a.yaml:5: {found.get('message')}"
    assert root.get("failures") == "1"


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (RuleCoverage((), ("two",)), "no case matches it"),
        (RuleCoverage(("one",), ()), "no case misses it"),
        (RuleCoverage(), "no case matches it; no case misses it"),
    ],
)
def test_a_rule_that_cases_do_not_cover_fails_in_the_suite_of_coverage(seen: RuleCoverage, message: str) -> None:
    root = junit_of(report(case("fine"), seen=seen))
    (failed,) = [test for test in root[-1] if len(test)]
    assert (failed.get("file"), failed.get("line")) == ("rules/d.yaml", "7")
    assert failed[0].get("message") == message


def test_gaps_of_comparisons_fail_only_when_strict() -> None:
    assert junit_of(report(case("fine"))).get("failures") == "0"
    root = junit_of(report(case("fine")), strict=True)
    assert root.get("failures") == "1"
    assert (root[-1][0][0].get("message") or "").startswith("no case shows 'years > 3' true, or false, or unknown")


def test_mistakes_in_files_are_errors() -> None:
    root = parsed(junit_of_mistakes([Problem("rules/a.yaml", 4, "unknown fact 'x'", "declare it")]))
    (error,) = root.findall(".//error")
    assert error.text == "rules/a.yaml:4: unknown fact 'x'; declare it"
    assert root.get("errors") == "1"


def test_what_xml_cannot_hold_is_replaced_and_what_it_reserves_is_escaped() -> None:
    name = 'a < "b" & \x0b中\ufffe\ud800'
    root = junit_of(report(case(name)))
    assert root[0][0].get("name") == 'a < "b" & \ufffd中\ufffd\ufffd'


def test_the_same_report_gives_the_same_bytes() -> None:
    one = report(case("one"), case("two", line=4))
    assert junit(one, [RULE], folder="rules", strict=True) == junit(one, [RULE], folder="rules", strict=True)
