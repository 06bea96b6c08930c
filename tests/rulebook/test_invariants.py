"""Claims in a file: what each form needs, and every mistake with file, line and remedy."""

from __future__ import annotations

import pytest

from decision_service.rulebook.conditions import Comparison
from decision_service.rulebook.files import load_sources
from decision_service.rulebook.invariants import Claim
from tests.rulebook.small_rulebook import SOURCES, problems

HEAD = "invariants:\n"
COMMON = "    title: {zh: 断言, en: claim}\n    reference: board\n"
IMPLICATION = f"  - id: red\n{COMMON}    claim: implication\n    if: card == red\n    then: outcome == DECLINE\n"
MONOTONE = f"  - id: pd\n{COMMON}    claim: monotone\n    fact: pd\n    worse: higher\n    of: limit\n    if: pd > 0\n"
FACT = "invariants.yaml:6: invariant pd:"


def written(claims: str) -> dict[str, str]:
    return {**SOURCES, "invariants.yaml": HEAD + claims}


def test_claims_are_read_with_their_conditions_and_places() -> None:
    found = load_sources(written(IMPLICATION + MONOTONE)).invariants
    assert [(one.id, one.claim, one.file, one.line) for one in found] == [
        ("red", Claim.IMPLICATION, "invariants.yaml", 2),
        ("pd", Claim.MONOTONE, "invariants.yaml", 8),
    ]
    red, pd = found
    assert red.given == Comparison("card", "==", "red", "card == red")
    assert red.then == Comparison("outcome", "==", "DECLINE", "outcome == DECLINE")
    assert (pd.fact, pd.worse, pd.of, red.title["en"], red.reference) == ("pd", "higher", "limit", "claim", "board")


def test_the_digest_covers_the_claims() -> None:
    digests = {load_sources(written(text)).digest for text in (IMPLICATION, MONOTONE, IMPLICATION + MONOTONE)}
    assert len(digests) == 3


MISTAKES = [
    (
        "a form that does not exist",
        IMPLICATION.replace("implication", "implications"),
        "invariants.yaml:5: there is no claim of the form 'implications'; did you mean implication?",
    ),
    (
        "no form",
        IMPLICATION.replace("    claim: implication\n", ""),
        "invariants.yaml:2: an invariant: 'claim' is missing",
    ),
    (
        "a key that the form needs",
        IMPLICATION.replace("    then: outcome == DECLINE\n", ""),
        "invariants.yaml:2: an invariant of the form implication: 'then' is missing",
    ),
    (
        "a key that the form does not know",
        IMPLICATION.replace("    then:", "    fact: pd\n    then:"),
        "invariants.yaml:7: an invariant of the form implication: unknown key 'fact'",
    ),
    (
        "a fact that is not declared",
        IMPLICATION.replace("if: card", "if: crad"),
        "invariants.yaml:6: invariant red: unknown fact 'crad'; did you mean card?",
    ),
    (
        "an outcome that does not exist",
        IMPLICATION.replace("DECLINE", "REJECT"),
        "invariants.yaml:7: invariant red: ",
    ),
    (
        "a fact that is computed cannot get worse by itself",
        MONOTONE.replace("fact: pd", "fact: exposure"),
        f"{FACT} 'exposure' is computed or a parameter; name a fact that is given",
    ),
    ("nor can a card", MONOTONE.replace("fact: pd", "fact: card"), f"{FACT} 'card' is computed"),
    ("nor the limit", MONOTONE.replace("fact: pd", "fact: limit_max"), f"{FACT} 'limit_max' is"),
    ("nor a parameter", MONOTONE.replace("fact: pd", "fact: policy.line"), f"{FACT} 'policy.line'"),
    (
        "nor what the industry says",
        MONOTONE.replace("fact: pd", "fact: industry_status"),
        f"{FACT} 'industry_status' is computed",
    ),
    ("nor the outcome", MONOTONE.replace("fact: pd", "fact: outcome"), f"{FACT} 'outcome' is"),
    (
        "a fact that gets worse and is not declared",
        MONOTONE.replace("fact: pd", "fact: pdd"),
        f"{FACT} unknown fact 'pdd'; did you mean pd?",
    ),
    (
        "a direction that does not exist",
        MONOTONE.replace("worse: higher", "worse: more"),
        "invariants.yaml:7: invariant pd: worse: unknown word 'more'; use higher or lower",
    ),
    (
        "something that cannot get better",
        MONOTONE.replace("of: limit", "of: card"),
        "invariants.yaml:8: invariant pd: of: unknown word 'card'; use outcome or limit",
    ),
    (
        "two claims of one id",
        IMPLICATION + MONOTONE.replace("id: pd", "id: red"),
        "invariants.yaml:8: invariant red stands twice, first in line 2; rename one",
    ),
    ("a claim that is no mapping", "  - card\n", "invariants.yaml:2: an invariant is not a mapping"),
    ("a title in one language", IMPLICATION.replace(", en: claim", ""), "invariants.yaml:3: invariant red: title"),
    ("no reference", IMPLICATION.replace("    reference: board\n", ""), "'reference' is missing"),
]


@pytest.mark.parametrize(("claims", "expected"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_reported_with_its_line(claims: str, expected: str) -> None:
    found = problems(written(claims))
    assert len(found) == 1 and expected in found[0], found


def test_all_mistakes_are_reported_at_once() -> None:
    claims = IMPLICATION.replace("if: card", "if: crad") + MONOTONE.replace("worse: higher", "worse: more")
    assert [problem.split(":")[1] for problem in problems(written(claims))] == ["6", "13"]
